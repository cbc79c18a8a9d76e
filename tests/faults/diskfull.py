#!/usr/bin/env python3
"""The disk fills up under load: writers are refused or held, readers are served, and once there is
space again everything goes on; nothing acknowledged is lost, also over a restart.

    diskfull.py [--restart-full]
"""
import contextlib
import os
import sys
import threading
import time

import world
import checkers
import confluent_kafka
import kafka_raw
import load
import loop_fs
import pika
import traffic

FS_MIB, LEFT_MIB, RESERVE_MIB = 192, 72, 16
SLACK_MIB = 2  # rows, control records and the file system's own
SCRATCH_COUNT = 50
SETTINGS = {"disk.reserve.bytes": f"{RESERVE_MIB}MiB", "journal.max.bytes": "16MiB", "segment.bytes": "4MiB"}


@contextlib.contextmanager
def ballast(fs, leave):
    """A file that leaves this much room; it goes at the end, if it has not gone before."""
    path = os.path.join(fs.path, "ballast")
    with open(path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, fs.free_bytes() - leave))
    try:
        yield path
    finally:
        os.unlink(path)


def wait_stalled(whole, timeout_s=60, quiet_s=1.5):
    """Until nothing has been acknowledged for a while."""
    deadline = time.monotonic() + timeout_s
    last, since = whole.acknowledged(), time.monotonic()
    while time.monotonic() < deadline:
        time.sleep(0.05)
        if whole.acknowledged() != last:
            last, since = whole.acknowledged(), time.monotonic()
        elif time.monotonic() - since > quiet_s:
            return True
    return False


def wait_for_acked(whole, target, timeout_s=20):
    deadline = time.monotonic() + timeout_s
    while whole.acknowledged() < target and time.monotonic() < deadline:
        time.sleep(0.05)
    return whole.acknowledged() >= target


def run(restart_full=False, progress=print):
    lines = []
    with world.World(settings=SETTINGS, needs={"fs"}, fs_mib=FS_MIB) as one, contextlib.ExitStack() as held:
        broker, fs = one.broker, one.fs
        held.enter_context(ballast(fs, LEFT_MIB << 20))
        whole = traffic.Campaign(broker, seed=1, rate=4000, idempotent=False, exempt=checkers.EXEMPT["pabal"])
        make_scratch(broker)
        whole.queues[1:] = []  # what is worked off would free space and never stall
        whole.groups = []  # commits are small enough to fit for long
        whole.start_clients()
        lines += fill(broker, whole, fs, progress)
        if restart_full:
            broker.kill()
            broker.start()
            lines += serves_readers(broker, whole)
        blocked = Blocked(broker)
        lines += blocked.begins()
        before = whole.acknowledged()
        held.close()
        lines += blocked.ends()
        if not wait_for_acked(whole, before + 200):
            lines.append("nothing goes on after space was freed")
        progress(f"went on: {whole.acknowledged()} acknowledged")
        broker.kill()
        broker.start()
        lines += whole.judge()
        progress(whole.summary())
    return lines


def fill(broker, whole, fs, progress):
    lines = []
    began = time.monotonic()
    if not wait_stalled(whole):
        lines.append("it takes more than fits on the disk")
    if whole.acknowledged() < 500:
        lines.append(f"full after {whole.acknowledged()} messages only")
    progress(f"full after {time.monotonic() - began:.0f} s: {whole.acknowledged()} acknowledged,"
             f" {fs.free_bytes() >> 20} MiB free")
    if not broker.is_alive():
        return lines + [f"the broker died: {broker.log()[-500:]}"]
    if fs.free_bytes() >> 20 < RESERVE_MIB - SLACK_MIB:
        lines.append(f"{fs.free_bytes() >> 20} MiB of the reserve are left")
    return lines + serves_readers(broker, whole) + refuses_clearly(broker, whole) + frees_space(broker)


def serves_readers(broker, whole):
    with kafka_raw.Connection(broker.kafka) as raw:
        error, _, records = kafka_raw.fetch(raw, whole.topics[0].name, 0, 0)
    return [] if error == 0 and records else [f"readers are not served: error {error}"]


def refuses_clearly(broker, whole):
    """A Kafka producer hears of it soon; an AMQP publisher is blocked. What the broker itself makes room for
    meanwhile, as by a journal file that it needs no more, is filled up first."""
    lines = []
    ready = time.monotonic() + 10
    with kafka_raw.Connection(broker.kafka, timeout_s=30) as raw:
        error = took = 0
        while error == 0 and time.monotonic() < ready:
            began = time.monotonic()
            error = kafka_raw.produce(raw, "scratch", 0, kafka_raw.batch([b"too much" * 1000]))[0]
            took = time.monotonic() - began
    if error == 0 or took > 15:
        lines.append(f"a produce request got {error} after {took:.1f} s")
    told = told_publisher(broker, whole)
    if told != "blocked":
        lines.append(f"an AMQP publisher was told {told}")
    return lines


