#!/usr/bin/env python3
"""A sync fails: what was committed is still served, nothing new is taken, and the sync is never repeated.

    syncfail.py
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "clients"))

import amqp_raw
import brokers
import kafka_raw
import load
import shim

COUNT = 200


class Observed:
    """What the scenario saw; violations() judges it."""

    def __init__(self):
        self.lines = []

    def expect(self, truth, text):
        if not truth:
            self.lines.append(text)


def produce(address, topic, values):
    """The error codes of one produce request for each value; None once the broker has hung up."""
    codes = []
    with kafka_raw.Connection(address, timeout_s=15) as raw:
        for value in values:
            try:
                codes.append(kafka_raw.produce(raw, topic, 0, kafka_raw.batch([value], int(time.time() * 1000)))[0])
            except (TypeError, OSError):
                codes.append(None)
                break
    return codes


def publish(address, queue, count):
    """How many of `count` persistent messages were confirmed before anything else came."""
    writer_history = load.QueueHistory(queue)
    confirmed = 0
    try:
        with amqp_raw.Connection(address, timeout_s=5) as connection:
            connection.socket.sendall(amqp_raw.method(1, 85, 10, b"\0"))
            connection.receive()
            writer = load.QueueWriter(None, writer_history, "x", 1, 1)
            pending = {}
            for tag in range(1, count + 1):
                pending[tag], frames = writer.next_message(connection.frame_max)
                connection.socket.sendall(frames)
                while pending:
                    writer.take_confirm(connection, pending)
                confirmed = len(writer_history.confirmed)
    except (OSError, TypeError, AssertionError):
        pass
    return confirmed


def read_values(address, topic, count):
    with kafka_raw.Connection(address) as raw:
        error, high, records = kafka_raw.fetch(raw, topic, 0, 0, max_bytes=1 << 24)
    return error, high, len(records)


def run(settings=None, trigger="kafka"):
    """One failed sync, met by a produce request or by a publish. Returns the violations."""
    seen = Observed()
    broker = brokers.Pabal(settings=settings)
    one = shim.Shim(broker.data_dir)
    broker.extra_env.update(one.env)
    try:
        broker.start()
        load.new_topic(broker, "topic", 1)
        load.new_queue(broker, "queue")
        seen.expect(produce(broker.kafka, "topic", [b"value"] * COUNT) == [0] * COUNT, "the disk works at first")
        seen.expect(publish(broker.amqp, "queue", COUNT) == COUNT, "publishing works at first")
        fail_a_sync(broker, one, seen, trigger)
        check_frozen(broker, one, seen)
        check_recovered(broker, seen)
    finally:
        broker.close()
        one.close()
    return seen.lines


def wait_until_nobody_syncs(one, patience_s=20):
    """A helper may still be making the journal's next file: the sync that fails is to be the commit's."""
    deadline = time.monotonic() + patience_s
    before = None
    while time.monotonic() < deadline and (before is None or len(one.syncs()) != before):
        before = len(one.syncs())
        time.sleep(0.5)


def fail_a_sync(broker, one, seen, trigger):
    wait_until_nobody_syncs(one)
    one.fail_next_sync()
    began = time.monotonic()
    if trigger == "kafka":
        codes = produce(broker.kafka, "topic", [b"doubtful"])
        seen.expect(codes[0] != 0, f"a produce whose sync failed was acknowledged: {codes}")
    else:
        seen.expect(publish(broker.amqp, "queue", 1) == 0, "a publish whose sync failed was confirmed")
    took = time.monotonic() - began
    seen.expect(took < 2, f"the {trigger} client whose sync failed waited {took:.1f} s for the bad news")
    seen.expect(sum(what == "EIO" for what, _ in one.syncs()) == 1, f"no sync was failed: {one.syncs()[-3:]}")


def check_frozen(broker, one, seen):
    """Committed data is served, writes are refused at once, and the file is not synced again."""
    path = next((path for what, path in one.syncs() if what == "EIO"), None)
    began = time.monotonic()
    codes = produce(broker.kafka, "topic", [b"refused"] * 5)
    seen.expect(0 not in codes, f"writes go on after a failed sync: {codes}")
    seen.expect(publish(broker.amqp, "queue", 1) == 0, "publishing goes on after a failed sync")
    seen.expect(time.monotonic() - began < 10, "refusals take their time")
    seen.expect(broker.is_alive(), "the broker died")
    error, high, size = read_values(broker.kafka, "topic", COUNT)
    seen.expect((error, high) == (0, COUNT), f"committed records are not served: {error} {high}")
    seen.expect(size > COUNT * 60, "committed records are not whole")
    time.sleep(1.5)
    after = one.syncs()[[what for what, _ in one.syncs()].index("EIO") + 1:]
    seen.expect(path not in [where for _, where in after], f"the failed file was synced again: {after}")
    seen.expect("fdatasync" in broker.log() or "sync" in broker.log(), "the log does not tell")


def check_recovered(broker, seen):
    """After a restart with a good disk everything acknowledged is there and writing works."""
    broker.kill()
    broker.start()
    error, high, _ = read_values(broker.kafka, "topic", COUNT)
    # What the failed sync was about may be there or not: it was never acknowledged.
    seen.expect(error == 0 and COUNT <= high <= COUNT + 1, f"after the restart: {error} {high}")
    seen.expect(produce(broker.kafka, "topic", [b"again"]) == [0], "writing does not work after the restart")
    seen.expect(publish(broker.amqp, "queue", 5) == 5, "publishing does not work after the restart")
    history = load.QueueHistory("queue")
    load.drain_queue(broker, history)
    count = len(history.drained)
    seen.expect(COUNT + 5 <= count <= COUNT + 6, f"the queue has {count} messages")


def main():
    why_not = shim.why_not()
    if why_not:
        print(f"skipped: {why_not}")
        sys.exit(77)
    lines = []
    for trigger in ("kafka", "amqp"):
        lines += [f"{trigger}: {line}" for line in run(trigger=trigger)]
    print("\n".join(lines or ["a failed sync: no violation"]))
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
