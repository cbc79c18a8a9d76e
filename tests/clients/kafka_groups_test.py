"""Consumer groups: members share a topic out, go on where they stopped, come and go, and lose nothing."""
import asyncio
import subprocess
import threading
import time

import confluent_kafka
import pytest
from confluent_kafka import TopicPartition

import brokers
import kafka_raw
from conftest import Producer, admin, create_topic, delete_topic, produce, run, topics, values_of


class Member:
    """A confluent-kafka consumer in a thread: what it has been given, and what it has read."""

    def __init__(self, kafka, group, topic, **config):
        defaults = {"bootstrap.servers": kafka, "group.id": group, "auto.offset.reset": "earliest",
                    "session.timeout.ms": 6000, "heartbeat.interval.ms": 300,
                    "enable.auto.commit": False}
        self.inner = confluent_kafka.Consumer(
            {**defaults, **{k.replace("_", "."): v for k, v in config.items()}})
        self.topic = topic
        self.read, self.given, self.taken, self.errors = [], [], [], []
        self.held = set()
        self.stopping = threading.Event()
        self.inner.subscribe([topic], on_assign=self._assigned, on_revoke=self._revoked,
                             on_lost=self._revoked)
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _assigned(self, _, partitions):
        self.held |= {p.partition for p in partitions}
        self.given.append(sorted(p.partition for p in partitions))

    def _revoked(self, _, partitions):
        self.held -= {p.partition for p in partitions}
        self.taken.append(sorted(p.partition for p in partitions))

    def _work(self):
        while not self.stopping.is_set():
            message = self.inner.poll(0.1)
            if message is None:
                continue
            if message.error():
                self.errors.append(message.error())
                continue
            self.read.append((message.partition(), message.offset(), message.value()))
            try:
                self.inner.commit(message, asynchronous=False)
            except confluent_kafka.KafkaException as error:
                if error.args[0].code() not in (confluent_kafka.KafkaError.ILLEGAL_GENERATION,
                                                confluent_kafka.KafkaError.REBALANCE_IN_PROGRESS,
                                                confluent_kafka.KafkaError.UNKNOWN_MEMBER_ID):
                    self.errors.append(error)

    @property
    def partitions(self):
        return sorted(self.held)

    def stop(self, leave=True):
        self.stopping.set()
        self.thread.join(10)
        if leave:
            self.inner.close()


@pytest.fixture
def member(kafka):
    made = []

    def make(group, topic, **config):
        made.append(Member(kafka, group, topic, **config))
        return made[-1]

    yield make
    for one in made:
        if not one.stopping.is_set():
            one.stop()


def share_out(members, count, timeout_s=20):
    """Wait until all partitions are given out, each once, and to everybody."""
    def is_shared():
        given = [m.partitions for m in members]
        return all(given) and sorted(sum(given, [])) == list(range(count))

    brokers.wait_until(is_shared, timeout_s)


def committed(kafka, group, topic, partitions=1):
    consumer = confluent_kafka.Consumer({"bootstrap.servers": kafka, "group.id": group})
    try:
        where = [TopicPartition(topic, p) for p in range(partitions)]
        return [p.offset for p in consumer.committed(where, timeout=10)]
    finally:
        consumer.close()


def begin_at_zero(kafka, group, topic, partitions):
    """Commit offset 0 for a group that nobody is a member of yet.

    Without a committed offset librdkafka asks the broker for the first one. Kafka's answer, behind that of
    a fetch that waits, may come after a rebalance has taken the partition away; librdkafka (2.16) goes on to
    read it nevertheless, and delivers it once more later."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": kafka, "group.id": group})
    try:
        consumer.commit(offsets=[TopicPartition(topic, p, 0) for p in range(partitions)],
                        asynchronous=False)
    finally:
        consumer.close()


def read_group(kafka, group, topic, count, timeout_s=20, **config):
    """`count` messages as a member of the group, committed when they were read."""
    defaults = {"bootstrap.servers": kafka, "group.id": group, "auto.offset.reset": "earliest",
                "enable.auto.commit": False}
    consumer = confluent_kafka.Consumer({**defaults, **config})
    consumer.subscribe([topic])
    read, deadline = [], time.monotonic() + timeout_s
    try:
        while len(read) < count and time.monotonic() < deadline:
            read += [m for m in consumer.consume(count - len(read), 0.2) if not m.error()]
        if read:
            consumer.commit(asynchronous=False)
    finally:
        consumer.close()
    return values_of(read)


def coordinator_answers(kafka):
    try:
        return committed(kafka, "a-group", "a-topic") is not None
    except confluent_kafka.KafkaException:
        return False


@pytest.fixture(autouse=True)
def coordinator(request):
    """Kafka's is not there at once when it has just started."""
    if request.config.getoption("--broker") == "kafka" and "kafka" in request.fixturenames:
        brokers.wait_until(lambda: coordinator_answers(request.getfixturevalue("kafka")), 55)


