"""How the kinds of scenarios are run: one function for each, which returns rows of measures.

A function gets the bench (program, duration, sizes), the scenario, a contender and a name that nothing else
has; it returns {what stands behind the scenario's name: {key: value}}.
"""
import json
import os
import re
import subprocess
import threading
import time

import measure

import amqp_raw
import brokers

PATIENCE_S = 90       # of one client: a measurement takes seconds
LONG_PATIENCE_S = 600  # of one that stores much or opens many connections
TOUCHING = "50000"     # messages: enough for each partition to have its files and their first entries
HISTORY_FILE_BYTES = 4 << 20
LATENCIES = ("p50_us", "p99_us", "p99.9_us", "max_us")


class Client:
    """`pabal bench`, a process of its own. The broker's cost is counted between its two marks."""

    def __init__(self, bench, protocol, contender, arguments, cost=None, patience_s=PATIENCE_S):
        command = [*bench.client_prefix, bench.program, "bench", protocol, *arguments,
                   "--server", contender.address(protocol), "--output", "json", "--marks", "--timeout", "60s"]
        self.what = " ".join(command)
        self.cost = cost
        self.errors, self.is_open = [], False
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env=bench.environment)
        self.watch = threading.Timer(patience_s, self.process.kill)
        self.watch.start()

    def wait_open(self):
        """Until all its connections are open."""
        if not self.is_open:
            self._wait("open")
            self.is_open = True

    def result(self):
        """Its report, when the load is over."""
        self.wait_open()
        if self.cost:
            self.cost.begin()
        self._wait("done")
        if self.cost:
            self.cost.end()
        output = self.process.stdout.read()
        code = self.process.wait()
        self.watch.cancel()
        if code:
            raise brokers.Failed(f"{self.what}: {code}: {' '.join(self.errors)}{self.process.stderr.read()}")
        told = json.loads(output)
        if told.get("refused"):
            raise brokers.Failed(f"{self.what}: {told['refused']} messages were refused")
        return told

    def _wait(self, mark):
        for line in self.process.stderr:
            if line.split()[:1] == [mark]:
                return
            self.errors.append(line)

    def kill(self):
        self.watch.cancel()
        self.process.kill()
        self.process.communicate()


def duration(bench, seconds=None, warmup_s=None):
    seconds = bench.seconds if seconds is None else seconds
    warmup_s = min(0.5, seconds / 2) if warmup_s is None else warmup_s
    return ["--duration", f"{seconds * 1000:.0f}ms", "--warmup", f"{warmup_s * 1000:.0f}ms"]


def latencies(told):
    return {key: told.get(key) for key in LATENCIES}


def measures(bench, scenario, told, cost, messages):
    """What all scenarios have in common."""
    if not messages:
        raise brokers.Failed(f"{scenario.name}: no message went through")
    row = {"rate": told["msg/s"], "mb_s": told["MB/s"], **measure.per_message(cost, messages, scenario.size)}
    if scenario.floor and row["cpu_us"]:
        row["floor_percent"] = 100 * scenario.floor.cpu_us(bench.floors) / row["cpu_us"]
    return {**row, **latencies(told)}


def goal(told):
    """How many messages were what the scenario is about."""
    return told["received"] or told["confirmed"] or told["sent"]


# ---- Kafka

def kafka_load(bench, scenario, contender, name):
    place = kept(scenario, contender, "--topic", name)
    return load(bench, "kafka", scenario, contender, place)


def load(bench, protocol, scenario, contender, place):
    """What is kept is loaded once before it counts: the first record of a partition may cost files and syncs."""
    arguments = [*scenario.arguments.split(), *place, *contender.arguments.get(protocol, []),
                 "--size", str(scenario.size)]
    if scenario.kept and (contender.label, scenario.kept) not in bench.loaded:
        bench.load(protocol, contender, [*arguments, "--messages", TOUCHING], LONG_PATIENCE_S)
        bench.loaded.add((contender.label, scenario.kept))
    told, cost = bench.load(protocol, contender, [*arguments, *duration(bench)])
    return {"": measures(bench, scenario, told, cost, goal(told))}


def kept(scenario, contender, flag, name):
    """The topic or queue of a measurement alone, or the one that is kept for all of that level."""
    return [flag, f"{scenario.kept}-{contender.level}"] if scenario.kept else [flag, name, "--delete"]


def kafka_fetch(bench, scenario, contender, name):
    """The same records again and again."""
    loaded = preload(bench, contender, "fetch", scenario.size, bench.sizes.fetch_messages)
    told, cost = bench.load("kafka", contender, ["fetch", "--topic", loaded, "--again", *duration(bench)])
    return {"": {**measures(bench, scenario, told, cost, goal(told)), "written_per_byte": None,
                 **dict.fromkeys(LATENCIES)}}


def preload(bench, contender, topic, size, messages):
    """A topic of so many records, produced when it is first asked for."""
    place = contender.server("kafka").folder, topic
    if place not in bench.loaded:
        bench.load("kafka", contender, ["produce", "--topic", topic, "--size", str(size), "--messages", str(messages),
                                        "--batch-bytes", "64k"], LONG_PATIENCE_S)
        bench.loaded.add(place)
    return topic


