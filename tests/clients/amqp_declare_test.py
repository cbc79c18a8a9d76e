"""Declaring, binding, deleting, and RabbitMQ's error codes and texts for what is wrong."""
import socket

import pika
import pika.exceptions
import pytest

from conftest import amqp_connect, get_all, publish, pump


def refused(code, text, call, *arguments, **more):
    """The call closes the channel with the code and a text that contains `text`."""
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        call(*arguments, **more)
    assert closed.value.reply_code == code
    assert text in closed.value.reply_text


def hung_up(code, text, call, *arguments, **more):
    """The call closes the connection."""
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
        call(*arguments, **more)
    assert closed.value.reply_code == code
    assert text in closed.value.reply_text


# -- queues


def test_declaring_again_is_harmless_and_reports_counts(channel, queue):
    channel.confirm_delivery()
    publish(channel, queue, b"1", b"2")
    ok = channel.queue_declare(queue, durable=True).method
    assert (ok.queue, ok.message_count, ok.consumer_count) == (queue, 2, 0)


def test_a_queue_without_a_name_gets_one(channel):
    ok = channel.queue_declare("", exclusive=True).method
    assert ok.queue.startswith("amq.gen-") and len(ok.queue) > 20
    channel.basic_publish("", ok.queue, b"x")
    assert get_all(channel, ok.queue) == [b"x"]


def test_an_empty_name_means_the_queue_declared_last(channel, queue):
    channel.queue_bind("", "amq.direct", queue)
    publish(channel, queue, b"1")
    assert channel.basic_get("", auto_ack=True)[2] == b"1"
    channel.queue_purge("")


def test_redeclaring_otherwise_is_refused(connection, queue):
    text = f"inequivalent arg 'durable' for queue '{queue}' in vhost '/': received 'false' but current is 'true'"
    refused(406, text, connection.channel().queue_declare, queue)
    text = f"inequivalent arg 'auto_delete' for queue '{queue}' in vhost '/': received 'true' but current is 'false'"
    refused(406, text, connection.channel().queue_declare, queue, durable=True, auto_delete=True)
    text = f"inequivalent arg 'x-message-ttl' for queue '{queue}' in vhost '/'"
    refused(406, text, connection.channel().queue_declare, queue, durable=True,
            arguments={"x-message-ttl": 1000})


def test_passive_declare_of_a_missing_queue_is_not_found(connection, name):
    refused(404, f"NOT_FOUND - no queue '{name}' in vhost '/'",
            connection.channel().queue_declare, name, passive=True)


@pytest.mark.parametrize("call", ["basic_get", "basic_consume", "queue_purge"])
def test_using_a_missing_queue_is_not_found(channel, name, call):
    arguments = (name, print) if call == "basic_consume" else (name,)
    refused(404, f"no queue '{name}' in vhost '/'", getattr(channel, call), *arguments)


def test_reserved_names_are_refused(channel):
    refused(403, "queue name 'amq.mine' contains reserved prefix 'amq.*'", channel.queue_declare, "amq.mine")


def test_purge_drops_what_is_ready_and_counts_it(channel, queue):
    publish(channel, queue, *[b"x"] * 7)
    tag = channel.basic_get(queue)[0].delivery_tag
    assert channel.queue_purge(queue).method.message_count == 6
    assert channel.basic_get(queue)[0] is None
    channel.basic_nack(tag)
    assert channel.basic_get(queue)[2] == b"x"


def test_delete_counts_what_it_drops_and_a_second_one_is_harmless(channel, name):
    channel.queue_declare(name, durable=True)
    publish(channel, name, b"1", b"2", b"3")
    assert channel.queue_delete(name).method.message_count == 3
    assert channel.queue_delete(name).method.message_count == 0


def test_conditional_deletes_are_refused_while_the_condition_fails(connection, queue):
    channel = connection.channel()
    publish(channel, queue, b"1")
    refused(406, f"queue '{queue}' in vhost '/' not empty", channel.queue_delete, queue, if_empty=True)
    channel = connection.channel()
    channel.basic_consume(queue, lambda *a: None)
    refused(406, f"queue '{queue}' in vhost '/' in use",
            connection.channel().queue_delete, queue, if_unused=True)


