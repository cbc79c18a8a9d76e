"""What every client does with a broker: written once, run by each client through its driver."""
import time

import pytest

import kafka_raw
import told
from brokers import wait_until
from clients import Refused
from conftest import consume, create_topic, values_of
from flaky import Flaky

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
SESSION_S = 6  # the shortest that Kafka allows


def numbered(count, first=0, **more):
    return [{"value": f"value {i}", **more} for i in range(first, first + count)]


def spread(count, partitions, first=0):
    return [{"value": f"value {i}", "partition": i % partitions} for i in range(first, first + count)]


def values(records):
    return [one["value"] for one in records]


def offsets(records):
    return [one["offset"] for one in records]


# -- in and out


@pytest.mark.parametrize("codec", CODECS)
def test_records_of_every_codec_and_acks_come_back(client, kafka, topic, codec):
    if f"codec.{codec}" in client.kind.lacks:
        pytest.skip(client.kind.lacks[f"codec.{codec}"])
    reader = client.consumer(kafka, assign=[topic, 0, "earliest"])
    sent = 0
    for acks in ("0", "1", "all"):
        records = [{"key": f"key {i}", "value": f"value {i} " + "x" * (i % 300)} for i in range(sent, sent + 200)]
        producer = client.producer(kafka, acks=acks, codec=codec)
        results = producer.sent(topic, records)
        if acks != "0" and "offsets" not in client.kind.lacks:
            assert offsets(results) == list(range(sent, sent + 200))
        producer.close()
        got = reader.wait(200)
        assert [(r["key"], r["value"]) for r in got] == [(r["key"], r["value"]) for r in records]
        assert offsets(got) == list(range(sent, sent + 200))
        sent += 200
    assert codecs_of(kafka, topic) - {"none"} == {codec} - {"none"}  # what gets no smaller stays as it is
    assert len(consume(kafka, topic, 600)) == 600


def codecs_of(kafka, topic):
    """The codecs of the stored batches."""
    with kafka_raw.Connection(kafka) as raw:
        _, _, stored = kafka_raw.fetch(raw, topic, 0, 0, max_bytes=16 << 20)
    found = set()
    while len(stored) > 61:
        found.add(CODECS[int.from_bytes(stored[21:23], "big") & 7])
        stored = stored[12 + int.from_bytes(stored[8:12], "big"):]
    return found


@pytest.mark.parametrize("size", [1_000_000, 10_000_000], ids=["1MB", "10MB"])
def test_large_records_come_back(client, kafka, name, size):
    create_topic(kafka, name, max_message_bytes="11000000")
    records = [{"value": letter, "repeat": size} for letter in "abc"]
    client.producer(kafka, max_bytes=11_000_000, linger_ms=0).sent(name, records)
    reader = client.consumer(kafka, assign=[name, 0, "earliest"], fetch_bytes=12_000_000)
    got = reader.wait(3, timeout_s=40)
    assert values(got) == [told.shown(letter * size) for letter in "abc"]


def test_the_same_key_goes_to_the_same_partition_in_order(client, kafka, name):
    create_topic(kafka, name, partitions=8)
    records = [{"key": f"key {i % 20}", "value": str(i)} for i in range(400)]
    client.producer(kafka).sent(name, records)
    got = client.consumer(kafka, group=name, topics=[name]).wait(400)
    homes, order = {}, {}
    for one in got:
        homes.setdefault(one["key"], set()).add(one["partition"])
        order.setdefault(one["key"], []).append(int(one["value"]))
    assert len(homes) == 20 and all(len(home) == 1 for home in homes.values())
    assert len(set.union(*homes.values())) > 1
    assert all(numbers == sorted(numbers) for numbers in order.values())


def test_an_idempotent_producer_neither_doubles_nor_reorders(client, kafka, topic):
    with Flaky(kafka) as flaky:
        producer = client.producer(flaky.address, idempotent=True, linger_ms=0)
        for first in range(0, 2000, 50):
            producer.sent(topic, numbered(50, first))
        assert flaky.dropped >= 3
    assert values_of(consume(kafka, topic, 2000)) == [f"value {i}".encode() for i in range(2000)]
    with kafka_raw.Connection(kafka) as raw:
        assert kafka_raw.fetch(raw, topic, 0, 0)[1] == 2000


# -- where reading starts


