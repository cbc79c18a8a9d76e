"""What clients saw: the observations that the checkers judge.

A message is known by its id, "writer-sequence"; its bytes are the id and a filling that follows from
it, so that a reader notices any damage. Nothing here knows a broker: histories are lists of plain
values, are saved as JSON, and can be made up by tests.
"""
import dataclasses
import json
import zlib


def message_id(writer, sequence):
    return f"{writer}-{sequence}"


def writer_of(id):
    return id.rsplit("-", 1)[0]


def sequence_of(id):
    return int(id.rsplit("-", 1)[1])


def encode(id, size):
    """The bytes of a message: the id, then a filling made from it, `size` bytes or a little more."""
    head = id.encode() + b"|"
    pattern = zlib.crc32(head).to_bytes(4, "big")
    return head + pattern * (max(0, size - len(head)) // 4)


def decode(data):
    """The id, or a text that no writer ever used when the bytes are not what the id says."""
    head, found, filling = data.partition(b"|")
    pattern = zlib.crc32(head + b"|").to_bytes(4, "big")
    if not found or filling != pattern * (len(filling) // 4):
        return f"damaged:{data[:40]!r}"
    return head.decode(errors="replace")


@dataclasses.dataclass
class TopicHistory:
    """One topic. Ids are unique in it."""

    name: str
    sent: dict = dataclasses.field(default_factory=dict)  # id -> partition
    acked: dict = dataclasses.field(default_factory=dict)  # id -> offset
    reads: list = dataclasses.field(default_factory=list)  # (partition, offset, id), as they came
    ends: list = dataclasses.field(default_factory=list)  # (partition, low, high), as they came
    errors: list = dataclasses.field(default_factory=list)  # what a reader must never be told
    # partition -> {"low", "high", "records": [(offset, id)]}: everything, read when all was quiet
    final: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class QueueHistory:
    """One queue."""

    name: str
    sent: list = dataclasses.field(default_factory=list)  # ids
    confirmed: list = dataclasses.field(default_factory=list)  # ids
    # One list for each consumer session: (id, redelivered), as they came
    sessions: list = dataclasses.field(default_factory=list)
    acked: dict = dataclasses.field(default_factory=dict)  # id -> session; the ack was sent
    # id -> session; the ack was sent, and something behind it on the channel was confirmed
    settled: dict = dataclasses.field(default_factory=dict)
    drained: list = dataclasses.field(default_factory=list)  # (id, redelivered): the rest, when all was quiet


@dataclasses.dataclass
class GroupHistory:
    """Where one group said that it is in partition 0 of a topic."""

    name: str
    topic: str
    # in their order: ("asked", offset) a commit was sent, ("acked", offset) it was answered,
    # ("found", offset) the broker was asked; negative when it knew none
    events: list = dataclasses.field(default_factory=list)


def snapshot(h):
    """A copy that stays as it is while clients go on writing."""
    fields = {field.name: getattr(h, field.name) for field in dataclasses.fields(h)}
    return type(h)(**{name: value.copy() if isinstance(value, (list, dict)) else value
                      for name, value in fields.items()})


def save(path, *histories):
    """As they are now: clients that were told to stop may still write down what they see."""
    with open(path, "w") as out:
        for one in histories:
            json.dump({"kind": type(one).__name__, **dataclasses.asdict(snapshot(one))}, out)
            out.write("\n")


def load(path, kinds):
    """What save() wrote, as instances of these classes, with tuples and numbered keys as they were."""
    by_name = {kind.__name__: kind for kind in kinds}
    with open(path) as lines:
        saved = [json.loads(line) for line in lines]
    return [by_name[one.pop("kind")](**{key: field(value) for key, value in one.items()}) for one in saved]


def field(value):
    return [frozen(one) for one in value] if isinstance(value, list) else frozen(value)


def frozen(value):
    """JSON knows no tuples and no numbers as keys."""
    if isinstance(value, list):
        return tuple(map(frozen, value))
    if isinstance(value, dict):
        return {int(key) if key.isdigit() else key: frozen(one) for key, one in value.items()}
    return value
