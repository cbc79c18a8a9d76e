"""Each checker of mover_history.py is quiet about an honest history and catches its own kind of lie."""
import pytest

import history
import mover_history


def honest_lane():
    """a-0 and a-1 were acknowledged, a-2 rejected, a-3 comes again, a-4 expired, a-5 refused; a-9 unanswered."""
    h = mover_history.LaneHistory("lane", is_dead_ordered=True)
    h.sent = ["a-0", "a-1", "a-2", "a-3", "a-4", "a-5", "a-6", "a-9"]
    h.confirmed = ["a-0", "a-1", "a-2", "a-3", "a-4", "a-6"]
    h.refused = ["a-5"]
    h.sessions = [[("a-0", 1.0), ("a-1", 1.0), ("a-2", 1.0), ("a-3", 1.0)], [("a-1", 2.0), ("a-3", 2.0)]]
    h.acked = {"a-0": 0, "a-1": 1}
    h.settled = {"a-0": 0, "a-2": 0}
    h.drained = [("a-3", 3.0), ("a-6", 3.0)]
    h.dead = [("a-2", 4.0), ("a-4", 4.0), ("a-5", 4.0)]
    return h


def honest_delays():
    h = mover_history.LaneHistory("late")
    h.sent = ["a-0", "a-1"]
    h.delays = {"a-0": (10.0, 900), "a-1": (10.1, 100)}
    h.drained = [("a-1", 10.197), ("a-0", 10.9)]
    return h


def honest_copies():
    h = mover_history.CopiesHistory("fan", sent=["a-0", "a-1", "a-9"], confirmed=["a-0", "a-1"])
    h.drained = {"left": ["a-0", "a-1"], "right": ["a-0", "a-1"]}
    return h


def honest_transactions():
    """t1 was committed, t2 not, t3 was asked for and did it, t4 was and did not."""
    h = mover_history.TransactionsHistory("pair")
    h.states = {"t1": "committed", "t2": "open", "t3": "asked", "t4": "asked"}
    h.parts = {t: [("left", f"{t}.left-0"), ("right", f"{t}.right-0")] for t in h.states}
    h.drained = {"left": ["t1.left-0", "t3.left-0"], "right": ["t1.right-0", "t3.right-0"]}
    return h


def honest_moves():
    h = mover_history.MovesHistory("moves", sent=["a-0", "a-1", "a-2"], confirmed=["a-0", "a-1", "a-2"], moved=["a-0"])
    h.drained = {"from": ["a-2"], "left": ["a-0", "a-1"], "right": ["a-0", "a-1"]}
    return h


def honest_side():
    h = mover_history.LooksHistory("side")
    h.looks = [
        {"expected": True, "exists": True, "must": ["s-4"], "floor": 4, "found": ["s-4", "s-5"]},
        {"expected": None, "exists": False, "must": [], "floor": 6, "found": []},
        {"expected": False, "exists": False, "must": [], "floor": 6, "found": []}]
    return h


def honest_policy():
    h = mover_history.LooksHistory("policy")
    h.looks = [{"expected": None, "found": 5}, {"expected": 7, "found": 7}, {"expected": 0, "found": 0}]
    return h


HONEST = [honest_lane, honest_delays, honest_copies, honest_transactions, honest_moves, honest_side, honest_policy]


def change(list, before, after):
    list[list.index(before)] = after


