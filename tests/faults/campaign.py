"""Rounds of load, disaster and recovery, and the judgement over all that was seen.

A Campaign is a load, what is known of it, and how it is judged; traffic.py, mover.py and keeper.py have one
each. run() drives any of them through any disasters.
"""
import collections
import os
import random
import shutil
import tempfile
import time

import brokers
import history
import load

PATIENCE_S = 90  # for what has to come, on a machine that may be very busy


class Campaign:
    """What every load has; the methods without a body here are what they differ in."""

    looks = (1, 3)  # rounds from one look at everything to the next, at least and at most
    pause_s = (0.3, 1.5)  # of load before a disaster
    still_queue = None  # a queue without a consumer, from which others may borrow messages
    topic = None  # one that anybody may read

    def __init__(self, broker, seed):
        self.broker, self.seed = broker, seed
        self.random = random.Random(seed)
        self.clients, self.recovery_s = [], []
        self.rounds = 0
        self.counts = collections.Counter()  # of what earlier looks found; they are done with

    def new_clients(self):
        """The clients of the rounds up to the next look at everything, not started."""
        raise NotImplementedError

    def note(self):
        """What can be seen while all clients work."""

    def look(self):
        """Once the clients have stopped: read everything and check it. Returns the violations."""
        raise NotImplementedError

    def histories(self):
        raise NotImplementedError

    def totals(self):
        """What has been acknowledged since the counts were updated, by kind."""
        raise NotImplementedError

    def moved_enough(self):
        """A run in which little was acknowledged proves little: say so instead of passing."""
        raise NotImplementedError

    def finish(self):
        """What can be checked at the very end only."""
        return []

    # -- the same for all

    def sums(self):
        return self.counts + collections.Counter(self.totals())

    def acknowledged(self):
        return sum(self.sums().values())

    def start_clients(self):
        self.clients = self.new_clients()
        for client in self.clients:
            client.start()

    def stop_clients(self):
        clients, self.clients = self.clients, []
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.stop(PATIENCE_S)

    def run_round(self, disaster):
        """Load for a moment, then disaster(campaign), which has to leave the broker running again."""
        if not self.clients:
            self.start_clients()
        time.sleep(self.random.uniform(*self.pause_s))
        self.note()
        time.sleep(self.random.uniform(0.0, 0.2))
        process = self.broker.process
        lines = disaster(self) or []
        if self.broker.process is not process:
            self.recovery_s.append(self.broker.ready_s)
        self.note()
        self.rounds += 1
        return lines

    def judge(self):
        time.sleep(0.5)
        self.stop_clients()
        return self.look()

    def summary(self):
        parts = [f"rounds={self.rounds} seed={self.seed}"]
        parts.append(" ".join(f"{key}={value}" for key, value in self.sums().items()))
        if self.recovery_s:
            ordered = sorted(self.recovery_s)
            parts.append(f"ready again: median {ordered[len(ordered) // 2] * 1000:.0f} ms,"
                         f" most {ordered[-1] * 1000:.0f} ms")
        return "; ".join(parts)

    def save(self):
        """Everything that was seen, and what the broker has: the name of a folder."""
        dir = tempfile.mkdtemp(prefix="campaign-")
        history.save(os.path.join(dir, "history.jsonl"), *self.histories())
        self.broker.kill()
        if self.broker.name == "pabal":
            shutil.copytree(self.broker.data_dir, os.path.join(dir, "data"),
                            ignore=shutil.ignore_patterns("control"))
        shutil.copy(self.broker.log_path, dir)
        return dir


def run(campaign, rounds, disaster, progress=print):
    """All rounds; returns the violations of the first round, or look at everything, that has any."""
    lines, until_look = [], campaign.random.randint(*campaign.looks)
    try:
        for number in range(1, rounds + 1):
            lines = campaign.run_round(disaster)
            until_look -= 1
            if until_look == 0 or number == rounds or lines:
                lines += campaign.judge()
                progress(f"{campaign.summary()}; violations={len(lines)}")
                until_look = campaign.random.randint(*campaign.looks)
            if lines:
                break
        lines += campaign.finish() if not lines else []
    except load.Gone as gone:
        lines = [f"gone: {gone}"]
    except brokers.Failed as failed:
        lines = [f"it does not start again: {failed}"]
    except (RuntimeError, TimeoutError, *load.AWAY) as error:
        lines = [f"it does not go on: {error!r}"]
    finally:
        for client in campaign.clients:
            client.stopping.set()
    if not lines and not campaign.moved_enough():
        lines = [f"too little was moved to prove anything: {campaign.summary()}"]
    if lines:
        progress(f"history, data and log: {campaign.save()}")
    return lines
