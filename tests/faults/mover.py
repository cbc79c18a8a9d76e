#!/usr/bin/env python3
"""kill -9 while queues move messages by themselves: each confirmed message is where it may be, once.

    mover.py [--rounds 100] [--seed N] [--power] [--set KEY=VALUE]...

Queues of both types reject, expire, drop and refuse messages into dead letter queues, exchanges delay them
or copy them, transactions publish to two queues or move from one to two, priorities reorder, a side queue
is purged and deleted, a policy comes and goes. After every few kills all queues are drained, and each
message is searched: consumed and acknowledged, in its queue, or among the dead letters, and in one of them
alone. With --power the power is cut instead, as powercut.py does it.
"""
import argparse
import base64
import collections
import contextlib
import dataclasses
import http.client
import json
import os
import random
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "clients"))

import pika

import brokers
import killer
import load
import loop_fs
import powercut
from checkers import shown
from history import decode, encode, message_id, sequence_of, writer_of

PATIENCE_S = 90  # for what has to come, on a machine that may be very busy
AWAY = (pika.exceptions.AMQPError, OSError, http.client.HTTPException)
SIZES = [20] * 70 + [500] * 20 + [5_000] * 9 + [60_000]
DELAY_MAX_MS = 1500
EARLY_MS = 5
TYPES = ("classic", "quorum")


# -- what was seen, and what it has to be


@dataclasses.dataclass
class LaneHistory:
    """One queue with its dead letter queue, from one look at everything to the next."""

    name: str
    is_dead_ordered: bool = False
    sent: list = dataclasses.field(default_factory=list)
    confirmed: list = dataclasses.field(default_factory=list)
    refused: list = dataclasses.field(default_factory=list)  # basic.nack
    delays: dict = dataclasses.field(default_factory=dict)  # id -> (when it was sent, in s; its delay in ms)
    sessions: list = dataclasses.field(default_factory=list)  # of (id, when it came)
    acked: dict = dataclasses.field(default_factory=dict)  # id -> session
    settled: dict = dataclasses.field(default_factory=dict)  # id -> session; its ack or reject is durable
    drained: list = dataclasses.field(default_factory=list)  # (id, when it came)
    dead: list = dataclasses.field(default_factory=list)  # (id, when it came)

    def deliveries(self):
        return self.sessions + [self.drained]


@dataclasses.dataclass
class CopiesHistory:
    """An exchange that copies to some queues."""

    name: str
    sent: list = dataclasses.field(default_factory=list)
    confirmed: list = dataclasses.field(default_factory=list)
    refused: list = dataclasses.field(default_factory=list)
    drained: dict = dataclasses.field(default_factory=dict)  # queue -> ids


@dataclasses.dataclass
class TransactionsHistory:
    """What each transaction published, what became of it, and what is in the queues."""

    name: str
    parts: dict = dataclasses.field(default_factory=dict)  # transaction -> [(queue, id)]
    # transaction -> "open" (commit was not asked for), "asked", "committed"
    states: dict = dataclasses.field(default_factory=dict)
    drained: dict = dataclasses.field(default_factory=dict)  # queue -> ids


@dataclasses.dataclass
class MovesHistory:
    """Messages that transactions move out of one queue, a copy to each of two."""

    name: str
    sent: list = dataclasses.field(default_factory=list)
    confirmed: list = dataclasses.field(default_factory=list)
    refused: list = dataclasses.field(default_factory=list)
    moved: list = dataclasses.field(default_factory=list)  # the commit was answered
    drained: dict = dataclasses.field(default_factory=dict)  # queue -> ids; the source is the first


@dataclasses.dataclass
class LooksHistory:
    """What was expected and found by looks at one thing; what is unknown is expected as None."""

    name: str
    looks: list = dataclasses.field(default_factory=list)


def doubles(where, ids):
    return [f"{id} is {count} times in {where}" for id, count in collections.Counter(ids).items() if count > 1]


def disordered(where, ids):
    out, last = [], {}
    for id in ids:
        writer = writer_of(id)
        if sequence_of(id) < last.get(writer, -1):
            out.append(f"{where}: {id} comes after {writer}-{last[writer]}")
        last[writer] = max(sequence_of(id), last.get(writer, -1))
    return out


def ids_of(deliveries):
    return [id for id, _ in deliveries]


def lane_lost(h):
    there = {*ids_of(h.drained), *ids_of(h.dead), *h.acked}
    return [f"{id} was confirmed and is gone" for id in h.confirmed if id not in there]


