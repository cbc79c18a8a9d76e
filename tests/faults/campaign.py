"""Rounds of load, disaster and recovery, and the judgement over all that was seen.

A campaign has one topic for each kind of producer and two queues: one that only fills, one that is
worked off. It looks at everything after every few rounds and at the end.
"""
import os
import random
import tempfile
import time

import checkers
import history
import load

PARTITIONS = 3


class Campaign:
    def __init__(self, broker, seed, rate=1500, idempotent=False, exempt=()):
        self.broker, self.seed, self.rate, self.exempt = broker, seed, rate, exempt
        self.random = random.Random(seed)
        self.topics, self.queues, self.clients = [], [], []
        self.round = 0
        self.recovery_s = []
        if broker.kafka:
            self.topics.append(load.new_topic(broker, "plain", PARTITIONS))
            if idempotent:
                self.topics.append(load.new_topic(broker, "idempotent", PARTITIONS))
        if broker.amqp:
            self.queues = [load.new_queue(broker, "kept"), load.new_queue(broker, "worked")]
        if broker.name == "rabbitmq":
            time.sleep(5)  # it forgets a declaration when it is killed soon after

    def start_clients(self):
        """A new set of writers, whose ids tell the round, and of readers."""
        broker, seed = self.broker, self.random.random()
        for queue in self.queues:
            # An earlier look at everything gave it all back: it counts as one more session.
            queue.sessions.append(queue.drained)
            queue.drained = []
        for topic in self.topics:
            for number in range(2):
                self.clients.append(load.TopicWriter(
                    broker, topic, f"w{self.round}.{number}", PARTITIONS, self.rate / 2, seed + number,
                    idempotent=topic.name == "idempotent"))
            self.clients.append(load.TopicReader(broker, topic, PARTITIONS))
        for queue in self.queues:
            self.clients.append(load.QueueWriter(
                broker, queue, f"w{self.round}", self.rate / 2, seed))
        for queue in self.queues[1:]:
            self.clients.append(load.QueueWorker(broker, queue, seed))
        for client in self.clients:
            client.start()

    def stop_clients(self):
        clients, self.clients = self.clients, []
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.stop()

    def run_round(self, disaster):
        """Load for a moment, then disaster(broker), which has to leave the broker running again."""
        if not self.clients:
            self.start_clients()
        time.sleep(self.random.uniform(0.3, 1.2))
        for topic in self.topics:
            load.note_ends(self.broker, topic, PARTITIONS)
        time.sleep(self.random.uniform(0.0, 0.2))
        disaster(self.broker)
        self.recovery_s.append(self.broker.ready_s)
        for topic in self.topics:
            load.note_ends(self.broker, topic, PARTITIONS)
        self.round += 1

    def judge(self):
        """Let everything settle, read everything, and check. Returns the violations."""
        time.sleep(0.5)
        self.stop_clients()
        for topic in self.topics:
            load.read_topic(self.broker, topic, PARTITIONS)
        for queue in self.queues:
            load.drain_queue(self.broker, queue)
        lines = []
        for topic in self.topics:
            lines += checkers.check_topic(topic, self.exempt)
        for queue in self.queues:
            lines += checkers.check_queue(queue, self.exempt)
        return lines

    def summary(self):
        parts = [f"rounds={self.round}", f"seed={self.seed}"]
        for topic in self.topics:
            count = sum(len(part["records"]) for part in topic.final.values())
            parts.append(f"{topic.name}: sent={len(topic.sent)} acked={len(topic.acked)} stored={count}"
                         f" read={len(topic.reads)}")
        for queue in self.queues:
            parts.append(f"{queue.name}: sent={len(queue.sent)} confirmed={len(queue.confirmed)}"
                         f" settled={len(queue.settled)} left={len(queue.drained)}")
        if self.recovery_s:
            ordered = sorted(self.recovery_s)
            parts.append(f"ready again: median {ordered[len(ordered) // 2] * 1000:.0f} ms,"
                         f" most {ordered[-1] * 1000:.0f} ms")
        return "; ".join(parts)

    def moved_enough(self):
        """A run in which little was acknowledged proves little: say so instead of passing."""
        floor = 50 * self.round
        counts = [len(topic.acked) for topic in self.topics] + [len(q.confirmed) for q in self.queues]
        return all(count >= floor for count in counts)

    def save(self):
        path = os.path.join(tempfile.mkdtemp(prefix="campaign-"), "history.jsonl")
        history.save(path, *self.topics, *self.queues)
        return path


def run(campaign, rounds, disaster, judge_every=10, progress=print):
    """All rounds; returns the violations, after the first judgement that finds any."""
    lines = []
    try:
        for number in range(1, rounds + 1):
            campaign.run_round(disaster)
            if number % judge_every == 0 or number == rounds:
                lines = campaign.judge()
                progress(f"{campaign.summary()}; violations={len(lines)}")
            if lines:
                break
    except load.Gone as gone:
        lines = [f"gone: {gone}"]
    finally:
        for client in campaign.clients:
            client.stopping.set()
    if not lines and not campaign.moved_enough():
        lines = ["too little was acknowledged to prove anything"]
    if lines:
        progress(f"history: {campaign.save()}")
    return lines
