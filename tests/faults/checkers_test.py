"""Each checker is quiet about an honest history and catches its own kind of lie."""
import copy
import itertools
import sys
import threading

import pytest

import checkers
import history
import keeper
from history import GroupHistory, QueueHistory, TopicHistory, decode, encode, message_id


def honest_topic():
    """Two partitions, two writers; a-3 was never answered but is there, b-3 was not and is not."""
    h = TopicHistory("topic")
    h.sent = {"a-0": 0, "a-1": 0, "b-0": 0, "a-2": 1, "b-1": 1, "a-3": 0, "b-3": 1}
    h.acked = {"a-0": 0, "b-0": 1, "a-1": 2, "a-2": 0, "b-1": 1}
    h.reads = [(0, 0, "a-0"), (0, 1, "b-0"), (1, 0, "a-2"), (0, 0, "a-0")]
    h.ends = [(0, 0, 1), (1, 0, 0), (0, 0, 3), (1, 0, 2)]
    h.final = {
        0: {"low": 0, "high": 4, "records": [(0, "a-0"), (1, "b-0"), (2, "a-1"), (3, "a-3")]},
        1: {"low": 0, "high": 2, "records": [(0, "a-2"), (1, "b-1")]},
    }
    return h


def drop_the_last(h):
    h.final[1]["records"].pop()
    h.final[1]["high"] = 1
    h.ends = []


def swap(h):
    records = h.final[0]["records"]
    records[0], records[2] = (0, "a-1"), (2, "a-0")
    h.reads = []


TOPIC_LIES = {
    "an acked message is gone": (drop_the_last, {"lost"}),
    "two messages changed places": (swap, {"misplaced", "order"}),
    "a message nobody sent": (lambda h: h.final[0]["records"].__setitem__(3, (3, "x-0")), {"phantom"}),
    "a damaged message": (lambda h: h.final[0]["records"].__setitem__(3, (3, "damaged:b''")), {"phantom"}),
    "a message in another partition": (lambda h: h.sent.__setitem__("a-3", 1), {"phantom"}),
    "a hole": (lambda h: h.final[0]["records"].__setitem__(3, (4, "a-3")), {"gap"}),
    "an end beyond the records": (lambda h: h.final[0].__setitem__("high", 5), {"gap"}),
    "a message twice": (lambda h: (h.final[0]["records"].append((4, "a-3")),
                                   h.final[0].__setitem__("high", 5)), {"duplicate"}),
    "another message at a read offset": (lambda h: h.reads.append((1, 0, "b-1")), {"changed"}),
    "two reads that differ": (lambda h: h.reads.extend([(0, 9, "a-3"), (0, 9, "b-3")]), {"changed", "backwards"}),
    "a read that is beyond the end now": (lambda h: h.reads.append((1, 2, "b-3")), {"backwards"}),
    "an end that went back": (lambda h: h.ends.append((0, 0, 2)), {"backwards"}),
    "a final end below an earlier one": (lambda h: h.ends.append((1, 0, 9)), {"backwards"}),
    "a start that went back": (lambda h: h.ends.extend([(0, 2, 3), (0, 1, 3)]), {"backwards"}),
    "an offset out of range": (lambda h: h.errors.append("partition 0: out of range"), {"told"}),
}


def honest_queue():
    """Publishers a and b; a-0 was settled, a-1 acked without an answer, b-0 came twice; a-9 unanswered."""
    h = QueueHistory("queue")
    h.sent = ["a-0", "a-1", "b-0", "b-1", "a-9"]
    h.confirmed = ["a-0", "b-0", "a-1", "b-1"]
    h.sessions = [[("a-0", False), ("b-0", False), ("a-1", False)], [("b-0", True), ("a-1", True)]]
    h.acked = {"a-0": 0, "a-1": 1}
    h.settled = {"a-0": 0}
    h.drained = [("b-0", True), ("b-1", False)]
    return h


QUEUE_LIES = {
    "a confirmed message is gone": (lambda h: h.drained.pop(), {"lost"}),
    "a message nobody sent": (lambda h: h.drained.append(("x-0", False)), {"phantom"}),
    "a damaged message": (lambda h: h.sessions[0].append(("damaged:b''", False)), {"phantom"}),
    "a message twice in a session": (lambda h: h.sessions[1].append(("a-1", True)), {"duplicate"}),
    "a message twice at the end": (lambda h: h.drained.append(("b-1", True)), {"duplicate"}),
    "two messages changed places": (lambda h: h.drained.reverse(), {"order"}),
    "two deliveries changed places": (lambda h: h.sessions[0].reverse(), {"order"}),
    "a settled message came back": (lambda h: h.sessions[1].insert(0, ("a-0", True)), {"returned"}),
    "a settled message is there at the end": (lambda h: h.drained.insert(0, ("a-0", True)), {"returned"}),
    "a second delivery without its mark": (lambda h: h.drained.__setitem__(0, ("b-0", False)), {"unmarked"}),
}