def test_reading_rewinds_by_offset_and_by_time(client, kafka, topic):
    start_ms = int(time.time() * 1000) - 100_000
    client.producer(kafka).sent(topic, [{"value": str(i), "time": start_ms + i * 1000} for i in range(20)])
    reader = client.consumer(kafka, assign=[topic, 0, "earliest"])
    assert offsets(reader.wait(20)) == list(range(20))
    reader.call("seek", topic=topic, partition=0, offset=5)
    assert offsets(reader.wait(15)) == list(range(5, 20))
    found = reader.call("seek_time", topic=topic, partition=0, time=start_ms + 11_500)
    assert found["offset"] == 12
    assert offsets(reader.wait(8)) == list(range(12, 20))


def test_a_new_group_starts_at_the_earliest_or_the_latest(client, kafka, topic, name):
    producer = client.producer(kafka)
    producer.sent(topic, numbered(5))
    early = client.consumer(kafka, group=name + "-early", topics=[topic], reset="earliest")
    assert values(early.wait(5)) == [f"value {i}" for i in range(5)]
    late = client.consumer(kafka, group=name + "-late", topics=[topic], reset="latest")

    def arrives():
        producer.sent(topic, [{"value": "later"}])
        time.sleep(0.3)
        return late.look().records

    first = wait_until(arrives, 20, what="a record for the latest")[0]
    assert first["value"] == "later" and first["offset"] >= 5


def test_a_new_group_without_a_start_gets_an_error(client, kafka, topic, name):
    client.producer(kafka).sent(topic, numbered(5))
    reader = client.consumer(kafka, group=name, topics=[topic], reset="none")
    reader.wait_error()
    reader.nothing_more()


def test_fetch_min_bytes_and_max_wait_are_held(client, kafka, topic):
    producer = client.producer(kafka, linger_ms=0).opened()
    reader = client.consumer(kafka, assign=[topic, 0, "earliest"], min_bytes=50_000, wait_ms=4000)
    time.sleep(1)
    before = time.monotonic()
    producer.sent(topic, [{"value": "small"}])
    reader.nothing_more(1)
    assert values(reader.wait(1)) == ["small"]
    assert time.monotonic() - before < 6
    time.sleep(0.3)
    before = time.monotonic()
    producer.sent(topic, [{"value": "x", "repeat": 60_000}])
    reader.wait(1)
    assert time.monotonic() - before < 1.5


# -- groups


def group_of(kafka, group):
    """{client id: its partitions} as the broker tells it."""
    return told.described_group(kafka, group)


def until_shared(kafka, group, members, partitions):
    """Wait until so many members have so many partitions between them, each about as many."""

    def shared():
        found = group_of(kafka, group)
        sizes = [len(one) for one in found.values()]
        return len(sizes) == members and min(sizes) == partitions // members and sum(sizes) == partitions and found

    return wait_until(shared, 30, 0.1, what=f"{members} members share {partitions} partitions")


def test_two_groups_each_get_every_record(client, kafka, topic4, name):
    readers = [client.consumer(kafka, group=f"{name}-{i}", topics=[topic4]) for i in range(2)]
    client.producer(kafka).sent(topic4, spread(100, 4))
    for reader in readers:
        assert sorted(values(reader.wait(100))) == sorted(values(numbered(100)))
        reader.nothing_more(0.2)


def test_a_group_splits_the_partitions_and_a_survivor_takes_over(client, victim, kafka, topic4, name):
    producer = client.producer(kafka)
    survivor = client.consumer(kafka, group=name, topics=[topic4])
    dying = victim.consumer(kafka, group=name, topics=[topic4])
    until_shared(kafka, name, 2, 4)
    producer.sent(topic4, spread(40, 4))
    one, other = survivor.wait(20), dying.wait(20)
    assert sorted(values(one + other)) == sorted(values(numbered(40)))
    assert {r["partition"] for r in one}.isdisjoint(r["partition"] for r in other)
    survivor.call("commit")
    dying.call("commit")
    victim.kill()
    died = time.monotonic()
    producer.sent(topic4, spread(40, 4, 40))
    survivor.wait_all(values(numbered(40, 40)), SESSION_S + 10)
    assert 1 < time.monotonic() - died < SESSION_S + 8


