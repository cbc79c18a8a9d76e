"""What was acknowledged is there after a stop, after kill -9, and with another number of threads."""
import time

import pika
import pytest

import brokers
from conftest import (Producer, amqp_connect, consume, create_topic, delete_topic, get_all, produce, publish,
                      topics, values_of, watermarks)

def let_it_settle(broker):
    """RabbitMQ forgets what was declared just before a kill -9."""
    if broker.name == "rabbitmq":
        time.sleep(5)


VALUES = [f"value {i}".encode() * (1 + i % 50) for i in range(2000)]


def check_topic(kafka, name, wanted=VALUES):
    assert watermarks(kafka, name) == (0, len(wanted))
    assert values_of(consume(kafka, name, len(wanted))) == wanted


def test_topics_survive_a_stop(own_broker, own_kafka, name):
    create_topic(own_kafka, name)
    produce(own_kafka, name, VALUES, compression_type="lz4")
    own_broker.restart()
    check_topic(own_broker.kafka, name)
    produce(own_broker.kafka, name, VALUES[:10])
    check_topic(own_broker.kafka, name, VALUES + VALUES[:10])


def test_topics_survive_kill_9(own_broker, own_kafka, name):
    create_topic(own_kafka, name, partitions=3)
    for partition in range(3):
        produce(own_kafka, name, VALUES[partition:], partition=partition)
    own_broker.kill()
    own_broker.start()
    for partition in range(3):
        assert values_of(consume(own_kafka, name, 2000 - partition, partition)) == VALUES[partition:]


def test_large_messages_survive_kill_9(own_broker, own_kafka, name):
    create_topic(own_kafka, name, max_message_bytes="6000000")
    values = [bytes([97 + i]) * (1_000_000 if i % 2 else 5_000_000) for i in range(10)]
    produce(own_kafka, name, values, message_max_bytes=6_000_000, linger_ms=0)
    own_broker.kill()
    own_broker.start()
    check_topic(own_broker.kafka, name, values)


def test_deleted_topics_stay_deleted(own_broker, own_kafka, name):
    create_topic(own_kafka, name)
    produce(own_kafka, name, VALUES[:100])
    delete_topic(own_kafka, name)
    own_broker.restart()
    assert name not in topics(own_broker.kafka)


def test_an_idempotent_producer_goes_on_after_kill_9(own_broker, own_kafka, name):
    create_topic(own_kafka, name)
    producer = Producer(own_kafka, enable_idempotence=True, linger_ms=0)
    for value in VALUES[:500]:
        producer.send(name, value)
    producer.flush()
    own_broker.kill()
    own_broker.start()
    for value in VALUES[500:]:
        producer.send(name, value)
    producer.flush()
    check_topic(own_broker.kafka, name)


def test_queues_survive_a_stop(own_broker, own_amqp, name):
    with amqp_connect(own_amqp) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.exchange_declare(name, "direct", durable=True)
        channel.queue_declare(name, durable=True)
        channel.queue_bind(name, name, "key")
        channel.queue_declare(name + "-transient", durable=True)
        publish(channel, name, b"one", b"two", b"three")
        publish(channel, name + "-transient", b"gone", persistent=False)
        method, _, _ = channel.basic_get(name)
        channel.basic_ack(method.delivery_tag)
        channel.queue_declare(name, passive=True)
    own_broker.restart()
    with amqp_connect(own_broker.amqp) as connection:
        channel = connection.channel()
        channel.basic_publish(name, "key", b"four")
        assert get_all(channel, name) == [b"two", b"three", b"four"]
        assert get_all(channel, name + "-transient") in ([], [b"gone"])


def test_confirmed_messages_survive_kill_9_with_their_properties(own_broker, own_amqp, name):
    properties = pika.BasicProperties(
        "text/plain", "gzip", {"list": [1, "two", None, {"deep": True}], "bytes": b"\0\xff"}, 2, 7, "corr",
        "reply", None, "id-1", 1_700_000_000, "kind", "guest", "app", None)
    with amqp_connect(own_amqp) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare(name, durable=True)
        channel.basic_publish("", name, b"body", properties)
    let_it_settle(own_broker)
    own_broker.kill()
    own_broker.start()
    with amqp_connect(own_broker.amqp) as connection:
        _, got, body = connection.channel().basic_get(name, auto_ack=True)
    assert body == b"body"
    assert vars(got) == vars(properties)


def test_unacknowledged_messages_come_back_after_kill_9(own_broker, own_amqp, name):
    connection = amqp_connect(own_amqp)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare(name, durable=True)
    publish(channel, name, *(str(i).encode() for i in range(10)))
    for _ in range(5):
        channel.basic_get(name)
    let_it_settle(own_broker)
    own_broker.kill()
    own_broker.start()
    with amqp_connect(own_broker.amqp) as connection:
        assert get_all(connection.channel(), name) == [str(i).encode() for i in range(10)]


def test_nothing_on_disk_depends_on_the_number_of_threads(pabal, name):
    first = pabal({"io.threads": "0"})
    create_topic(first.kafka, name)
    produce(first.kafka, name, VALUES)
    first.stop()
    for threads in ("2", "1", "0"):
        first.settings["io.threads"] = threads
        first.start()
        check_topic(first.kafka, name)
        assert first.stop() == 0


def test_a_second_server_on_the_same_data_refuses_to_start(pabal):
    first = pabal()
    second = brokers.Pabal(dir=first.dir)
    second.log_path += ".second"
    try:
        second.start()
        raise AssertionError("it started")
    except brokers.Failed as refused:
        assert "ended with 4" in str(refused) and "in use by another pabal server" in str(refused)
    assert first.is_alive()


def test_port_0_takes_free_ports_and_says_which(pabal, name):
    broker = pabal({"listener.kafka": "127.0.0.1:0", "listener.amqp": "127.0.0.1:0"})
    assert not broker.kafka.endswith(":0") and not broker.amqp.endswith(":0")
    create_topic(broker.kafka, name)
    produce(broker.kafka, name, [b"value"])
    amqp_connect(broker.amqp).close()
