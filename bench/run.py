#!/usr/bin/env python3
"""Pabal beside the real Kafka 4.1 and RabbitMQ 4.0, in one run, by one load generator.

    run.py [--only K1,A1] [--rounds 5] [--seconds 2] [--full] [--pin] [--out PATH]
    run.py --quick          one short round of Pabal alone, in about a minute: does everything work?

scenarios.py says what is done. The scenarios of a protocol run together, so that only those servers are up that
take part; in each round every scenario goes through all its contenders, so that a slow moment of the machine
hits all of them. The peers come from bench/peers into ~/.cache/pabal-bench (or PABAL_BENCH_CACHE); RabbitMQ
needs root. Progress is told on stderr, with the time that is left. The exit code is 1 when something failed.
"""
import argparse
import dataclasses
import datetime
import os
import resource
import subprocess
import sys
import time

import contenders
import measure
import network
import plot
import report
import runners
import scenarios

import brokers

HERE = os.path.dirname(os.path.abspath(__file__))
WARM_S = 5  # of each kind of load, for the JVM


@dataclasses.dataclass(frozen=True)
class Sizes:
    history_bytes: int = 1 << 30  # that K5 reads
    stored_bytes: int = 1 << 30   # when R2 kills
    backlog: int = 2_000_000      # messages of R3
    connections: int = 10_000
    logs: tuple = (0, 1000, 100_000)
    fetch_messages: int = 2_000_000


FULL = Sizes(history_bytes=10 << 30, stored_bytes=10 << 30, backlog=10_000_000)
QUICK = Sizes(history_bytes=50 << 20, stored_bytes=50 << 20, backlog=100_000, connections=500, logs=(0, 1000),
              fetch_messages=200_000)


class Progress:
    """What is left to do, by what the same step took before, or by an estimate. With a limit, rounds are
    left out at the end, of all scenarios alike."""

    def __init__(self, steps, seconds, limit_s=None):
        self.left, self.seen, self.seconds, self.limit_s = list(steps), {}, seconds, limit_s
        self.began = time.monotonic()

    def left_s(self):
        return sum(self.seen.get((s.name, label), s.estimate_s + self.seconds - 2) for _, s, label in self.left)

    def step(self, number, scenario, label, took_s):
        self.seen[scenario.name, label] = took_s
        self.left.remove((number, scenario, label))

    def still_has(self, number):
        """Is there time for that round? Asked when two have been seen, which are run in any case."""
        while number >= 2 and self.limit_s and time.monotonic() - self.began + self.left_s() > self.limit_s:
            last = max((n for n, _, _ in self.left), default=0)
            if last < 2:
                break
            self.left = [step for step in self.left if step[0] != last]
            self.say(f"no time for round {last + 1}")
        return any(n == number for n, _, _ in self.left)

    def say(self, text):
        past, left = time.monotonic() - self.began, self.left_s()
        print(f"[{past // 60:3.0f}:{past % 60:02.0f}, {left // 60:.0f}:{left % 60:02.0f} left] {text}",
              file=sys.stderr, flush=True)


class Bench:
    """What a run is made with; the functions of runners.py get it."""

    def __init__(self, program, options, sizes, floors, sync_us):
        self.program, self.seconds = program, options.seconds
        self.client_prefix = ["taskset", "-c", "1"] if options.pin else []
        self.sizes, self.floors, self.sync_us = sizes, floors, sync_us
        self.folder = measure.data_folder()
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("PABAL_")
                            or key == "PABAL_BENCH_CACHE"}
        self.loaded = set()
        self.failures = []

    def load(self, protocol, contender, arguments, patience_s=runners.PATIENCE_S):
        """Run the load generator; its report, and what that cost the broker."""
        cost = contender.cost()
        client = runners.Client(self, protocol, contender, arguments, cost, patience_s)
        try:
            return client.result(), cost
        finally:
            client.kill()

    def measure(self, scenario, contender, name):
        """{row: measures}; a failure is told and is a row too."""
        os.sync()  # what the one before has left to the kernel is not the next one's to wait for
        measure.wait_for_calm(self.folder, self.sync_us, patience_s=0.5)
        try:
            found = getattr(runners, scenario.run)(self, scenario, contender, name)
        except (brokers.Failed, OSError, subprocess.SubprocessError, TimeoutError, AssertionError) as error:
            self.failures.append(f"{scenario.name}, {contender.label}: {error}")
            print(f"FAILED {self.failures[-1]}", file=sys.stderr, flush=True)
            found = {"": {}}
        return {(scenario.name + behind, contender.label): row for behind, row in found.items()}


