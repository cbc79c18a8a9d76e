"""Kafka clients produce and consume: what went in comes out, whole, in order, whoever asks."""
import time

import confluent_kafka
import pytest

import kafka_raw
from conftest import (Producer, consume, create_topic, delete_topic, new_consumer, produce, run, topics,
                      values_of, watermarks)

START_MS = int(time.time() * 1000) - 200_000  # retention would take what is old


def numbered(count, size=20):
    return [f"message {i} ".encode().ljust(size, b".") for i in range(count)]


def test_messages_come_back_in_order_and_byte_equal(kafka, topic):
    values = [bytes([i % 256]) * (i % 700) for i in range(3000)]
    acked = produce(kafka, topic, values)
    assert [m.offset() for m in acked] == list(range(3000))
    read = consume(kafka, topic, 3000)
    assert values_of(read) == values
    assert [m.offset() for m in read] == list(range(3000))


def test_keys_headers_timestamps_and_nulls_are_kept(kafka, topic):
    producer = Producer(kafka)
    headers = [("trace", b"\x00\xff"), ("trace", b"again"), ("empty", b""), ("none", None)]
    producer.send(topic, b"value", b"key", headers=headers, timestamp=START_MS + 123)
    producer.send(topic, None, b"tombstone", timestamp=START_MS + 124)
    producer.send(topic, b"", None, timestamp=START_MS + 125)
    producer.flush()
    one, two, three = consume(kafka, topic, 3)
    assert (one.key(), one.value(), one.headers()) == (b"key", b"value", headers)
    assert one.timestamp() == (confluent_kafka.TIMESTAMP_CREATE_TIME, START_MS + 123)
    assert (two.key(), two.value()) == (b"tombstone", None)
    assert (three.key(), three.value()) == (None, b"")


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_every_kind_of_acknowledgement_stores_the_messages(kafka, topic, acks):
    produce(kafka, topic, numbered(500), acks=acks)
    assert values_of(consume(kafka, topic, 500)) == numbered(500)


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_codec_passes_through(kafka, topic, codec):
    produce(kafka, topic, numbered(2000, 100), compression_type=codec)
    assert values_of(consume(kafka, topic, 2000)) == numbered(2000, 100)
    with kafka_raw.Connection(kafka) as raw:
        _, _, stored = kafka_raw.fetch(raw, topic, 0, 0)
    attributes = int.from_bytes(stored[21:23], "big")
    assert attributes & 7 == ["none", "gzip", "snappy", "lz4", "zstd"].index(codec)


def test_a_batch_is_stored_byte_for_byte_but_for_its_offset_and_epoch(kafka, topic):
    sent = kafka_raw.batch([b"one", b"two"])
    with kafka_raw.Connection(kafka) as raw:
        assert kafka_raw.produce(raw, topic, 0, kafka_raw.batch([b"zero"])) == (0, 0)
        assert kafka_raw.produce(raw, topic, 0, sent) == (0, 1)
        _, high, stored = kafka_raw.fetch(raw, topic, 0, 1)
    assert high == 3
    assert int.from_bytes(stored[:8], "big") == 1
    assert stored[8:12] == sent[8:12]
    assert stored[16:] == sent[16:]


@pytest.mark.parametrize("size", [1_000_000, 5_000_000])
def test_large_messages(kafka, name, size):
    create_topic(kafka, name, max_message_bytes="6000000")
    values = [bytes([65 + i]) * size for i in range(4)]
    produce(kafka, name, values, message_max_bytes=6_000_000, linger_ms=0)
    read = consume(kafka, name, 4, fetch_message_max_bytes=1_000_000)
    assert values_of(read) == values


