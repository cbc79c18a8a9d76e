"""AMQP 0-9-1 clients publish, get, consume and settle as RabbitMQ lets them."""
import socket
import threading
import time

import pika
import pika.exceptions
import pytest

from conftest import amqp_connect, get_all, publish, pump, run


def bodies(count):
    return [f"body {i}".encode() for i in range(count)]


def depth(channel, queue):
    return channel.queue_declare(queue, passive=True).method.message_count


def take(channel, queue, count, auto_ack=False, timeout_s=10):
    """`count` deliveries by basic.consume: [(method, properties, body)]."""
    out = []
    for method, properties, body in channel.consume(queue, auto_ack=auto_ack, inactivity_timeout=timeout_s):
        if method is None:
            break
        out.append((method, properties, body))
        if len(out) == count:
            break
    return out


def hang_up(connection):
    """End the connection as a dying client does, without AMQP's farewell."""
    connection._impl._transport._sock.shutdown(socket.SHUT_RDWR)


# -- publish and take


def test_published_messages_are_taken_in_order(channel, queue):
    channel.confirm_delivery()
    publish(channel, queue, *bodies(500))
    assert depth(channel, queue) == 500
    assert get_all(channel, queue) == bodies(500)


def test_all_properties_and_headers_come_back_as_sent(channel, queue):
    headers = {"int": 1, "negative": -5, "long": 2 ** 40, "text": "텍스트", "bytes": b"\0\xff", "none": None,
               "flag": True, "list": [1, "a", [None]], "table": {"inner": {"x": 1}}}
    sent = pika.BasicProperties("a/b", "utf-8", headers, 2, 9, "c", "r", None, "m", 1_700_000_000, "t",
                                "guest", "a", "x")
    channel.basic_publish("", queue, b"body", sent)
    method, got, body = channel.basic_get(queue, auto_ack=True)
    assert body == b"body" and vars(got) == vars(sent)
    assert (method.exchange, method.routing_key, method.redelivered) == ("", queue, False)


def test_an_expired_message_is_gone_and_one_that_has_time_keeps_its_property(channel, queue):
    channel.basic_publish("", queue, b"brief", pika.BasicProperties(expiration="1"))
    channel.basic_publish("", queue, b"long", pika.BasicProperties(expiration="60000"))
    time.sleep(0.1)
    _, got, body = channel.basic_get(queue, auto_ack=True)
    assert (body, got.expiration) == (b"long", "60000")


@pytest.mark.parametrize("size", [0, 1, 4096, 131_064, 131_065, 1_000_000, 5_000_000])
def test_bodies_of_any_size_pass_through(channel, queue, size):
    channel.confirm_delivery()
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    publish(channel, queue, body)
    assert get_all(channel, queue) == [body]


def test_counts_include_what_the_channel_published_before_it_asked(broker, channel, queue):
    if broker.name == "rabbitmq":
        pytest.skip("RabbitMQ's counts may lag behind a channel's own publishes")
    for wanted in range(10, 201, 10):
        publish(channel, queue, *bodies(10))
        assert depth(channel, queue) == wanted


def test_get_on_an_empty_queue_says_empty_and_counts_what_remains(channel, queue):
    assert channel.basic_get(queue) == (None, None, None)
    publish(channel, queue, *bodies(3))
    method, _, _ = channel.basic_get(queue, auto_ack=True)
    assert method.message_count == 2


def test_a_consumer_is_sent_what_arrives_later(amqp, channel, queue):
    got = []
    tag = channel.basic_consume(queue, lambda c, m, p, body: got.append(body), auto_ack=True)
    with amqp_connect(amqp) as other:
        publish(other.channel(), queue, *bodies(10))
        other.process_data_events(0)
    pump(channel, lambda: len(got) == 10)
    assert got == bodies(10)
    channel.basic_cancel(tag)
    assert channel.queue_declare(queue, passive=True).method.consumer_count == 0