def honest_group():
    """One commit was not answered, and counts."""
    h = GroupHistory("group", "topic")
    h.events = [("found", -1001), ("asked", 0), ("acked", 0), ("found", 0), ("asked", 1), ("found", 1), ("asked", 2),
                ("acked", 2), ("found", 2)]
    return h


GROUP_LIES = {
    "an offset that went back": (lambda h: h.events.append(("found", 1)), {"backwards"}),
    "a group that is forgotten": (lambda h: h.events.append(("found", -1001)), {"backwards"}),
    "an offset nobody committed": (lambda h: h.events.append(("found", 7)), {"phantom"}),
}


def kinds(lines):
    return {line.split(": ")[1] for line in lines}


def test_honest_histories_pass():
    assert checkers.check(honest_topic()) == []
    assert checkers.check(honest_queue()) == []
    assert checkers.check(honest_group()) == []


@pytest.mark.parametrize("lie", TOPIC_LIES)
def test_a_lie_about_a_topic_is_caught(lie):
    falsify, wanted = TOPIC_LIES[lie]
    h = copy.deepcopy(honest_topic())
    falsify(h)
    assert kinds(checkers.check(h)) == wanted


@pytest.mark.parametrize("lie", QUEUE_LIES)
def test_a_lie_about_a_queue_is_caught(lie):
    falsify, wanted = QUEUE_LIES[lie]
    h = copy.deepcopy(honest_queue())
    falsify(h)
    # A second delivery of a settled message is also one that came before.
    assert kinds(checkers.check(h)) == wanted


@pytest.mark.parametrize("lie", GROUP_LIES)
def test_a_lie_about_a_group_is_caught(lie):
    falsify, wanted = GROUP_LIES[lie]
    h = honest_group()
    falsify(h)
    assert kinds(checkers.check(h)) == wanted


@pytest.mark.parametrize("honest", [honest_topic, honest_queue, honest_group])
def test_a_history_is_the_same_after_it_was_saved(honest, tmp_path):
    history.save(tmp_path / "history.jsonl", honest())
    loaded, = history.load(tmp_path / "history.jsonl", checkers.CHECKERS)
    assert checkers.check(loaded) == []


def test_a_history_is_saved_while_clients_go_on_writing(tmp_path):
    h, is_over = QueueHistory("q"), threading.Event()

    def write():
        for number in itertools.count():
            if is_over.is_set():
                return
            h.acked[message_id("w", number)] = 0
            h.acked.pop(message_id("w", number - 2000), None)

    writer, usual_s = threading.Thread(target=write), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    writer.start()
    try:
        for _ in range(20):
            history.save(tmp_path / "history.jsonl", h)
    finally:
        is_over.set()
        writer.join()
        sys.setswitchinterval(usual_s)


def test_every_checker_has_a_lie():
    caught = set().union(*(wanted for _, wanted in TOPIC_LIES.values()))
    assert caught == set(checkers.TOPIC_CHECKERS)
    caught = set().union(*(wanted for _, wanted in QUEUE_LIES.values()))
    assert caught == set(checkers.QUEUE_CHECKERS)
    caught = set().union(*(wanted for _, wanted in GROUP_LIES.values()))
    assert caught == set(checkers.GROUP_CHECKERS)


def test_a_checker_that_is_not_asked_for_is_silent():
    h = honest_queue()
    h.drained.insert(0, ("a-0", True))
    assert checkers.check(h, exempt={"returned"}) == []


@pytest.mark.parametrize("size", [0, 10, 1000])
def test_bytes_know_their_id(size):
    data = encode("a-17", size)
    assert decode(data) == "a-17"
    assert decode(data[:-1] + b"?").startswith("damaged") or len(data) == 5
    assert decode(b"a-18" + data[4:]) != "a-17"
    assert decode(b"no bar at all").startswith("damaged")


def test_long_lists_of_violations_are_cut():
    h = honest_topic()
    h.acked.update({f"c-{i}": i for i in range(100)})
    lines = [line for line in checkers.check(h) if ": lost: " in line]
    assert len(lines) == checkers.SHOWN_MAX + 1 and "95 more" in lines[-1]


def test_keys_that_are_older_than_acknowledged_or_gone_are_found():
    records = [(b"1", 5, b"v"), (b"2", 7, b"v"), (b"2", 9, None), (b"1", 8, b"v")]
    assert keeper.check_keys(records, {1: 8, 2: 9, 10: 3, -1: 99}) == []
    assert keeper.check_keys(records, {1: 9}) == ["key 1 has number 8, 9 was acknowledged"]
    assert keeper.check_keys(records, {3: 1}) == ["key 3 is gone, 1 was acknowledged"]