LIES = {
    "a confirmed message is gone": (honest_lane, lambda h: h.drained.pop(), {"lost"}),
    "a dead letter is gone": (honest_lane, lambda h: h.dead.pop(1), {"lost"}),
    "a rejected message is gone": (honest_lane, lambda h: h.dead.pop(0), {"lost"}),
    "a dead letter twice": (honest_lane, lambda h: h.dead.insert(1, ("a-2", 4.0)), {"doubled"}),
    "a dead letter that did not leave": (honest_lane, lambda h: h.drained.append(("a-4", 3.0)), {"doubled", "order"}),
    "a message twice in a session": (honest_lane, lambda h: h.sessions[1].append(("a-3", 2.0)), {"doubled"}),
    "a message nobody sent": (honest_lane, lambda h: h.drained.append(("x-0", 3.0)), {"phantom"}),
    "a dead letter nobody sent": (honest_lane, lambda h: h.dead.append(("x-0", 3.0)), {"phantom"}),
    "an acknowledged message came back": (honest_lane, lambda h: h.sessions[1].insert(0, ("a-0", 2.0)), {"returned"}),
    "a rejected message came back": (honest_lane, lambda h: h.sessions[1].insert(1, ("a-2", 2.0)), {"returned"}),
    "an acknowledged message died": (honest_lane, lambda h: h.dead.insert(0, ("a-0", 4.0)), {"returned"}),
    "a refused message came": (honest_lane, lambda h: (h.dead.pop(), h.drained.insert(1, ("a-5", 3.0))), {"refused"}),
    "deliveries changed places": (honest_lane, lambda h: h.sessions[0].reverse(), {"order"}),
    "deliveries changed places at the end": (honest_lane, lambda h: h.drained.append(("a-5", 3.0)) or (
        h.refused.clear(), h.dead.pop()), {"order"}),
    "dead letters changed places": (honest_lane, lambda h: h.dead.reverse(), {"order"}),
    "a delayed message too early": (honest_delays, lambda h: change(h.drained, ("a-0", 10.9), ("a-0", 10.89)),
                                    {"early"}),
    "a delayed message twice": (honest_delays, lambda h: h.drained.append(("a-0", 11.0)), {"doubled"}),
    "a copy is missing": (honest_copies, lambda h: h.drained["left"].pop(), {"torn"}),
    "all copies are missing": (honest_copies, lambda h: (h.drained["left"].pop(), h.drained["right"].pop()), {"lost"}),
    "a copy twice": (honest_copies, lambda h: h.drained["left"].append("a-1"), {"doubled"}),
    "copies changed places": (honest_copies, lambda h: h.drained["left"].reverse(), {"order"}),
    "a copy nobody sent": (honest_copies, lambda h: h.drained["left"].append("x-0"), {"phantom"}),
    "a torn transaction": (honest_transactions, lambda h: h.drained["left"].pop(), {"torn"}),
    "a lost transaction": (honest_transactions, lambda h: (h.drained["left"].pop(0), h.drained["right"].pop(0)),
                           {"lost"}),
    "an uncommitted transaction": (honest_transactions, lambda h: (
        h.drained["left"].append("t2.left-0"), h.drained["right"].append("t2.right-0")), {"undone"}),
    "a transaction twice": (honest_transactions, lambda h: h.drained["left"].append("t3.left-0"), {"doubled"}),
    "a part in another queue": (honest_transactions, lambda h: h.drained["left"].append("t3.right-0"), {"phantom"}),
    "a move by half": (honest_moves, lambda h: h.drained["left"].remove("a-1"), {"torn"}),
    "a move without leaving": (honest_moves, lambda h: h.drained["from"].append("a-1"), {"torn"}),
    "a move to nowhere": (honest_moves, lambda h: h.drained["from"].clear(), {"lost"}),
    "a move undone": (honest_moves, lambda h: h.moved.append("a-2"), {"lost"}),
    "a move twice": (honest_moves, lambda h: h.drained["left"].append("a-1"), {"doubled"}),
    "a move of nothing": (honest_moves, lambda h: h.drained["from"].append("x-0"), {"phantom"}),
    "the side queue is gone": (honest_side, lambda h: h.looks[0].update(exists=False), {"wrong"}),
    "the side queue is back": (honest_side, lambda h: h.looks[2].update(exists=True), {"wrong"}),
    "the side queue lost something": (honest_side, lambda h: h.looks[0]["found"].pop(0), {"wrong"}),
    "the side queue was not purged": (honest_side, lambda h: h.looks[0]["found"].insert(0, "s-3"), {"wrong"}),
    "the side queue has one twice": (honest_side, lambda h: h.looks[0]["found"].append("s-5"), {"wrong"}),
    "an older policy": (honest_policy, lambda h: h.looks[1].update(found=6), {"wrong"}),
    "a policy that was cleared": (honest_policy, lambda h: h.looks[2].update(found=6), {"wrong"}),
}


def kinds(lines):
    return {line.split(": ")[1] for line in lines}


@pytest.mark.parametrize("history", HONEST)
def test_an_honest_history_passes(history):
    assert mover_history.check(history()) == []


@pytest.mark.parametrize("honest", HONEST)
def test_a_history_is_the_same_after_it_was_saved(honest, tmp_path):
    path = tmp_path / "history.jsonl"
    history.save(path, honest())
    loaded, = history.load(path, [type(honest())])
    assert mover_history.check(loaded) == []


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_caught_in_what_was_saved_too(lie, tmp_path):
    make, falsify, wanted = LIES[lie]
    h = make()
    falsify(h)
    history.save(tmp_path / "history.jsonl", h)
    loaded, = history.load(tmp_path / "history.jsonl", [type(h)])
    assert kinds(mover_history.check(loaded)) == wanted


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_caught(lie):
    history, falsify, wanted = LIES[lie]
    h = history()
    falsify(h)
    assert kinds(mover_history.check(h)) == wanted


def test_every_checker_has_a_lie():
    for history, checkers in mover_history.CHECKERS.items():
        caught = set().union(*(wanted for make, _, wanted in LIES.values() if isinstance(make(), history)))
        assert caught == set(checkers)