VALUES = [f"value {i}".encode() for i in range(300)]


# -- one member


def test_a_group_goes_on_where_it_stopped(kafka, topic, name):
    produce(kafka, topic, VALUES)
    assert read_group(kafka, name, topic, 100) == VALUES[:100]
    assert committed(kafka, name, topic) == [100]
    assert read_group(kafka, name, topic, 200) == VALUES[100:]
    assert committed(kafka, name, topic) == [300]


def test_a_group_without_offsets_starts_where_it_is_told(kafka, topic, name):
    produce(kafka, topic, VALUES)
    assert read_group(kafka, name, topic, 1, timeout_s=2, **{"auto.offset.reset": "latest"}) == []
    assert committed(kafka, name, topic) == [-1001]
    assert read_group(kafka, name, topic, 1) == VALUES[:1]


def test_the_first_member_reads_at_once(kafka, topic, name):
    produce(kafka, topic, VALUES[:1])
    started = time.monotonic()
    assert read_group(kafka, name, topic, 1) == VALUES[:1]
    assert time.monotonic() - started < 4


def test_offsets_are_committed_without_membership(kafka, topic, name):
    produce(kafka, topic, VALUES)
    consumer = confluent_kafka.Consumer({"bootstrap.servers": kafka, "group.id": name})
    consumer.assign([TopicPartition(topic, 0, 0)])
    consumer.commit(offsets=[TopicPartition(topic, 0, 42, metadata="a note")], asynchronous=False)
    found = consumer.committed([TopicPartition(topic, 0)], timeout=10)[0]
    consumer.close()
    assert (found.offset, found.metadata) == (42, "a note")


def test_kafka_python_reads_as_a_group(kafka, topic, name):
    import kafka as kafka_python
    produce(kafka, topic, VALUES)

    def read(count):
        consumer = kafka_python.KafkaConsumer(topic, bootstrap_servers=kafka, group_id=name,
                                              auto_offset_reset="earliest", enable_auto_commit=False,
                                              max_poll_records=count, consumer_timeout_ms=10000)
        values = []
        for message in consumer:
            values.append(message.value)
            if len(values) == count:
                break
        consumer.commit()
        consumer.close()
        return values

    assert read(100) == VALUES[:100]
    assert read(200) == VALUES[100:]


def test_aiokafka_reads_as_a_group(kafka, topic, name):
    aiokafka = pytest.importorskip("aiokafka")
    produce(kafka, topic, VALUES)

    async def read(count):
        consumer = aiokafka.AIOKafkaConsumer(topic, bootstrap_servers=kafka, group_id=name,
                                             auto_offset_reset="earliest", enable_auto_commit=False)
        await consumer.start()
        values = [(await asyncio.wait_for(consumer.getone(), 10)).value for _ in range(count)]
        await consumer.commit()
        await consumer.stop()
        return values

    assert asyncio.run(read(100)) == VALUES[:100]
    assert asyncio.run(read(200)) == VALUES[100:]


def test_kcat_reads_as_a_group(kafka, topic, name):
    produce(kafka, topic, VALUES)
    command = ["kcat", "-q", "-b", kafka, "-X", "auto.offset.reset=earliest", "-G", name, topic, "-e"]
    assert run(command).split(b"\n")[:-1] == VALUES
    produce(kafka, topic, [b"one more"])
    assert run(command) == b"one more\n"


