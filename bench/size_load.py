"""The scenarios of size.py. Each is given a Run and yields (figure, target, value)."""
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

import measure

import amqp_raw
import brokers
import kafka_raw

SCENARIOS = {}
CREATE_TOPICS = 19


class Refused(Exception):
    """The machine has not what the scenario needs."""


def scenario(function):
    SCENARIOS[function.__name__.replace("_", "-")] = function
    return function


class Run:
    """One broker in a directory of its own, and its clients."""

    def __init__(self, folder, options):
        self.folder, self.scale, self.program = folder, options.scale, options.bin
        self.broker = brokers.Pabal(dir=os.path.join(folder, "pabal"), program=options.bin)
        os.makedirs(self.broker.dir)
        self.helpers = []

    def scaled(self, count):
        return max(1, int(count * self.scale))

    def start(self, ask=None):
        """Milliseconds from exec to the first answer, asked every millisecond."""
        broker, ask = self.broker, ask or answers_kafka
        broker.kafka, broker.amqp = broker.settings["listener.kafka"], broker.settings["listener.amqp"]
        broker.poll_s, asked = 0.001, broker.is_ready
        broker.is_ready = lambda: ask(broker)
        try:
            broker.start()
        finally:
            broker.is_ready = asked
        taken = broker.ready_s * 1000
        while not broker.is_ready():
            time.sleep(0.001)
        return taken

    def rss(self):
        return self.broker.rss_mib() if self.broker.process else 0

    def settled_rss(self, wait_s=1.0):
        time.sleep(wait_s)
        return self.rss()

    def bench(self, *arguments, **more):
        """A `pabal bench` under way; report() waits for what it says."""
        command = [self.program, "bench", *map(str, arguments), "--output", "json"]
        server = self.broker.kafka if arguments[0] == "kafka" else self.broker.amqp
        env = {k: v for k, v in os.environ.items() if not k.startswith("PABAL_")}
        one = subprocess.Popen(command + ["--server", server], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, env=env, **more)
        self.helpers.append(one)
        return one

    def load(self, *arguments):
        return report(self.bench(*arguments))

    def close(self):
        for helper in self.helpers:
            if helper.poll() is None:
                helper.kill()
                helper.wait()
        self.broker.close()


def report(process):
    out, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(process.args)}: {err}")
    return json.loads(out)


def answers_kafka(broker):
    try:
        with kafka_raw.Connection(broker.kafka, timeout_s=30) as raw:
            return bool(raw.call(kafka_raw.API_VERSIONS, 0, b""))
    except (OSError, TypeError):
        return False


def answers_amqp(broker):
    try:
        with amqp_raw.Connection(broker.amqp, timeout_s=30):
            return True
    except (OSError, TypeError, AssertionError):
        return False


def create_topics(raw, names, partitions, configs=()):
    """CreateTopics v2."""
    body = struct.pack(">i", len(names))
    for name in names:
        body += kafka_raw.text(name) + struct.pack(">ihi", partitions, 1, 0) + struct.pack(">i", len(configs))
        body += b"".join(kafka_raw.text(key) + kafka_raw.text(value) for key, value in configs)
    answer = raw.call(CREATE_TOPICS, 2, body + struct.pack(">ib", 60_000, 0))
    at = 8  # throttle time, count
    for name in names:
        at += 2 + len(name)
        error, length = struct.unpack(">hh", answer[at:at + 4])
        assert error == 0, (name, error)
        at += 4 + max(length, 0)


def declare_queues(raw, names, arguments=b""):
    """Durable ones, pipelined."""
    for first in range(0, len(names), 500):
        burst = names[first:first + 500]
        raw.socket.sendall(b"".join(amqp_raw.queue_declare(1, name.encode(), 2, arguments) for name in burst))
        for _ in burst:
            payload = raw.receive()[2]
            assert payload[:4] == b"\0\x32\0\x0b", payload


