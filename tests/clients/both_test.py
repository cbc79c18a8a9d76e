"""Kafka and AMQP clients of one broker, at the same time."""
import threading

import pytest

from conftest import Producer, amqp_connect, consume, create_topic, get_all, publish, topics, values_of


def need_both(broker):
    if not (broker.kafka and broker.amqp):
        pytest.skip(f"{broker.name} speaks one of them only")


def together(*works):
    """Run the works at once; the first exception of any is raised."""
    errors = []

    def guard(work):
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guard, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_both_protocols_work_at_once(broker, name):
    need_both(broker)
    create_topic(broker.kafka, name, partitions=2)
    values = [[f"{p}-{i}".encode() * 20 for i in range(3000)] for p in range(2)]
    bodies = [[f"{q}-{i}".encode() * 20 for i in range(500)] for q in range(2)]

    def kafka_side(partition):
        producer = Producer(broker.kafka)
        for value in values[partition]:
            producer.send(name, value, partition=partition)
        producer.flush()
        assert values_of(consume(broker.kafka, name, 3000, partition)) == values[partition]

    def amqp_side(number):
        with amqp_connect(broker.amqp) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            queue = channel.queue_declare(f"{name}-{number}", durable=True).method.queue
            publish(channel, queue, *bodies[number])
            assert get_all(channel, queue) == bodies[number]

    together(*(lambda n=n: kafka_side(n) for n in range(2)), *(lambda n=n: amqp_side(n) for n in range(2)))


def test_topics_and_queues_are_two_name_spaces(broker, name):
    need_both(broker)
    create_topic(broker.kafka, name)
    producer = Producer(broker.kafka)
    producer.send(name, b"value")
    producer.flush()
    with amqp_connect(broker.amqp) as connection:
        channel = connection.channel()
        assert channel.queue_declare(name, durable=True).method.message_count == 0
        publish(channel, name, b"body")
        assert get_all(channel, name) == [b"body"]
        channel.queue_delete(name)
    assert values_of(consume(broker.kafka, name, 1)) == [b"value"]


def test_state_records_and_private_queues_are_never_visible_to_kafka(broker, name):
    need_both(broker)
    with amqp_connect(broker.amqp) as connection:
        channel = connection.channel()
        channel.queue_declare(name, durable=True)
        publish(channel, name, b"body", b"other")
        assert channel.basic_get(name)[2] == b"body"  # a delivery, and its settle, are recorded
        assert get_all(channel, name) == [b"other"]
        assert not [topic for topic in topics(broker.kafka) if name in topic]
