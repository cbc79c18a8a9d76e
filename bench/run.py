#!/usr/bin/env python3
"""Pabal beside the real Kafka 4.1 and RabbitMQ 4.0, in one run, by one load generator.

    run.py [--rounds 5] [--seconds 5] [--brokers pabal-fsync,pabal-os,kafka,rabbitmq] [--pin] [--out PATH]
    run.py --quick

All brokers run at once and idle while it is not their turn; rounds are interleaved, so that a slow moment
of the machine hits all of them. The peers come from bench/peers into ~/.cache/pabal-bench (or
PABAL_BENCH_CACHE). The client is `pabal bench`, a process of its own; the cost that counts is the broker's
processor time for each message, which a busy client does not falsify.
"""
import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import measure
import report

import amqp_raw
import brokers
import kafka_raw

SIZE = 100  # bytes of a message
FETCH_COUNT = 2_000_000
CONSUME_COUNT = 300_000
LATENCY_RATE = 5000
ENOUGH_CPU_S = 0.5  # below it a figure per message says little


class Contender:
    """A broker in the race."""

    def __init__(self, label, kind, settings=None):
        self.label = label
        folder = tempfile.mkdtemp(prefix="bench-", dir=os.environ.get("PABAL_BENCH_DATA"))
        self.folder = folder
        self.broker = brokers.make(kind, dir=os.path.join(folder, kind),
                                   **({"settings": settings} if settings else {}))
        os.makedirs(self.broker.dir, exist_ok=True)

    def start(self):
        """Once to make its files, once more to see how long a start takes."""
        self.broker.start()
        self.broker.stop()
        self.ready_ms = self.timed_start() * 1000
        time.sleep(2)
        self.idle_rss_mib = measure.rss_mib(self.broker.pid)

    def timed_start(self):
        """From exec to the first answer of the protocol, asked every millisecond."""
        broker = self.broker
        # From the first run its addresses are known; what is_ready() needs besides may come later.
        broker.poll_s, asked = 0.001, broker.is_ready
        broker.is_ready = lambda: answers(broker)
        try:
            broker.start()
        finally:
            broker.is_ready = asked
        taken = broker.ready_s
        while not broker.is_ready():
            time.sleep(0.01)
        return taken

    def close(self):
        self.broker.close()
        shutil.rmtree(self.folder, ignore_errors=True)


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


def load(program, *arguments, pin=False):
    """Run `pabal bench` and return its report."""
    command = ["taskset", "-c", "1"] if pin else []
    command += [program, "bench", *map(str, arguments), "--size", str(SIZE), "--output", "json"]
    env = {k: v for k, v in os.environ.items() if not k.startswith("PABAL_")}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return json.loads(done.stdout)


