"""RabbitMQ's extensions: time to live, length, dead letters, limits, consumers, keys, direct reply-to."""
import time

import pika
import pytest

import brokers
from conftest import amqp_connect, get_all, publish


def dead_letters(name, **more):
    return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": name, **more}


@pytest.fixture
def dead(channel, name):
    queue = name + "-dead"
    channel.queue_declare(queue)
    yield queue
    channel.queue_delete(queue)


@pytest.fixture
def amqp_again(amqp):
    """Another connection."""
    connection = amqp_connect(amqp)
    yield connection
    connection.close()


def declare(channel, name, **arguments):
    return channel.queue_declare(name, auto_delete=True, durable=False, arguments=arguments)


def wait_for(channel, queue, count):
    brokers.wait_until(lambda: channel.queue_declare(queue, passive=True).method.message_count == count)


def test_a_queue_s_messages_expire_and_become_dead_letters_with_their_story(channel, name, dead):
    declare(channel, name, **dead_letters(dead, **{"x-message-ttl": 50}))
    publish(channel, name, b"1", b"2")
    wait_for(channel, dead, 2)
    assert channel.queue_declare(name, passive=True).method.message_count == 0
    _, properties, body = channel.basic_get(dead, auto_ack=True)
    death = properties.headers["x-death"][0]
    assert body == b"1"
    assert (death["queue"], death["reason"], death["count"], death["exchange"]) == (name, "expired", 1, "")
    assert death["routing-keys"] == [name]
    assert properties.headers["x-first-death-reason"] == "expired"
    assert properties.headers["x-last-death-queue"] == name


def test_a_ladder_of_retries_counts_its_deaths(channel, name):
    """Work, reject, wait in a queue of its own, back to work: what many frameworks build."""
    wait = name + "-wait"
    declare(channel, name, **dead_letters(wait))
    channel.queue_declare(wait, arguments=dead_letters(name, **{"x-message-ttl": 30}))
    publish(channel, name, b"job")
    for attempt in range(3):
        wait_for(channel, name, 1)
        method, properties, _ = channel.basic_get(name)
        deaths = {d["queue"]: d["count"] for d in (properties.headers or {}).get("x-death", [])}
        assert deaths == ({} if attempt == 0 else {name: attempt, wait: attempt})
        channel.basic_reject(method.delivery_tag, requeue=False)
    channel.queue_delete(wait)


def test_a_queue_that_is_too_long_drops_the_oldest(channel, name, dead):
    declare(channel, name, **dead_letters(dead, **{"x-max-length": 3}))
    publish(channel, name, *(str(i).encode() for i in range(10)))
    wait_for(channel, dead, 7)
    assert get_all(channel, name) == [b"7", b"8", b"9"]
    assert get_all(channel, dead) == [str(i).encode() for i in range(7)]


def test_a_full_queue_nacks(channel, name):
    declare(channel, name, **{"x-max-length": 1, "x-overflow": "reject-publish"})
    channel.confirm_delivery()
    channel.basic_publish("", name, b"1")
    with pytest.raises(pika.exceptions.NackError):
        channel.basic_publish("", name, b"2")
    assert get_all(channel, name) == [b"1"]


def test_the_delivery_limit_of_a_quorum_queue_ends_a_poison_message(channel, name, dead):
    channel.queue_declare(name, durable=True,
                          arguments=dead_letters(dead, **{"x-queue-type": "quorum", "x-delivery-limit": 2}))
    publish(channel, name, b"poison")
    for _ in range(3):
        wait_for(channel, name, 1)
        method, _, _ = channel.basic_get(name)
        channel.basic_nack(method.delivery_tag, requeue=True)
    wait_for(channel, dead, 1)
    _, properties, _ = channel.basic_get(dead, auto_ack=True)
    assert properties.headers["x-last-death-reason"] == "delivery_limit"
    channel.queue_delete(name)


