"""What clients of queues that move messages by themselves saw, and what it has to be."""
import collections
import dataclasses

from checkers import shown
from history import sequence_of, writer_of

EARLY_MS = 5


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


def checkers_of(h):
    return CHECKERS.get(type(h)) or {"wrong": LOOK_CHECKERS[h.name]}


def check(h, exempt=()):
    return [line for kind, checker in checkers_of(h).items() if kind not in exempt
            for line in shown(h.name, kind, checker(h))]


def is_missing(h):
    """Something that has to come has not come yet."""
    return "lost" in checkers_of(h) and bool(checkers_of(h)["lost"](h))