def labels_of(scenario, wanted):
    return [label for label in scenario.labels if not wanted or label in wanted]


def in_turn(labels, number):
    """Each round begins with another one: who comes after one that leaves the disk much to write is worse off."""
    first = number % len(labels) if labels else 0
    return labels[first:] + labels[:first]


def plan(table, rounds, wanted):
    """Every (round, scenario, label)."""
    return [(number, scenario, label) for scenario in table for label in labels_of(scenario, wanted)
            for number in range(min(rounds, scenario.rounds))]


def run_family(bench, table, rounds, wanted, progress):
    """The rounds of the scenarios whose servers are up together; adds to what is in `rounds`."""
    labels = list(dict.fromkeys(label for scenario in table for label in labels_of(scenario, wanted)))
    racers, servers = contenders.start(labels)
    by_label = {contender.label: contender for contender in racers}
    try:
        warm_up(bench, racers, progress)
        for number, found in enumerate(rounds):
            if not progress.still_has(number):
                break
            for at, scenario in enumerate(table):
                if number >= scenario.rounds:
                    continue
                for label in in_turn(labels_of(scenario, wanted), number):
                    progress.say(f"round {number + 1}: {scenario.name}: {label}")
                    began = time.monotonic()
                    found.update(bench.measure(scenario, by_label[label], f"bench{number}-{at}"))
                    progress.step(number, scenario, label, time.monotonic() - began)
    finally:
        contenders.close(servers)


WARMING = (
    ("kafka", ["both", "--topic", "warm", "--delete"]),
    ("kafka", ["produce", "--topic", "warmer", "--batch-records", "1", "--in-flight", "16", "--producers", "10",
               "--delete"]),
    ("amqp", ["both", "--queue", "warm", "--delete", "--confirm", "100"]),
)


def warm_up(bench, racers, progress):
    """A JVM is slow at first: that shall not count. Only the peers need it, each server once."""
    warm = set()
    for contender in racers:
        for protocol, arguments in WARMING:
            if contender.is_pabal or not contender.speaks(protocol):
                continue
            job = contender.server(protocol), " ".join(arguments)
            if job not in warm:
                warm.add(job)
                progress.say(f"warming up {contender.label}")
                bench.load(protocol, contender, [*arguments, *runners.duration(bench, WARM_S)])


def run_lives(bench, table, found, wanted, progress):
    """Each scenario of each contender has the machine, and a new server, for itself."""
    for scenario in table:
        for label in labels_of(scenario, wanted):
            progress.say(f"{scenario.name}: {label}")
            began = time.monotonic()
            racers, servers = contenders.start([label])
            try:
                found.update(bench.measure(scenario, racers[0], "life"))
            finally:
                contenders.close(servers)
            progress.step(0, scenario, label, time.monotonic() - began)


def race(bench, table, options, progress):
    """[{(row, label): measures}], one for each round; when it is interrupted, what there is."""
    rounds = [{} for _ in range(options.rounds)]
    try:
        for family in scenarios.FAMILIES:
            members = [scenario for scenario in table if scenario.family == family]
            bench.loaded.clear()
            if members and family == "life":
                run_lives(bench, members, rounds[0], options.labels, progress)
            elif members:
                run_family(bench, members, rounds, options.labels, progress)
    except KeyboardInterrupt:
        bench.failures.append("interrupted")
    return rounds


def versions(program):
    done = subprocess.run([program, "version"], capture_output=True, text=True)
    return f"{done.stdout.strip()}, Kafka 4.1.0 (1 GiB heap), RabbitMQ 4.0 (Debian 13)"


