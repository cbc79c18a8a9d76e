"""Queues that move messages by themselves: each confirmed message is where it may be, once.

Queues of both types reject, expire, drop and refuse messages into dead letter queues, exchanges delay them
or copy them, transactions publish to two queues or move from one to two, priorities reorder, a side queue
is purged and deleted, a policy comes and goes. After every few disasters all queues are drained, and each
message is searched: consumed and acknowledged, in its queue, or among the dead letters, and in one of them
alone.
"""
import dataclasses
import time

import brokers
import campaign
import mover_history
from history import decode
from mover_history import CopiesHistory, LaneHistory, LooksHistory, MovesHistory, TransactionsHistory, ids_of
from mover_load import Carrier, Politician, Publisher, Sider, Transactor, Worker, ask, channel_of

DELAY_MAX_MS = 1500
TYPES = ("classic", "quorum")


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


class Campaign(campaign.Campaign):
    still_queue = "fan-0"

    def __init__(self, broker, seed, rate=80, patience_s=campaign.PATIENCE_S, exempt=()):
        super().__init__(broker, seed)
        self.rate, self.patience_s, self.exempt = rate, patience_s, exempt
        self.lanes = lanes()
        self.by_name, self.seen, self.unknown = {}, {}, {}
        self.epoch = 0
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

    def new_clients(self):
        """New histories; what was never answered and not seen may still come."""
        broker, seed, clients = self.broker, self.random.random(), []
        self.epoch += 1
        for lane in self.lanes:
            h = LaneHistory(lane.name, lane.is_dead_ordered)
            h.sent, h.delays = self.unknown.pop(lane.name, ([], {}))
            self.by_name[lane.name] = h
            clients += [Publisher(broker, h, f"{lane.name}.{self.epoch}.{number}", f"{seed}.{number}",
                                  self.rate, lane.exchange, lane.name, lane.properties)
                        for number in range(2 if lane.is_worked else 1)]
            if lane.is_worked:
                clients.append(Worker(broker, h, seed, lane.rejects))
        fan = self.by_name["fan"] = CopiesHistory("fan", drained={name: [] for name in FAN})
        pair = self.by_name["pair"] = TransactionsHistory("pair", drained={name: [] for name in PAIR})
        moves = self.by_name["moves"] = MovesHistory("moves", drained={name: [] for name in MOVES})
        self.side = self.succeed(self.side, ("exists", "must", "floor", "sequence"))
        self.policy = self.succeed(self.policy, ("expected",))
        return [*clients,
                Publisher(broker, fan, f"fan.{self.epoch}", seed, self.rate, "fan"),
                Publisher(broker, moves, f"from.{self.epoch}", seed, self.rate, "", "from"),
                Transactor(broker, pair, seed), Carrier(broker, moves, seed), self.side, self.policy]

    def succeed(self, before, known):
        """A thread starts only once: the next one knows what the last one knew."""
        h = self.by_name[before.history.name] = LooksHistory(before.history.name)
        after = type(before)(self.broker, h, self.random.random())
        for name in known:
            setattr(after, name, getattr(before, name))
        return after

    def look(self):
        """Let everything come, and check. Its counts are kept, its histories are done with."""
        brokers.wait_until(lambda: sum(q.get("messages_unacknowledged", 0) for q in ask(
            self.broker, "GET", "queues")) == 0, campaign.PATIENCE_S, 0.1, what="nothing is held by clients")
        self.drain()
        lines = [line for h in self.histories() for line in mover_history.check(h, self.exempt)]
        self.keep_counts()
        return lines

    def drain(self):
        """Take everything, until all that must be there has come and nothing else comes."""
        into = {lane.name: self.by_name[lane.name].drained for lane in self.lanes}
        into.update({f"dead-{lane.name}": self.by_name[lane.name].dead for lane in self.lanes})
        plain = {}
        for h in (self.by_name[name] for name in ("fan", "pair", "moves")):
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
                if now > began + self.patience_s or (is_quiet and not self.missing()):
                    break
            channel.basic_ack(0, multiple=True)
            for name in self.queues():
                channel.queue_declare(name, passive=True)  # from now on nothing of this may come again

    def missing(self):
        return any(mover_history.is_missing(h) for h in self.histories())

    def keep_counts(self):
        for lane in self.lanes:
            h = self.by_name[lane.name]
            known = {id for session in h.deliveries() + [h.dead] for id in ids_of(session)} | {
                *h.confirmed, *h.refused}
            left = [id for id in h.sent if id not in known]
            self.unknown[lane.name] = (left, {id: h.delays[id] for id in left if id in h.delays})
            self.counts.update(refused=len(h.refused), settled=len(h.settled), dead=len(h.dead),
                               delayed=len(set(h.delays) & known))
        self.counts.update(self.totals())
        pair, moves = self.by_name["pair"], self.by_name["moves"]
        self.counts.update(moved=len(moves.moved), transactions=list(pair.states.values()).count("committed"),
                           copied=len(self.by_name["fan"].confirmed),
                           looks=len(self.by_name["side"].looks) + len(self.by_name["policy"].looks))
        self.seen, self.by_name = self.by_name, {}

    def histories(self):
        """Those of now; between a look and new clients, those of the look."""
        return list((self.by_name or self.seen).values())

    def totals(self):
        return {"confirmed": sum(len(getattr(h, "confirmed", ())) for h in self.by_name.values())}

    def moved_enough(self):
        wanted = ("settled", "dead", "delayed", "copied", "moved", "transactions")
        return all(self.counts[key] >= 5 * self.rounds for key in wanted)
