"""Clients that work on while the broker dies and comes back, and write down what they see.

Each is a thread that connects again and again until stop(). Writers of topics are librdkafka, readers
too; queues are written by bare frames with many confirms under way and worked off by pika.
"""
import http.client
import random
import struct
import threading
import time

import confluent_kafka
import confluent_kafka.admin
import pika

import amqp_raw
from history import QueueHistory, TopicHistory, decode, encode, message_id

# What a client meets while the broker is away.
AWAY = (pika.exceptions.AMQPError, confluent_kafka.KafkaException, OSError, http.client.HTTPException)
SIZES = [20] * 60 + [500] * 25 + [5_000] * 12 + [100_000] * 2 + [400_000]
FENCE = "fence"  # a queue of one message
BACKLOG_MAX = 2000  # messages of one writer, while the broker is away
DRAIN_QUIET_S = 60  # a message that is there comes within that, on a disk that others keep busy


def open_pika(parameters):
    """pika says ValueError when a socket it has just connected is gone again before it looks."""
    try:
        return pika.BlockingConnection(parameters)
    except ValueError as error:
        raise pika.exceptions.AMQPConnectionError(error) from error


class Gone(Exception):
    """Something that was declared, and answered for, cannot be found any more."""


class Client(threading.Thread):
    """Runs step() until stop(); what it raises while the broker is away is expected."""

    def __init__(self, broker):
        super().__init__(daemon=True)
        self.broker = broker
        self.stopping = threading.Event()
        self.failure = None

    def run(self):
        try:
            while not self.stopping.is_set():
                self.session()
        except Exception as error:
            self.failure = error

    def stop(self, patience_s=60):
        self.stopping.set()
        self.join(patience_s)
        if self.is_alive():
            raise RuntimeError(f"{type(self).__name__} does not stop")
        if self.failure:
            raise self.failure


class TopicWriter(Client):
    """Acknowledged by all. It never sends anything twice: without idempotence it does not retry."""

    def __init__(self, broker, history, writer, partitions, rate, seed, idempotent=False):
        super().__init__(broker)
        self.history, self.writer, self.partitions, self.rate = history, writer, partitions, rate
        self.random = random.Random(seed)
        self.sequence = 0
        self.idempotent = idempotent

    def session(self):
        config = {"bootstrap.servers": self.broker.kafka, "acks": "all", "linger.ms": 2,
                  "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 100,
                  "retry.backoff.ms": 20, "log_level": 0, "message.timeout.ms": 120_000}
        if self.idempotent:
            config["enable.idempotence"] = True
        else:
            config["message.send.max.retries"] = 0
            # Kafka leads its partitions only a moment after it listens. What it refuses until then
            # the client sends again, behind what is under way.
            config["max.in.flight"] = 1 if self.broker.name == "kafka" else 5
        producer = confluent_kafka.Producer(config)
        began, count = time.monotonic(), 0
        while not self.stopping.is_set():
            if len(producer) < BACKLOG_MAX:
                self.send(producer)
            count += 1
            producer.poll(0)
            ahead = count / self.rate - (time.monotonic() - began)
            if ahead > 0:
                producer.poll(ahead)
            elif ahead < -1:
                began, count = time.monotonic(), 0
        producer.flush(60)

    def send(self, producer):
        id = message_id(self.writer, self.sequence)
        partition = self.random.randrange(self.partitions)
        data = encode(id, self.random.choice(SIZES))
        self.history.sent[id] = partition

        def answered(error, message):
            if not error:
                self.history.acked[id] = message.offset()

        try:
            producer.produce(self.history.name, data, partition=partition, on_delivery=answered)
            self.sequence += 1
        except BufferError:
            del self.history.sent[id]
            producer.poll(0.05)


class TopicReader(Client):
    """Follows all partitions from their start, across restarts."""

    def __init__(self, broker, history, partitions):
        super().__init__(broker)
        self.history, self.partitions = history, partitions

    def session(self):
        consumer = new_consumer(self.broker)
        consumer.assign([confluent_kafka.TopicPartition(self.history.name, p, 0)
                         for p in range(self.partitions)])
        while not self.stopping.is_set():
            for message in consumer.consume(500, 0.1):
                note_read(self.history, message)
        consumer.close()


