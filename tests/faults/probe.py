#!/usr/bin/env python3
"""How long one acknowledged message takes beside all other load: a process of its own, since threads of one
Python process wait for each other.

    probe.py KAFKA AMQP TOPIC QUEUE      (addresses; "-" for a protocol that is not there)

Prints a line for each message until it is killed: the protocol and the milliseconds from its sending to the
answer that says it is durable.
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "clients"))

import amqp_raw
import kafka_raw

PAUSE_S = 0.005


class KafkaProbe:
    name = "kafka"

    def __init__(self, address, topic):
        self.raw, self.topic = kafka_raw.Connection(address, 60), topic
        self.batch = kafka_raw.batch([b"x" * 100])

    def send(self):
        error, _ = kafka_raw.produce(self.raw, self.topic, 0, self.batch)
        if error:
            raise RuntimeError(f"produce: error {error}")


class AmqpProbe:
    name = "amqp"

    def __init__(self, address, queue):
        self.raw = amqp_raw.Connection(address, 60)
        self.raw.socket.sendall(amqp_raw.method(1, 85, 10, b"\0"))
        self.raw.receive()
        self.message = (amqp_raw.publish(1, b"", queue.encode()) + amqp_raw.header(1, 100, flags=0x1000, rest=b"\2")
                        + amqp_raw.frame(amqp_raw.BODY, 1, b"x" * 100))

    def send(self):
        self.raw.socket.sendall(self.message)
        kind, _, payload = self.raw.receive()
        if (kind, payload[:4]) != (amqp_raw.METHOD, b"\0\x3c\0\x50"):
            raise RuntimeError(f"publish: {payload!r}")


def main():
    kafka, amqp, topic, queue = sys.argv[1:]
    probes = [KafkaProbe(kafka, topic)] if kafka != "-" else []
    probes += [AmqpProbe(amqp, queue)] if amqp != "-" else []
    while True:
        for probe in probes:
            before = time.monotonic()
            probe.send()
            print(f"{probe.name} {(time.monotonic() - before) * 1000:.3f}", flush=True)
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
