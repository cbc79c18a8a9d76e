"""Topics that look into what is produced: another codec, keys, bounds of timestamps."""
import time

import confluent_kafka
import pytest

import kafka_raw
from conftest import Producer, consume, create_topic, values_of

CODECS = {"uncompressed": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def stored_codecs(kafka, name, count):
    """Of the batches from the start on that hold `count` records."""
    codecs, at = set(), 0
    with kafka_raw.Connection(kafka) as raw:
        while at < count:
            _, _, stored = kafka_raw.fetch(raw, name, 0, at)
            codecs.add(int.from_bytes(stored[21:23], "big") & 7)
            at = int.from_bytes(stored[:8], "big") + int.from_bytes(stored[23:27], "big") + 1
    return codecs


@pytest.mark.parametrize("produced", ["none", "zstd"])
@pytest.mark.parametrize("codec", CODECS)
def test_batches_are_stored_in_the_topics_codec_and_every_record_is_there(kafka, name, codec, produced):
    create_topic(kafka, name, compression_type=codec)
    values = [b"%d " % i * 20 for i in range(2000)]
    producer = Producer(kafka, enable_idempotence=True, compression_type=produced, linger_ms=2,
                        batch_num_messages=100)
    for value in values:
        producer.send(name, value, key=b"k", headers=[("h", b"x")])
    producer.flush()
    messages = consume(kafka, name, len(values))
    assert values_of(messages) == values
    assert messages[-1].key() == b"k" and messages[-1].headers() == [("h", b"x")]
    assert stored_codecs(kafka, name, len(values)) == {CODECS[codec]}


def test_kafkas_consumer_reads_what_was_compressed_anew(kafka, name, kafka_tool):
    for codec in ("lz4", "snappy"):
        topic = f"{name}-{codec}"
        create_topic(kafka, topic, compression_type=codec)
        producer = Producer(kafka)
        for i in range(1000):
            producer.send(topic, b"line %d" % i)
        producer.flush()
        printed = kafka_tool("org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", kafka,
                             "--topic", topic, "--partition", 0, "--offset", "earliest", "--max-messages", 1000,
                             "--timeout-ms", 15000)
        assert printed.splitlines() == [f"line {i}" for i in range(1000)]


def test_old_records_are_refused_where_a_topic_bounds_them(kafka, name):
    create_topic(kafka, name, message_timestamp_before_max_ms="60000")
    now_ms = int(time.time() * 1000)
    producer = Producer(kafka)
    producer.send(name, b"new", timestamp=now_ms)
    producer.flush()
    producer.send(name, b"old", timestamp=now_ms - 120000)
    producer.inner.flush(10)
    assert producer.failed[0][0].code() == confluent_kafka.KafkaError.INVALID_TIMESTAMP
    assert values_of(consume(kafka, name, 1)) == [b"new"]
