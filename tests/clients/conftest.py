"""Which broker the tests talk to, and the clients they use.

    pytest                      build/pabal, every test with io.threads=0 and again with io.threads=2
    pytest --broker=kafka       Apache Kafka 4.1: shows that the tests ask for what Kafka does
    pytest --broker=rabbitmq    RabbitMQ 4.0, likewise
    PABAL_KAFKA=HOST:PORT PABAL_AMQP=HOST:PORT pytest     a broker that runs already
"""
import itertools
import os
import shutil
import subprocess
import time

import confluent_kafka
import confluent_kafka.admin
import pika
import pytest

import brokers
import clients
import kafka_raw

pytest_plugins = ["matrix_plugin"]

_names = itertools.count(1)
_run = os.getpid()


def pytest_addoption(parser):
    parser.addoption("--broker", default="pabal", choices=["pabal", "kafka", "rabbitmq"])
    parser.addoption("--without-java", action="store_true", help="leave out Kafka's own tools")
    parser.addoption("--io-threads", default="0,2", help="the values of io.threads to run with")


def _is_remote():
    return "PABAL_KAFKA" in os.environ or "PABAL_AMQP" in os.environ


TOOL_TIMEOUT_S = 120  # a JVM takes a second to start, and half a minute on a machine that is very busy


def pytest_collection_modifyitems(config, items):
    if config.getoption("--without-java"):
        items[:] = [item for item in items if "kafka_tool" not in item.fixturenames]
    if config.getoption("--broker") != "rabbitmq":
        items[:] = [item for item in items if "rabbit_itself" not in item.fixturenames]
    for item in items:
        if "kafka_tool" in item.fixturenames and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(3 * TOOL_TIMEOUT_S))


def pytest_generate_tests(metafunc):
    if "broker_settings" not in metafunc.fixturenames:
        return
    config = metafunc.config
    if config.getoption("--broker") != "pabal" or _is_remote():
        metafunc.parametrize("broker_settings", [{}], ids=["as-is"], scope="session")
        return
    counts = config.getoption("--io-threads").split(",")
    metafunc.parametrize(
        "broker_settings",
        [{"io.threads": count} for count in counts],
        ids=[f"io{count}" for count in counts],
        scope="session",
    )


def installed(*names):
    """Where drivers/install.sh has put these."""
    paths = [os.path.join(clients.INSTALLED, name) for name in names]
    if not all(map(os.path.exists, paths)):
        text = f"{names} not installed: tests/clients/drivers/install.sh does that"
        pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)
    return paths


@pytest.fixture
def broker(shared_broker):
    """A broker that all tests share: they use names of their own and leave it alive."""
    yield shared_broker
    if shared_broker.process and not shared_broker.is_alive():
        code = shared_broker.process.returncode
        text = shared_broker.log()[-10000:]
        shared_broker.kill()
        shared_broker.start()
        pytest.fail(f"the broker ended with {code}:\n{text}")


@pytest.fixture(scope="session")
def shared_broker(request, broker_settings):
    if _is_remote():
        yield brokers.Remote(os.environ.get("PABAL_KAFKA"), os.environ.get("PABAL_AMQP"))
        return
    options = {"settings": broker_settings} if broker_settings else {}
    with brokers.make(request.config.getoption("--broker"), **options) as one:
        yield one
        # Also where a build with a leak checker would complain.
        assert one.name != "pabal" or one.stop() == 0, one.log()[-5000:]


@pytest.fixture
def own_broker(request, broker_settings):
    """A broker for this test alone: it may be killed, starved or filled."""
    if _is_remote():
        pytest.skip("a broker that runs already is not ours to kill")
    options = {"settings": broker_settings} if broker_settings else {}
    with brokers.make(request.config.getoption("--broker"), **options) as one:
        yield one


@pytest.fixture
def pabal(request):
    """Start Pabal with settings of the test's own: pabal(key=value, ...)."""
    if request.config.getoption("--broker") != "pabal" or _is_remote():
        pytest.skip("about Pabal itself")
    started = []
    threads = request.config.getoption("--io-threads").split(",")[-1]

    def start(settings=None, **options):
        started.append(brokers.Pabal(settings={"io.threads": threads, **(settings or {})}, **options))
        return started[-1].start()

    yield start
    for one in started:
        one.close()


@pytest.fixture
def name():
    """A name that nothing else in this run has."""
    return f"t{_run}-{next(_names)}"


# -- Kafka


def need_kafka(broker):
    if not broker.kafka:
        pytest.skip(f"{broker.name} does not speak Kafka")
    return broker.kafka


def need_amqp(broker):
    if not broker.amqp:
        pytest.skip(f"{broker.name} does not speak AMQP 0-9-1")
    return broker.amqp


@pytest.fixture
def kafka(broker):
    return need_kafka(broker)


@pytest.fixture
def own_kafka(own_broker):
    return need_kafka(own_broker)


@pytest.fixture
def topic(kafka, name):
    create_topic(kafka, name)
    return name


def admin(address):
    return confluent_kafka.admin.AdminClient({"bootstrap.servers": address})


def topics(address):
    """What exists: {name: metadata}."""
    return admin(address).list_topics(timeout=10).topics


def delete_topic(address, name):
    client = admin(address)  # kept until the answer is there: its end ends the request
    client.delete_topics([name])[name].result(20)