def test_one_consumer_is_active_until_it_goes(connection, channel, name):
    declare(channel, name, **{"x-single-active-consumer": True})
    got = {}
    tags = [channel.basic_consume(name, lambda c, m, p, b: got.setdefault(m.consumer_tag, []).append(b), auto_ack=True)
            for _ in range(2)]
    publish(channel, name, b"1", b"2")
    brokers.wait_until(lambda: connection.process_data_events(0.05) or len(got.get(tags[0], [])) == 2)
    channel.basic_cancel(tags[0])
    publish(channel, name, b"3")
    brokers.wait_until(lambda: connection.process_data_events(0.05) or got.get(tags[1]) == [b"3"])


def test_consumers_of_a_higher_priority_come_first(connection, channel, name):
    declare(channel, name)
    got = []
    channel.basic_qos(prefetch_count=2)
    for priority in (0, 10):
        channel.basic_consume(name, lambda c, m, p, b, who=priority: got.append(who),
                              arguments={"x-priority": priority})
    publish(channel, name, b"1", b"2", b"3")
    brokers.wait_until(lambda: connection.process_data_events(0.05) or len(got) == 3)
    assert got == [10, 10, 0]


def test_an_unused_queue_goes_away(connection, name):
    connection.channel().queue_declare(name, arguments={"x-expires": 200})
    time.sleep(0.6)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="no queue"):
        connection.channel().queue_declare(name, passive=True)


def test_more_keys_in_the_headers(channel, name):
    for queue in ("a", "b", "c"):
        declare(channel, f"{name}-{queue}")
    channel.basic_publish("", f"{name}-a", b"1", pika.BasicProperties(
        headers={"CC": [f"{name}-b"], "BCC": [f"{name}-c"], "other": 1}))
    for queue in ("a", "b", "c"):
        _, properties, body = channel.basic_get(f"{name}-{queue}", auto_ack=True)
        assert body == b"1" and properties.headers == {"CC": [f"{name}-b"], "other": 1}


def test_what_nobody_wants_goes_to_the_alternate_exchange(channel, queue, name):
    channel.exchange_declare(name + "-rest", "fanout", auto_delete=True)
    channel.exchange_declare(name, "direct", auto_delete=True, arguments={"alternate-exchange": name + "-rest"})
    channel.queue_bind(queue, name + "-rest")
    channel.confirm_delivery()
    channel.basic_publish(name, "nowhere", b"1", mandatory=True)
    assert get_all(channel, queue) == [b"1"]
    channel.exchange_delete(name)


def test_direct_reply_to_answers_the_channel_that_asked(connection, amqp_again, channel, queue):
    answers = []
    channel.basic_consume("amq.rabbitmq.reply-to", lambda c, m, p, b: answers.append((p.correlation_id, b)),
                          auto_ack=True)
    channel.confirm_delivery()  # the other connection may be heard first
    channel.basic_publish("", queue, b"question", pika.BasicProperties(
        reply_to="amq.rabbitmq.reply-to", correlation_id="7"))
    other = amqp_again.channel()
    _, asked, body = other.basic_get(queue, auto_ack=True)
    assert body == b"question" and asked.reply_to.startswith("amq.rabbitmq.reply-to.")
    assert other.queue_declare(asked.reply_to, passive=True).method.consumer_count == 1
    other.basic_publish("", asked.reply_to, b"answer", pika.BasicProperties(correlation_id=asked.correlation_id))
    brokers.wait_until(lambda: connection.process_data_events(0.05) or answers == [("7", b"answer")])
    channel.close()
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="404"):
        other.queue_declare(asked.reply_to, passive=True)


def test_direct_reply_to_has_rules(connection):
    def refused(text, *arguments, **more):
        channel = connection.channel()
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match=text):
            channel.basic_consume("amq.rabbitmq.reply-to", lambda *a: None, *arguments, **more)
            channel.basic_consume("amq.rabbitmq.reply-to", lambda *a: None, *arguments, **more)
    refused("reply consumer cannot acknowledge")
    refused("reply consumer already set", auto_ack=True)


def test_higher_priorities_come_first(channel, name):
    declare(channel, name, **{"x-max-priority": 5})
    for i, priority in enumerate((0, 3, None, 200, 3, 5)):
        channel.basic_publish("", name, str(i).encode(), pika.BasicProperties(priority=priority))
    assert get_all(channel, name) == [b"3", b"5", b"1", b"4", b"0", b"2"]