def lane_doubled(h):
    out = doubles("the dead letters", ids_of(h.dead))
    for number, session in enumerate(h.deliveries()):
        out += doubles(f"session {number}", ids_of(session))
    dead = set(ids_of(h.dead))
    return out + [f"{id} is in its queue and among the dead letters" for id in ids_of(h.drained) if id in dead]


def lane_phantom(h):
    sent = set(h.sent)
    return [f"{id} came, and was not sent or was settled long ago"
            for session in h.deliveries() + [h.dead] for id in ids_of(session) if id not in sent]


def lane_returned(h):
    out = [f"{id} was settled in session {h.settled[id]} and came again in session {number}"
           for number, session in enumerate(h.deliveries()) for id in ids_of(session)
           if h.settled.get(id, number) < number]
    return out + [f"{id} was acknowledged for good and is among the dead letters" for id in ids_of(h.dead)
                  if id in h.settled and id in h.acked]


def lane_refused(h):
    refused = set(h.refused)
    return [f"{id} was refused and came" for session in h.deliveries() for id in ids_of(session) if id in refused]


def lane_order(h):
    """First deliveries are in their publisher's order; what died by its age or length died in order."""
    seen, first = set(), []
    for id in (id for session in h.deliveries() for id in ids_of(session)):
        if id not in seen and not h.delays:
            first.append(id)
        seen.add(id)
    return disordered("first deliveries", first) + (
        disordered("dead letters", ids_of(h.dead)) if h.is_dead_ordered else [])


def lane_early(h):
    out = []
    for id, when in (one for session in h.deliveries() for one in session if one[0] in h.delays):
        sent, delay = h.delays[id]
        if (when - sent) * 1000 < delay - EARLY_MS:
            out.append(f"{id} was to be delayed by {delay} ms and came after {(when - sent) * 1000:.1f} ms")
    return out


def copies_torn(h):
    there = [set(ids) for ids in h.drained.values()]
    return [f"{id} is in {count} of {len(there)} queues" for id in h.sent
            if 0 < (count := sum(id in one for one in there)) < len(there)]


def copies_lost(h):
    there = set().union(*h.drained.values())
    return [f"{id} was confirmed and is gone" for id in h.confirmed if id not in there]


def copies_doubled(h):
    return [line for queue, ids in h.drained.items() for line in doubles(queue, ids)]


def copies_order(h):
    return [line for queue, ids in h.drained.items() for line in disordered(queue, ids)]


def copies_phantom(h):
    sent = set(h.sent)
    return [f"{id} is in {queue} and was not sent" for queue, ids in h.drained.items() for id in ids
            if id not in sent]


def transactions_torn(h):
    there = {queue: set(ids) for queue, ids in h.drained.items()}
    counts = ((name, sum(id in there[queue] for queue, id in parts), len(parts))
              for name, parts in h.parts.items())
    return [f"{name}: {count} of {all} messages are there" for name, count, all in counts if 0 < count < all]


def transactions_lost(h):
    there = set().union(*h.drained.values())
    return [f"{name} was committed and {parts[0][1]} is gone" for name, parts in h.parts.items()
            if h.states[name] == "committed" and parts[0][1] not in there]


def transactions_undone(h):
    there = set().union(*h.drained.values())
    return [f"{name} was not committed and {id} is there" for name, parts in h.parts.items()
            if h.states[name] == "open" for _, id in parts if id in there]


def transactions_phantom(h):
    sent = {part for parts in h.parts.values() for part in parts}
    return [f"{id} is in {queue} and was not sent" for queue, ids in h.drained.items() for id in ids
            if (queue, id) not in sent]


def moves_torn(h):
    source, left, right = (set(ids) for ids in h.drained.values())
    return [f"{id} is in one queue of two" for id in sorted(left ^ right)] + [
        f"{id} was moved and is still there" for id in sorted(source & (left | right))]


def moves_lost(h):
    source, left, right = (set(ids) for ids in h.drained.values())
    return [f"{id} was confirmed and is gone" for id in h.confirmed if id not in source | left | right] + [
        f"the move of {id} was committed and is undone" for id in h.moved if id not in left | right]


def side_wrong(h):
    """The side queue is there if it was declared, with what was confirmed, without what was purged."""
    out = []
    for number, look in enumerate(h.looks):
        if look["expected"] not in (None, look["exists"]):
            out.append(f"look {number}: there is {'a' if look['exists'] else 'no'} queue")
        out += [f"look {number}: {id} was confirmed and is gone" for id in look["must"] if id not in look["found"]]
        out += [f"look {number}: {id} came back" for id in look["found"] if sequence_of(id) < look["floor"]]
        out += doubles(f"look {number}", look["found"])
    return out