def commit_of(folder):
    done = subprocess.run(["git", "-C", folder, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "?"


def floor_program(program):
    """bench/floor of the build that the program is of."""
    build = os.path.dirname(os.path.realpath(program))
    while build != "/" and not os.path.exists(os.path.join(build, "build.ninja")):
        build = os.path.dirname(build)
    if not os.path.exists(program) or build == "/":
        raise SystemExit(f"{program}: no Pabal in a build folder; `make` builds one, PABAL_BIN names another")
    subprocess.run(["ninja", "-C", build, "--quiet", "bench/floor"], check=True)
    return os.path.join(build, "bench", "floor")


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="scenarios, by the first word of their names: K1,A1")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement")
    parser.add_argument("--minutes", type=float, help="leave out rounds when they do not fit into so many")
    parser.add_argument("--labels", default="", help="contenders: 'pabal os,kafka' [all]")
    parser.add_argument("--full", action="store_true", help="histories of 10 GB, 10 million messages, fan-out to 1,000")
    parser.add_argument("--backlog", type=int, help="messages of R3 [2,000,000; with --full 10,000,000]")
    parser.add_argument("--pin", action="store_true", help="brokers on processor 0, the client on 1")
    parser.add_argument("--quick", action="store_true", help="one short round of Pabal alone")
    parser.add_argument("--out", help="PATH.json, PATH.md, PATH-*.svg [bench/results/DATE; quick: nothing]")
    options = parser.parse_args()
    options.labels = [label for label in options.labels.split(",") if label]
    options.only = [name for name in options.only.split(",") if name]
    if options.quick:
        options.rounds, options.seconds = 1, min(options.seconds, 0.5)
        options.labels = options.labels or ["pabal os", "pabal fsync"]
    return options


def sizes_of(options):
    sizes = QUICK if options.quick else FULL if options.full else Sizes()
    return dataclasses.replace(sizes, backlog=options.backlog) if options.backlog else sizes


def raise_file_limit():
    """As high as it goes: the brokers inherit it, and need it for many connections."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def install(steps):
    """What the peers need from outside, before the network is left."""
    contenders.install({label for _, _, label in steps})
    if any(scenario.run == "perftest" for _, scenario, _ in steps):
        subprocess.run([os.path.join(brokers.PEERS, "perftest"), "install"], check=True)


def describe(options, program, sizes, floors, probe, tcp):
    return {"date": datetime.datetime.now().isoformat(" ", "minutes"), **measure.machine(), "tcp": tcp,
            "versions": versions(program), "commit": commit_of(HERE), "settings": contenders.SETTINGS,
            "rounds": options.rounds, "seconds of a measurement": options.seconds, "pinned": options.pin,
            **{key: round(value, 1) for key, value in probe.items()},
            "late timers of an idle machine, p99.9, ms": round(measure.late_timers_ms(options.seconds), 1),
            "floors": ", ".join(f"{key} {value:.3f}" for key, value in floors.items()),
            "sizes": ", ".join(f"{key} {value}" for key, value in dataclasses.asdict(sizes).items())}


def main():
    options = read_options()
    table = scenarios.chosen(options.only, options.full)
    if options.quick and not options.only:
        table = [scenario for scenario in table if scenario.run != "perftest"]  # it would have to be fetched
    program = os.path.abspath(brokers.pabal_program())
    folder = measure.data_folder()
    raise_file_limit()
    steps = plan(table, options.rounds, options.labels)
    install(steps)
    tcp = network.enter()
    probe = measure.disk_probe(folder)
    floors = measure.floors(floor_program(program), folder)
    sizes = sizes_of(options)
    about = describe(options, program, sizes, floors, probe, tcp)
    for key, value in about.items():
        print(f"{key}: {value}", flush=True)
    bench = Bench(program, options, sizes, floors, probe["sync_4k_p50_us"])
    measure.Cost.with_instructions = measure.perf_counts()
    if options.pin:
        os.sched_setaffinity(0, {0})  # what is started from here on inherits it
    progress = Progress(steps, options.seconds, options.minutes and options.minutes * 60)
    steal = measure.steal_s()
    rounds = race(bench, table, options, progress)
    about["took"] = f"{(time.monotonic() - progress.began) / 60:.1f} minutes"
    about["stolen by the hypervisor"] = f"{measure.steal_s() - steal:.1f} s"
    progress.say("done")
    summary = report.summarise(rounds)
    if options.quick and not options.out:
        print(report.markdown(about, summary, bench.failures))
    else:
        save(options.out or default_out(), about, rounds, summary, bench.failures)
    return 1 if bench.failures else 0


def save(path, about, rounds, summary, failures):
    plots = plot.save(path, summary)
    print(report.save(path, about, rounds, summary, failures))
    print(f"written: {', '.join([path + '.json', path + '.md', *plots])}")


def default_out():
    folder = os.path.join(HERE, "results")
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, datetime.date.today().isoformat())


if __name__ == "__main__":
    sys.exit(main())