def new_consumer(broker):
    return confluent_kafka.Consumer({
        "bootstrap.servers": broker.kafka, "group.id": "unused", "enable.auto.commit": False,
        "auto.offset.reset": "error", "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 100,
        "fetch.error.backoff.ms": 20, "fetch.wait.max.ms": 100, "log_level": 0})


def note_read(history, message):
    error = message.error()
    if not error:
        history.reads.append((message.partition(), message.offset(), decode(message.value())))
    elif error.code() in (confluent_kafka.KafkaError.OFFSET_OUT_OF_RANGE,
                          confluent_kafka.KafkaError._AUTO_OFFSET_RESET):
        history.errors.append(f"partition {message.partition()}: {error.str()}")


class GroupCommitter(Client):
    """A group without members: it commits ever higher offsets, and asks where it is."""

    def __init__(self, broker, history, seed):
        super().__init__(broker)
        self.history, self.random = history, random.Random(seed)
        self.next = max((offset for _, offset in history.events), default=-1) + 1

    def new_consumer(self):
        return confluent_kafka.Consumer({
            "bootstrap.servers": self.broker.kafka, "group.id": self.history.name, "enable.auto.commit": False,
            "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 100, "log_level": 0})

    def session(self):
        consumer = self.new_consumer()
        try:
            while not self.stopping.is_set():
                self.commit(consumer) if self.random.random() < 0.7 else self.ask(consumer, 10)
                time.sleep(0.01)
        except confluent_kafka.KafkaException:
            time.sleep(0.05)
        finally:
            consumer.close()

    def commit(self, consumer):
        self.history.events.append(("asked", self.next))
        place = confluent_kafka.TopicPartition(self.history.topic, 0, self.next)
        consumer.commit(offsets=[place], asynchronous=False)
        self.history.events.append(("acked", self.next))
        self.next += 1

    def ask(self, consumer, timeout_s):
        place, = consumer.committed([confluent_kafka.TopicPartition(self.history.topic, 0)], timeout_s)
        if place.error:
            raise confluent_kafka.KafkaException(place.error)
        self.history.events.append(("found", place.offset))


class QueueWriter(Client):
    """Persistent messages with confirms, up to `window` of them unanswered."""

    timeout_s = 5

    def __init__(self, broker, history, writer, rate, seed, window=50):
        super().__init__(broker)
        self.history, self.writer, self.rate, self.window = history, writer, rate, window
        self.random = random.Random(seed)
        self.sequence = 0
        self.refused = []

    def session(self):
        try:
            with amqp_raw.Connection(self.broker.amqp, timeout_s=self.timeout_s) as connection:
                connection.socket.sendall(amqp_raw.method(1, 85, 10, b"\0"))
                assert connection.receive()[2][:4] == struct.pack(">HH", 85, 11)
                self.publish_on(connection)
        except (OSError, TypeError, AssertionError):
            time.sleep(0.02)  # it is away, or went away in the middle

    def publish_on(self, connection):
        pending, tag = {}, 0
        while not self.stopping.is_set() or pending:
            burst = b""
            while len(pending) < self.window and len(burst) < 200_000 and not self.stopping.is_set():
                tag += 1
                pending[tag], part = self.next_message(connection.frame_max)
                burst += part
            connection.socket.sendall(burst)
            time.sleep(len(pending) / 2 / self.rate)
            while len(pending) > self.window // 2 or (self.stopping.is_set() and pending):
                self.take_confirm(connection, pending)

    def next_message(self, frame_max):
        id = message_id(self.writer, self.sequence)
        self.sequence += 1
        self.history.sent.append(id)
        body = encode(id, self.random.choice(SIZES))
        most = frame_max - 8
        frames = amqp_raw.publish(1, b"", self.history.name.encode())
        frames += amqp_raw.header(1, len(body), flags=0x1000, rest=b"\2")  # delivery mode 2
        for at in range(0, len(body), most):
            frames += amqp_raw.frame(amqp_raw.BODY, 1, body[at:at + most])
        return id, frames

    def take_confirm(self, connection, pending):
        got = connection.receive()
        if got is None:
            raise OSError("hung up")
        kind, _, payload = got
        if kind != amqp_raw.METHOD:
            return
        class_id, method_id = struct.unpack(">HH", payload[:4])
        if class_id == 10 and method_id == 60:
            return  # connection.blocked: what is under way will still be confirmed
        if class_id == 10 and method_id == 61:
            return
        if class_id != 60 or method_id not in (80, 120):
            raise OSError(f"closed with {payload[4:6].hex()}")
        tag, multiple = struct.unpack(">Q?", payload[4:13])
        tags = [t for t in pending if t <= tag] if multiple else [tag]
        for one in tags:
            id = pending.pop(one)
            (self.history.confirmed if method_id == 80 else self.refused).append(id)


def note_settled(history, ids, session):
    """The first time counts: what is settled and comes again is settled a second time."""
    for id in ids:
        history.settled.setdefault(id, session)


class QueueWorker(Client):
    """Consumes with manual acknowledgement; now and then it waits for a confirm, to know its acks durable."""

    def __init__(self, broker, history, seed, prefetch=100):
        super().__init__(broker)
        self.history, self.prefetch = history, prefetch
        self.random = random.Random(seed)

    def session(self):
        host, port = self.broker.amqp.rsplit(":", 1)
        try:
            connection = open_pika(pika.ConnectionParameters(
                host, int(port), socket_timeout=5, blocked_connection_timeout=60))
        except (pika.exceptions.AMQPError, OSError):
            time.sleep(0.02)
            return
        deliveries, number = [], len(self.history.sessions)
        self.history.sessions.append(deliveries)
        try:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_qos(prefetch_count=self.prefetch)
            self.work(channel, deliveries, number)
            connection.close()
        except (pika.exceptions.AMQPError, OSError):
            pass

    def work(self, channel, deliveries, number):
        unacked, unfenced = [], []
        self.holds = self.random.random() < 0.5  # the first message, for as long as it works
        for method, _, body in channel.consume(self.history.name, inactivity_timeout=0.1):
            if method is not None:
                deliveries.append((decode(body), method.redelivered))
                if len(deliveries) > 1 or not self.holds:
                    unacked.append((method.delivery_tag, decode(body)))
            if len(unacked) > self.random.randrange(1, self.prefetch) // 2 or (method is None and unacked):
                unfenced += self.settle(channel, unacked, number)
            if len(unfenced) > 200 or (method is None and unfenced):
                # Acknowledgements have no answer; what is confirmed behind them is durable no sooner than they are.
                channel.basic_publish("", FENCE, b"", pika.BasicProperties(delivery_mode=2), mandatory=True)
                note_settled(self.history, unfenced, number)
                unfenced = []
            if self.stopping.is_set():
                return


    def settle(self, channel, unacked, number):
        """All up to one of them, or some here and there. Returns their ids."""
        upto = self.random.randrange(len(unacked)) + 1
        is_row = not self.holds and self.random.random() < 0.6
        chosen = unacked[:upto] if is_row else self.random.sample(unacked, upto)
        self.history.acked.update((id, number) for _, id in chosen)
        if is_row:
            channel.basic_ack(chosen[-1][0], multiple=True)
        else:
            for tag, _ in chosen:
                channel.basic_ack(tag)
        unacked[:] = [one for one in unacked if one not in chosen]
        return [id for _, id in chosen]


# -- quiet looks at everything


def note_ends(broker, history, partitions):
    """The start and the end of every partition, as the broker tells them now."""
    consumer = new_consumer(broker)
    try:
        for partition in range(partitions):
            history.ends.append((partition, *ends_of(consumer, history.name, partition)))
    finally:
        consumer.close()


def ends_of(consumer, name, partition, timeout_s=90):
    """(low, high). A broker that has just started may need a moment to lead its partitions."""
    where = confluent_kafka.TopicPartition(name, partition)
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return consumer.get_watermark_offsets(where, timeout=timeout_s, cached=False)
        except confluent_kafka.KafkaException as error:
            if time.monotonic() > deadline:
                raise Gone(f"{name}: partition {partition}: {error.args[0].str()}") from error
            time.sleep(0.1)


def read_topic(broker, history, partitions, quiet_s=60):
    """Read everything, until the end or until nothing has come for a while; fills history.final."""
    history.final = {}
    for partition in range(partitions):
        consumer = new_consumer(broker)
        try:
            low, high = ends_of(consumer, history.name, partition)
            consumer.assign([confluent_kafka.TopicPartition(history.name, partition, low)])
            history.final[partition] = {"low": low, "high": high,
                                        "records": records_until(consumer, low, high, quiet_s)}
        finally:
            consumer.close()


def records_until(consumer, low, high, quiet_s):
    records, next_offset = [], low
    deadline = time.monotonic() + quiet_s
    while next_offset < high and time.monotonic() < deadline:
        for message in consumer.consume(5000, 0.2):
            if message.error():
                continue
            records.append((message.offset(), decode(message.value())))
            next_offset = message.offset() + 1
            deadline = time.monotonic() + quiet_s
    return records


def ask_group(broker, history):
    """Where the group is, once nobody commits."""
    committer = GroupCommitter(broker, history, 0)
    consumer = committer.new_consumer()
    try:
        committer.ask(consumer, 90)
    except confluent_kafka.KafkaException as error:
        raise Gone(f"{history.name}: {error.args[0].str()}") from error
    finally:
        consumer.close()


def drain_queue(broker, history):
    """Take everything that is left, once nobody else consumes; fills history.drained."""
    host, port = broker.amqp.rsplit(":", 1)
    connection = open_pika(pika.ConnectionParameters(host, int(port), socket_timeout=20))
    channel = connection.channel()
    if broker.queue_arguments:  # who asks for no limit has one of 2,000 in a quorum queue; more than this cannot be
        channel.basic_qos(prefetch_count=65535)
    # Deliveries of dead connections come back a moment after their connection is gone, in quorum queues seconds.
    time.sleep(0.3 if broker.name == "pabal" else 8)
    asker = connection.channel()
    quiet_since = time.monotonic()
    try:
        for method, _, body in channel.consume(history.name, auto_ack=False, inactivity_timeout=1.5):
            if method:
                history.drained.append((decode(body), method.redelivered))
                quiet_since = time.monotonic()
                continue
            ready = asker.queue_declare(history.name, passive=True).method.message_count
            if ready == 0 or time.monotonic() - quiet_since > DRAIN_QUIET_S:
                break
    except pika.exceptions.ChannelClosedByBroker as closed:
        raise Gone(f"{history.name}: {closed.reply_text}") from closed
    finally:
        connection.close()


def new_topic(broker, name, partitions, **config):
    # Of producers whose clock is an hour ahead a broker takes nothing, as one whose own clock has jumped back.
    config.setdefault("message.timestamp.after.max.ms", str(2**63 - 1))
    client = confluent_kafka.admin.AdminClient({"bootstrap.servers": broker.kafka})
    new = confluent_kafka.admin.NewTopic(name, partitions, 1, config=config)
    client.create_topics([new])[name].result(30)
    return TopicHistory(name)


def delete_topic(broker, name):
    client = confluent_kafka.admin.AdminClient({"bootstrap.servers": broker.kafka})
    client.delete_topics([name], request_timeout=10)[name].result(15)


def new_queue(broker, name, arguments=None):
    host, port = broker.amqp.rsplit(":", 1)
    connection = open_pika(pika.ConnectionParameters(host, int(port)))
    arguments = {**broker.queue_arguments, **(arguments or {})}
    connection.channel().queue_declare(name, durable=True, arguments=arguments)
    connection.close()
    return QueueHistory(name)


def delete_queue(broker, name):
    host, port = broker.amqp.rsplit(":", 1)
    connection = open_pika(pika.ConnectionParameters(host, int(port)))
    connection.channel().queue_delete(name)
    connection.close()
