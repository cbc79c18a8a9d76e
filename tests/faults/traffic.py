"""The plain load of both protocols: topics that are written and read, queues that are filled and worked
off, a group that remembers where it is. Everything that was acknowledged is looked for.
"""
import time

import campaign
import checkers
import load
from history import GroupHistory, QueueHistory, TopicHistory, snapshot

PARTITIONS = 3
RENEWED_AT = 60_000  # messages: then new topics and queues follow, and the old ones are deleted

# What can be asked of a damaged disk, when the broker tells of the damage: not everything is there. The rest
# of what the checkers say is about data that are served and are not what was written.
MISSING = {"lost", "gap", "backwards", "told", "returned", "unmarked"}


def read(broker, h, quiet_s=60):
    """Everything that is there, when nobody works."""
    if isinstance(h, TopicHistory):
        load.read_topic(broker, h, PARTITIONS, quiet_s)
    elif isinstance(h, QueueHistory):
        load.drain_queue(broker, h)
    else:
        load.ask_group(broker, h)


def set_drained_aside(h):
    """A look at everything gave it all back: it counts as one more session."""
    if isinstance(h, QueueHistory):
        h.sessions.append(h.drained)
        h.drained = []


class Campaign(campaign.Campaign):
    looks = (1, 6)

    def __init__(self, broker, seed, rate=1500, idempotent=True, exempt=()):
        super().__init__(broker, seed)
        self.rate, self.idempotent, self.exempt = rate, idempotent, exempt
        self.topics, self.queues, self.groups = [], [], []
        self.generation = 0
        self.declare()

    def declare(self):
        broker, number = self.broker, self.generation
        if broker.kafka:
            kinds = ["plain", "idempotent"] if self.idempotent else ["plain"]
            self.topics = [load.new_topic(broker, f"{kind}-{number}", PARTITIONS) for kind in kinds]
            self.groups = [GroupHistory(f"group-{number}", self.topics[0].name)]
            self.topic = self.topics[0].name
        if broker.amqp:
            self.queues = [load.new_queue(broker, f"{kind}-{number}") for kind in ("kept", "worked")]
            self.still_queue = self.queues[0].name
            load.new_queue(broker, load.FENCE, {"x-max-length": 1})
        if broker.name == "rabbitmq":
            time.sleep(5)  # it forgets a declaration when it is killed soon after

    def renew(self):
        """From now on other topics and queues; what was seen of the last ones is done with."""
        self.counts.update(self.totals())
        for topic in self.topics:
            load.delete_topic(self.broker, topic.name)
        for queue in self.queues:
            load.delete_queue(self.broker, queue.name)
        self.topics, self.queues, self.groups = [], [], []
        self.generation += 1
        self.declare()

    def new_clients(self):
        """Writers whose ids tell the round, and readers."""
        if sum(self.totals().values()) > RENEWED_AT:
            self.renew()
        broker, seed, clients = self.broker, self.random.random(), []
        for queue in self.queues:
            set_drained_aside(queue)
        for topic in self.topics:
            clients += [load.TopicWriter(broker, topic, f"w{self.rounds}.{number}", PARTITIONS, self.rate / 2,
                                         seed + number, idempotent=topic.name.startswith("idempotent"))
                        for number in range(2)]
            clients.append(load.TopicReader(broker, topic, PARTITIONS))
        clients += [load.GroupCommitter(broker, group, seed) for group in self.groups]
        clients += [load.QueueWriter(broker, queue, f"w{self.rounds}", self.rate / 2, seed)
                    for queue in self.queues]
        clients += [load.QueueWorker(broker, queue, seed) for queue in self.queues[1:]]
        return clients

    def note(self):
        for topic in self.topics:
            load.note_ends(self.broker, topic, PARTITIONS)

    def look(self):
        for h in self.histories():
            read(self.broker, h)
        return [line for h in self.histories() for line in checkers.check(h, self.exempt)]

    def look_at_copy(self, broker):
        """What a broker serves of a copy of the data, held against what is known: (wrong, missing)."""
        lines = []
        for h in map(snapshot, self.histories()):
            set_drained_aside(h)
            try:
                read(broker, h, quiet_s=2)
                lines += checkers.check(h, self.exempt)
            except (load.Gone, *load.AWAY) as error:
                lines.append(f"{h.name}: lost: {error!r}")
        missing = [line for line in lines if line.split(": ")[1] in MISSING]
        return [line for line in lines if line not in missing], missing

    def histories(self):
        return [*self.topics, *self.queues, *self.groups]

    def totals(self):
        out = {topic.name.split("-")[0]: len(topic.acked) for topic in self.topics}
        out.update({queue.name.split("-")[0]: len(queue.confirmed) for queue in self.queues})
        out.update({"commits": sum(what == "acked" for what, _ in group.events) for group in self.groups})
        return out

    def moved_enough(self):
        sums = self.sums()  # which says what else happened too
        return all(sums[key] >= 50 * self.rounds for key in self.totals() if key != "commits")