def policy_wrong(h):
    return [f"look {number}: {look['found']}, and {look['expected']} was answered"
            for number, look in enumerate(h.looks) if look["expected"] not in (None, look["found"])]


CHECKERS = {
    LaneHistory: {"lost": lane_lost, "doubled": lane_doubled, "phantom": lane_phantom, "returned": lane_returned,
                  "refused": lane_refused, "order": lane_order, "early": lane_early},
    CopiesHistory: {"torn": copies_torn, "lost": copies_lost, "doubled": copies_doubled, "order": copies_order,
                    "phantom": copies_phantom},
    TransactionsHistory: {"torn": transactions_torn, "lost": transactions_lost, "undone": transactions_undone,
                          "doubled": copies_doubled, "phantom": transactions_phantom},
    MovesHistory: {"torn": moves_torn, "lost": moves_lost, "doubled": copies_doubled, "phantom": copies_phantom},
}
LOOK_CHECKERS = {"side": side_wrong, "policy": policy_wrong}


def check(h):
    kinds = CHECKERS.get(type(h)) or {"wrong": LOOK_CHECKERS[h.name]}
    return [line for kind, checker in kinds.items() for line in shown(h.name, kind, checker(h))]


# -- clients


@contextlib.contextmanager
def channel_of(broker):
    host, port = broker.amqp.rsplit(":", 1)
    connection = pika.BlockingConnection(pika.ConnectionParameters(
        host, int(port), socket_timeout=60, stack_timeout=90, blocked_connection_timeout=300, heartbeat=300))
    try:
        yield connection.channel()
        connection.close()
    finally:
        with contextlib.suppress(*AWAY):
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
        except AWAY:
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
                    self.fence(channel)
                    h.settled.update((id, number) for id in unfenced)
                    unfenced = []
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

    def fence(self, channel):
        how = self.random.randrange(3)
        if how == 0:
            channel.queue_declare(self.history.name, passive=True)
        elif how == 1:
            channel.basic_publish("", "fence", b"", pika.BasicProperties(delivery_mode=2), mandatory=True)
        else:
            channel.basic_qos(prefetch_count=100)  # the broker has read the acks
            ask(self.broker, "POST", f"queues/%2F/{self.history.name}/actions", {"action": "sync"})


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


# -- the campaign


@dataclasses.dataclass
class Lane:
    """One queue of a type, and how it is used."""

    name: str
    type: str
    arguments: dict
    exchange: str = ""
    properties: object = None
    is_worked: bool = False
    rejects: bool = False
    is_dead_ordered: bool = False
    dies: bool = True


def delayed(chance):
    return {"headers": {"x-delay": chance.randrange(1, DELAY_MAX_MS)}}


def fleeting(chance):
    return {"expiration": str(chance.randrange(600))}


def lanes():
    out = [Lane("urgent", "classic", {"x-max-priority": 3}, is_worked=True, rejects=True,
                properties=lambda chance: {"priority": chance.randrange(4)})]
    for type in TYPES:
        full = "reject-publish-dlx" if type == "classic" else "reject-publish"
        out += [
            Lane(f"work-{type}", type, {}, is_worked=True, rejects=True),
            Lane(f"old-{type}", type, {"x-message-ttl": 200}, is_dead_ordered=True),
            Lane(f"fleeting-{type}", type, {}, properties=fleeting),
            Lane(f"drop-{type}", type, {"x-max-length": 20, "x-overflow": "drop-head"}, is_dead_ordered=True),
            Lane(f"full-{type}", type, {"x-max-length": 20, "x-overflow": full}, is_worked=True),
            Lane(f"late-{type}", type, {}, exchange="late", properties=delayed, is_worked=True, dies=False),
        ]
    return out


FAN = {"fan-0": "classic", "fan-1": "quorum", "fan-2": "classic"}
PAIR = {"pair-classic": "classic", "pair-quorum": "quorum"}
MOVES = {"from": "classic", "to-classic": "classic", "to-quorum": "quorum"}


