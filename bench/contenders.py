"""The brokers in the race, and the levels of safety at which each takes part.

A server is a process; a contender is a server at a level: Kafka syncs or not by a topic's config, RabbitMQ
by the type of a queue, Pabal by an option of the process. What the load generator must be told to make
topics and queues of that level is the contender's `arguments`.
"""
import os
import shutil
import subprocess
import tempfile
import time

import measure

import amqp_raw
import brokers
import kafka_raw

# Deleted logs are gone soon, so that their unwritten pages do not weigh on who comes next.
KAFKA_EXTRA = "log.segment.delete.delay.ms=1000\nfile.delete.delay.ms=1000\nauto.create.topics.enable=false"


class Server:
    """A broker process with a folder of its own, which is removed at the end."""

    def __init__(self, kind, **options):
        self.kind = kind
        self.folder = tempfile.mkdtemp(prefix="bench-", dir=measure.data_folder())
        if kind == "kafka":
            options["extra"] = KAFKA_EXTRA
        self.broker = brokers.make(kind, dir=os.path.join(self.folder, kind), **options)
        os.makedirs(self.broker.dir, exist_ok=True)

    @property
    def pid(self):
        return self.broker.pid

    def start(self):
        self.broker.start()
        return self

    def timed_start(self):
        """From exec to the first answer of the protocol, asked every millisecond; in ms. It has run before."""
        broker, poll_s = self.broker, self.broker.poll_s
        # Its addresses are known from the run before; what is_ready() needs besides may come later.
        broker.poll_s, asked = 0.001, broker.is_ready
        broker.is_ready = lambda: answers(broker)
        try:
            broker.start()
        finally:
            broker.is_ready, broker.poll_s = asked, poll_s
        taken_ms = broker.ready_s * 1000
        while not broker.is_ready():
            time.sleep(0.01)
        return taken_ms

    def stop(self):
        self.broker.stop()

    def kill(self):
        self.broker.kill()

    def close(self):
        try:
            self.broker.close()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def pids(self):
        return brokers.process_tree(self.pid)


def answers(broker):
    """ApiVersions, or AMQP up to open-ok, is answered."""
    try:
        if broker.kafka:
            with kafka_raw.Connection(broker.kafka, timeout_s=5) as raw:
                return bool(raw.call(kafka_raw.API_VERSIONS, 0, b""))
        with amqp_raw.Connection(broker.amqp, timeout_s=5):
            return True
    except (OSError, TypeError, AssertionError):
        return False


class Contender:
    def __init__(self, label, level, servers, arguments=None):
        self.label, self.level, self.servers = label, level, servers
        self.arguments = arguments or {}

    @property
    def is_pabal(self):
        return self.label.startswith("pabal")

    def address(self, protocol):
        return next(filter(None, (getattr(server.broker, protocol) for server in self.servers)))

    def speaks(self, protocol):
        return any(getattr(server.broker, protocol) for server in self.servers)

    def server(self, protocol):
        return next(server for server in self.servers if getattr(server.broker, protocol))

    def cost(self):
        return measure.Cost([pid for server in self.servers for pid in server.pids()])


# Which servers there are, and who takes part with which of them. A label says who it is and how.
SERVERS = {
    "pabal os": ("pabal", {"settings": {"durability": "os"}}),
    "pabal fsync": ("pabal", {"settings": {"durability": "fsync"}}),
    "kafka": ("kafka", {}),
    "rabbitmq": ("rabbitmq", {}),
}
CLASSIC, QUORUM = ["--queue-type", "classic"], ["--queue-type", "quorum"]
FLUSHED = ["--config", "flush.messages=1"]
LABELS = {
    # label: (level, servers, arguments by protocol)
    "pabal os": ("os", ["pabal os"], {}),
    "kafka": ("os", ["kafka"], {}),
    "rabbitmq classic": ("os", ["rabbitmq"], {"amqp": CLASSIC}),
    "kafka and rabbitmq classic": ("os", ["kafka", "rabbitmq"], {"amqp": CLASSIC}),
    "pabal fsync": ("fsync", ["pabal fsync"], {}),
    "kafka flush=1": ("fsync", ["kafka"], {"kafka": FLUSHED}),
    "rabbitmq quorum": ("fsync", ["rabbitmq"], {"amqp": QUORUM}),
    "kafka flush=1 and rabbitmq quorum": ("fsync", ["kafka", "rabbitmq"], {"kafka": FLUSHED, "amqp": QUORUM}),
}
SETTINGS = ("Pabal: defaults, `durability = os` where it says so; Kafka: its own heap and collector options,"
            f" {KAFKA_EXTRA.replace(chr(10), ', ')}, and of topics {' '.join(FLUSHED[1:])} where it says so; RabbitMQ:"
            " defaults")


def install(labels):
    """Fetch the peers that take part."""
    needed = {SERVERS[name][0] for label in labels for name in LABELS[label][1]}
    for kind, script in (("kafka", "kafka"), ("rabbitmq", "rabbit")):
        if kind in needed:
            subprocess.run([os.path.join(brokers.PEERS, script), "install"], check=True)


def start(labels):
    """The contenders of these labels, running: those who share a server share a process."""
    started, contenders = {}, []
    try:
        for label in labels:
            level, names, arguments = LABELS[label]
            for name in names:
                if name not in started:
                    kind, options = SERVERS[name]
                    started[name] = Server(kind, **options)
                    started[name].start()
            contenders.append(Contender(label, level, [started[name] for name in names], arguments))
    except BaseException:
        close(started.values())
        raise
    return contenders, list(started.values())


def close(servers):
    for server in servers:
        server.close()
