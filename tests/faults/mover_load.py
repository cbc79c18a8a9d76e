"""Clients that work with queues which move messages by themselves; see mover.py."""
import base64
import contextlib
import json
import random
import time
import urllib.error
import urllib.request
import zlib

import pika

import load
from history import decode, encode, message_id

SIZES = [20] * 70 + [500] * 20 + [5_000] * 9 + [60_000]


@contextlib.contextmanager
def channel_of(broker):
    host, port = broker.amqp.rsplit(":", 1)
    connection = load.open_pika(pika.ConnectionParameters(
        host, int(port), socket_timeout=60, stack_timeout=90, blocked_connection_timeout=300, heartbeat=300))
    try:
        yield connection.channel()
        connection.close()
    finally:
        with contextlib.suppress(*load.AWAY):
            if connection.is_open:
                connection.close()


def ask(broker, method, path, body=None):
    """The HTTP API's answer as a value; None when there is no such thing."""
    request = urllib.request.Request(
        f"http://{broker.http}/api/{path}", method=method, data=None if body is None else json.dumps(body).encode())
    request.add_header("Authorization", "Basic " + base64.b64encode(b"guest:guest").decode())
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
            return json.loads(text) if text else True
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read()!r}") from error
        return None


class Job(load.Client):
    """Works in sessions, of which each ends when the broker goes away."""

    def __init__(self, broker, history, seed):
        super().__init__(broker)
        self.history, self.random = history, random.Random(seed)

    def session(self):
        try:
            self.work()
        except load.AWAY:
            time.sleep(0.02)


class Publisher(load.QueueWriter):
    """Confirms, many under way. Each session writes under a name of its own, which has an order."""

    timeout_s = 60

    def __init__(self, broker, history, writer, seed, rate, exchange="", key="", properties=None):
        super().__init__(broker, history, writer, rate, seed, window=30)
        self.exchange, self.key, self.properties = exchange, key, properties or (lambda chance: {})
        self.name_of_all, self.sessions = writer, 0
        self.refused = history.refused

    def session(self):
        self.writer, self.sequence = f"{self.name_of_all}.{self.sessions}", 0
        self.sessions += 1
        super().session()

    def next_message(self, frame_max):
        wanted = self.properties(self.random)
        id = message_id(f"{self.writer}p{wanted.get('priority', 0)}", self.sequence)
        self.sequence += 1
        if "x-delay" in wanted.get("headers", {}):
            self.history.delays[id] = (time.time(), wanted["headers"]["x-delay"])
        self.history.sent.append(id)
        body = encode(id, self.random.choice(SIZES))
        properties = pika.BasicProperties(delivery_mode=2, message_id=id, **wanted)
        frames = pika.frame.Method(1, pika.spec.Basic.Publish(exchange=self.exchange, routing_key=self.key)).marshal()
        frames += pika.frame.Header(1, len(body), properties).marshal()
        for at in range(0, len(body), frame_max - 8):
            frames += pika.frame.Body(1, body[at:at + frame_max - 8]).marshal()
        return id, frames


def is_bad(id):
    return zlib.crc32(id.encode()) % 8 == 0


class Worker(Job):
    """Acknowledges, rejects what is bad, and asks now and then, to know that all of it is durable."""

    def __init__(self, broker, history, seed, rejects):
        super().__init__(broker, history, seed)
        self.rejects = rejects

    def work(self):
        h, number = self.history, len(self.history.sessions)
        deliveries, unsettled, unfenced = [], [], []
        with channel_of(self.broker) as channel:
            h.sessions.append(deliveries)
            channel.confirm_delivery()
            channel.basic_qos(prefetch_count=100)
            for method, _, body in channel.consume(h.name, inactivity_timeout=0.1):
                if method:
                    deliveries.append((decode(body), time.time()))
                    unsettled.append((method.delivery_tag, decode(body)))
                if len(unsettled) > self.random.randrange(30) or not method:
                    unfenced += self.settle(channel, unsettled, number)
                if len(unfenced) > 60 or (unfenced and not method):
                    left = self.fence(channel, unfenced)
                    load.note_settled(h, [id for id in unfenced if id not in left], number)
                    unfenced = left
                if self.stopping.is_set():
                    return

    def settle(self, channel, unsettled, number):
        ids = [id for _, id in unsettled]
        for tag, id in unsettled:
            if self.rejects and is_bad(id):
                channel.basic_reject(tag, requeue=False)
            else:
                self.history.acked[id] = number
                channel.basic_ack(tag)
        unsettled.clear()
        return ids

    def fence(self, channel, unfenced):
        """Those whose end is not known to be durable: rejected messages, of which only `sync` tells that they have
        been read and are among the dead letters."""
        if self.random.random() < 0.5:
            channel.basic_publish("", "fence", b"", pika.BasicProperties(delivery_mode=2), mandatory=True)
            return [id for id in unfenced if self.rejects and is_bad(id)]
        channel.basic_qos(prefetch_count=100)  # the broker has read the acks
        ask(self.broker, "POST", f"queues/%2F/{self.history.name}/actions", {"action": "sync"})
        return []