def test_a_static_member_comes_back_without_a_rebalance(client, kafka, topic4, name):
    staying = client.consumer(kafka, group=name, topics=[topic4], instance="staying", session_ms=20_000)
    going = client.consumer(kafka, group=name, topics=[topic4], instance="going", session_ms=20_000)
    before = until_shared(kafka, name, 2, 4)
    client.producer(kafka).sent(topic4, spread(40, 4))
    mine = {r["partition"] for r in going.wait(20)}
    staying.wait(20)
    going.call("commit")
    staying.call("commit")
    events = len(staying.events)
    going.close()
    time.sleep(0.5)
    again = client.consumer(kafka, group=name, topics=[topic4], instance="going", session_ms=20_000)
    client.producer(kafka).sent(topic4, spread(40, 4, 40))
    assert {r["partition"] for r in again.wait(20)} == mine
    staying.wait(20)
    assert len(staying.look().events) == events, staying.events
    after = group_of(kafka, name)
    assert sorted(map(sorted, after.values())) == sorted(map(sorted, before.values()))


def test_a_cooperative_group_moves_only_what_must_move(client, kafka, topic4, name):
    first = client.consumer(kafka, group=name, topics=[topic4], strategy="cooperative")
    until_shared(kafka, name, 1, 4)
    client.producer(kafka).sent(topic4, spread(40, 4))
    first.wait(40)
    first.call("commit")
    second = client.consumer(kafka, group=name, topics=[topic4], strategy="cooperative")
    until_shared(kafka, name, 2, 4)
    client.producer(kafka).sent(topic4, spread(40, 4, 40))
    one, other = first.wait(20), second.wait(20)
    assert sorted(values(one + other)) == sorted(values(numbered(40, 40)))
    revoked = [p for event in first.events if event.startswith("-") for p in event[1:].split(",") if p]
    assert len(revoked) == 2, first.events


def test_reading_resumes_at_what_was_committed_by_hand(client, kafka, topic, name):
    producer = client.producer(kafka)
    producer.sent(topic, numbered(10))
    first = client.consumer(kafka, group=name, topics=[topic])
    first.wait(10)
    first.call("commit")
    assert first.call("committed", topic=topic, partition=0)["offset"] == 10
    producer.sent(topic, numbered(10, 10))
    assert offsets(first.wait(10)) == list(range(10, 20))
    first.close()
    again = client.consumer(kafka, group=name, topics=[topic])
    assert offsets(again.wait(10)) == list(range(10, 20))
    again.nothing_more(0.3)


def test_reading_resumes_at_what_was_committed_automatically(client, kafka, topic, name):
    producer = client.producer(kafka)
    producer.sent(topic, numbered(10))
    first = client.consumer(kafka, group=name, topics=[topic], auto_commit=True)
    first.wait(10)
    wait_until(lambda: told.committed(kafka, name, topic) == 10, 15, 0.1, what="the automatic commit")
    first.close()
    producer.sent(topic, numbered(5, 10))
    again = client.consumer(kafka, group=name, topics=[topic], auto_commit=True)
    assert offsets(again.wait(5)) == list(range(10, 15))
    again.nothing_more(0.3)


def test_work_goes_on_when_the_broker_restarts(client, own_broker, own_kafka, name):
    create_topic(own_kafka, name)
    producer = client.producer(own_kafka)
    reader = client.consumer(own_kafka, group=name, topics=[name])

    def committed():
        try:
            reader.call("commit")
        except Refused:  # the connection was the old one
            return False
        # sarama's Commit() keeps it to itself when that happens
        return told.committed(own_kafka, name, name) == 1 + max(one["offset"] for one in reader.records)

    def pass_on(first):
        wait_until(lambda: all("code" not in one for one in producer.send(name, numbered(1, first))), 60,
                   what="a record is taken")
        producer.sent(name, numbered(19, first + 1))
        wait_until(lambda: f"value {first + 19}" in values(reader.look().records), 60, what="the records come")
        wait_until(committed, 20, what="a commit")

    pass_on(0)
    own_broker.restart()
    pass_on(100)
    own_broker.kill()
    own_broker.start()
    pass_on(200)
    got = list(dict.fromkeys(values(reader.records)))  # a commit that was lost brings some again
    wanted = values(numbered(20) + numbered(20, 100) + numbered(20, 200))
    assert got == wanted
    reader.close()
    producer.sent(name, numbered(1, 300))
    again = client.consumer(own_kafka, group=name, topics=[name])
    assert values(again.wait(1, 30)) == ["value 300"]


# -- refusals


def refusal(client, kafka, topic, record, **config):
    """The code with which a record is refused; the client keeps working."""
    result, = client.producer(kafka, retries=0, linger_ms=0, **config).send(topic, [record])
    assert "code" in result, result
    return result["code"]