def test_a_message_over_the_topics_limit_is_refused_and_others_go_on(kafka, topic):
    producer = Producer(kafka, message_max_bytes=6_000_000, linger_ms=0)
    producer.send(topic, b"x" * 2_000_000)
    producer.inner.flush(20)
    (error, _), = producer.failed
    assert error.code() == confluent_kafka.KafkaError.MSG_SIZE_TOO_LARGE
    produce(kafka, topic, [b"small"])
    assert values_of(consume(kafka, topic, 1)) == [b"small"]


def test_many_partitions_each_keep_their_own_order(kafka, name):
    create_topic(kafka, name, partitions=50)
    producer = Producer(kafka)
    for i in range(5000):
        producer.send(name, str(i).encode(), partition=i % 50)
    producer.flush()
    for partition in range(0, 50, 7):
        wanted = [str(i).encode() for i in range(partition, 5000, 50)]
        assert values_of(consume(kafka, name, 100, partition)) == wanted
        assert watermarks(kafka, name, partition) == (0, 100)


def test_the_key_alone_chooses_the_partition(kafka, name):
    create_topic(kafka, name, partitions=8)
    producer = Producer(kafka)
    for i in range(400):
        producer.send(name, str(i).encode(), f"key{i % 20}".encode(), partition=-1)
    homes = {}
    for message in producer.flush():
        homes.setdefault(message.key(), set()).add(message.partition())
    assert len(homes) == 20 and all(len(home) == 1 for home in homes.values())


def test_an_idempotent_producer_is_served(kafka, topic):
    produce(kafka, topic, numbered(1000), enable_idempotence=True)
    assert values_of(consume(kafka, topic, 1000)) == numbered(1000)


def test_offsets_are_found_by_time(kafka, topic):
    producer = Producer(kafka)
    for i in range(100):
        producer.send(topic, str(i).encode(), timestamp=START_MS + i * 1000)
        if i % 10 == 9:
            producer.flush()
    consumer = new_consumer(kafka)
    try:
        def at(time_ms):
            where = confluent_kafka.TopicPartition(topic, 0, time_ms)
            return consumer.offsets_for_times([where], 10)[0].offset
        assert at(START_MS) == 0
        assert at(START_MS + 42_000) == 42
        assert at(START_MS + 42_001) == 43
        assert at(START_MS - 1_000_000) == 0
        assert at(START_MS + 99_001) == confluent_kafka.OFFSET_END
    finally:
        consumer.close()


def test_a_waiting_consumer_gets_a_message_when_it_arrives(kafka, topic):
    consumer = new_consumer(kafka, fetch_wait_max_ms=5000)
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    try:
        assert consumer.poll(1.0) is None
        with kafka_raw.Connection(kafka) as raw:
            before = time.monotonic()
            assert kafka_raw.produce(raw, topic, 0, kafka_raw.batch([b"now"])) == (0, 0)
            message = consumer.poll(4.0)
        assert message is not None and message.value() == b"now"
        assert time.monotonic() - before < 1
    finally:
        consumer.close()


def test_a_consumer_that_waits_is_told_offsets_at_once(request, kafka, topic):
    if request.config.getoption("--broker") == "kafka":
        pytest.skip("the answer waits for that of the fetch before it, half a second")
    consumer = new_consumer(kafka)
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    took = []
    for _ in range(5):
        assert consumer.poll(0.2) is None
        started = time.monotonic()
        assert consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, 0), timeout=5) == (0, 0)
        took.append(time.monotonic() - started)
    consumer.close()
    assert sorted(took)[2] < 0.1


def test_a_fetch_beyond_the_end_says_out_of_range(kafka, topic):
    produce(kafka, topic, numbered(3))
    with kafka_raw.Connection(kafka) as raw:
        assert kafka_raw.fetch(raw, topic, 0, 4)[0] == 1
        assert kafka_raw.fetch(raw, topic, 0, 3)[0] == 0


def test_an_unknown_topic_is_not_invented_by_reading(kafka, name):
    with kafka_raw.Connection(kafka) as raw:
        assert kafka_raw.fetch(raw, name, 0, 0)[0] == 3
    assert name not in topics(kafka)


