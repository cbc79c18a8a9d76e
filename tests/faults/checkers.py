"""Judge histories: each checker returns the violations of one promise, as lines of text.

    topics   lost, misplaced, phantom, gap, duplicate, order, changed, backwards
    queues   lost, phantom, duplicate, order, returned, unmarked
    groups   backwards, phantom

Messages whose writer never got an answer may be there or not; everything else is certain.
"""
import collections

from history import GroupHistory, QueueHistory, TopicHistory, sequence_of, writer_of

SHOWN_MAX = 5  # of each kind of violation


def shown(name, kind, violations):
    lines = [f"{name}: {kind}: {text}" for text in violations[:SHOWN_MAX]]
    if len(violations) > SHOWN_MAX:
        lines.append(f"{name}: {kind}: and {len(violations) - SHOWN_MAX} more")
    return lines


# -- topics


def topic_lost(h):
    """An acknowledged message is there at the end."""
    there = {id for part in h.final.values() for _, id in part["records"]}
    return [f"{id} was acknowledged at offset {offset} of {h.sent.get(id)} and is gone"
            for id, offset in h.acked.items() if id not in there]


def topic_misplaced(h):
    """An acknowledged message is at the offset that its writer was told."""
    out = []
    for partition, part in h.final.items():
        by_offset = dict(part["records"])
        for id, offset in h.acked.items():
            if h.sent.get(id) == partition and offset in by_offset and by_offset[offset] != id:
                out.append(f"{partition}@{offset} holds {by_offset[offset]}, was acknowledged for {id}")
    return out


def topic_phantom(h):
    """Everything there was sent, to this partition."""
    return [f"{partition}@{offset} holds {id}, which was never sent there"
            for partition, part in h.final.items() for offset, id in part["records"]
            if h.sent.get(id) != partition]


def topic_gap(h):
    """Offsets have no holes and fill the log from its start to its end."""
    out = []
    for partition, part in h.final.items():
        expected = part["low"]
        for offset, _ in part["records"]:
            if offset != expected:
                out.append(f"{partition}: offset {expected} is missing, {offset} follows")
            expected = offset + 1
        if expected != part["high"]:
            out.append(f"{partition}: ends at {expected}, the broker says {part['high']}")
    return out


def topic_duplicate(h):
    """No message is there twice: writers are idempotent or never retry."""
    out = []
    for partition, part in h.final.items():
        counts = collections.Counter(id for _, id in part["records"])
        out += [f"{partition}: {id} is there {count} times" for id, count in counts.items() if count > 1]
    return out


def topic_order(h):
    """A writer's messages stand in the order in which it sent them."""
    out = []
    for partition, part in h.final.items():
        last = {}
        for offset, id in part["records"]:
            if id not in h.sent:
                continue
            writer = writer_of(id)
            if sequence_of(id) < last.get(writer, -1):
                out.append(f"{partition}@{offset}: {id} comes after {writer}-{last[writer]}")
            last[writer] = sequence_of(id)
    return out


def topic_changed(h):
    """What a reader was shown stays: the same message at the same offset, for ever."""
    seen = {(partition, offset): id for partition, part in h.final.items() for offset, id in part["records"]}
    out = []
    for partition, offset, id in h.reads:
        before = seen.setdefault((partition, offset), id)
        if before != id:
            out.append(f"{partition}@{offset} was read as {id} and as {before}")
    return out


def topic_backwards(h):
    """The start and the end of a log only grow."""
    out = [f"{partition}@{offset} was read as {id} and is beyond the end now" for partition, offset, id in h.reads
            if partition in h.final and offset >= h.final[partition]["high"]]
    last = {}
    final = [(partition, part["low"], part["high"]) for partition, part in h.final.items()]
    for partition, low, high in h.ends + final:
        low_before, high_before = last.get(partition, (0, 0))
        if low < low_before or high < high_before:
            out.append(f"{partition}: {low_before}..{high_before} became {low}..{high}")
        last[partition] = (low, high)
    return out


def topic_told(h):
    """No reader is told that its offset is unknown."""
    return h.errors


TOPIC_CHECKERS = {
    "lost": topic_lost, "misplaced": topic_misplaced, "phantom": topic_phantom, "gap": topic_gap,
    "duplicate": topic_duplicate, "order": topic_order, "changed": topic_changed,
    "backwards": topic_backwards, "told": topic_told,
}