def test_javas_console_consumer_reads_as_a_group(kafka, topic, name, kafka_tool):
    produce(kafka, topic, VALUES)
    read = kafka_tool("org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", kafka,
                      "--topic", topic, "--group", name, "--from-beginning", "--max-messages", "100")
    assert read.encode().split() == b"\n".join(VALUES[:100]).split()
    assert committed(kafka, name, topic) == [100]


# -- several members


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_members_share_the_partitions(request, kafka, name, member, strategy):
    create_topic(kafka, name, partitions=6)
    if request.config.getoption("--broker") == "kafka":
        begin_at_zero(kafka, name, name, 6)
    config = {"partition_assignment_strategy": strategy}
    one = member(name, name, **config)
    share_out([one], 6)
    two = member(name, name, **config)
    three = member(name, name, **config)
    share_out([one, two, three], 6)
    for partition in range(6):
        produce(kafka, name, VALUES[:20], partition=partition)
    everything = sorted((p, o, v) for p in range(6) for o, v in enumerate(VALUES[:20]))
    brokers.wait_until(lambda: sorted(one.read + two.read + three.read) == everything, 20)
    two.stop()
    share_out([one, three], 6)
    three.stop()
    share_out([one], 6)
    assert committed(kafka, name, name, 6) == [20] * 6
    one.stop()
    assert sorted(one.read + two.read + three.read) == everything  # and nothing was read again
    assert not one.errors + two.errors + three.errors


def test_killed_member_is_dropped_when_its_session_ends(kafka, name, member):
    create_topic(kafka, name, partitions=2)
    one = member(name, name)
    share_out([one], 2)
    command = ["kcat", "-q", "-b", kafka, "-X", "session.timeout.ms=6000", "-G", name, name]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as other:
        brokers.wait_until(lambda: len(one.partitions) == 1, 20)
        other.kill()
    killed = time.monotonic()
    brokers.wait_until(lambda: len(one.partitions) == 2, 20)
    assert time.monotonic() - killed > 4


def test_nothing_is_lost_and_nothing_read_twice_while_members_come_and_go(kafka, name, member):
    create_topic(kafka, name, partitions=4)
    producer = Producer(kafka)
    sent = [[f"{p}-{i}".encode() for i in range(100)] for p in range(4)]
    members = [member(name, name) for _ in range(2)]
    for i in range(100):
        for p in range(4):
            producer.send(name, sent[p][i], partition=p)
        if i == 30:
            members.append(member(name, name))
        if i == 60:
            members[0].stop()
        time.sleep(0.02)
    producer.flush()
    brokers.wait_until(lambda: committed(kafka, name, name, 4) == [100] * 4, 30)
    read = [entry for one in members for entry in one.read]
    for p in range(4):  # what was read and could not be committed may come twice, nothing may be missing
        assert {o for q, o, _ in read if q == p} == set(range(100))


def test_static_member_restarts_without_a_rebalance(kafka, name, member):
    create_topic(kafka, name, partitions=2)
    one = member(name, name, group_instance_id="one", session_timeout_ms=20000)
    two = member(name, name, group_instance_id="two", session_timeout_ms=20000)
    share_out([one, two], 2)
    had, before = two.partitions, (len(one.given), len(one.taken))
    two.stop()  # a static member does not leave
    again = member(name, name, group_instance_id="two", session_timeout_ms=20000)
    brokers.wait_until(lambda: again.partitions == had, 20)
    assert (len(one.given), len(one.taken)) == before


def test_two_static_members_under_one_name_are_told_apart(kafka, name, member):
    create_topic(kafka, name)
    one = member(name, name, group_instance_id="same", session_timeout_ms=20000)
    share_out([one], 1)
    two = member(name, name, group_instance_id="same", session_timeout_ms=20000)
    share_out([two], 1)
    brokers.wait_until(lambda: any("fenced" in str(e).lower() for e in one.errors), 20)
    one.stop(leave=False)


# -- restarts