def create_topic(address, name, partitions=1, **config):
    config = {key.replace("_", "."): value for key, value in config.items()}
    new = confluent_kafka.admin.NewTopic(name, partitions, 1, config=config)
    client = admin(address)  # kept until the answer is there: its end ends the request
    client.create_topics([new])[name].result(20)
    with kafka_raw.Connection(address) as raw:
        for partition in range(partitions):
            # Kafka answers before the partitions have their leader, and refuses until then.
            brokers.wait_until(lambda: kafka_raw.fetch(raw, name, partition, 0, wait_ms=0)[0] == 0)
    return name


class Producer:
    """confluent-kafka's producer; send() collects, flush() returns what was acknowledged."""

    def __init__(self, address, **config):
        self.acked, self.failed = [], []
        defaults = {"bootstrap.servers": address, "linger.ms": 5, "acks": "all"}
        self.inner = confluent_kafka.Producer(
            {**defaults, **{k.replace("_", "."): v for k, v in config.items()}})

    def send(self, topic, value=None, key=None, partition=0, **more):
        while True:
            try:
                self.inner.produce(topic, value, key, partition, self._answered, **more)
                return
            except BufferError:
                self.inner.poll(0.1)

    def _answered(self, error, message):
        (self.failed if error else self.acked).append((error, message) if error else message)

    def flush(self, timeout_s=30):
        left = self.inner.flush(timeout_s)
        assert left == 0, f"{left} messages without an answer"
        assert not self.failed, self.failed[0][0]
        return self.acked


def produce(address, topic, values, partition=0, **config):
    producer = Producer(address, **config)
    for value in values:
        producer.send(topic, value, partition=partition)
    return producer.flush()


def new_consumer(address, **config):
    """confluent-kafka's consumer, for assign(): it belongs to no group and commits nothing."""
    defaults = {"bootstrap.servers": address, "group.id": "unused", "enable.auto.commit": False,
                "auto.offset.reset": "error"}
    return confluent_kafka.Consumer({**defaults, **{k.replace("_", "."): v for k, v in config.items()}})


def consume(address, topic, count, partition=0, offset=0, timeout_s=20, **config):
    """`count` messages of one partition by confluent-kafka, without a group."""
    consumer = new_consumer(address, **config)
    consumer.assign([confluent_kafka.TopicPartition(topic, partition, offset)])
    messages = []
    try:
        while len(messages) < count:
            batch = consumer.consume(min(1000, count - len(messages)), timeout_s)
            if not batch:
                break
            for message in batch:
                if message.error():
                    raise confluent_kafka.KafkaException(message.error())
                messages.append(message)
    finally:
        consumer.close()
    return messages


def values_of(messages):
    return [message.value() for message in messages]


def watermarks(address, topic, partition=0):
    consumer = new_consumer(address)
    try:
        where = confluent_kafka.TopicPartition(topic, partition)
        return consumer.get_watermark_offsets(where, timeout=10, cached=False)
    finally:
        consumer.close()


def run(command, input=None, timeout_s=40, check=True, env=None):
    """Run a client program; returns its standard output as bytes."""
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, input=input, timeout=timeout_s, capture_output=True, env=env)
    if check and done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}: {done.stderr.decode()}")
    return done.stdout


@pytest.fixture(scope="session")
def kafka_tool():
    """Run one of Kafka's own command-line tools by its class."""
    script = os.path.join(brokers.PEERS, "kafka")
    if not shutil.which("java"):
        pytest.skip("java is not installed")
    if subprocess.run([script, "install"], capture_output=True).returncode:
        pytest.skip("Kafka's jars cannot be downloaded")

    def tool(*arguments, timeout_s=TOOL_TIMEOUT_S, **options):
        return run([script, "tool", *map(str, arguments)], timeout_s=timeout_s, **options).decode()

    return tool


# -- AMQP


def amqp_connect(address, **parameters):
    host, port = address.rsplit(":", 1)
    return pika.BlockingConnection(
        pika.ConnectionParameters(host, int(port), socket_timeout=10, **parameters))


@pytest.fixture
def amqp(broker):
    return need_amqp(broker)


@pytest.fixture
def own_amqp(own_broker):
    return need_amqp(own_broker)


@pytest.fixture
def connection(amqp):
    one = amqp_connect(amqp)
    yield one
    if one.is_open:
        one.close()


@pytest.fixture
def channel(connection):
    return connection.channel()


@pytest.fixture
def queue(channel, name):
    """A durable queue, deleted afterwards."""
    channel.queue_declare(name, durable=True)
    yield name
    if channel.connection.is_open:
        channel.connection.channel().queue_delete(name)


def publish(channel, queue, *bodies, persistent=True):
    properties = pika.BasicProperties(delivery_mode=2 if persistent else 1)
    for body in bodies:
        channel.basic_publish("", queue, body, properties)


def pump(channel, count, timeout_s=5):
    """Run the connection's callbacks until count() is true; then a little longer, for what is too much."""
    deadline = time.monotonic() + timeout_s
    while not count() and time.monotonic() < deadline:
        channel.connection.process_data_events(0.1)
    deadline = time.monotonic() + 0.1
    while time.monotonic() < deadline:
        channel.connection.process_data_events(0.05)


def get_all(channel, queue):
    """The bodies of all ready messages, taken with automatic acknowledgement."""
    bodies = []
    while True:
        method, _, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            return bodies
        bodies.append(body)
