#!/usr/bin/env python3
"""kill -9 while topics are compacted and shortened: what has to stay stays, what has to go goes.

    keeper.py [--rounds 20] [--seed N] [--set KEY=VALUE]...

A writer gives keys of a compacted topic ever newer values, and deletes some; another fills a topic with
little retention; a group commits how far it has come. After every kill:

- each key of the compacted topic has a value no older than the newest acknowledged one; only keys that are
  deleted now and then may be missing;
- the committed offset is no lower than the highest acknowledged one;
and at the end the disk holds far less than what was written, and tombstones have gone.
"""
import argparse
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "clients"))

import confluent_kafka
import confluent_kafka.admin

import brokers

SETTINGS = {"journal.max.bytes": "16MiB", "segment.bytes": "1MiB"}
KEYS = 300
FILL = b"x" * 700
PATIENCE_S = 60  # for one answer, on a machine that may be very busy
COMPACTED = {"cleanup.policy": "compact", "segment.bytes": "1048576", "segment.ms": "1000",
             "min.cleanable.dirty.ratio": "0.1", "max.compaction.lag.ms": "2000", "delete.retention.ms": "1000"}
SHORT = {"retention.bytes": "2097152", "segment.bytes": "1048576"}


def is_deleted(key):
    """Such keys are deleted now and then; all others are for ever."""
    return key % 10 == 0


class Writer(threading.Thread):
    """Values of a key are numbers that grow; acked has the newest that was acknowledged for each."""

    def __init__(self, broker, seed):
        super().__init__(daemon=True)
        self.random = random.Random(seed)
        self.stopping = threading.Event()
        self.acked, self.next, self.written = {}, 0, 0
        self.producer = confluent_kafka.Producer({
            "bootstrap.servers": broker.kafka, "acks": "all", "enable.idempotence": True,
            "linger.ms": 2, "message.timeout.ms": 60000, "retry.backoff.ms": 20})

    def told(self, key, number, size):
        def tell(error, _):
            if not error:
                self.acked[key] = max(self.acked.get(key, -1), number)
                self.written += size
        return tell

    def run(self):
        while not self.stopping.is_set():
            number, self.next = self.next, self.next + 1
            key = self.random.randrange(KEYS)
            gone = is_deleted(key) and self.random.random() < 0.3
            value = None if gone else b"%d " % number + FILL
            try:
                # A deletion says by its header when it was made, as a value does by itself.
                self.producer.produce("compacted", value, b"%d" % key, headers=[("n", b"%d" % number)],
                                      on_delivery=self.told(key, number, len(FILL)))
                self.producer.produce("short", FILL, on_delivery=self.told(-1, number, len(FILL)))
            except BufferError:
                pass
            self.producer.poll(0.0005)
        self.producer.flush(60)


def read_all(broker, topic):
    """Every record from the start, as (key, number, value)."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": broker.kafka, "group.id": "reader",
                                         "enable.auto.commit": False, "enable.partition.eof": True})
    low, high = consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, 0), PATIENCE_S)
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, low)])
    found = []
    while low < high:
        message = consumer.poll(PATIENCE_S)
        if message is None:
            raise RuntimeError(f"{topic} cannot be read on from {low} of {high}")
        if message.error() and message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
            break
        if message.error():
            continue  # a connection that was slow: the client goes on by itself
        low = message.offset() + 1
        found.append((message.key(), int(dict(message.headers() or [("n", b"-1")])["n"]), message.value()))
    consumer.close()
    return found


def check_keys(records, acked):
    newest = {int(key): number for key, number, _ in records}
    lines = []
    for key, number in acked.items():
        if key in newest and newest[key] < number:
            lines.append(f"key {key} has number {newest[key]}, {number} was acknowledged")
        elif key >= 0 and key not in newest and not is_deleted(key):
            lines.append(f"key {key} is gone, {number} was acknowledged")
    return lines


def insist(ask):
    """The client gives up after some seconds in which it cannot reach the group's coordinator."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return ask()
        except confluent_kafka.KafkaException:
            if time.monotonic() > deadline:
                raise


class Committer:
    """A group that remembers how far it was told that it had come."""

    def __init__(self, broker):
        self.broker, self.acked = broker, -1

    def commit(self, offset):
        consumer = confluent_kafka.Consumer({"bootstrap.servers": self.broker.kafka, "group.id": "committer"})
        places = [confluent_kafka.TopicPartition("short", 0, offset)]
        insist(lambda: consumer.commit(offsets=places, asynchronous=False))
        consumer.close()
        self.acked = offset

    def check(self):
        consumer = confluent_kafka.Consumer({"bootstrap.servers": self.broker.kafka, "group.id": "committer"})
        found, = insist(lambda: consumer.committed([confluent_kafka.TopicPartition("short", 0)], 20))
        consumer.close()
        return [] if found.offset >= self.acked else [f"committed {found.offset}, {self.acked} was acknowledged"]


def logs_bytes(broker):
    total = 0
    for folder, _, names in os.walk(os.path.join(broker.data_dir, "logs")):
        for name in names:
            try:
                total += os.stat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


def is_too_much(held, written):
    return written > 20 << 20 and held > written / 2


def run(rounds, seed, settings=None, progress=print):
    chance = random.Random(seed)
    with brokers.Pabal(settings={**SETTINGS, **(settings or {})}) as broker:
        admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": broker.kafka})
        for name, config in (("compacted", COMPACTED), ("short", SHORT)):
            admin.create_topics([confluent_kafka.admin.NewTopic(name, 1, 1, config=config)])[name].result(20)
        writer, committer, lines = Writer(broker, seed), Committer(broker), []
        writer.start()
        for number in range(rounds):
            time.sleep(chance.uniform(0.5, 2.0))
            acked = dict(writer.acked)
            committer.commit(number)
            broker.kill()
            broker.start()
            lines += committer.check()
            records = read_all(broker, "compacted")
            lines += check_keys(records, acked)
            if lines:
                break
        writer.stopping.set()
        writer.join(90)
        time.sleep(6)  # all that is due is done within some seconds, or later on a busy machine
        deadline = time.monotonic() + PATIENCE_S
        while is_too_much(logs_bytes(broker), writer.written) and time.monotonic() < deadline:
            time.sleep(0.5)
        records = read_all(broker, "compacted")
        lines += check_keys(records, writer.acked)
        tombstones = sum(value is None for _, _, value in records)
        held = logs_bytes(broker)
        progress(f"rounds={rounds}; seed={seed}; written={writer.written >> 20} MiB; held={held >> 20} MiB; "
                 f"records={len(records)}; tombstones={tombstones}; violations={len(lines)}")
        if is_too_much(held, writer.written):
            lines.append(f"{held} bytes are held of {writer.written} written")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--set", action="append", default=[], help="an option of pabal, KEY=VALUE")
    options = parser.parse_args()
    settings = dict(pair.split("=", 1) for pair in options.set)
    lines = run(options.rounds, options.seed, settings)
    print("\n".join(lines))
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
