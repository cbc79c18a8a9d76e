"""The table of scenarios: what is done, by which client arguments, against whom.

`run` names a function of runners.py. `arguments` are those of `pabal bench PROTOCOL`, or of PerfTest. `floor`
is what the machine itself needs for one message: bytes received, sent and stored, and lone requests.
"""
import dataclasses

KAFKA = ("pabal os", "kafka", "pabal fsync", "kafka flush=1")
AMQP = ("pabal os", "rabbitmq classic", "pabal fsync", "rabbitmq quorum")
BOTH = ("pabal os", "kafka and rabbitmq classic", "pabal fsync", "kafka flush=1 and rabbitmq quorum")
KAFKA_READ = ("pabal os", "kafka")  # where nothing is stored
AMQP_READ = ("pabal os", "rabbitmq classic")
NO_QUORUM = ("pabal os", "rabbitmq classic", "pabal fsync")
LIFE = ("pabal fsync", "kafka", "rabbitmq classic")  # each by itself

RECORD = 8   # bytes around a value in a batch
PUBLISH = 60  # and around a body: three frames
DELIVER = 70


@dataclasses.dataclass(frozen=True)
class Floor:
    received: float = 0
    sent: float = 0
    stored: float = 0
    lone: float = 0

    def cpu_us(self, floors):
        ns = (self.received * floors["receive_ns_byte"] + self.sent * floors["send_ns_byte"] +
              self.stored * (floors["checksum_ns_byte"] + floors["write_ns_byte"]) + self.lone * floors["lone_ns"])
        return ns / 1000


def stored(size, copies=0, lone=0.0):
    """Produced, and fetched `copies` times."""
    return Floor(size, size * copies, size, lone)


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str  # "K1 produce, ...": what stands before the first space chooses it
    run: str
    arguments: str = ""
    labels: tuple = KAFKA
    size: int = 100
    floor: Floor = None
    estimate_s: float = 3  # of one measurement by one contender, before it has been seen
    rounds: int = 5        # at most: fewer where one takes long
    kept: str = ""         # the topic or queues of that name are kept: to make them takes longer than to load them
    only_full: bool = False

    @property
    def id(self):
        return self.name.split()[0]

    @property
    def family(self):
        """Who runs while it is measured."""
        if self.labels == LIFE:
            return "life"
        peers = {"kafka": any("kafka" in label for label in self.labels),
                 "amqp": any("rabbitmq" in label for label in self.labels)}
        return "both" if all(peers.values()) else next(name for name, takes_part in peers.items() if takes_part)