def test_deleting_a_queue_cancels_its_consumers(amqp, channel, name):
    channel.queue_declare(name)
    cancelled = []
    channel.add_on_cancel_callback(cancelled.append)
    tag = channel.basic_consume(name, lambda *a: None)
    with amqp_connect(amqp) as other:
        other.channel().queue_delete(name)
    pump(channel, lambda: cancelled)
    assert [frame.method.consumer_tag for frame in cancelled] == [tag]


def test_an_exclusive_queue_is_its_connections_alone_and_dies_with_it(amqp, connection, name):
    with amqp_connect(amqp) as owner:
        owner.channel().queue_declare(name, exclusive=True)
        text = f"cannot obtain exclusive access to locked queue '{name}' in vhost '/'"
        refused(405, text, connection.channel().queue_declare, name, passive=True)
        refused(405, text, connection.channel().basic_get, name)
        refused(405, text, connection.channel().basic_consume, name, print)
    refused(404, "no queue", connection.channel().queue_declare, name, passive=True)


def test_an_auto_delete_queue_goes_with_its_last_consumer(connection, name):
    channel = connection.channel()
    channel.queue_declare(name, auto_delete=True)
    channel.queue_declare(name, passive=True)
    tags = [channel.basic_consume(name, lambda *a: None) for _ in range(2)]
    channel.basic_cancel(tags[0])
    channel.queue_declare(name, passive=True)
    channel.basic_cancel(tags[1])
    refused(404, "no queue", channel.queue_declare, name, passive=True)


def test_exclusive_consuming_shuts_others_out(connection, queue):
    connection.channel().basic_consume(queue, lambda *a: None, exclusive=True)
    refused(403, f"queue '{queue}' in vhost '/' in exclusive use",
            connection.channel().basic_consume, queue, lambda *a: None)


# -- exchanges and bindings


@pytest.mark.parametrize("exchange, exchange_type", [
    ("amq.direct", "direct"),
    ("amq.fanout", "fanout"),
    ("amq.topic", "topic"),
    ("amq.headers", "headers"),
    ("amq.match", "headers"),
])
def test_predeclared_exchanges_are_there(channel, exchange, exchange_type):
    channel.exchange_declare(exchange, exchange_type, passive=True)
    channel.exchange_declare(exchange, exchange_type, durable=True)


def test_exchange_errors(connection, name):
    refused(404, f"no exchange '{name}' in vhost '/'",
            connection.channel().exchange_declare, name, passive=True)
    connection.channel().exchange_declare(name, "direct", auto_delete=True)
    refused(406, f"inequivalent arg 'durable' for exchange '{name}' in vhost '/': received 'true' but current is 'false'",
            connection.channel().exchange_declare, name, "direct", auto_delete=True, durable=True)
    refused(403, "contains reserved prefix 'amq.*'", connection.channel().exchange_declare, "amq.mine")
    refused(403, "operation not permitted on the default exchange",
            connection.channel().queue_bind, "q", "", "key")
    connection.channel().exchange_delete(name)
    connection.channel().exchange_delete(name)


def test_an_exchange_in_use_is_not_deleted_when_asked_to_look(connection, channel, queue, name):
    exchange = name + "-x"
    channel.exchange_declare(exchange, "direct")
    channel.queue_bind(queue, exchange, "key")
    refused(406, f"exchange '{exchange}' in vhost '/' in use",
            connection.channel().exchange_delete, exchange, if_unused=True)
    channel.exchange_delete(exchange)


def test_an_exchange_of_another_type_is_not_the_same(connection, name):
    connection.channel().exchange_declare(name, "direct", auto_delete=True)
    refused(406, f"inequivalent arg 'type' for exchange '{name}' in vhost '/': received 'fanout' but current is 'direct'",
            connection.channel().exchange_declare, name, "fanout", auto_delete=True)