class Campaign:
    def __init__(self, broker, seed, rate=80):
        self.broker, self.seed, self.rate = broker, seed, rate
        self.random = random.Random(seed)
        self.lanes = lanes()
        self.clients, self.histories, self.unknown = [], {}, {}
        self.epoch = self.kills = 0
        self.counts = collections.Counter()
        self.declare()
        self.side = Sider(broker, LooksHistory("side"), 0)  # only to keep what it knows between epochs
        self.policy = Politician(broker, LooksHistory("policy"), 0)

    def declare(self):
        with channel_of(self.broker) as channel:
            channel.exchange_declare("dead", "direct", durable=True)
            channel.exchange_declare("late", "x-delayed-message", durable=True, arguments={"x-delayed-type": "direct"})
            channel.exchange_declare("fan", "fanout", durable=True)
            channel.queue_declare("fence", durable=True, arguments={"x-max-length": 1})
            for lane in self.lanes:
                dead = f"dead-{lane.name}"
                arguments = {"x-queue-type": lane.type, **lane.arguments}
                if lane.dies:
                    channel.queue_declare(dead, durable=True, arguments={"x-queue-type": lane.type})
                    channel.queue_bind(dead, "dead", dead)
                    arguments.update({"x-dead-letter-exchange": "dead", "x-dead-letter-routing-key": dead})
                channel.queue_declare(lane.name, durable=True, arguments=arguments)
                if lane.exchange:
                    channel.queue_bind(lane.name, lane.exchange, lane.name)
            for name, type in {**FAN, **PAIR, **MOVES}.items():
                channel.queue_declare(name, durable=True, arguments={"x-queue-type": type})
            for name in FAN:
                channel.queue_bind(name, "fan")

    def queues(self):
        names = [lane.name for lane in self.lanes] + [f"dead-{lane.name}" for lane in self.lanes if lane.dies]
        return [*names, *FAN, *PAIR, *MOVES]

    def start_clients(self):
        """New histories; what was never answered and not seen may still come."""
        broker, seed, self.epoch = self.broker, self.random.random(), self.epoch + 1
        for lane in self.lanes:
            h = LaneHistory(lane.name, lane.is_dead_ordered)
            h.sent, h.delays = self.unknown.pop(lane.name, ([], {}))
            self.histories[lane.name] = h
            for number in range(2 if lane.is_worked else 1):
                self.clients.append(Publisher(broker, h, f"{lane.name}.{self.epoch}.{number}", f"{seed}.{number}",
                                              self.rate, lane.exchange, lane.name, lane.properties))
            if lane.is_worked:
                self.clients.append(Worker(broker, h, seed, lane.rejects))
        fan = self.histories["fan"] = CopiesHistory("fan", drained={name: [] for name in FAN})
        pair = self.histories["pair"] = TransactionsHistory("pair", drained={name: [] for name in PAIR})
        moves = self.histories["moves"] = MovesHistory("moves", drained={name: [] for name in MOVES})
        self.clients += [
            Publisher(broker, fan, f"fan.{self.epoch}", seed, self.rate, "fan"),
            Publisher(broker, moves, f"from.{self.epoch}", seed, self.rate, "", "from"),
            Transactor(broker, pair, seed), Carrier(broker, moves, seed)]
        self.side = self.succeed(self.side, Sider, ("exists", "must", "floor", "sequence"))
        self.policy = self.succeed(self.policy, Politician, ("expected",))
        for client in self.clients:
            client.start()

    def succeed(self, before, kind, known):
        """A thread starts only once: the next one knows what the last one knew."""
        h = self.histories[before.history.name] = LooksHistory(before.history.name)
        after = kind(self.broker, h, self.random.random())
        for name in known:
            setattr(after, name, getattr(before, name))
        self.clients.append(after)
        return after

    def stop_clients(self):
        clients, self.clients = self.clients, []
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join(PATIENCE_S)
            if client.is_alive():
                raise RuntimeError(f"{type(client).__name__} does not stop")
            if client.failure:
                raise client.failure

    def run_round(self, disaster):
        if not self.clients:
            self.start_clients()
        time.sleep(self.random.uniform(0.3, 1.5))
        disaster(self.broker)
        self.kills += 1

    def judge(self):
        """Let everything come, look at everything, and check. Returns the violations."""
        time.sleep(0.3)
        self.stop_clients()
        brokers.wait_until(lambda: sum(q.get("messages_unacknowledged", 0) for q in ask(
            self.broker, "GET", "queues")) == 0, PATIENCE_S, 0.1, what="nothing is held by clients")
        self.drain()
        lines = [line for h in self.histories.values() for line in check(h)]
        self.note()
        return lines

    def drain(self):
        """Take everything, until all that must be there has come and nothing else comes."""
        into = {lane.name: self.histories[lane.name].drained for lane in self.lanes}
        into.update({f"dead-{lane.name}": self.histories[lane.name].dead for lane in self.lanes})
        plain = {}
        for h in (self.histories[name] for name in ("fan", "pair", "moves")):
            plain.update(h.drained)

        def take(name):
            def came(channel, method, _, body):
                take.last = time.monotonic()
                if name in plain:
                    plain[name].append(decode(body))
                else:
                    into[name].append((decode(body), time.time()))
            return came

        began = take.last = time.monotonic()
        with channel_of(self.broker) as channel:
            for name in self.queues():
                channel.basic_consume(name, take(name))
            while True:
                channel.connection.process_data_events(0.1)
                now = time.monotonic()
                is_quiet = now > began + DELAY_MAX_MS / 1000 + 0.3 and now > take.last + 0.3
                if now > began + PATIENCE_S or (is_quiet and not self.missing()):
                    break
            channel.basic_ack(0, multiple=True)
            for name in self.queues():
                channel.queue_declare(name, passive=True)  # from now on nothing of this may come again

    def missing(self):
        return any(CHECKERS[type(h)]["lost"](h) for h in self.histories.values() if type(h) in CHECKERS)

    def note(self):
        for lane in self.lanes:
            h = self.histories[lane.name]
            known = {id for session in h.deliveries() + [h.dead] for id in ids_of(session)} | {
                *h.confirmed, *h.refused}
            left = [id for id in h.sent if id not in known]
            self.counts.update(confirmed=len(h.confirmed), refused=len(h.refused),
                               settled=len(h.settled), dead=len(h.dead), delayed=len(set(h.delays) & known))
            self.unknown[lane.name] = (left, {id: h.delays[id] for id in left if id in h.delays})
        fan, pair, moves = (self.histories[name] for name in ("fan", "pair", "moves"))
        self.counts.update(confirmed=len(fan.confirmed) + len(moves.confirmed), copied=len(fan.confirmed),
                           moved=len(moves.moved), transactions=list(pair.states.values()).count("committed"),
                           looks=len(self.histories["side"].looks) + len(self.histories["policy"].looks))

    def summary(self):
        counts = " ".join(f"{key}={value}" for key, value in self.counts.items())
        return f"rounds={self.kills}; seed={self.seed}; {counts}"

    def moved_enough(self):
        wanted = ("settled", "dead", "delayed", "copied", "moved", "transactions")
        return all(self.counts[key] >= 5 * self.kills for key in wanted)

    def save(self):
        """Everything that was seen, and what the broker has."""
        dir = tempfile.mkdtemp(prefix="mover-")
        with open(os.path.join(dir, "history.jsonl"), "w") as out:
            for h in self.histories.values():
                json.dump({"kind": type(h).__name__, **dataclasses.asdict(h)}, out)
                out.write("\n")
        self.broker.kill()
        shutil.copytree(self.broker.data_dir, os.path.join(dir, "data"), ignore=shutil.ignore_patterns("control"))
        shutil.copy(self.broker.log_path, dir)
        return dir