def test_consumers_of_one_queue_take_turns(amqp, channel, queue):
    seen = {1: [], 2: []}
    for consumer in seen:
        channel.basic_consume(queue, lambda c, m, p, body, to=consumer: seen[to].append(body), auto_ack=True)
    publish(channel, queue, *bodies(100))
    pump(channel, lambda: sum(map(len, seen.values())) == 100)
    assert len(seen[1]) == len(seen[2]) == 50
    assert sorted(seen[1] + seen[2]) == sorted(bodies(100))


# -- confirms and returns


def test_a_confirm_comes_for_every_publish(channel, queue):
    channel.confirm_delivery()
    publish(channel, queue, *bodies(100))
    assert depth(channel, queue) == 100


def test_a_mandatory_message_without_a_route_is_returned_before_its_confirm(channel, name):
    channel.confirm_delivery()
    with pytest.raises(pika.exceptions.UnroutableError) as unroutable:
        channel.basic_publish("", name + "-missing", b"lost", mandatory=True)
    returned, = unroutable.value.messages
    assert returned.method.reply_code == 312 and returned.method.reply_text == "NO_ROUTE"
    assert returned.body == b"lost"


def test_a_message_without_a_route_is_confirmed_when_not_mandatory(channel, name):
    channel.confirm_delivery()
    channel.basic_publish("", name + "-missing", b"dropped")


def test_publishing_to_a_missing_exchange_closes_the_channel_only(connection, channel, name):
    channel.confirm_delivery()
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        channel.basic_publish(name, "key", b"x")
    assert closed.value.reply_code == 404
    assert closed.value.reply_text == f"NOT_FOUND - no exchange '{name}' in vhost '/'"
    connection.channel().queue_declare(name, auto_delete=True)


# -- settle


def test_acked_messages_are_gone_and_unacked_ones_come_back_redelivered(amqp, channel, queue):
    publish(channel, queue, *bodies(4))
    with amqp_connect(amqp) as other:
        second = other.channel()
        taken = [second.basic_get(queue) for _ in range(3)]
        second.basic_ack(taken[1][0].delivery_tag)
        second.queue_declare(queue, passive=True)
    again = take(channel, queue, 3)
    assert [(body, method.redelivered) for method, _, body in again] == [
        (b"body 0", True), (b"body 2", True), (b"body 3", False)]


def test_ack_multiple_settles_everything_up_to_it(amqp, queue, channel):
    publish(channel, queue, *bodies(6))
    with amqp_connect(amqp) as other:
        second = other.channel()
        tags = [second.basic_get(queue)[0].delivery_tag for _ in range(5)]
        second.basic_ack(tags[2], multiple=True)
        second.queue_declare(queue, passive=True)
    assert get_all(channel, queue) == bodies(6)[3:]


@pytest.mark.parametrize("how", ["nack", "reject"])
def test_requeued_messages_go_back_to_their_place(channel, queue, how):
    publish(channel, queue, *bodies(6))
    taken = [channel.basic_get(queue) for _ in range(3)]
    for method, _, _ in reversed(taken):
        if how == "nack":
            channel.basic_nack(method.delivery_tag, requeue=True)
        else:
            channel.basic_reject(method.delivery_tag, requeue=True)
    again = [channel.basic_get(queue, auto_ack=True) for _ in range(6)]
    assert [body for _, _, body in again] == bodies(6)
    assert [method.redelivered for method, _, _ in again] == [True] * 3 + [False] * 3


def test_nack_multiple_requeues_in_order(channel, queue):
    publish(channel, queue, *bodies(5))
    tags = [channel.basic_get(queue)[0].delivery_tag for _ in range(5)]
    channel.basic_nack(tags[-1], multiple=True, requeue=True)
    assert get_all(channel, queue) == bodies(5)


@pytest.mark.parametrize("how", ["nack", "reject"])
def test_refused_messages_without_requeue_are_dropped(channel, queue, how):
    publish(channel, queue, *bodies(2))
    tag = channel.basic_get(queue)[0].delivery_tag
    if how == "nack":
        channel.basic_nack(tag, requeue=False)
    else:
        channel.basic_reject(tag, requeue=False)
    assert get_all(channel, queue) == [b"body 1"]