def test_direct_routing(channel, name):
    channel.exchange_declare(name, "direct", auto_delete=True)
    one, two = (channel.queue_declare("", exclusive=True).method.queue for _ in range(2))
    for queue, key in ((one, "a"), (two, "b"), (one, "both"), (two, "both"), (one, "twice"), (one, "twice")):
        channel.queue_bind(queue, name, key)
    for key in ("a", "b", "both", "none", "twice"):
        channel.basic_publish(name, key, key.encode())
    assert get_all(channel, one) == [b"a", b"both", b"twice"]
    assert get_all(channel, two) == [b"b", b"both"]


def test_fanout_and_topic_routing(channel, name):
    channel.exchange_declare(name + "-f", "fanout", auto_delete=True)
    channel.exchange_declare(name + "-t", "topic", auto_delete=True)
    one, two = (channel.queue_declare("", exclusive=True).method.queue for _ in range(2))
    channel.queue_bind(one, name + "-f")
    channel.queue_bind(two, name + "-f")
    channel.queue_bind(one, name + "-t", "*.error")
    channel.queue_bind(one, name + "-t", "app.#")
    channel.queue_bind(two, name + "-t", "#")
    channel.basic_publish(name + "-f", "x", b"fanout")
    channel.basic_publish(name + "-t", "app.error", b"both match, once")
    channel.basic_publish(name + "-t", "db.error.x", b"only #")
    assert get_all(channel, one) == [b"fanout", b"both match, once"]
    assert get_all(channel, two) == [b"fanout", b"both match, once", b"only #"]


def test_headers_routing(channel, name):
    one, two = (channel.queue_declare("", exclusive=True).method.queue for _ in range(2))
    channel.queue_bind(one, "amq.headers", arguments={"x-match": "all", "kind": name, "n": 1})
    channel.queue_bind(two, "amq.headers", arguments={"x-match": "any", "kind": name, "n": 1})
    def send(body, **headers):
        channel.basic_publish("amq.headers", "", body, pika.BasicProperties(headers=headers))
    send(b"both", kind=name, n=1)
    send(b"some", kind=name, n=2)
    send(b"none", kind="other")
    assert get_all(channel, one) == [b"both"]
    assert get_all(channel, two) == [b"both", b"some"]


def test_unbinding_ends_the_routing(channel, queue, name):
    channel.queue_bind(queue, "amq.direct", name)
    channel.basic_publish("amq.direct", name, b"1")
    channel.queue_unbind(queue, "amq.direct", name)
    channel.basic_publish("amq.direct", name, b"2")
    channel.queue_unbind(queue, "amq.direct", name)
    assert get_all(channel, queue) == [b"1"]


def test_exchanges_bind_to_exchanges(channel, queue, name):
    channel.exchange_declare(name + "-from", "direct")
    channel.exchange_declare(name + "-to", "fanout")
    channel.exchange_bind(name + "-to", name + "-from", "k")
    channel.queue_bind(queue, name + "-to")
    channel.basic_publish(name + "-from", "k", b"1")
    channel.basic_publish(name + "-from", "other", b"2")
    channel.exchange_unbind(name + "-to", name + "-from", "k")
    channel.basic_publish(name + "-from", "k", b"3")
    assert get_all(channel, queue) == [b"1"]
    channel.exchange_delete(name + "-from")
    channel.exchange_delete(name + "-to")


def test_an_auto_delete_exchange_goes_with_its_last_binding(channel, queue, name):
    channel.exchange_declare(name + "-x", "direct", auto_delete=True)
    channel.queue_bind(queue, name + "-x", "key")
    channel.queue_unbind(queue, name + "-x", "key")
    refused(404, "no exchange", channel.exchange_declare, name + "-x", passive=True)


# -- misuse