def open_amqp(address, count):
    return [amqp_raw.Connection(address, timeout_s=30).socket for _ in range(count)]


def open_kafka(address, count):
    held = []
    for _ in range(count):
        raw = kafka_raw.Connection(address, timeout_s=30)
        assert raw.call(kafka_raw.API_VERSIONS, 0, b"")
        held.append(raw.socket)
    return held


def small_files(run):
    """Files of logs that hold less than 64 KiB: the journal should have these."""
    count = 0
    for folder, _, files in os.walk(os.path.join(run.broker.data_dir, "logs")):
        size = sum(os.stat(os.path.join(folder, file)).st_size for file in files)
        count += len(files) if size < 65536 else 0
    return count


# ---- declared and connected


@scenario
def idle(run):
    """Memory of a broker with nothing to do, and how soon it answers."""
    run.start()
    run.broker.stop()
    yield "ready, Kafka, ms", "<= 20", run.start()
    yield "RSS, MiB", "<= 8", run.settled_rss(3)
    run.broker.stop()
    yield "ready, AMQP, ms", "<= 20", run.start(answers_amqp)
    run.broker.kill()
    yield "ready after kill -9, Kafka, ms", "<= 20", run.start()


@scenario
def connections(run):
    """10,000 idle connections of each protocol."""
    run.start()
    before = run.settled_rss(2)
    for protocol, connect in (("AMQP", open_amqp), ("Kafka", open_kafka)):
        held = connect(getattr(run.broker, protocol.lower()), run.scaled(10_000))
        yield f"10,000 {protocol}, MiB more", "<= 25", run.settled_rss(2) - before
        for one in held:
            one.close()
        yield f"after they went ({protocol}), MiB more", "<= 4", run.settled_rss(6) - before


@scenario
def partitions(run):
    """100,000 partitions."""
    run.start()
    began = time.monotonic()
    with kafka_raw.Connection(run.broker.kafka, timeout_s=60) as raw:
        for topic in range(run.scaled(100)):
            create_topics(raw, [f"topic-{topic:04}"], 1000)
    yield "100,000 partitions declared, s", None, time.monotonic() - began
    yield from restarts(run, "100,000 partitions", 76.3, answers_kafka)


@scenario
def queues(run):
    """100,000 durable queues."""
    run.start()
    began = time.monotonic()
    with amqp_raw.Connection(run.broker.amqp, timeout_s=60) as raw:
        declare_queues(raw, [f"queue-{i:06}" for i in range(run.scaled(100_000))])
    yield "100,000 queues declared, s", None, time.monotonic() - began
    yield from restarts(run, "100,000 queues", 95.4, answers_amqp)


def restarts(run, what, limit_mib, ask):
    yield f"{what}: RSS, MiB", f"<= {limit_mib}", run.settled_rss(5)  # an idle broker gives memory back after 3 s
    yield f"{what}: files of logs below 64 KiB", "<= 0", small_files(run)
    run.broker.kill()
    yield f"{what}: ready after kill -9, ms", "<= 300", run.start(ask)
    yield f"{what}: RSS after that, MiB", f"<= {limit_mib}", run.settled_rss(3)
    run.broker.stop()
    yield f"{what}: ready after stop, ms", "<= 300", run.start(ask)
    yield f"{what}: RSS after that too, MiB", f"<= {limit_mib}", run.settled_rss(3)


# ---- stored


LONG = 10_000_000
BODY = b"x" * 100
DELIVER = b"\0\x3c\0\x3c\x05drain"  # basic.deliver to the consumer of drain()


def property_block(i, kind):
    """Flags and values of the header frame of message i: persistent, and what the kind wants."""
    if kind == "priorities":
        return 0x1800, bytes([2, i * 7 % 10])
    if kind == "times to live":
        return 0x1100, b"\2" + amqp_raw.short(str(600_000 + i * 7919 % 36_000_000).encode())
    return 0x1000, b"\2"