def test_recover_redelivers_what_the_channel_holds(channel, queue):
    publish(channel, queue, *bodies(2))
    channel.basic_get(queue)
    channel.basic_recover(requeue=True)
    again = [channel.basic_get(queue, auto_ack=True) for _ in range(2)]
    assert [(body, method.redelivered) for method, _, body in again] == [(b"body 0", True), (b"body 1", False)]


def test_closing_the_channel_requeues_before_it_answers(connection, channel, queue):
    publish(channel, queue, *bodies(3))
    second = connection.channel()
    second.basic_get(queue)
    second.close()
    assert get_all(channel, queue) == bodies(3)


def test_a_consumer_that_disappears_gives_everything_back(amqp, channel, queue):
    publish(channel, queue, *bodies(20))
    other = amqp_connect(amqp)
    second = other.channel()
    second.basic_qos(prefetch_count=10)
    assert len(take(second, queue, 10)) == 10
    hang_up(other)
    deadline = time.monotonic() + 5
    while depth(channel, queue) < 20 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert get_all(channel, queue) == bodies(20)


# -- prefetch


def test_prefetch_bounds_what_is_unsettled(amqp, channel, queue):
    publish(channel, queue, *bodies(20))
    got = []
    channel.basic_qos(prefetch_count=5)
    channel.basic_consume(queue, lambda c, m, p, body: got.append(m.delivery_tag))
    pump(channel, lambda: len(got) >= 5)
    assert got == [1, 2, 3, 4, 5]
    channel.basic_ack(3, multiple=True)
    pump(channel, lambda: len(got) >= 8)
    assert got == list(range(1, 9))
    assert depth(channel, queue) == 12


def test_prefetch_does_not_bound_automatic_acknowledgement(channel, queue):
    publish(channel, queue, *bodies(20))
    channel.basic_qos(prefetch_count=1)
    got = []
    channel.basic_consume(queue, lambda c, m, p, body: got.append(body), auto_ack=True)
    pump(channel, lambda: len(got) >= 20)
    assert got == bodies(20)


def test_what_was_delivered_before_a_cancel_can_still_be_acked(channel, queue):
    publish(channel, queue, *bodies(3))
    channel.basic_qos(prefetch_count=2)
    got = []
    tag = channel.basic_consume(queue, lambda c, m, p, body: got.append(m.delivery_tag))
    pump(channel, lambda: len(got) >= 2)
    channel.basic_cancel(tag)
    assert depth(channel, queue) == 1
    channel.basic_ack(got[-1], multiple=True)
    assert get_all(channel, queue) == [b"body 2"]


# -- through other clients


def test_amqp_tools_publish_and_get(amqp, channel, queue):
    server = ["--server=" + amqp.rsplit(":", 1)[0], "--port=" + amqp.rsplit(":", 1)[1]]
    run(["amqp-publish", *server, "-r", queue, "-p", "-b", "by hand"])
    run(["amqp-publish", *server, "-r", queue, "-p"], input=b"x" * 300_000)
    assert run(["amqp-get", *server, "-q", queue]) == b"by hand"
    assert get_all(channel, queue) == [b"x" * 300_000]


def test_amqp_tools_consume_and_acknowledge(amqp, channel, queue):
    server = ["--server=" + amqp.rsplit(":", 1)[0], "--port=" + amqp.rsplit(":", 1)[1]]
    publish(channel, queue, b"one\n", b"two\n", b"three\n")
    assert run(["amqp-consume", *server, "-q", queue, "-c", "3", "cat"]) == b"one\ntwo\nthree\n"
    assert depth(channel, queue) == 0


def test_many_connections_at_once(amqp, channel, queue):
    def work(number):
        with amqp_connect(amqp) as one:
            mine = one.channel()
            mine.confirm_delivery()
            publish(mine, queue, *(f"{number}-{i}".encode() for i in range(20)))
    threads = [threading.Thread(target=work, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    got = get_all(channel, queue)
    assert len(got) == 400
    for number in range(20):
        mine = [body for body in got if body.startswith(f"{number}-".encode())]
        assert mine == [f"{number}-{i}".encode() for i in range(20)]