def test_offsets_and_members_survive_kill_9(own_broker, own_kafka, name):
    create_topic(own_kafka, name, partitions=2)
    for partition in range(2):
        produce(own_kafka, name, VALUES, partition=partition)
    one = Member(own_kafka, name, name)
    brokers.wait_until(lambda: len(one.read) > 50, 20)
    own_broker.kill()
    own_broker.start()
    assert sum(max(offset, 0) for offset in committed(own_kafka, name, name, 2)) >= 50
    brokers.wait_until(lambda: committed(own_kafka, name, name, 2) == [300, 300], 40)
    assert len({(p, o) for p, o, _ in one.read}) == 600
    one.stop()


def test_a_stable_group_does_not_rebalance_when_the_broker_restarts(own_broker, own_kafka, name):
    if own_broker.name == "kafka":
        pytest.skip("Kafka's start takes longer than the sessions of this test")
    create_topic(own_kafka, name, partitions=2)
    one, two = Member(own_kafka, name, name), Member(own_kafka, name, name)
    share_out([one, two], 2)
    time.sleep(1)
    own_broker.restart()
    given = len(one.given), len(two.given)
    produce(own_kafka, name, VALUES[:10], partition=0)
    produce(own_kafka, name, VALUES[:10], partition=1)
    brokers.wait_until(lambda: committed(own_kafka, name, name, 2) == [10, 10], 20)
    assert (len(one.given), len(two.given)) == given
    assert len(one.read) == len(two.read) == 10
    one.stop()
    two.stop()


# -- looking at groups, and changing them


def describe(kafka, group):
    client = admin(kafka)
    return client.describe_consumer_groups([group], request_timeout=10)[group].result(10)


def test_admin_lists_and_describes_groups(kafka, topic, name, member):
    one = member(name, topic, client_id="a-client")
    share_out([one], 1)
    brokers.wait_until(lambda: describe(kafka, name).state == confluent_kafka.ConsumerGroupState.STABLE, 10)
    found = describe(kafka, name)
    assert not found.is_simple_consumer_group
    assert found.partition_assignor == "range"
    assert [m.client_id for m in found.members] == ["a-client"]
    assert found.members[0].assignment.topic_partitions == [TopicPartition(topic, 0)]
    client = admin(kafka)
    listed = client.list_consumer_groups(request_timeout=10).result(10).valid
    assert [g.state for g in listed if g.group_id == name] == [confluent_kafka.ConsumerGroupState.STABLE]
    one.stop()
    assert describe(kafka, name).state == confluent_kafka.ConsumerGroupState.EMPTY
    states = {confluent_kafka.ConsumerGroupState.STABLE}
    listed = client.list_consumer_groups(request_timeout=10, states=states).result(10).valid
    assert name not in [g.group_id for g in listed]


def test_admin_alters_and_deletes_offsets_and_groups(kafka, topic, name):
    client = admin(kafka)
    produce(kafka, topic, VALUES)
    assert read_group(kafka, name, topic, 10) == VALUES[:10]
    wanted = confluent_kafka.ConsumerGroupTopicPartitions(name, [TopicPartition(topic, 0, 100)])
    client.alter_consumer_group_offsets([wanted])[name].result(10)
    asked = confluent_kafka.ConsumerGroupTopicPartitions(name)
    found = client.list_consumer_group_offsets([asked])[name].result(10)
    assert [(p.topic, p.partition, p.offset) for p in found.topic_partitions] == [(topic, 0, 100)]
    assert read_group(kafka, name, topic, 1) == VALUES[100:101]
    client.delete_consumer_groups([name])[name].result(10)
    assert committed(kafka, name, topic) == [-1001]
    with pytest.raises(confluent_kafka.KafkaException) as error:
        client.delete_consumer_groups([name])[name].result(10)
    assert error.value.args[0].code() == confluent_kafka.KafkaError.GROUP_ID_NOT_FOUND


def test_a_group_with_members_is_neither_altered_nor_deleted(kafka, topic, name, member):
    one = member(name, topic)
    share_out([one], 1)
    client = admin(kafka)
    with pytest.raises(confluent_kafka.KafkaException) as error:
        client.delete_consumer_groups([name])[name].result(10)
    assert error.value.args[0].code() == confluent_kafka.KafkaError.NON_EMPTY_GROUP
    wanted = confluent_kafka.ConsumerGroupTopicPartitions(name, [TopicPartition(topic, 0, 100)])
    altered = client.alter_consumer_group_offsets([wanted])[name].result(10)
    assert altered.topic_partitions[0].error.code() == confluent_kafka.KafkaError.UNKNOWN_MEMBER_ID