class Bench:
    def __init__(self, contenders, program, seconds, pin):
        self.contenders, self.program, self.seconds, self.pin = contenders, program, seconds, pin
        self.with_instructions = measure.perf_counts()

    def load(self, *arguments):
        return load(self.program, *arguments, pin=self.pin)

    def costs(self, contender):
        return measure.Cost(contender.broker.pid, self.with_instructions)

    def run_round(self, number):
        """{(scenario, broker): measures} of every scenario and broker."""
        rows = {}
        for contender in self.contenders:
            if contender.broker.kafka:
                rows[("batched produce", contender.label)] = self.produce(contender, number)
                rows[("fetch", contender.label)] = self.fetch(contender, number)
        for contender in self.contenders:
            if contender.broker.kafka:
                rows[(f"produce to fetch, {LATENCY_RATE}/s", contender.label)] = self.kafka_latency(contender, number)
        for contender in self.contenders:
            if contender.broker.amqp:
                rows[("confirmed publish", contender.label)] = self.publish(contender)
                rows[("auto-ack consume", contender.label)] = self.consume(contender)
        for contender in self.contenders:
            if contender.broker.amqp:
                rows[(f"publish to deliver, {LATENCY_RATE}/s", contender.label)] = self.amqp_latency(contender)
        for contender in self.contenders:
            rows[("start, idle", contender.label)] = {"ready_ms": contender.ready_ms,
                                                      "rss_mib": contender.idle_rss_mib}
            rows[("after the load", contender.label)] = {"rss_mib": measure.rss_mib(contender.broker.pid)}
        return rows

    def produce(self, contender, number):
        with self.costs(contender) as cost:
            told = self.load("kafka", "produce", "--server", contender.broker.kafka, "--topic", f"bench{number}",
                             "--duration", f"{self.seconds}s", "--warmup", "500ms")
        return measures(told, cost, told["confirmed"])

    def fetch(self, contender, number):
        """The same records again and again, until there is something to measure."""
        server, topic = contender.broker.kafka, f"bench{number}"
        rates, count = [], 0
        stored = self.topic_size(server, topic)
        wanted = min(FETCH_COUNT, stored)
        with self.costs(contender) as cost:
            began = time.monotonic()
            while time.monotonic() - began < self.seconds or not rates:
                told = self.load("kafka", "fetch", "--server", server, "--topic", topic, "--messages", wanted)
                rates.append(told["msg/s"])
                count += told["received"]
        subprocess.run([self.program, "topic", "delete", topic, "--server", server], check=True,
                       stdout=subprocess.DEVNULL)
        return {"rate": sorted(rates)[len(rates) // 2], **per_message(cost, count)}

    def topic_size(self, server, topic):
        """Records in partition 0."""
        with kafka_raw.Connection(server) as raw:
            return kafka_raw.fetch(raw, topic, 0, 0, max_bytes=1)[1]

    def kafka_latency(self, contender, number):
        with self.costs(contender) as cost:
            told = self.load("kafka", "both", "--server", contender.broker.kafka, "--topic", f"latency{number}",
                             "--rate", LATENCY_RATE, "--duration", f"{self.seconds}s", "--warmup", "1s", "--delete")
        return {**latencies(told), **measures(told, cost, told["received"]), "written_per_byte": None}

    def publish(self, contender):
        with self.costs(contender) as cost:
            told = self.load("amqp", "publish", "--server", contender.broker.amqp, "--confirm", 1000, "--persistent",
                             "--duration", f"{self.seconds}s", "--warmup", "500ms", "--delete")
        return measures(told, cost, told["confirmed"])

    def consume(self, contender):
        """Fill a queue, empty it, and again, until there is something to measure."""
        server, rates, count, cpu, instructions = contender.broker.amqp, [], 0, 0, 0
        began = time.monotonic()
        while not rates or (cpu < ENOUGH_CPU_S and time.monotonic() - began < 4 * self.seconds):
            self.load("amqp", "publish", "--server", server, "--confirm", 1000, "--persistent",
                      "--messages", CONSUME_COUNT)
            with self.costs(contender) as cost:
                told = self.load("amqp", "consume", "--server", server, "--ack", 0, "--messages", CONSUME_COUNT)
            rates.append(told["msg/s"])
            count += told["received"]
            cpu += cost.cpu
            instructions = None if cost.instructions is None else instructions + cost.instructions
        return {"rate": sorted(rates)[len(rates) // 2], "cpu_us": cpu / count * 1e6,
                "instructions": instructions and instructions / count}

    def amqp_latency(self, contender):
        with self.costs(contender) as cost:
            told = self.load("amqp", "both", "--server", contender.broker.amqp, "--confirm", 1000, "--persistent",
                             "--rate", LATENCY_RATE, "--duration", f"{self.seconds}s", "--warmup", "1s", "--delete")
        return {**latencies(told), **measures(told, cost, told["received"]), "written_per_byte": None}


def per_message(cost, count):
    return {"cpu_us": cost.cpu / count * 1e6,
            "instructions": cost.instructions / count if cost.instructions is not None else None}


def measures(told, cost, count):
    return {"rate": told["msg/s"], **per_message(cost, count),
            "written_per_byte": cost.written / (count * SIZE)}


def latencies(told):
    return {key: told[key] for key in ("p50_us", "p99_us", "p99.9_us")}


def make_contenders(names):
    known = {"pabal-fsync": ("pabal fsync", "pabal", {"durability": "fsync"}),
             "pabal-os": ("pabal os", "pabal", {"durability": "os"}),
             "kafka": ("kafka", "kafka", None), "rabbitmq": ("rabbitmq", "rabbitmq", None)}
    if "kafka" in names:
        subprocess.run([os.path.join(brokers.PEERS, "kafka"), "install"], check=True)
    if "rabbitmq" in names:
        subprocess.run([os.path.join(brokers.PEERS, "rabbit"), "install"], check=True)
    return [Contender(*known[name]) for name in names]


def versions(program):
    done = subprocess.run([program, "version"], capture_output=True, text=True)
    return f"{done.stdout.strip()}, Kafka 4.1.0 (1 GiB heap), RabbitMQ 4.0 (Debian 13)"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--brokers", default="pabal-fsync,pabal-os,kafka,rabbitmq")
    parser.add_argument("--pin", action="store_true", help="brokers on processor 0, the client on 1")
    parser.add_argument("--quick", action="store_true", help="one round of two seconds: does it work?")
    parser.add_argument("--out", help="where to write PATH.json and PATH.md [bench/results/DATE]")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 2
    program = os.path.abspath(brokers.pabal_program())
    about = {"date": datetime.date.today().isoformat(), **measure.machine(), "versions": versions(program),
             "message bytes": SIZE, "rounds": options.rounds, "seconds": options.seconds, "pinned": options.pin}
    probe = measure.disk_probe(os.environ.get("PABAL_BENCH_DATA") or tempfile.gettempdir())
    about.update({key: round(value, 1) for key, value in probe.items()})
    for key, value in about.items():
        print(f"{key}: {value}", flush=True)
    contenders = make_contenders(options.brokers.split(","))
    try:
        rounds = race(contenders, program, options)
    finally:
        for contender in contenders:
            contender.close()
    out = options.out or default_out(about["date"])
    print(report.save(out, about, rounds, report.summarise(rounds)))
    print(f"written: {out}.json, {out}.md")


def race(contenders, program, options):
    if options.pin:
        os.sched_setaffinity(0, {0})  # what is started from here on inherits it
    for contender in contenders:
        contender.start()
        print(f"{contender.label}: ready in {contender.ready_ms:.0f} ms, {contender.idle_rss_mib:.1f} MiB", flush=True)
    bench = Bench(contenders, program, options.seconds, options.pin)
    if not options.quick:
        print("warming up", flush=True)
        bench.run_round("warm")
    rounds = []
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", flush=True)
        rounds.append(bench.run_round(number))
    return rounds


def default_out(date):
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results")
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, date)


if __name__ == "__main__":
    sys.exit(main())