def kafka_catch_up(bench, scenario, contender, name):
    """A producer alone, then beside a reader of a history that lies on the disk."""
    messages = bench.sizes.history_bytes // scenario.size
    history = preload(bench, contender, "history", scenario.size, messages)
    arguments = ["produce", "--topic", name, "--size", str(scenario.size), "--rate", "10000", "--linger", "1ms",
                 *contender.arguments.get("kafka", [])]
    told, cost = bench.load("kafka", contender, [*arguments, *duration(bench)])
    alone = measures(bench, scenario, told, cost, told["confirmed"])
    forget_pages(contender.server("kafka").folder)
    producer = Client(bench, "kafka", contender, [*arguments, "--delete", *duration(bench)], contender.cost())
    reader = Client(bench, "kafka", contender, ["fetch", "--topic", history, "--size", str(scenario.size), "--again",
                                                *duration(bench)])
    try:
        told, read = producer.result(), reader.result()
    finally:
        producer.kill()
        reader.kill()
    beside = measures(bench, scenario, told, producer.cost, told["confirmed"] + read["received"])
    return {", alone": alone, f", beside a reader of {messages * scenario.size / 1e9:.1f} GB":
            {**beside, "read_mb_s": read["MB/s"], "written_per_byte": None}}


def forget_pages(folder):
    """Let the page cache forget what is on the disk already of large files: the small ones, and the sparse ones
    of indexes, are no history, and to read them anew would weigh on all that comes later."""
    os.sync()
    for path, _, files in os.walk(folder):
        for file in files:
            try:
                fd = os.open(os.path.join(path, file), os.O_RDONLY)
            except OSError:
                continue
            if os.fstat(fd).st_blocks * 512 >= HISTORY_FILE_BYTES:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


# ---- AMQP

def amqp_load(bench, scenario, contender, name):
    return load(bench, "amqp", scenario, contender, kept(scenario, contender, "--queue", name))


def queue(contender, name):
    return ["--queue", name, *contender.arguments.get("amqp", [])]


def amqp_drain(bench, scenario, contender, name):
    """Fill a queue, then empty it."""
    told, _ = bench.load("amqp", contender, ["publish", "--confirm", "1000", "--persistent", *queue(contender, name),
                                             *duration(bench, warmup_s=0)])
    told, cost = bench.load("amqp", contender, ["consume", *queue(contender, name), "--delete", "--messages",
                                                str(told["confirmed"]), *scenario.arguments.split()])
    return {"": {**measures(bench, scenario, told, cost, told["received"]), "written_per_byte": None,
                 **dict.fromkeys(LATENCIES)}}


def amqp_connections(bench, scenario, contender, name):
    """Many connections: idle, then each one sends a message a second."""
    count = bench.sizes.connections
    rss_before_mib = measure.rss_mib(contender.server("amqp").pids())
    arguments = ["both", "--publishers", str(count), "--rate", str(count), *queue(contender, name), "--persistent",
                 "--settle", f"{bench.seconds * 1000:.0f}ms", "--delete", *duration(bench, warmup_s=1)]
    client = Client(bench, "amqp", contender, arguments, contender.cost(), LONG_PATIENCE_S)
    try:
        client.wait_open()
        with contender.cost() as idle:
            time.sleep(bench.seconds * 0.8)
        told = client.result()
    finally:
        client.kill()
    at_work = measures(bench, scenario, told, client.cost, told["received"])
    return {" idle": {"rss_mib": idle.rss_mib, "rss_more_mib": idle.rss_mib - rss_before_mib,
                      "cpu_percent": 100 * idle.cpu_s / idle.seconds},
            ", 1 message/s each": at_work}


def perftest(bench, scenario, contender, name):
    """RabbitMQ's own load generator, one producer and one consumer."""
    seconds = max(2, round(bench.seconds + 3))  # its JVM is slow at first
    quorum = ["-qq"] if "quorum" in contender.label else []
    command = [*bench.client_prefix, os.path.join(brokers.PEERS, "perftest"), "run",
               "--uri", f"amqp://{contender.address('amqp')}", "-x", "1", "-y", "1", "-u", name,
               "-z", str(seconds), *quorum, *scenario.arguments.split()]
    with contender.cost() as cost:
        done = subprocess.run(command, capture_output=True, text=True, env=bench.environment, timeout=PATIENCE_S)
    averages = re.findall(r"(sending|receiving) rate avg: (\d+) msg/s", done.stdout)
    if done.returncode or len(averages) != 2:
        raise brokers.Failed(f"{' '.join(command)}: {done.stdout[-500:]}{done.stderr[-500:]}")
    received = int(dict(averages)["receiving"])
    told = {"msg/s": received, "MB/s": received * scenario.size / 1e6}
    delete_queue(contender, name)
    return {"": measures(bench, scenario, told, cost, received * seconds)}


def delete_queue(contender, name):
    with amqp_raw.Connection(contender.address("amqp")) as raw:
        raw.socket.sendall(amqp_raw.method(1, 50, 40, b"\0\0" + amqp_raw.short(name.encode()) + b"\0"))
        raw.receive()


