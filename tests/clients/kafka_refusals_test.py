"""Requests that no client library sends are refused with Kafka's own codes."""
import struct

import pytest

import kafka_raw
from brokers import wait_until
from conftest import consume, create_topic, produce, values_of
from kafka_raw import blob, text

OFFSET_COMMIT, FIND_COORDINATOR, JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP = 8, 10, 11, 12, 13, 14

CORRUPT_MESSAGE, UNKNOWN_TOPIC, MESSAGE_TOO_LARGE, INVALID_TOPIC = 2, 3, 10, 17
ILLEGAL_GENERATION, INCONSISTENT_PROTOCOL, UNKNOWN_MEMBER, INVALID_SESSION_TIMEOUT = 22, 23, 25, 26
INVALID_TIMESTAMP, INVALID_GROUP_ID = 32, 24

SUBSCRIPTION = struct.pack(">hii", 0, 0, -1)  # version, no topics, no user data


@pytest.fixture
def raw(kafka):
    with kafka_raw.Connection(kafka) as one:
        yield one


def test_a_batch_with_a_bad_checksum_is_refused_and_not_stored(raw, kafka, topic):
    good = kafka_raw.batch([b"good"])
    for at in (len(good) - 1, 21, 40):
        bad = bytearray(good)
        bad[at] ^= 1
        assert kafka_raw.produce(raw, topic, 0, bytes(bad))[0] == CORRUPT_MESSAGE
    assert kafka_raw.produce(raw, topic, 0, good) == (0, 0)
    assert values_of(consume(kafka, topic, 1)) == [b"good"]
    assert kafka_raw.fetch(raw, topic, 0, 0)[1] == 1


def test_producing_to_what_does_not_exist_is_refused(raw, topic, name):
    good = kafka_raw.batch([b"good"])
    assert kafka_raw.produce(raw, name + "-missing", 0, good)[0] == UNKNOWN_TOPIC
    assert kafka_raw.produce(raw, topic, 7, good)[0] == UNKNOWN_TOPIC


def test_a_batch_above_the_topics_limit_or_out_of_its_time_is_refused(raw, kafka, name):
    create_topic(kafka, name, max_message_bytes="1000", message_timestamp_before_max_ms="60000")
    assert kafka_raw.produce(raw, name, 0, kafka_raw.batch([b"x" * 1000]))[0] == MESSAGE_TOO_LARGE
    assert kafka_raw.produce(raw, name, 0, kafka_raw.batch([b"old"], 1_600_000_000_000))[0] == INVALID_TIMESTAMP


def join(raw, group, member="", session_ms=6000, protocol="range", kind="consumer"):
    """JoinGroup v0: (error, generation, member id)."""
    body = text(group) + struct.pack(">i", session_ms) + text(member) + text(kind)
    body += struct.pack(">i", 1) + text(protocol) + blob(SUBSCRIPTION)
    answer = raw.call(JOIN_GROUP, 0, body)
    error, generation = struct.unpack(">hi", answer[:6])
    at, texts = 6, []
    for _ in range(3):  # protocol, leader, member
        size, = struct.unpack(">h", answer[at:at + 2])
        texts.append(answer[at + 2:at + 2 + size].decode())
        at += 2 + max(size, 0)
    return error, generation, texts[2]


def sync(raw, group, generation, member):
    body = text(group) + struct.pack(">i", generation) + text(member)
    body += struct.pack(">i", 1) + text(member) + blob(b"assignment")
    return struct.unpack(">h", raw.call(SYNC_GROUP, 0, body)[:2])[0]


def heartbeat(raw, group, generation, member):
    body = text(group) + struct.pack(">i", generation) + text(member)
    return struct.unpack(">h", raw.call(HEARTBEAT, 0, body))[0]


def leave(raw, group, member):
    return struct.unpack(">h", raw.call(LEAVE_GROUP, 0, text(group) + text(member)))[0]


def commit(raw, group, generation, member, topic, offset=1):
    """OffsetCommit v2 of partition 0: its error."""
    body = text(group) + struct.pack(">i", generation) + text(member) + struct.pack(">q", -1)
    body += struct.pack(">i", 1) + text(topic) + struct.pack(">iiq", 1, 0, offset) + text("")
    return struct.unpack(">h", raw.call(OFFSET_COMMIT, 2, body)[-2:])[0]


@pytest.fixture
def group(raw, name):
    """A name of a group whose coordinator is there; Kafka makes its own at the first question."""
    raw.call(FIND_COORDINATOR, 0, text(name))
    wait_until(lambda: heartbeat(raw, name, 0, "nobody") == UNKNOWN_MEMBER, 20, 0.2, what="the coordinator")
    return name


@pytest.fixture
def stable(raw, group):
    """A group of one member: (group, generation, member)."""
    error, generation, member = join(raw, group)
    assert error == 0 and member
    assert sync(raw, group, generation, member) == 0
    return group, generation, member


def test_a_wrong_generation_is_refused(raw, topic, stable):
    group, generation, member = stable
    assert heartbeat(raw, group, generation, member) == 0
    for wrong in (generation - 1, generation + 1):
        assert heartbeat(raw, group, wrong, member) == ILLEGAL_GENERATION
        assert sync(raw, group, wrong, member) == ILLEGAL_GENERATION
        assert commit(raw, group, wrong, member, topic) == ILLEGAL_GENERATION
    assert commit(raw, group, generation, member, topic) == 0


def test_an_unknown_member_is_refused(raw, topic, stable):
    group, generation, member = stable
    assert heartbeat(raw, group, generation, "stranger") == UNKNOWN_MEMBER
    assert sync(raw, group, generation, "stranger") == UNKNOWN_MEMBER
    assert commit(raw, group, generation, "stranger", topic) == UNKNOWN_MEMBER
    assert leave(raw, group, "stranger") == UNKNOWN_MEMBER
    assert join(raw, group, "stranger")[0] == UNKNOWN_MEMBER
    assert commit(raw, group, -1, "", topic) == UNKNOWN_MEMBER  # a group with members takes no outsider
    assert leave(raw, group, member) == 0
    assert heartbeat(raw, group, generation, member) == UNKNOWN_MEMBER
    assert commit(raw, group, -1, "", topic) == 0


def test_a_member_that_does_not_fit_the_group_is_refused(raw, stable):
    group, _, _ = stable
    assert join(raw, group, protocol="other")[0] == INCONSISTENT_PROTOCOL
    assert join(raw, group, kind="connect")[0] == INCONSISTENT_PROTOCOL


def test_groups_out_of_bounds_are_refused(raw, group):
    assert join(raw, group, session_ms=5999)[0] == INVALID_SESSION_TIMEOUT
    assert join(raw, group, session_ms=1_800_001)[0] == INVALID_SESSION_TIMEOUT
    assert join(raw, "")[0] == INVALID_GROUP_ID


def test_a_refused_record_leaves_the_good_ones_of_others(kafka, topic):
    produce(kafka, topic, [b"one"])
    with kafka_raw.Connection(kafka) as raw:
        bad = bytearray(kafka_raw.batch([b"bad"]))
        bad[-1] ^= 1
        assert kafka_raw.produce(raw, topic, 0, bytes(bad))[0] == CORRUPT_MESSAGE
    produce(kafka, topic, [b"two"])
    assert values_of(consume(kafka, topic, 2)) == [b"one", b"two"]