class Transactor(Job):
    """Publishes to two queues, and commits or takes it back."""

    count = 0

    def work(self):
        with channel_of(self.broker) as channel:
            channel.tx_select()
            while not self.stopping.is_set():
                Transactor.count += 1
                self.transact(channel, f"t{Transactor.count}")
                time.sleep(0.005)

    def transact(self, channel, name):
        h = self.history
        count = self.random.randrange(1, 4)
        parts = [(queue, f"{name}.{queue}-{n}") for n in range(count) for queue in h.drained]
        h.parts[name], h.states[name] = parts, "open"
        for queue, id in parts:
            channel.basic_publish("", queue, encode(id, self.random.choice(SIZES)),
                                  pika.BasicProperties(delivery_mode=2, message_id=id))
        if self.random.random() < 0.15:
            channel.tx_rollback()
            return
        h.states[name] = "asked"
        channel.tx_commit()
        h.states[name] = "committed"


class Carrier(Job):
    """Takes from one queue, publishes a copy to each of two, acknowledges; one transaction."""

    def work(self):
        source, *targets = self.history.drained
        with channel_of(self.broker) as channel:
            channel.tx_select()
            while not self.stopping.is_set():
                ids = []
                for _ in range(self.random.randrange(1, 6)):
                    method, _, body = channel.basic_get(source)
                    if not method:
                        break
                    for target in targets:
                        channel.basic_publish("", target, body, pika.BasicProperties(delivery_mode=2))
                    channel.basic_ack(method.delivery_tag)
                    ids.append(decode(body))
                if self.random.random() < 0.05:
                    channel.tx_rollback()
                    return  # what it holds goes back
                channel.tx_commit()
                self.history.moved += ids
                time.sleep(0.005 if ids else 0.05)


class Sider(Job):
    """Fills, purges, deletes and declares a queue, and looks at it whenever the broker comes back."""

    exists, must, floor, sequence = None, (), 0, 0

    def work(self):
        with channel_of(self.broker) as channel:
            self.look(channel)
        with channel_of(self.broker) as channel:
            channel.confirm_delivery()
            self.declare(channel)
            while not self.stopping.is_set():
                self.change(channel)
                time.sleep(0.005)

    def look(self, channel):
        expected, must, found = self.exists, self.must, []
        try:
            channel.queue_declare("side", passive=True)
        except pika.exceptions.ChannelClosedByBroker:
            return self.note(expected, False, must, found)
        self.must = ()  # they are taken now
        while (got := channel.basic_get("side"))[0]:
            found.append(decode(got[2]))
        channel.basic_ack(0, multiple=True) if found else None
        return self.note(expected, True, must, found)

    def note(self, expected, exists, must, found):
        self.history.looks.append({"expected": expected, "exists": exists, "must": list(must), "floor": self.floor,
                                   "found": found})

    def declare(self, channel):
        self.exists = None
        channel.queue_declare("side", durable=True)
        self.exists = True

    def change(self, channel):
        what = self.random.random()
        if what < 0.9:
            id = message_id("side", self.sequence)
            self.sequence += 1
            channel.basic_publish("", "side", encode(id, self.random.choice(SIZES)),
                                  pika.BasicProperties(delivery_mode=2), mandatory=True)
            self.must = (*self.must, id)
            return
        self.must = ()
        if what < 0.97:
            channel.queue_purge("side")
        else:
            self.exists = None
            channel.queue_delete("side")
            self.exists = False
        self.floor = self.sequence
        if not self.exists and self.random.random() < 0.8:
            self.declare(channel)
        if not self.exists:
            raise pika.exceptions.AMQPError("the next session declares it")


class Politician(Job):
    """Sets and clears a policy over all queues, one that changes nothing for them."""

    expected, count = None, 0

    def work(self):
        found = ask(self.broker, "GET", "policies/%2F/mover")
        found = found["definition"]["max-length"] if found else 0
        self.history.looks.append({"expected": self.expected, "found": found})
        while not self.stopping.is_set():
            self.expected = None
            Politician.count += 1
            if self.random.random() < 0.3:
                ask(self.broker, "DELETE", "policies/%2F/mover")
                self.expected = 0
            else:
                most = 1_000_000 + Politician.count
                ask(self.broker, "PUT", "policies/%2F/mover", {
                    "pattern": ".*", "apply-to": "queues",
                    "definition": {"max-length": most, "message-ttl": 3_600_000}})
                self.expected = most
            time.sleep(self.random.uniform(0.02, 0.2))