def test_a_record_too_large_is_refused(client, kafka, topic):
    assert refusal(client, kafka, topic, {"value": "x", "repeat": 2_000_000}, max_bytes=6_000_000) == 10
    client.producer(kafka).sent(topic, numbered(1))


def test_a_timestamp_out_of_bounds_is_refused(client, kafka, name):
    create_topic(kafka, name, message_timestamp_before_max_ms="60000", message_timestamp_after_max_ms="60000")
    assert refusal(client, kafka, name, {"value": "old", "time": 1_600_000_000_000}) == 32
    assert refusal(client, kafka, name, {"value": "new", "time": int(time.time() * 1000) + 600_000}) == 32


def test_a_record_without_a_key_is_refused_by_a_compacted_topic(client, kafka, name):
    create_topic(kafka, name, cleanup_policy="compact")
    assert refusal(client, kafka, name, {"value": "no key"}) == 87
    client.producer(kafka).sent(name, [{"key": "key", "value": "value"}])


def test_no_more_replicas_are_asked_for_than_the_topic_has(client, kafka, name):
    """KIP-966: min.insync.replicas above the replication factor refuses nobody."""
    create_topic(kafka, name, min_insync_replicas="2")
    client.producer(kafka, acks="all").sent(name, numbered(1))
    client.producer(kafka, acks="1").sent(name, numbered(1))


def refused(call, *arguments, **more):
    with pytest.raises(Refused) as error:
        call(*arguments, **more)
    return error.value.code


def test_administration_is_refused_with_kafkas_codes(client, kafka, topic, name):
    admin = client.admin(kafka)
    assert refused(admin.call, "create_topic", topic="not a name") == 17
    assert refused(admin.call, "create_topic", topic="x" * 250) == 17
    assert refused(admin.call, "create_topic", topic="..") == 17
    assert refused(admin.call, "create_topic", topic=topic) == 36
    assert refused(admin.call, "create_topic", topic=name + "-new", partitions=0) == 37
    assert refused(admin.call, "create_topic", topic=name + "-new", replicas=0) == 38
    assert refused(admin.call, "create_topic", topic=name + "-new", config={"no.such.key": "1"}) == 40
    assert refused(admin.call, "delete_topic", topic=name + "-missing") == 3


# -- administration


def test_administration(client, kafka, name):
    admin = client.admin(kafka)
    lacks = client.kind.lacks
    admin.call("create_topic", topic=name, config={"retention.ms": "7200000"})
    wait_until(lambda: admin.call("list_topics")["topics"].get(name) == 1, what="the topic is listed")
    if "admin.describe_config" not in lacks:
        assert admin.call("describe_config", topic=name)["config"]["retention.ms"] == "7200000"
    if "admin.alter_config" not in lacks:
        admin.call("alter_config", topic=name, key="retention.ms", value="3600000")
        wait_until(lambda: told.topic_config(kafka, name)["retention.ms"] == "3600000", what="the new value")
    if "admin.add_partitions" not in lacks:
        admin.call("add_partitions", topic=name, partitions=3)
        wait_until(lambda: admin.call("list_topics")["topics"].get(name) == 3, what="three partitions")
    client.producer(kafka).sent(name, numbered(10, partition=0))
    if "admin.delete_records" not in lacks:
        assert admin.call("delete_records", topic=name, partition=0, offset=4)["low"] == 4
        assert consume(kafka, name, 1, offset=4)[0].offset() == 4
    admin.call("delete_topic", topic=name)
    wait_until(lambda: name not in admin.call("list_topics")["topics"], what="the topic is gone")


def test_administration_of_groups(client, kafka, topic, name):
    admin = client.admin(kafka)
    lacks = client.kind.lacks
    client.producer(kafka).sent(topic, numbered(10))
    reader = client.consumer(kafka, group=name, topics=[topic])
    reader.wait(10)
    reader.call("commit")
    assert name in admin.call("list_groups")["groups"]
    if "admin.describe_group" not in lacks:
        found = admin.call("describe_group", group=name)
        assert found["state"] == "STABLE" and len(found["members"]) == 1
    if "admin.group_offsets" not in lacks:
        assert admin.call("group_offsets", group=name)["offsets"][f"{topic}/0"] == 10
    if "admin.delete_group" in lacks:
        return
    assert refused(admin.call, "delete_group", group=name) == 68
    reader.close()
    wait_until(lambda: not group_of(kafka, name), what="the group is empty")
    admin.call("delete_group", group=name)
    assert name not in admin.call("list_groups")["groups"]
    assert refused(admin.call, "delete_group", group=name) == 69
