"""What happens by itself after a time: expiry, delays, timeouts; and who is told of the past."""
import time

import pika
import pytest

import brokers
from conftest import amqp_connect, get_all, publish


@pytest.fixture
def plugins(broker):
    if broker.name == "rabbitmq":
        pytest.skip("a plugin that RabbitMQ comes without")


def count(channel, queue):
    return channel.queue_declare(queue, passive=True).method.message_count


def wait_for(channel, queue, wanted):
    brokers.wait_until(lambda: count(channel, queue) == wanted)


def expiring(ms):
    return pika.BasicProperties(expiration=str(ms), delivery_mode=2)


def delayed(ms):
    return pika.BasicProperties(headers={"x-delay": ms}, delivery_mode=2)


@pytest.fixture
def delaying(plugins, channel, name):
    """An exchange that delays, and a queue bound to it."""
    exchange = name + "-x"
    channel.exchange_declare(exchange, "x-delayed-message", durable=True, arguments={"x-delayed-type": "direct"})
    channel.queue_declare(name, durable=True)
    channel.queue_bind(name, exchange, "k")
    yield exchange
    channel.exchange_delete(exchange)
    channel.queue_delete(name)


def test_messages_expire_behind_others_that_do_not(broker, channel, name):
    if broker.name == "rabbitmq":
        pytest.skip("RabbitMQ looks at the head only")
    dead = name + "-dead"
    channel.queue_declare(dead)
    channel.queue_declare(name, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
    publish(channel, name, b"stays")
    for body, ms in ((b"3", 300), (b"1", 100), (b"2", 200)):
        channel.basic_publish("", name, body, expiring(ms))
    wait_for(channel, dead, 3)
    assert get_all(channel, name) == [b"stays"]
    assert get_all(channel, dead) == [b"1", b"2", b"3"]
    channel.queue_delete(name)
    channel.queue_delete(dead)


def test_after_kill_9_messages_expire_and_delayed_ones_come_once(own_broker, name):
    if own_broker.name == "rabbitmq":
        pytest.skip("a plugin that RabbitMQ comes without")
    connection = amqp_connect(own_broker.amqp)
    channel = connection.channel()
    channel.exchange_declare("x", "x-delayed-message", durable=True, arguments={"x-delayed-type": "fanout"})
    channel.queue_declare(name, durable=True)
    channel.queue_declare(name + "-ttl", durable=True)
    channel.queue_bind(name, "x")
    channel.confirm_delivery()
    publish(channel, name + "-ttl", b"stays", persistent=True)
    for i in range(200):
        channel.basic_publish("x", "", b"%d" % i, delayed(1 + i * 10))
        channel.basic_publish("", name + "-ttl", b"goes", expiring(1 + i * 10))
    for _ in range(3):
        own_broker.kill()
        own_broker.start()
        time.sleep(0.4)
    connection = amqp_connect(own_broker.amqp)
    channel = connection.channel()
    wait_for(channel, name, 200)
    wait_for(channel, name + "-ttl", 1)
    time.sleep(0.1)
    bodies = get_all(channel, name)
    assert sorted(map(int, bodies)) == list(range(200))
    connection.close()


def test_delayed_messages_come_in_the_order_of_their_times(delaying, channel, name):
    channel.confirm_delivery()
    begin = time.monotonic()
    for body, ms in ((b"3", 300), (b"1", 100), (b"2", 200), (b"0", 0)):
        channel.basic_publish(delaying, "k", body, delayed(ms))
    assert get_all(channel, name) == [b"0"]
    wait_for(channel, name, 3)
    assert time.monotonic() - begin >= 0.3
    got = [channel.basic_get(name, auto_ack=True) for _ in range(3)]
    assert [body for _, _, body in got] == [b"1", b"2", b"3"]
    assert [properties.headers["x-delay"] for _, properties, _ in got] == [-100, -200, -300]
    assert [method.exchange for method, _, _ in got] == [delaying] * 3


def test_a_mandatory_message_with_a_delay_is_not_returned(delaying, channel):
    channel.confirm_delivery()
    channel.basic_publish(delaying, "nobody", b"later", delayed(50), mandatory=True)
    with pytest.raises(pika.exceptions.UnroutableError):
        channel.basic_publish(delaying, "nobody", b"now", mandatory=True)


def test_the_type_that_is_delayed_must_be_one(plugins, connection, name):
    for arguments, text in ((None, "must be an existing exchange type"),
                            ({"x-delayed-type": "nothing"}, "unknown exchange type 'nothing'"),
                            ({"x-delayed-type": "x-delayed-message"}, "can't be used for 'x-delayed-type'")):
        with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
            connection.channel().exchange_declare(name, "x-delayed-message", arguments=arguments)
        assert closed.value.reply_code == 406
        assert text in closed.value.reply_text


def test_who_is_bound_gets_the_newest_messages(plugins, channel, queue, name):
    exchange = name + "-x"
    channel.exchange_declare(exchange, "x-recent-history", arguments={"x-recent-history-length": 3})
    for i in range(10):
        headers = {"x-recent-history-no-store": True} if i == 9 else {}
        channel.basic_publish(exchange, "any", b"%d" % i, pika.BasicProperties(headers=headers))
    channel.queue_bind(queue, exchange)
    assert get_all(channel, queue) == [b"6", b"7", b"8"]
    channel.exchange_delete(exchange)


def test_a_quorum_queue_counts_deliveries(channel, name):
    channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
    publish(channel, name, b"1")
    wait_for(channel, name, 1)
    for expected in (None, 1, 2):
        method, properties, _ = channel.basic_get(name)
        assert (properties.headers or {}).get("x-delivery-count") == expected
        assert method.redelivered == (expected is not None)
        channel.basic_nack(method.delivery_tag)
        wait_for(channel, name, 1)
    channel.queue_delete(name)


def test_a_client_that_does_not_settle_in_time_loses_its_channel(broker, connection, channel, name):
    if broker.name == "rabbitmq":
        pytest.skip("RabbitMQ looks once a minute")
    channel.queue_declare(name, arguments={"x-consumer-timeout": 300})
    publish(channel, name, b"1")
    other = connection.channel()
    closed = []
    other.add_on_cancel_callback(lambda frame: None)
    other._impl.add_on_close_callback(lambda _, reason: closed.append(reason))
    other.basic_get(name)
    deadline = time.monotonic() + 10
    while not closed and time.monotonic() < deadline:
        connection.process_data_events(0.1)
    assert closed and closed[0].reply_code == 406
    assert closed[0].reply_text.startswith("PRECONDITION_FAILED - delivery acknowledgement on channel 2 timed out. "
                                           "Timeout value used: 300 ms.")
    wait_for(channel, name, 1)
    channel.queue_delete(name)