def rounds_of(campaign, rounds, disaster, progress):
    lines, until_look = [], 1
    try:
        for number in range(1, rounds + 1):
            campaign.run_round(disaster)
            until_look -= 1
            if until_look == 0 or number == rounds:
                lines = campaign.judge()
                progress(f"{campaign.summary()}; violations={len(lines)}")
                until_look = campaign.random.randrange(1, 4)
            if lines:
                break
    except (brokers.Failed, *AWAY, RuntimeError, TimeoutError) as error:
        lines = [f"it does not go on: {error!r}"]
    finally:
        for client in campaign.clients:
            client.stopping.set()
    if not lines and not campaign.moved_enough():
        lines = [f"too little was moved to prove anything: {campaign.summary()}"]
    if lines:
        progress(f"history, data and log: {campaign.save()}")
    return lines


def run(rounds, seed, settings=None, progress=print):
    with brokers.Pabal(settings={**killer.SETTINGS, **(settings or {})}) as broker:
        return rounds_of(Campaign(broker, seed), rounds, killer.kill_and_start, progress)


def run_without_power(rounds, seed, settings=None, progress=print):
    with loop_fs.LoopFs() as fs:
        dir = os.path.join(fs.path, "broker")
        os.mkdir(dir)
        broker = powercut.make_broker("pabal", dir, settings or {})
        broker.log_path = os.path.join(fs.base, "broker.log")
        with broker:
            return rounds_of(Campaign(broker, seed), rounds, powercut.disaster(fs, (2, 1, 0)), progress)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--power", action="store_true", help="cut the power instead; needs root")
    parser.add_argument("--set", action="append", default=[], help="an option of pabal, KEY=VALUE")
    options = parser.parse_args()
    settings = dict(pair.split("=", 1) for pair in options.set)
    one = run_without_power if options.power else run
    lines = one(options.rounds, options.seed, settings)
    print("\n".join(lines))
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