# -- queues


def queue_lost(h):
    """A confirmed message was acknowledged by a consumer or is there at the end."""
    there = {id for id, _ in h.drained}
    return [f"{id} was confirmed and is gone, though nobody acknowledged it"
            for id in h.confirmed if id not in there and id not in h.acked]


def queue_phantom(h):
    """Everything delivered was sent."""
    sent = set(h.sent)
    deliveries = [id for session in h.sessions for id, _ in session] + [id for id, _ in h.drained]
    return [f"{id} was delivered and never sent" for id in deliveries if id not in sent]


def queue_duplicate(h):
    """A message that is not given back is delivered once in a session."""
    out = []
    for number, session in enumerate(h.sessions + [h.drained]):
        counts = collections.Counter(id for id, _ in session)
        out += [f"{id} came {count} times in session {number}" for id, count in counts.items() if count > 1]
    return out


def queue_order(h):
    """A publisher's messages are delivered in its order, also those that come again after a crash."""
    out, sent = [], set(h.sent)
    for number, session in enumerate(h.sessions + [h.drained]):
        last = {}
        for id, _ in session:
            if id not in sent:
                continue
            writer = writer_of(id)
            if sequence_of(id) < last.get(writer, -1):
                out.append(f"session {number}: {id} comes after {writer}-{last[writer]}")
            last[writer] = sequence_of(id)
    return out


def queue_returned(h):
    """A message does not come back once its acknowledgement is known to be executed."""
    out = []
    for number, session in enumerate(h.sessions + [h.drained]):
        out += [f"{id} was settled in session {h.settled[id]} and came again in session {number}"
                for id, _ in session if h.settled.get(id, number) < number]
    return out


def queue_unmarked(h):
    """A message that was delivered before is marked as redelivered."""
    out, seen = [], set()
    for number, session in enumerate(h.sessions + [h.drained]):
        out += [f"{id} came again in session {number} and is not marked as redelivered"
                for id, redelivered in session if id in seen and not redelivered]
        seen.update(id for id, _ in session)
    return out


QUEUE_CHECKERS = {
    "lost": queue_lost, "phantom": queue_phantom, "duplicate": queue_duplicate, "order": queue_order,
    "returned": queue_returned, "unmarked": queue_unmarked,
}

# What is not promised across a crash, of all or of what bears a name. Pabal logs how far it has delivered with the
# next commit, so that the last deliveries before a crash may come again without their mark. RabbitMQ keeps that
# mark in memory, and answers acks before they are on disk; its quorum queues do not keep the order of what comes back.
# Kafka listens before it leads its partitions: what it refuses then, librdkafka without idempotence sends again behind
# what came later, and what it reads then, it takes for the epoch of before, whose end it is told lies in front.
EXEMPT = {
    "pabal": {"unmarked"},
    "kafka": {"plain: order", "told"},
    "rabbitmq": {"unmarked", "returned"},
    "rabbitmq-quorum": {"unmarked", "returned", "order"},
}


# -- groups


def group_backwards(h):
    """A committed offset is there until a higher one is."""
    out, floor = [], -1
    for what, offset in h.events:
        if what == "acked":
            floor = max(floor, offset)
        elif what == "found" and max(offset, -1) < floor:
            out.append(f"it is at {offset}, and was told of {floor}")
    return out


def group_phantom(h):
    """It is where somebody said it is."""
    out, asked = [], set()
    for what, offset in h.events:
        if what == "asked":
            asked.add(offset)
        elif what == "found" and offset >= 0 and offset not in asked:
            out.append(f"it is at {offset}, and nobody said so")
    return out


GROUP_CHECKERS = {"backwards": group_backwards, "phantom": group_phantom}

CHECKERS = {TopicHistory: TOPIC_CHECKERS, QueueHistory: QUEUE_CHECKERS, GroupHistory: GROUP_CHECKERS}


def is_exempt(h, kind, exempt):
    return kind in exempt or f"{h.name.split('-')[0]}: {kind}" in exempt


def check(h, exempt=()):
    return [line for kind, checker in CHECKERS[type(h)].items() if not is_exempt(h, kind, exempt)
            for line in shown(h.name, kind, checker(h))]