def test_a_batch_with_a_wrong_checksum_is_refused_and_not_stored(kafka, topic):
    broken = bytearray(kafka_raw.batch([b"value"]))
    broken[-1] ^= 1
    with kafka_raw.Connection(kafka) as raw:
        assert kafka_raw.produce(raw, topic, 0, bytes(broken))[0] in (2, 87)
        assert kafka_raw.fetch(raw, topic, 0, 0, wait_ms=0) == (0, 0, b"")


def test_pipelined_requests_are_answered_in_their_order(kafka, topic):
    with kafka_raw.Connection(kafka) as raw:
        sent = []
        for i in range(50):
            body = kafka_raw.produce_body(topic, 0, kafka_raw.batch([str(i).encode()]))
            sent.append(raw.send(kafka_raw.PRODUCE, 7, body))
        assert [raw.receive()[0] for _ in sent] == sent
    assert values_of(consume(kafka, topic, 50)) == [str(i).encode() for i in range(50)]


def test_topics_are_created_listed_and_deleted(kafka, name):
    create_topic(kafka, name, partitions=3)
    assert sorted(topics(kafka)[name].partitions) == [0, 1, 2]
    with pytest.raises(confluent_kafka.KafkaException) as refused:
        create_topic(kafka, name)
    assert refused.value.args[0].code() == confluent_kafka.KafkaError.TOPIC_ALREADY_EXISTS
    produce(kafka, name, [b"old"])
    delete_topic(kafka, name)
    deadline = time.monotonic() + 10
    while name in topics(kafka):
        assert time.monotonic() < deadline
    create_topic(kafka, name)
    assert watermarks(kafka, name) == (0, 0)


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "with space", "x" * 250])
def test_bad_topic_names_are_refused(kafka, bad):
    with pytest.raises((confluent_kafka.KafkaException, ValueError)):
        create_topic(kafka, bad)


# -- the same messages through other clients


def test_kcat_reads_what_it_wrote(kafka, topic):
    lines = b"".join(f"line {i}\n".encode() for i in range(1000))
    run(["kcat", "-P", "-b", kafka, "-t", topic, "-p", "0"], input=lines)
    assert run(["kcat", "-C", "-b", kafka, "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q"]) == lines


def test_kcat_lists_the_metadata(kafka, topic):
    listed = run(["kcat", "-L", "-b", kafka]).decode()
    assert f'topic "{topic}" with 1 partitions' in listed


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_an_old_librdkafka_keeps_its_codecs(kafka, topic, codec):
    run(["kcat", "-P", "-b", kafka, "-t", topic, "-p", "0", "-z", codec], input=b"packed\n" * 500)
    with kafka_raw.Connection(kafka) as raw:
        _, _, stored = kafka_raw.fetch(raw, topic, 0, 0)
    assert int.from_bytes(stored[21:23], "big") & 7 == 1 + ["gzip", "snappy", "lz4", "zstd"].index(codec)
    assert values_of(consume(kafka, topic, 500)) == [b"packed"] * 500


def test_kafka_python_reads_what_it_wrote(kafka, topic):
    client = pytest.importorskip("kafka")
    producer = client.KafkaProducer(bootstrap_servers=kafka, acks="all", compression_type="gzip")
    sent = [producer.send(topic, value, partition=0, headers=[("h", b"1")]) for value in numbered(500)]
    assert [future.get(20).offset for future in sent] == list(range(500))
    producer.close()
    consumer = client.KafkaConsumer(bootstrap_servers=kafka, consumer_timeout_ms=10_000)
    where = client.TopicPartition(topic, 0)
    consumer.assign([where])
    consumer.seek_to_beginning(where)
    read = []
    for message in consumer:
        read.append((message.value, message.headers))
        if len(read) == 500:
            break
    consumer.close()
    assert read == [(value, [("h", b"1")]) for value in numbered(500)]


