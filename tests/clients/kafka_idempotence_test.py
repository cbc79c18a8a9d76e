"""Idempotent producers: nothing is lost, twice or out of order, whatever happens to the connection, to
the answers and to the broker."""
import random
import socket
import threading
import time

import confluent_kafka
import pytest

import brokers
from conftest import Producer, consume, create_topic, values_of, watermarks


def numbered(count):
    return [b"%d" % i for i in range(count)]


def check_topic(kafka, name, count):
    assert watermarks(kafka, name) == (0, count)
    assert values_of(consume(kafka, name, count)) == numbered(count)


class Proxy:
    """Between clients and a broker. While it is unkind, it cuts connections when an answer comes back:
    the request has been done, and the client does not know."""

    def __init__(self, seed=1):
        self.random = random.Random(seed)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.target = None
        self.unkind = False
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                host, port = self.target.rsplit(":", 1)
                server = socket.create_connection((host, int(port)), 5)
            except OSError:
                if self.listener.fileno() < 0:
                    return
                client.close()
                continue
            for source, sink, is_answer in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass_on, args=(source, sink, is_answer), daemon=True).start()

    def _pass_on(self, source, sink, is_answer):
        try:
            while data := source.recv(65536):
                if is_answer and self.unkind and self.random.random() < 0.1:
                    self.cuts += 1
                    break
                sink.sendall(data)
        except OSError:
            pass
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()


@pytest.fixture
def proxy():
    one = Proxy()
    yield one
    one.close()


def patient(address, **more):
    """A producer that never gives up while the test runs."""
    return Producer(address, enable_idempotence=True, linger_ms=1, retry_backoff_ms=20,
                    reconnect_backoff_max_ms=200, message_timeout_ms=120000, batch_num_messages=50, **more)


def test_kill_9_in_the_middle_neither_repeats_nor_loses_nor_reorders(own_broker, own_kafka, name):
    count = 20000
    create_topic(own_kafka, name)
    producer = patient(own_kafka)
    for i, value in enumerate(numbered(count)):
        if i % 5000 == 2500:
            own_broker.kill()
            own_broker.start()
        if i % 100 == 0:
            producer.inner.poll(0.005)
        producer.send(name, value)
    assert len(producer.flush(60)) == count
    check_topic(own_broker.kafka, name, count)


def test_answers_that_get_lost_do_not_repeat_anything(pabal, proxy, name):
    broker = pabal({"advertised.kafka": proxy.address})
    proxy.target = broker.kafka
    create_topic(broker.kafka, name)
    proxy.unkind = True
    producer = patient(proxy.address)
    count, deadline = 0, time.monotonic() + 30
    while proxy.cuts < 15 and time.monotonic() < deadline:
        producer.send(name, b"%d" % count)
        producer.inner.poll(0.001)
        count += 1
    proxy.unkind = False
    assert len(producer.flush(60)) == count
    assert proxy.cuts >= 15
    check_topic(broker.kafka, name, count)


def test_several_producers_of_several_partitions_across_restarts(own_broker, own_kafka, name):
    create_topic(own_kafka, name, partitions=4)
    producers = [patient(own_kafka) for _ in range(3)]
    for i in range(3000):
        if i % 1000 == 500:
            own_broker.kill() if i < 2000 else own_broker.stop()
            own_broker.start()
        for n, producer in enumerate(producers):
            producer.send(name, b"%d %d" % (n, i), partition=i % 4)
        if i % 50 == 0:
            for producer in producers:
                producer.inner.poll(0.005)
    for producer in producers:
        assert len(producer.flush(60)) == 3000
    for partition in range(4):
        values = values_of(consume(own_broker.kafka, name, 2250, partition))
        assert watermarks(own_broker.kafka, name, partition) == (0, 2250)
        for n in range(3):
            mine = [int(value.split()[1]) for value in values if value.split()[0] == b"%d" % n]
            assert mine == list(range(partition, 3000, 4))


def test_javas_producer_as_it_comes_goes_on_after_kill_9(own_broker, own_kafka, name, kafka_tool, tmp_path):
    count = 8000
    create_topic(own_kafka, name)
    config = tmp_path / "producer.properties"
    config.write_text("retries=2147483647\nenable.idempotence=true\nacks=all\nlinger.ms=1\n"
                      "retry.backoff.ms=20\nreconnect.backoff.max.ms=200\n")
    failed = []

    def run():
        try:
            kafka_tool("org.apache.kafka.tools.VerifiableProducer", "--bootstrap-server", own_kafka, "--topic",
                       name, "--max-messages", count, "--throughput", 2000, "--producer.config", config,
                       timeout_s=90)
        except Exception as problem:  # told in the test's own thread
            failed.append(problem)

    thread = threading.Thread(target=run)
    thread.start()
    for wanted in (1000, 3000, 5000):
        brokers.wait_until(lambda: watermarks(own_broker.kafka, name)[1] >= wanted or failed, 60)
        own_broker.kill()
        own_broker.start()
    thread.join()
    assert not failed, failed[0]
    check_topic(own_broker.kafka, name, count)


def test_delete_records_and_then_go_on(own_broker, own_kafka, name):
    create_topic(own_kafka, name)
    producer = patient(own_kafka)
    for value in numbered(1000):
        producer.send(name, value)
    producer.flush()
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": own_kafka})
    where = confluent_kafka.TopicPartition(name, 0, 990)
    assert admin.delete_records([where])[where].result(10).low_watermark == 990
    own_broker.kill()
    own_broker.start()
    assert watermarks(own_broker.kafka, name) == (990, 1000)
    for value in numbered(1000):
        producer.send(name, value)
    producer.flush()
    assert watermarks(own_broker.kafka, name) == (990, 2000)