def test_offsets_go_with_their_topic(kafka, topic, name):
    produce(kafka, topic, VALUES)
    assert read_group(kafka, name, topic, 50) == VALUES[:50]
    delete_topic(kafka, topic)
    brokers.wait_until(lambda: topic not in topics(kafka), 10)
    create_topic(kafka, topic)
    brokers.wait_until(lambda: committed(kafka, name, topic) == [-1001], 10)


def groups_tool(kafka_tool, kafka, *more, **options):
    return kafka_tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--bootstrap-server",
                      kafka, *more, **options)


@pytest.mark.timeout(180)
def test_javas_group_tool_describes_resets_and_deletes(kafka, topic, name, kafka_tool):
    produce(kafka, topic, VALUES)
    read_group(kafka, name, topic, 120)
    line = [line.split() for line in groups_tool(kafka_tool, kafka, "--describe", "--group",
                                                 name).splitlines() if topic in line][0]
    assert line[:6] == [name, topic, "0", "120", "300", "180"]
    assert name in groups_tool(kafka_tool, kafka, "--list").split()
    state = groups_tool(kafka_tool, kafka, "--describe", "--group", name, "--state")
    assert "Empty" in state
    reset = groups_tool(kafka_tool, kafka, "--group", name, "--topic", topic, "--reset-offsets",
                        "--shift-by", "-20", "--execute")
    assert reset.split()[-1] == "100"
    assert committed(kafka, name, topic) == [100]
    groups_tool(kafka_tool, kafka, "--group", name, "--topic", topic, "--reset-offsets", "--to-earliest",
                "--execute")
    assert read_group(kafka, name, topic, 1) == VALUES[:1]
    deleted = groups_tool(kafka_tool, kafka, "--group", name, "--topic", topic, "--delete-offsets")
    assert "Successful" in deleted
    assert committed(kafka, name, topic) == [-1001]
    groups_tool(kafka_tool, kafka, "--group", name, "--delete")
    assert name not in groups_tool(kafka_tool, kafka, "--list").split()


@pytest.mark.timeout(120)
def test_javas_group_tool_shows_members(kafka, topic, name, kafka_tool, member):
    one = member(name, topic, client_id="a-client")
    share_out([one], 1)
    members = groups_tool(kafka_tool, kafka, "--describe", "--group", name, "--members", "--verbose")
    assert "a-client" in members and "/127.0.0.1" in members and topic in members


# -- the topic behind it


def test_the_groups_topic_is_internal(kafka, topic, name):
    produce(kafka, topic, VALUES[:5])
    read_group(kafka, name, topic, 5)
    found = topics(kafka)["__consumer_offsets"]
    assert len(found.partitions) == 50
    with kafka_raw.Connection(kafka) as raw:
        INVALID_TOPIC = 17
        assert kafka_raw.produce(raw, "__consumer_offsets", 0, kafka_raw.batch([b"x"]))[0] == INVALID_TOPIC


def java_hash(text):
    value = 0
    for char in text:
        value = (31 * value + ord(char)) & 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def test_offsets_can_be_read_from_the_groups_topic(kafka, topic, name):
    produce(kafka, topic, VALUES[:5])
    read_group(kafka, name, topic, 5)
    consumer = confluent_kafka.Consumer({"bootstrap.servers": kafka, "group.id": "unused"})
    where = TopicPartition("__consumer_offsets", abs(java_hash(name)) % 50, 0)
    consumer.assign([where])
    key = b"\0\1" + b"".join(len(t).to_bytes(2, "big") + t.encode() for t in (name, topic)) + b"\0\0\0\0"
    found, deadline = [], time.monotonic() + 10
    while not found and time.monotonic() < deadline:
        found = [m for m in consumer.consume(1000, 0.2) if not m.error() and m.key() == key]
    consumer.close()
    assert found[-1].value()[:2] in (b"\0\3", b"\0\4")  # Kafka 4.1 writes 4, which begins alike
    assert found[-1].value()[2:10] == (5).to_bytes(8, "big")
