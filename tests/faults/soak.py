#!/usr/bin/env python3
"""Minutes of load from both protocols without disasters: memory and descriptors stay flat, latency stays.

    soak.py [--minutes 10] [--seed N] [--rate 600] [--broker pabal|kafka|rabbitmq] [--set KEY=VALUE]...

Every minute prints a line of a table. Every few minutes everything is looked for, as after a disaster, and
new topics and queues follow the old ones, which are deleted. Flat means: the middle of what memory was in the
last quarter of the samples is at most GROWTH_MIB above what it was in the second quarter, and the middle of
the descriptors is at most GROWTH_FDS above. (The first quarter fills caches.)
"""
import argparse
import collections
import contextlib
import os
import statistics
import subprocess
import sys
import threading
import time

import world
import brokers
import checkers
import load
import traffic

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLED_EACH_S = 2
LOOKED_EACH_MIN = 5
GROWTH_MIB, GROWTH_FDS = 16, 16
KEPT_SEGMENTS = 64  # RUNS_MAX of log/stretch.c
# A cache that is full before the first quarter is over.
SETTINGS = {"cache.bytes": "16MiB"}
HEAD = "minute  acked/s   RSS MiB  files   kafka p50  p99.9    amqp p50  p99.9   (ms)"


class Sampler(threading.Thread):
    """What the broker's process has, and how long the probe's messages took, since the last take()."""

    def __init__(self, broker, topic, queue):
        super().__init__(daemon=True)
        self.broker, self.samples, self.stopping = broker, [], threading.Event()
        self.took = collections.defaultdict(list)
        self.probe = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "probe.py"), broker.kafka or "-", broker.amqp or "-", topic, queue],
            stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)

    def read(self):
        for line in self.probe.stdout:
            name, milliseconds = line.split()
            self.took[name].append(float(milliseconds))

    def run(self):
        self.reader.start()
        while not self.stopping.wait(SAMPLED_EACH_S):
            self.samples.append((self.broker.rss_mib(), descriptors(self.broker)))

    def take(self):
        took, self.took = self.took, collections.defaultdict(list)
        return took

    def close(self):
        self.stopping.set()
        self.join()
        failed = self.probe.poll() is not None
        self.probe.kill()
        self.probe.wait()
        return ["the probe ended"] if failed else []


def opened(pid):
    """What its descriptors are; those that go meanwhile are left out."""
    paths = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            paths.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return paths


def descriptors(broker):
    """Without those whose number depends on the data: two for each file of the journal, of which there are more while
    much is carried on, and the segments that Pabal keeps open since they were read, KEPT_SEGMENTS at most and each
    once."""
    paths = [path for pid in brokers.process_tree(broker.pid) for path in opened(pid)]
    files = collections.Counter(path for path in paths if not path.endswith("(deleted)"))
    journal = sum(min(count, 2) for path, count in files.items() if path.endswith(".journal"))
    segments = sum("/logs/" in path for path in files)
    return len(paths) - journal - min(segments, KEPT_SEGMENTS)


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def row(minute, acked, samples, took):
    rss, files = (statistics.median(column) for column in zip(*samples))
    times = [percentile(took[name], share) for name in ("kafka", "amqp") for share in (0.5, 0.999)]
    return (f"{minute:6} {acked:8.0f} {rss:9.1f} {files:6.0f}"
            f"   {times[0]:9.2f} {times[1]:6.1f}   {times[2]:9.2f} {times[3]:6.1f}")


def grown(samples):
    """What is not flat, as lines."""
    quarter = len(samples) // 4
    if quarter < 3:
        return ["too short to say that anything is flat"]
    before, after = samples[quarter:2 * quarter], samples[-quarter:]
    lines = []
    for what, column, most in (("memory (MiB)", 0, GROWTH_MIB), ("descriptors", 1, GROWTH_FDS)):
        first, last = (statistics.median(sample[column] for sample in part) for part in (before, after))
        if last > first + most:
            lines.append(f"grown: {what}: {first:.0f} became {last:.0f}")
    return lines


def run(minutes, seed, rate=600, kind="pabal", settings=None, program=None, minute_s=60, progress=print):
    with world.World(kind, seed, {**SETTINGS, **(settings or {})}, program=program) as one:
        broker, lines = one.broker, []
        whole = traffic.Campaign(broker, seed, rate=rate, exempt=checkers.EXEMPT[kind])
        if broker.kafka:
            load.new_topic(broker, "probe", 1, **{"retention.bytes": "4194304", "segment.bytes": "1048576"})
        if broker.amqp:
            load.new_queue(broker, "probe", {"x-max-length": 1000})
        sampler = Sampler(broker, "probe", "probe")
        sampler.start()
        progress(HEAD)
        for minute in range(1, minutes + 1):
            lines += run_minute(whole, sampler, minute, minute_s, progress)
            if minute % LOOKED_EACH_MIN == 0 or minute == minutes or lines:
                lines += whole.judge()
                progress(f"{whole.summary()}; violations={len(lines)}")
            if lines or not broker.is_alive():
                break
        lines += sampler.close()
        lines += grown(sampler.samples)
        if lines:
            progress(f"history, data and log: {whole.save()}")
    return lines


def run_minute(whole, sampler, minute, minute_s, progress):
    began, acked, first = time.monotonic(), whole.acknowledged(), len(sampler.samples)
    if not whole.clients:
        whole.start_clients()
    while time.monotonic() < began + minute_s and whole.broker.is_alive():
        time.sleep(0.1)
    if not whole.broker.is_alive():
        return [f"the broker ended: {whole.broker.log()[-500:]}"]
    whole.note()
    whole.rounds += 1
    rate = (whole.acknowledged() - acked) / (time.monotonic() - began)
    progress(row(minute, rate, sampler.samples[first:], sampler.take()))
    return [] if rate > 10 else ["hardly anything was acknowledged"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--rate", type=int, default=600, help="messages a second in each topic and queue")
    parser.add_argument("--broker", default="pabal", choices=brokers.KINDS)
    parser.add_argument("--set", action="append", default=[], help="an option of pabal, KEY=VALUE")
    options = parser.parse_args()
    lines = run(options.minutes, options.seed, options.rate, options.broker,
                dict(pair.split("=", 1) for pair in options.set))
    print("\n".join(lines or [f"flat; no violation; seed {options.seed}"]))
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
