"""Memory and time grow with what is active, not with what is declared or stored."""
import os
import socket
import time

import confluent_kafka
import pytest

import amqp_raw
import brokers
import kafka_raw
from conftest import (Producer, amqp_connect, consume, create_topic, delete_topic, get_all, produce, publish,
                      pump, topics, values_of, watermarks)

KIB = b"x" * 1024


def fill_queue(address, queue, count, body=KIB):
    """Persistent messages, confirmed; each begins with its number."""
    with amqp_raw.Connection(address, timeout_s=30) as raw:
        raw.socket.sendall(amqp_raw.method(1, 85, 10, b"\0"))
        raw.receive()
        burst = max(1, min(500, (1 << 20) // len(body)))
        for first in range(0, count, burst):
            last = min(first + burst, count)
            raw.socket.sendall(b"".join(
                amqp_raw.publish(1, b"", queue.encode())
                + amqp_raw.header(1, len(body) + 8, flags=0x1000, rest=b"\2")
                + amqp_raw.frame(amqp_raw.BODY, 1, b"%08d" % i + body) for i in range(first, last)))
            wait_confirmed(raw, last)


def wait_confirmed(raw, tag):
    confirmed = 0
    while confirmed < tag:
        _, _, payload = raw.receive()
        assert payload[:4] == b"\0\x3c\0\x50", payload[:60]  # basic.ack
        confirmed = max(confirmed, int.from_bytes(payload[4:12], "big"))


def test_a_long_queue_costs_disk_not_memory(pabal, name):
    broker = pabal({"memory.limit": "64MiB"})
    with amqp_connect(broker.amqp) as connection:
        connection.channel().queue_declare(name, durable=True)
    fill_queue(broker.amqp, name, 1000)
    before = broker.rss_mib()
    fill_queue(broker.amqp, name, 150_000)
    assert broker.rss_mib() < before + 64
    broker.kill()
    broker.start()
    assert broker.ready_s < 2
    with amqp_connect(broker.amqp) as connection:
        channel = connection.channel()
        assert channel.queue_declare(name, passive=True).method.message_count == 151_000
        seen = []
        channel.basic_qos(prefetch_count=1000)
        channel.basic_consume(name, lambda c, m, p, body: seen.append(int(body[:8])), auto_ack=True)
        pump(channel, lambda: len(seen) == 151_000, timeout_s=50)
    assert seen == list(range(1000)) + list(range(150_000))
    assert broker.rss_mib() < before + 80


def test_the_memory_of_large_messages_is_used_again_and_given_back_when_nobody_writes(pabal, name):
    broker, body = pabal({"io.threads": "0"}), b"x" * (8 << 20)  # a thread's own heap keeps what is free at its end
    before = broker.rss_mib()

    def page_faults(count):
        first = brokers.minor_faults(broker.pid)
        for _ in range(count):
            publish(channel, name, body)
            assert channel.basic_get(name, auto_ack=True)[2] == body
        return (brokers.minor_faults(broker.pid) - first) / count

    with amqp_connect(broker.amqp) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare(name, durable=True)
        page_faults(12)  # the cache of the newest messages is full
        assert page_faults(10) < len(body) / 4096 / 4  # what each message has anew are more pages than it fills
        brokers.wait_until(lambda: broker.rss_mib() < before + 8, 20, what="memory given back")


def test_a_long_topic_costs_disk_not_memory(pabal, name):
    broker = pabal({"memory.limit": "64MiB", "segment.bytes": "8MiB"})
    create_topic(broker.kafka, name)
    produce(broker.kafka, name, [KIB] * 1000)
    before = broker.rss_mib()
    values = [b"%08d" % i + KIB for i in range(150_000)]
    produce(broker.kafka, name, values, queue_buffering_max_messages=200_000)
    assert broker.rss_mib() < before + 64
    read = consume(broker.kafka, name, 151_000)
    assert values_of(read)[1000:] == values
    assert broker.rss_mib() < before + 64
    broker.kill()
    broker.start()
    assert broker.ready_s < 2
    assert watermarks(broker.kafka, name) == (0, 151_000)
    assert values_of(consume(broker.kafka, name, 10, offset=100_000)) == values[99_000:99_010]


def test_many_queues_and_topics_are_cheap_and_start_fast(pabal, name):
    broker = pabal()
    count = 2000
    before = broker.rss_mib()
    with amqp_connect(broker.amqp) as connection:
        channel = connection.channel()
        for i in range(count):
            channel.queue_declare(f"{name}-{i}", durable=True)
        fill = [i for i in range(0, count, 10)]
        channel.confirm_delivery()
        for i in fill:
            publish(channel, f"{name}-{i}", b"body")
    create_topic(broker.kafka, name, partitions=count)
    assert broker.rss_mib() < before + 30
    broker.kill()
    broker.start()
    assert broker.ready_s < 2
    with amqp_connect(broker.amqp) as connection:
        channel = connection.channel()
        for i in fill:
            assert get_all(channel, f"{name}-{i}") == [b"body"]
        assert channel.queue_declare(f"{name}-{count - 1}", passive=True).method.message_count == 0
    assert len(topics(broker.kafka)[name].partitions) == count


def test_idle_connections_are_cheap(pabal):
    broker = pabal()
    held = []
    def hold(address, count):
        host, port = address.rsplit(":", 1)
        for _ in range(count):
            held.append(socket.create_connection((host, int(port))))
    hold(broker.kafka, 10)
    time.sleep(0.2)
    before = broker.rss_mib()
    hold(broker.kafka, 5000)
    held += [amqp_raw.Connection(broker.amqp).socket for _ in range(300)]
    time.sleep(0.2)
    assert broker.rss_mib() < before + 12
    for one in held:
        one.close()
    brokers.wait_until(lambda: broker.rss_mib() < before + 2, 5, 0.2, what="memory is given back")


def test_many_that_come_back_when_their_consumer_is_lost_cost_little_memory(pabal, name):
    """What was delivered without prefetch and never settled comes back as a stretch, not one by one."""
    broker, count = pabal(), 300_000
    with amqp_connect(broker.amqp) as connection:
        connection.channel().queue_declare(name, durable=True)
    fill_queue(broker.amqp, name, count, body=b"x")
    with amqp_raw.Connection(broker.amqp, timeout_s=30) as raw:
        raw.socket.sendall(amqp_raw.method(1, 60, 20, b"\0\0" + amqp_raw.short(name.encode()) + b"\0\0" + b"\0" * 4))
        drained = 0
        while drained < count * 60:
            drained += len(raw.socket.recv(1 << 20))
        before = broker.rss_mib()
    with amqp_connect(broker.amqp) as connection:
        channel = connection.channel()
        brokers.wait_until(lambda: channel.queue_declare(name, passive=True).method.message_count == count, 10,
                           what="everything is given back")
        assert broker.rss_mib() < before + 6
        assert channel.basic_get(name)[0].redelivered


@pytest.mark.parametrize("auto_ack", [False, True])
def test_a_consumer_that_does_not_read_costs_a_window_only(pabal, name, auto_ack):
    """Without prefetch everything may be delivered; what the client does not take stays on the disk."""
    broker = pabal({"memory.limit": "128MiB"})
    with amqp_connect(broker.amqp) as connection:
        connection.channel().queue_declare(name, durable=True)
    raw = amqp_raw.Connection(broker.amqp)
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    # basic.consume, then never read
    raw.socket.sendall(amqp_raw.method(1, 60, 20, b"\0\0" + amqp_raw.short(name.encode()) + b"\0"
                                       + (b"\2" if auto_ack else b"\0") + b"\0\0\0\0"))
    before = broker.rss_mib()
    fill_queue(broker.amqp, name, 2000, body=b"x" * 100_000)
    assert broker.rss_mib() < before + 100
    raw.socket.close()
    with amqp_connect(broker.amqp) as connection:
        channel = connection.channel()
        brokers.wait_until(lambda: auto_ack or channel.queue_declare(
            name, passive=True).method.message_count == 2000, what="everything is given back")
        bodies = get_all(channel, name)
        if not auto_ack:
            assert [int(body[:8]) for body in bodies] == list(range(2000))
        else:
            numbers = [int(body[:8]) for body in bodies]
            assert numbers == list(range(2000 - len(numbers), 2000)) and len(numbers) > 1000


def test_old_segments_are_deleted_by_size(pabal, name):
    broker = pabal()
    create_topic(broker.kafka, name, segment_bytes="1048576", retention_bytes="4194304")
    producer = Producer(broker.kafka)
    for i in range(20_000):
        producer.send(name, b"%08d" % i + KIB)
    producer.flush()

    def first():
        try:
            low = watermarks(broker.kafka, name)[0]
            return low and [low, *consume(broker.kafka, name, 1, offset=low)]
        except confluent_kafka.KafkaException:  # more of them have gone meanwhile
            return None
    low, message = brokers.wait_until(first, 20, 0.2, what="the start moves")
    assert int(message.value()[:8]) == low
    with kafka_raw.Connection(broker.kafka) as raw:
        assert kafka_raw.fetch(raw, name, 0, 0)[0] == 1


def test_deleted_topics_and_queues_give_their_disk_back(pabal, name):
    broker = pabal({"segment.bytes": "4MiB"})
    create_topic(broker.kafka, name)
    with amqp_connect(broker.amqp) as connection:
        connection.channel().queue_declare(name, durable=True)
    produce(broker.kafka, name, [os.urandom(100_000) for _ in range(600)], message_max_bytes=200_000)
    fill_queue(broker.amqp, name, 600, body=b"x" * 100_000)
    logs = os.path.join(broker.data_dir, "logs")
    assert disk_usage(logs) > 30 << 20
    delete_topic(broker.kafka, name)
    with amqp_connect(broker.amqp) as connection:
        connection.channel().queue_delete(name)
    brokers.wait_until(lambda: disk_usage(logs) < 1 << 20, 10, 0.1, what="space is given back")


def test_a_queue_that_is_worked_off_does_not_grow_on_disk(pabal, name):
    broker = pabal({"segment.bytes": "4MiB"})
    with amqp_connect(broker.amqp) as connection:
        channel = connection.channel()
        channel.queue_declare(name, durable=True)
        for _ in range(10):
            fill_queue(broker.amqp, name, 300, body=b"x" * 100_000)
            assert len(get_all(channel, name)) == 300
    brokers.wait_until(lambda: disk_usage(os.path.join(broker.data_dir, "logs")) < 100 << 20, 10, 0.1,
                       what="settled segments are removed")


def disk_usage(folder):
    total = 0
    for path, _, files in os.walk(folder):
        for file in files:
            try:
                total += os.stat(os.path.join(path, file)).st_blocks * 512
            except OSError:
                continue
    return total