def fill(run, queue, count, kind, arguments=b""):
    """Publish persistent messages of 100 bytes; returns the rate at which they were taken."""
    with amqp_raw.Connection(run.broker.amqp, timeout_s=300) as raw:
        declare_queues(raw, [queue], arguments)
        burst = []
        for i in range(1000):
            flags, values = property_block(i, kind)
            burst.append(amqp_raw.publish(1, b"", queue.encode())
                         + amqp_raw.header(1, len(BODY), flags=flags, rest=values)
                         + amqp_raw.frame(amqp_raw.BODY, 1, BODY))
        burst = b"".join(burst)
        began = time.monotonic()
        for _ in range(count // 1000):
            raw.socket.sendall(burst)
        assert ready_count(raw, queue) == count // 1000 * 1000
        return count / (time.monotonic() - began)


def ready_count(raw, queue):
    raw.socket.sendall(amqp_raw.queue_declare(1, queue.encode(), 1))  # passive
    payload = raw.receive()[2]
    assert payload[:4] == b"\0\x32\0\x0b", payload
    return struct.unpack(">I", payload[5 + len(queue):9 + len(queue)])[0]


def long_queue(run, kind, arguments=b""):
    count = run.scaled(LONG)
    run.start(answers_amqp)
    through = run.load("amqp", "both", "--queue", "empty", "--persistent", "--confirm", 1000, "--prefetch", 1000,
                       "--ack", 100, "--warmup", "1s", "--duration", "4s", "--delete")
    peak = Peak(run)
    yield f"{kind}: published, msg/s", None, fill(run, "long", count, kind, arguments)
    yield f"{kind}: RSS when they are in, MiB", "< 95.4", run.rss()
    yield f"{kind}: highest RSS of publishing, MiB", None, peak.stop()
    peak = Peak(run)
    taken = drain(run, "long", count)
    yield f"{kind}: drained, msg/s", None, taken
    yield f"{kind}: drained, of the empty queue's rate", ">= 0.5", taken / through["msg/s"]
    yield f"{kind}: highest RSS of draining, MiB", "< 95.4", peak.stop()
    yield f"{kind}: RSS after that, MiB", "< 95.4", run.settled_rss(6)


def drain(run, queue, count):
    """Consume and acknowledge with a window of 1,000, by bytes alone; returns the rate."""
    with amqp_raw.Connection(run.broker.amqp, timeout_s=60) as raw:
        raw.socket.sendall(amqp_raw.method(1, 60, 10, struct.pack(">IH?", 0, 1000, False)))
        raw.receive()
        began, seen, left = time.monotonic(), 0, b""
        raw.socket.sendall(amqp_raw.method(1, 60, 20, b"\0\0" + amqp_raw.short(queue.encode())
                                           + amqp_raw.short(b"drain") + b"\0" * 5))
        while seen < count:
            left += raw.socket.recv(1 << 20)
            new = left.count(DELIVER)
            left = left[max(0, len(left) - len(DELIVER) + 1):]
            seen += new
            if new:
                raw.socket.sendall(amqp_raw.method(1, 60, 80, struct.pack(">QB", seen, 1)))
        return count / (time.monotonic() - began)


class Peak:
    """The highest memory of the broker, looked at ten times a second."""

    def __init__(self, run):
        self.run, self.highest, self.over = run, 0, threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self):
        while not self.over.wait(0.1):
            self.highest = max(self.highest, self.run.rss())

    def stop(self):
        self.over.set()
        self.thread.join()
        return self.highest


@scenario
def long(run):
    """10 million messages in a queue, worked off."""
    yield from long_queue(run, "plain")


@scenario
def long_priorities(run):
    """10 million messages of ten priorities, worked off."""
    key = amqp_raw.short(b"x-max-priority") + b"I" + struct.pack(">i", 9)
    yield from long_queue(run, "priorities", key)