# ---- both

def mix(bench, scenario, contender, name):
    """Both protocols at once: one broker, or one of each kind. The latency is that of the AMQP messages."""
    cost = contender.cost()
    amqp = Client(bench, "amqp", contender, ["both", *queue(contender, name), "--delete", "--confirm", "1000",
                                             "--persistent", "--rate", "5000", *duration(bench)], cost)
    kafka = Client(bench, "kafka", contender, ["produce", "--topic", name, "--delete", "--rate", "20000", "--linger",
                                               "1ms", *contender.arguments.get("kafka", []), *duration(bench)])
    try:
        told, produced = amqp.result(), kafka.result()
    finally:
        amqp.kill()
        kafka.kill()
    row = measures(bench, scenario, told, cost, told["received"] + produced["confirmed"])
    return {"": {**row, "rate": told["msg/s"] + produced["msg/s"], "mb_s": told["MB/s"] + produced["MB/s"]}}


# ---- a life of their own: these start and stop the servers

def starts(bench, scenario, contender, name):
    """Ready after an orderly stop: nothing stored, then with many empty topics or queues."""
    server, rows = contender.servers[0], {}
    for count in bench.sizes.logs:
        if count > 1000 and not contender.is_pabal:
            continue  # minutes, and more files than may be open
        make_logs(bench, contender, count)
        server.stop()
        rows[f", {count:,} logs" if count else ", nothing stored"] = {"ready_ms": least_of_starts(server)}
    return rows


def least_of_starts(server, times=3):
    """The median; the server runs afterwards."""
    taken = []
    for i in range(times):
        if i:
            server.stop()
        taken.append(server.timed_start())
    return sorted(taken)[times // 2]


def make_logs(bench, contender, count):
    """Empty partitions, or queues where there are none."""
    for first in range(0, count, 10000):
        some = str(min(count - first, 10000))
        if contender.speaks("kafka"):
            bench.load("kafka", contender, ["produce", "--topic", f"logs{count}-{first}", "--partitions", some,
                                            "--messages", "1", "--size", "100"], LONG_PATIENCE_S)
        else:
            bench.load("amqp", contender, ["publish", "--queue", f"logs{count}-{first}", "--queues", some,
                                           "--messages", "1"], LONG_PATIENCE_S)


def killed(bench, scenario, contender, name):
    """kill -9 under full load with much stored; how long until it answers again."""
    server, rows = contender.servers[0], {}
    for protocol, kind in (("kafka", "a topic"), ("amqp", "a queue")):
        if contender.speaks(protocol):
            row = f", {bench.sizes.stored_bytes / 1e9:.1f} GB in {kind}"
            rows[row] = killed_with(bench, contender, server, protocol)
    return rows


def killed_with(bench, contender, server, protocol):
    if protocol == "kafka":
        size, arguments = 1024, ["produce", "--topic", "stored", "--batch-bytes", "64k"]
    else:
        size, arguments = 10240, ["publish", "--queue", "stored", "--confirm", "1000", "--persistent"]
    arguments += ["--size", str(size)]
    bench.load(protocol, contender, [*arguments, "--messages", str(bench.sizes.stored_bytes // size)], LONG_PATIENCE_S)
    client = Client(bench, protocol, contender, [*arguments, "--duration", "60s"])
    client.wait_open()
    time.sleep(min(1, bench.seconds))
    server.kill()
    client.kill()
    return {"ready_ms": server.timed_start()}


def memory(bench, scenario, contender, name):
    """Resident memory: idle, with many connections, with a long queue or log, and when that is gone."""
    server, rows = contender.servers[0], {}
    time.sleep(bench.seconds)
    rows[", idle"] = {"rss_mib": measure.rss_mib(server.pids())}
    protocol = "amqp" if contender.speaks("amqp") else "kafka"
    rows[f", {bench.sizes.connections:,} connections"] = {"rss_mib": with_connections(bench, contender, protocol)}
    count = bench.sizes.backlog
    if protocol == "amqp":
        bench.load("amqp", contender, ["publish", "--queue", "long", "--persistent", "--confirm", "10000",
                                       "--messages", str(count)], LONG_PATIENCE_S)
    else:
        bench.load("kafka", contender, ["produce", "--topic", "long", "--messages", str(count)], LONG_PATIENCE_S)
    rows[f", {count:,} messages stored"] = {"rss_mib": measure.rss_mib(server.pids())}
    return rows


def with_connections(bench, contender, protocol):
    count = bench.sizes.connections
    role, place = ("--publishers", "--queue") if protocol == "amqp" else ("--producers", "--topic")
    verb = "publish" if protocol == "amqp" else "produce"
    arguments = [verb, role, str(count), place, "idle", "--settle", "10s", "--rate", "1", "--duration", "100ms"]
    client = Client(bench, protocol, contender, arguments, patience_s=LONG_PATIENCE_S)
    try:
        client.wait_open()
        time.sleep(bench.seconds)
        return measure.rss_mib(contender.servers[0].pids())
    finally:
        client.kill()