SCENARIOS = (
    Scenario("K1 produce, 1 partition, batches", "kafka_load", "produce", floor=stored(100 + RECORD)),
    Scenario("K1 produce to fetch, 200,000/s", "kafka_load", "both --rate 200000 --linger 1ms",
             floor=stored(100 + RECORD, 1)),
    Scenario("K1 fetch, 1 partition", "kafka_fetch", labels=KAFKA_READ, floor=Floor(sent=100 + RECORD)),
    Scenario("K2 produce, 100 partitions, 1 KB", "kafka_load", "produce --partitions 100", size=1024,
             floor=stored(1024 + RECORD), kept="k2"),
    Scenario("K3 1,000 partitions, keys, 16 in flight", "kafka_load",
             "produce --partitions 1000 --producers 50 --keys 1000000 --batch-records 1 --in-flight 16",
             floor=stored(200, lone=1 / 16), kept="k3"),
    Scenario("K3 1,000 partitions, keys, 1 in flight", "kafka_load",
             "produce --partitions 1000 --producers 50 --keys 1000000 --batch-records 1 --in-flight 1",
             floor=stored(200, lone=1), kept="k3"),
    Scenario("K3 1,000 partitions, keys, 5,000/s", "kafka_load",
             "produce --partitions 1000 --producers 50 --keys 1000000 --batch-records 1 --in-flight 16 --rate 5000",
             floor=stored(200, lone=1), kept="k3"),
    Scenario("K4 tail, 1 group, 2,000/s", "kafka_load", "both --rate 2000 --linger 5ms --group g",
             floor=stored(108, 1)),
    Scenario("K4 tail, 10 groups, 2,000/s", "kafka_load", "both --rate 2000 --linger 5ms --group g --groups 10",
             floor=stored(108, 1)),
    Scenario("K4 tail, 100 groups, 2,000/s", "kafka_load", "both --rate 2000 --linger 5ms --group g --groups 100",
             floor=stored(108, 1)),
    Scenario("K5 10,000/s of 1 KB", "kafka_catch_up", size=1024, estimate_s=7),
    Scenario("K6 idempotent produce, batches", "kafka_load", "produce --idempotent", floor=stored(100 + RECORD)),

    Scenario("A1 publish, deliver, confirm, ack", "amqp_load", "both --confirm 1000 --prefetch 1000 --persistent",
             labels=AMQP, floor=Floor(100 + PUBLISH, 100 + DELIVER, 100 + PUBLISH)),
    Scenario("A1 publish, deliver, confirm, ack, 5,000/s", "amqp_load",
             "both --confirm 1000 --prefetch 1000 --persistent --rate 5000",
             labels=AMQP, floor=Floor(100 + PUBLISH, 100 + DELIVER, 100 + PUBLISH)),
    Scenario("A1 publish, deliver, confirm, ack, 18,000/s", "amqp_load",  # half of what RabbitMQ takes
             "both --confirm 1000 --prefetch 1000 --persistent --rate 18000",
             labels=AMQP, floor=Floor(100 + PUBLISH, 100 + DELIVER, 100 + PUBLISH)),
    Scenario("A1 publish, deliver, ack, no confirms", "amqp_load", "both --prefetch 1000 --persistent",
             labels=NO_QUORUM, floor=Floor(100 + PUBLISH, 100 + DELIVER, 100 + PUBLISH), rounds=3, estimate_s=6),
    Scenario("A2 publish only, no confirms", "amqp_load", "publish --persistent", labels=NO_QUORUM,
             floor=Floor(100 + PUBLISH, 0, 100 + PUBLISH), rounds=3),
    Scenario("A2 publish only, confirms", "amqp_load", "publish --confirm 1000 --persistent", labels=AMQP,
             floor=Floor(100 + PUBLISH, 0, 100 + PUBLISH)),
    Scenario("A2 consume only, acks", "amqp_drain", "--ack 1 --prefetch 1000", labels=AMQP, estimate_s=6,
             floor=Floor(21, 100 + DELIVER, 0)),
    Scenario("A3 fan-out 1 to 100", "amqp_load", "both --fanout --queues 100 --consumers 100 --confirm 10 --ack 0"
             " --persistent", labels=AMQP, floor=Floor((100 + PUBLISH) / 100, 100 + DELIVER, (100 + PUBLISH) / 100)),
    Scenario("A3 fan-out 1 to 1,000", "amqp_load", "both --fanout --queues 1000 --consumers 1000 --confirm 10 --ack 0"
             " --persistent", labels=NO_QUORUM, floor=Floor(0, 100 + DELIVER, 0), only_full=True, estimate_s=8),
    Scenario("A4 1,000 queues, 1 to 1", "amqp_load",
             "both --queues 1000 --publishers 10 --consumers 10 --confirm 100 --persistent", labels=NO_QUORUM,
             floor=Floor(100 + PUBLISH, 100 + DELIVER, 100 + PUBLISH), estimate_s=5, kept="a4"),
    Scenario("A5 10,000 connections", "amqp_connections", labels=NO_QUORUM, estimate_s=20, rounds=1,
             floor=Floor(100 + PUBLISH, 100 + DELIVER, 100 + PUBLISH, 1)),
    Scenario("A6 each message requeued once", "amqp_drain", "--requeue --prefetch 1000", labels=AMQP, estimate_s=6,
             floor=Floor(42, 2 * (100 + DELIVER), 0)),
    Scenario("A7 bodies of 10 MB", "amqp_load", "both --confirm 4 --prefetch 4 --persistent", labels=AMQP,
             size=10 << 20, floor=Floor(10 << 20, 10 << 20, 10 << 20)),
    Scenario("K6 transactions of 100", "amqp_load", "publish --transaction 100 --persistent", labels=NO_QUORUM,
             floor=Floor(100 + PUBLISH, 0, 100 + PUBLISH)),
    Scenario("P1 PerfTest, 16 bytes, auto-ack", "perftest", "-s 16 -a", labels=AMQP_READ, size=16,
             estimate_s=7, rounds=3, floor=Floor(16 + PUBLISH, 16 + DELIVER, 0)),
    Scenario("P2 PerfTest, persistent, confirms, acks", "perftest", "-s 100 -f persistent -c 1000", labels=AMQP,
             estimate_s=7, rounds=3, floor=Floor(100 + PUBLISH, 100 + DELIVER, 100 + PUBLISH)),

    Scenario("M1 Kafka 20,000/s and AMQP 5,000/s at once", "mix", labels=BOTH, floor=stored(120, 0.2), estimate_s=5),

    Scenario("R1 start", "starts", labels=LIFE, rounds=1, estimate_s=30),
    Scenario("R2 kill -9 at full load", "killed", labels=LIFE, rounds=1, estimate_s=30),
    Scenario("R3 memory", "memory", labels=LIFE, rounds=1, estimate_s=40),
)

FAMILIES = ("kafka", "amqp", "both", "life")


def chosen(only, full):
    """Those whose id was asked for, or all."""
    known = {scenario.id for scenario in SCENARIOS}
    unknown = set(only) - known
    if unknown:
        raise SystemExit(f"--only: no scenario {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    return [scenario for scenario in SCENARIOS
            if scenario.id in only or (not only and (full or not scenario.only_full))]