@scenario
def long_ttl(run):
    """10 million messages, each with a time to live of its own, worked off."""
    yield from long_queue(run, "times to live")


@scenario
def long_unacked(run):
    """A consumer without prefetch that has 10 million messages unacknowledged."""
    count = run.scaled(LONG)
    run.start(answers_amqp)
    fill(run, "long", count, "plain")
    peak = Peak(run)
    taken = run.bench("amqp", "consume", "--queue", "long", "--messages", count + 1, "--prefetch", 0,
                      "--ack", 2 * count, "--timeout", "60s")
    with amqp_raw.Connection(run.broker.amqp, timeout_s=300) as raw:
        began = time.monotonic()
        while ready_count(raw, "long"):
            time.sleep(0.1)
        yield "delivered, msg/s", None, count / (time.monotonic() - began)
        yield "RSS with all of them unacknowledged, MiB", "< 95.4", run.settled_rss(1)
        taken.kill()
        taken.wait()
        began = time.monotonic()
        while ready_count(raw, "long") < count // 1000 * 1000:
            time.sleep(0.02)
        yield "given back when the consumer is lost, s", None, time.monotonic() - began
    yield "highest RSS, MiB", "< 95.4", peak.stop()


def produce_to_all(raw, topics, partitions, value=BODY):
    """One record to each of the partitions, a request for each topic."""
    records = kafka_raw.blob(kafka_raw.batch([value]))
    rows = struct.pack(">i", partitions) + b"".join(struct.pack(">i", i) + records for i in range(partitions))
    for topic in topics:
        body = kafka_raw.text(None) + struct.pack(">hii", -1, 60_000, 1) + kafka_raw.text(topic) + rows
        answer = raw.call(kafka_raw.PRODUCE, 7, body)
        at = 4 + 2 + len(topic) + 4
        assert struct.unpack(">ih", answer[at:at + 6]) == (0, 0), answer[:60]


@scenario
def dirty(run):
    """kill -9 with 100,000 logs that have a record each in the journal alone."""
    run.start()
    topics = [f"topic-{i:04}" for i in range(run.scaled(100))]
    with kafka_raw.Connection(run.broker.kafka, timeout_s=60) as raw:
        for topic in topics:
            create_topics(raw, [topic], 1000)
        produce_to_all(raw, topics, 1000)
    yield "100,000 dirty logs: RSS, MiB", None, run.settled_rss(0)
    run.broker.kill()
    yield "100,000 dirty logs: ready after kill -9, ms", "<= 500", run.start()
    yield "100,000 dirty logs: files of logs below 64 KiB", "<= 0", small_files(run)
    yield "100,000 dirty logs: RSS after that, MiB", None, run.settled_rss(3)