def test_a_body_over_the_limit_closes_the_channel_only(connection, channel, queue):
    channel.confirm_delivery()
    text = "message size 16777217 is larger than configured max size 16777216"
    refused(406, text, channel.basic_publish, "", queue, bytes(16 * 1024 * 1024 + 1))
    assert connection.channel().queue_declare(queue, passive=True).method.message_count == 0


def test_acking_an_unknown_tag_closes_the_channel(channel, queue):
    channel.basic_ack(99)
    refused(406, "unknown delivery tag 99", channel.queue_declare, queue, passive=True)


def test_acking_twice_closes_the_channel(channel, queue):
    publish(channel, queue, b"x")
    tag = channel.basic_get(queue)[0].delivery_tag
    channel.basic_ack(tag)
    channel.basic_ack(tag)
    refused(406, f"unknown delivery tag {tag}", channel.queue_declare, queue, passive=True)


def test_reusing_a_consumer_tag_closes_the_connection(channel, queue):
    channel.basic_consume(queue, lambda *a: None, consumer_tag="same")
    def again():
        channel._consumer_infos.clear()
        channel._impl._consumers.clear()
        channel.basic_consume(queue, lambda *a: None, consumer_tag="same")
    hung_up(530, "attempt to reuse consumer tag 'same'", again)


def test_an_unknown_exchange_type_is_refused(connection, name):
    refused(406, "unknown exchange type 'zz'", connection.channel().exchange_declare, name, "zz")


def test_immediate_is_not_implemented(connection, channel, queue):
    method = pika.spec.Basic.Publish(exchange="", routing_key=queue, immediate=True)
    def send():
        channel._impl._send_method(method, (pika.BasicProperties(), b"x"))
        channel.queue_declare(queue, passive=True)
    hung_up(540, "immediate", send)


def test_confirm_and_transaction_modes_exclude_each_other(connection):
    channel = connection.channel()
    channel.tx_select()
    refused(406, "cannot switch from tx to confirm mode", channel.confirm_delivery)
    channel = connection.channel()
    channel.confirm_delivery()
    refused(406, "cannot switch from confirm to tx mode", channel.tx_select)


def test_a_transaction_is_all_or_nothing(channel, queue):
    channel.tx_select()
    publish(channel, queue, b"rolled back")
    channel.tx_rollback()
    publish(channel, queue, b"one", b"two")
    channel.tx_commit()
    assert get_all(channel, queue) == [b"one", b"two"]
    channel.tx_commit()


@pytest.mark.parametrize("user, password", [("guest", "wrong"), ("nobody", "guest"), ("", "")])
def test_a_wrong_password_is_refused(amqp, user, password):
    with pytest.raises(pika.exceptions.ProbableAuthenticationError) as refusal:
        amqp_connect(amqp, credentials=pika.PlainCredentials(user, password))
    assert "ACCESS_REFUSED" in str(refusal.value)


def test_a_missing_vhost_is_refused(amqp):
    with pytest.raises(pika.exceptions.ProbableAccessDeniedError) as closed:
        amqp_connect(amqp, virtual_host="missing")
    assert "(530)" in str(closed.value) and "vhost missing not found" in str(closed.value)


def test_another_protocol_version_is_told_a_right_one(amqp):
    host, port = amqp.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 5) as raw:
        raw.sendall(b"AMQP\x01\x01\x00\x0a")
        # RabbitMQ 4 speaks AMQP 1.0 too and offers that.
        assert raw.recv(8) in (b"AMQP\x00\x00\x09\x01", b"AMQP\x03\x01\x00\x00")
        assert ended(raw)


def ended(raw):
    """The broker has closed the connection."""
    try:
        return raw.recv(1) == b""
    except ConnectionResetError:
        return True


def test_heartbeats_keep_an_idle_connection_and_end_a_dead_one(amqp):
    with amqp_connect(amqp, heartbeat=1) as idle:
        idle.process_data_events(3.5)
        assert idle.is_open
        idle.channel()
    dead = amqp_connect(amqp, heartbeat=1)
    wire = dead._impl._transport._sock
    wire.settimeout(6)
    while not ended(wire):
        pass
