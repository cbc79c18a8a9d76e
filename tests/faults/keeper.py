"""Topics that are compacted and shortened: what has to stay stays, what has to go goes.

A writer gives keys of a compacted topic ever newer values, and deletes some; another fills a topic with
little retention; a group commits how far it has come. After every disaster each key of the compacted topic
has a value no older than the newest acknowledged one; only keys that are deleted now and then may be missing.
At the end the disk holds far less than what was written.
"""
import os
import random
import time

import confluent_kafka

import campaign
import checkers
import load
from history import GroupHistory

KEYS = 300
FILL = b"x" * 700
COMPACTED = {"cleanup.policy": "compact", "segment.bytes": "1048576", "segment.ms": "1000",
             "min.cleanable.dirty.ratio": "0.1", "max.compaction.lag.ms": "2000", "delete.retention.ms": "1000"}
SHORT = {"retention.bytes": "2097152", "segment.bytes": "1048576"}


def is_deleted(key):
    """Such keys are deleted now and then; all others are for ever."""
    return key % 10 == 0


class Writer(load.Client):
    """Values of a key are numbers that grow; acked has the newest that was acknowledged for each."""

    def __init__(self, broker, seed):
        super().__init__(broker)
        self.random = random.Random(seed)
        self.acked, self.next, self.written, self.answers = {}, 0, 0, 0
        self.producer = confluent_kafka.Producer({
            "bootstrap.servers": broker.kafka, "acks": "all", "enable.idempotence": True,
            "linger.ms": 2, "message.timeout.ms": 60000, "retry.backoff.ms": 20, "log_level": 0})

    def told(self, key, number, size):
        def tell(error, _):
            if not error:
                self.acked[key] = max(self.acked.get(key, -1), number)
                self.written += size
                self.answers += 1
        return tell

    def session(self):
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
                                         "enable.auto.commit": False, "enable.partition.eof": True, "log_level": 0})
    low, high = consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, 0), campaign.PATIENCE_S)
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, low)])
    found = []
    while low < high:
        message = consumer.poll(campaign.PATIENCE_S)
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


class Campaign(campaign.Campaign):
    looks = (2, 10)
    pause_s = (0.5, 2.0)

    def __init__(self, broker, seed, exempt=()):
        super().__init__(broker, seed)
        for name, config in (("compacted", COMPACTED), ("short", SHORT)):
            load.new_topic(broker, name, 1, **config)
        self.group = GroupHistory("group", "short")
        self.before, self.writer, self.exempt = {}, None, exempt

    def new_clients(self):
        last, self.writer = self.writer, Writer(self.broker, self.random.random())
        if last:
            self.writer.acked, self.writer.next = last.acked, last.next
        return [self.writer, load.GroupCommitter(self.broker, self.group, self.random.random())]

    def run_round(self, disaster):
        acked = {}

        def strike(one):
            acked.update(self.writer.acked)
            return disaster(one)
        return super().run_round(strike) + check_keys(read_all(self.broker, "compacted"), acked)

    def look(self):
        load.ask_group(self.broker, self.group)
        self.counts.update(self.totals())
        self.writer.written = self.writer.answers = 0
        return check_keys(read_all(self.broker, "compacted"), self.writer.acked) + checkers.check(
            self.group, self.exempt)

    def finish(self):
        """All that is due is done within some seconds, or later on a busy machine."""
        deadline = time.monotonic() + campaign.PATIENCE_S
        written = self.counts["written_MiB"] << 20
        while is_too_much(held := logs_bytes(self.broker), written) and time.monotonic() < deadline:
            time.sleep(0.5)
        return [f"{held} bytes are held of {written} written"] if is_too_much(held, written) else []

    def histories(self):
        return [self.group]

    def totals(self):
        return {"acked": self.writer.answers, "written_MiB": self.writer.written >> 20} if self.writer else {}

    def moved_enough(self):
        return self.sums()["acked"] >= 50 * self.rounds