@scenario
def killed(run):
    """kill -9 under full load with 20 GB stored."""
    stored = run.scaled(20_000_000_000)
    need_disk(run, stored * 5 // 4)
    run.start()
    run.load("kafka", "produce", "--topic", "stored", "--partitions", 8, "--size", 10_000, "--batch-bytes", "1MiB",
             "--messages", stored // 10_000, "--timeout", "60s")
    run.bench("kafka", "produce", "--topic", "load", "--partitions", 8, "--duration", "60s")
    run.bench("amqp", "both", "--queues", 4, "--persistent", "--confirm", 1000, "--duration", "60s")
    for _ in range(3):
        time.sleep(5)
        run.broker.kill()
        yield "ready after kill -9 with 20 GB, ms", "<= 500", run.start()
        run.bench("kafka", "produce", "--topic", "load", "--partitions", 8, "--duration", "60s")
        run.bench("amqp", "both", "--queues", 4, "--persistent", "--confirm", 1000, "--duration", "60s")
    yield "RSS under load with 20 GB, MiB", None, run.settled_rss(5)


def need_disk(run, size):
    free = os.statvfs(run.folder)
    if free.f_bavail * free.f_frsize < size + (10 << 30):
        raise Refused(f"{size / 1e9:.0f} GB and ten more are needed in {run.folder}")


# ---- what one load does to another


class Trickle:
    """Small produce requests at a fixed rate, and how long each took from when it was due."""

    def __init__(self, run, requests, every_s):
        self.requests, self.every_s = requests, every_s
        self.raw = kafka_raw.Connection(run.broker.kafka, timeout_s=60)
        self.took_ms = []

    def run(self):
        began = time.monotonic()
        reader = threading.Thread(target=self._answers, args=(began,))
        reader.start()
        for i, body in enumerate(self.requests):
            wait = began + i * self.every_s - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            self.raw.send(kafka_raw.PRODUCE, 7, body)
        reader.join()
        self.took_ms.sort()

    def _answers(self, began):
        for i in range(len(self.requests)):
            self.raw.receive()
            self.took_ms.append((time.monotonic() - began - i * self.every_s) * 1000)

    def quantile(self, share):
        return self.took_ms[min(len(self.took_ms) - 1, int(len(self.took_ms) * share))]


@scenario
def trickle(run):
    """100,000 logs with a small record a minute each, for ten minutes."""
    topics, per_request, minutes = [f"topic-{i:04}" for i in range(run.scaled(100))], 10, 10
    run.start()
    with kafka_raw.Connection(run.broker.kafka, timeout_s=60) as raw:
        for topic in topics:
            create_topics(raw, [topic], 1000)
    record = kafka_raw.blob(kafka_raw.batch([BODY]))
    minute = []
    for first in range(0, 1000, per_request):
        rows = b"".join(struct.pack(">i", i) + record for i in range(first, first + per_request))
        minute += [kafka_raw.text(None) + struct.pack(">hii", -1, 60_000, 1) + kafka_raw.text(topic)
                   + struct.pack(">i", per_request) + rows for topic in topics]
    load = Trickle(run, minute * minutes, 60 / len(minute))
    written = measure.written_bytes(run.broker.pid)
    peak = Peak(run)
    load.run()
    written = measure.written_bytes(run.broker.pid) - written
    yield "commits' p50, ms", None, load.quantile(0.5)
    yield "commits' p99.9, ms", None, load.quantile(0.999)
    yield "files of logs below 64 KiB", "<= 0", small_files(run)
    yield "bytes written for each of the batches'", "<= 3", written / (len(minute) * minutes * per_request * (len(record) - 4))
    yield "highest RSS, MiB", None, peak.stop()
    run.broker.kill()
    yield "ready after kill -9, ms", "<= 500", run.start()


SMALL = ["kafka", "produce", "--topic", "small", "--batch-records", 1, "--rate", 500, "--in-flight", 64,
         "--warmup", "2s", "--duration", "20s"]


@scenario
def retention(run):
    """Small commits beside a writer of 100 MB/s whose retention deletes as fast."""
    run.start()
    with kafka_raw.Connection(run.broker.kafka, timeout_s=60) as raw:
        create_topics(raw, ["large"], 1, [("retention.bytes", "268435456"), ("segment.bytes", "67108864")])
    alone = run.load(*SMALL)
    writer = run.bench("kafka", "produce", "--topic", "large", "--size", 1000, "--rate", 100_000, "--batch-bytes",
                       "256KiB", "--linger", "2ms", "--warmup", "1s", "--duration", "26s")
    time.sleep(4)
    beside = run.load(*SMALL)
    yield "the writer, MB/s", None, report(writer)["MB/s"]
    for key in ("p50_us", "p99_us", "p99.9_us"):
        yield f"small commits alone, {key[:-3]}, ms", None, alone[key] / 1000
        yield f"small commits beside it, {key[:-3]}, ms", None, beside[key] / 1000
    yield "p99.9 beside it, times that alone", "<= 3", beside["p99.9_us"] / alone["p99.9_us"]


@scenario
def fanout(run):
    """1,000 consumers of a fan-out, each with a queue of its own."""
    queues, per_second = [f"fan-{i:05}" for i in range(1000)], 200
    run.start(answers_amqp)
    with amqp_raw.Connection(run.broker.amqp, timeout_s=60) as raw:
        raw.socket.sendall(amqp_raw.method(1, 40, 10, b"\0\0" + amqp_raw.short(b"fan") + amqp_raw.short(b"fanout")
                                           + b"\0" + amqp_raw.long(b"")))
        raw.receive()
        declare_queues(raw, queues)
        for queue in queues:
            raw.socket.sendall(amqp_raw.method(1, 50, 20, b"\0\0" + amqp_raw.short(queue.encode())
                                               + amqp_raw.short(b"fan") + amqp_raw.short(b"") + b"\0"
                                               + amqp_raw.long(b"")))
            raw.receive()
        before = run.settled_rss(1)
        with measure.Cost([run.broker.pid]) as cost:
            measured = run.load("amqp", "both", "--exchange", "fan", "--queue", "fan", "--queues", 1000, "--consumers",
                                1000, "--rate", per_second, "--persistent", "--warmup", "2s", "--duration", "10s")
            yield "RSS under it, MiB more", None, run.rss() - before
    yield f"delivered at {per_second} messages/s, thousand/s", f">= {0.99 * per_second}", measured["msg/s"] / 1000
    for key in ("p50_us", "p99_us", "p99.9_us"):
        yield f"publish to deliver, {key[:-3]}, ms", None, measured[key] / 1000
    yield "broker's CPU for a delivery, us", None, cost.cpu_s / measured["received"] * 1e6


@scenario
def history(run):
    """A reader of 10 GB of history beside producers, and a program that only computes in its place."""
    stored = run.scaled(10_000_000_000)
    need_disk(run, 2 * stored)
    run.start()
    run.load("kafka", "produce", "--topic", "old", "--size", 10_000, "--batch-bytes", "1MiB", "--messages",
             stored // 10_000, "--timeout", "60s")
    produce = ["kafka", "produce", "--topic", "new", "--warmup", "1s"]
    alone = [run.load(*produce, "--duration", "5s")["msg/s"]]
    reader = run.bench("kafka", "fetch", "--topic", "old", "--size", 10_000, "--messages", stored // 10_000)
    beside = [run.load(*produce, "--duration", "5s")["msg/s"]]
    read = report(reader)
    alone.append(run.load(*produce, "--duration", "5s")["msg/s"])
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        computing = run.load(*produce, "--duration", "5s")["msg/s"]
        busy.kill()
    yield "produced alone, msg/s", None, sum(alone) / 2
    yield "produced beside the reader, share of that", ">= 0.9", beside[0] / (sum(alone) / 2)
    yield "produced beside a program that computes, share", None, computing / (sum(alone) / 2)
    yield "read beside it, MB/s", None, read["MB/s"]


@scenario
def burst(run):
    """Memory after 100 MB of large messages, and after 10,000 connections have come and gone."""
    run.start()
    before = run.settled_rss(5)
    peak = Peak(run)
    run.load("amqp", "both", "--size", 1_000_000, "--messages", 100, "--persistent", "--delete")
    run.load("amqp", "both", "--size", 1_000_000, "--messages", 100, "--transient", "--delete")
    run.load("kafka", "both", "--size", 500_000, "--messages", 200, "--topic", "large", "--delete")
    yield "highest RSS, MiB more", None, peak.stop() - before
    yield "after 100 MB of large messages, MiB more", "<= 4", run.settled_rss(8) - before
    held = open_amqp(run.broker.amqp, run.scaled(5000)) + open_kafka(run.broker.kafka, run.scaled(5000))
    for one in held:
        one.close()
    yield "after 10,000 connections, MiB more", "<= 4", run.settled_rss(8) - before