class Blocked:
    """A pika client that publishes and consumes over a full disk, until there is room again."""

    def __init__(self, broker):
        host, port = broker.amqp.rsplit(":", 1)
        self.connection = pika.BlockingConnection(pika.ConnectionParameters(host, int(port), heartbeat=2))
        self.events, self.returned = [], 0
        self.connection.add_on_connection_blocked_callback(lambda *_: self.events.append("blocked"))
        self.connection.add_on_connection_unblocked_callback(lambda *_: self.events.append("unblocked"))

    def wait(self, event, timeout_s):
        deadline = time.monotonic() + timeout_s
        while event not in self.events and time.monotonic() < deadline:
            self.connection.process_data_events(0.1)
        return event in self.events

    def begins(self):
        """It is told, and what it consumes beside that goes on."""
        publisher, consumer = self.connection.channel(), self.connection.channel()
        for _ in range(50):  # the others fill the disk up again after a restart
            publisher.basic_publish("", "aside", b"held", pika.BasicProperties(delivery_mode=2))
            if self.wait("blocked", 0.2):
                break
        else:
            return ["a pika publisher is not told that it is blocked"]
        got = [consumer.basic_get("aside") for _ in range(3)]
        if not all(method for method, _, _ in got):
            return ["a blocked connection gets nothing from a queue"]
        consumer.basic_nack(got[-1][0].delivery_tag, multiple=True, requeue=True)
        for _ in range(50):
            self.connection.process_data_events(0.1)  # heartbeats both ways meanwhile
        return [] if self.connection.is_open else ["a blocked connection is closed"]

    def ends(self):
        lines = [] if self.wait("unblocked", 20) else ["a pika publisher is not told that it goes on"]
        self.connection.close()
        return lines


def told_publisher(broker, whole, timeout_s=5):
    """What a publisher without confirms learns: "blocked", the code of a close, or None."""
    host, port = broker.amqp.rsplit(":", 1)
    connection = pika.BlockingConnection(pika.ConnectionParameters(host, int(port)))
    told = threading.Event()
    connection.add_on_connection_blocked_callback(lambda *_: told.set())
    try:
        connection.channel().basic_publish("", whole.still_queue, b"x" * 1000, pika.BasicProperties(delivery_mode=2))
        deadline = time.monotonic() + timeout_s
        while not told.is_set() and time.monotonic() < deadline:
            connection.process_data_events(0.1)
        connection.close()
    except pika.exceptions.ConnectionClosedByBroker as closed:
        return closed.reply_code
    return "blocked" if told.is_set() else None


def frees_space(broker):
    """What makes room works on a full disk: settling, purging and deleting a queue, deleting a topic."""
    host, port = broker.amqp.rsplit(":", 1)
    try:
        connection = pika.BlockingConnection(pika.ConnectionParameters(host, int(port), socket_timeout=10))
        channel = connection.channel()
        for _ in range(5):
            channel.basic_ack(channel.basic_get("scratch")[0].delivery_tag)
        left = channel.queue_declare("scratch", passive=True).method.message_count
        purged = channel.queue_purge("scratch").method.message_count
        channel.queue_delete("scratch")
        connection.close()
    except (pika.exceptions.AMQPError, OSError) as error:
        return [f"making room in a queue on a full disk: {error!r}"]
    lines = [] if left == purged == SCRATCH_COUNT - 5 else [f"purged {purged}, {left} were left"]
    try:
        load.delete_topic(broker, "scratch")
    except confluent_kafka.KafkaException as error:
        lines.append(f"deleting a topic on a full disk: {error}")
    return lines


def make_scratch(broker):
    """What frees_space() gets rid of, and what Blocked consumes."""
    load.new_topic(broker, "scratch", 2)
    history = load.new_queue(broker, "scratch")
    host, port = broker.amqp.rsplit(":", 1)
    connection = pika.BlockingConnection(pika.ConnectionParameters(host, int(port)))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("aside", durable=True)
    for queue in [history.name] * SCRATCH_COUNT + ["aside"] * 5:
        channel.basic_publish("", queue, b"x" * 1000, pika.BasicProperties(delivery_mode=2))
    connection.close()


def main():
    why_not = loop_fs.why_not()
    if why_not:
        print(f"skipped: {why_not}")
        sys.exit(77)
    lines = run(restart_full="--restart-full" in sys.argv)
    print("\n".join(lines or ["a full disk: no violation"]))
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