def console_consume(kafka_tool, kafka, topic, count, *more):
    return kafka_tool(
        "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", kafka, "--topic", topic,
        "--partition", 0, "--offset", "earliest", "--max-messages", count, "--timeout-ms", 20_000, *more)


def console_produce(kafka_tool, kafka, topic, lines, *more):
    kafka_tool("org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", kafka, "--topic", topic,
               *more, input=lines.encode())


def test_kafkas_console_producer_works_as_it_comes(kafka, topic, kafka_tool):
    console_produce(kafka_tool, kafka, topic, "one\ntwo\n")
    assert values_of(consume(kafka, topic, 2)) == [b"one", b"two"]


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_kafkas_console_tools_read_what_they_wrote(kafka, topic, kafka_tool, codec):
    lines = "".join(f"line {i}\n" for i in range(300))
    console_produce(kafka_tool, kafka, topic, lines, "--compression-codec", codec,
                    "--producer-property", "enable.idempotence=false")
    with kafka_raw.Connection(kafka) as raw:
        _, _, stored = kafka_raw.fetch(raw, topic, 0, 0)
    assert int.from_bytes(stored[21:23], "big") & 7 == {"lz4": 3, "zstd": 4}[codec]
    assert console_consume(kafka_tool, kafka, topic, 300) == lines
    assert values_of(consume(kafka, topic, 300)) == [
        line.encode() for line in lines.splitlines()]


def test_kafkas_console_consumer_reads_what_librdkafka_wrote(kafka, topic, kafka_tool):
    producer = Producer(kafka, compression_type="zstd")
    for i in range(50):
        producer.send(topic, f"v{i}".encode(), f"k{i}".encode(), headers=[("h", b"x")])
    producer.flush()
    printed = console_consume(kafka_tool, kafka, topic, 50, "--property", "print.key=true",
                              "--property", "print.headers=true")
    assert printed.splitlines() == [f"h:x\tk{i}\tv{i}" for i in range(50)]


def test_kafkas_topic_tool_creates_lists_and_deletes(kafka, name, kafka_tool):
    tool = ["org.apache.kafka.tools.TopicCommand", "--bootstrap-server", kafka]
    kafka_tool(*tool, "--topic", name, "--create", "--partitions", 4)
    assert name in kafka_tool(*tool, "--list").split()
    assert len(topics(kafka)[name].partitions) == 4
    kafka_tool(*tool, "--topic", name, "--delete")
    assert name not in topics(kafka)


def test_kafkas_topic_tool_describes(kafka, topic, kafka_tool):
    described = kafka_tool("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", kafka, "--topic", topic,
                           "--describe")
    assert "PartitionCount: 1" in described and described.count("Leader: ") == 1


def test_kafkas_offset_tool_sees_the_ends_and_the_latest_timestamp(kafka, topic, kafka_tool):
    producer = Producer(kafka)
    for i, time_ms in enumerate([5, 7, 9, 30, 20, 10, 6]):
        producer.send(topic, str(i).encode(), timestamp=START_MS + time_ms)
    producer.flush()
    tool = ["org.apache.kafka.tools.GetOffsetShell", "--bootstrap-server", kafka, "--topic", topic]
    assert kafka_tool(*tool, "--time", -2).strip() == f"{topic}:0:0"
    assert kafka_tool(*tool, "--time", -1).strip() == f"{topic}:0:7"
    assert kafka_tool(*tool, "--time", -3).strip() == f"{topic}:0:3"


def test_kafkas_api_versions_tool_understands_the_broker(kafka, kafka_tool):
    printed = kafka_tool("org.apache.kafka.tools.BrokerApiVersionsCommand", "--bootstrap-server", kafka)
    for api in ("Produce(0)", "Fetch(1)", "ListOffsets(2)", "Metadata(3)", "ApiVersions(18)"):
        assert f"{api}: " in printed and f"{api}: UNSUPPORTED" not in printed
