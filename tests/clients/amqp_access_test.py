"""Users, vhosts, permissions and limits: set over the management API, told to AMQP clients with
RabbitMQ's codes and texts.

PABAL_AMQP and PABAL_HTTP name a broker that runs already: RabbitMQ's own answers are the same.
"""
import base64
import contextlib
import json
import os
import re
import threading
import urllib.error
import urllib.parse
import urllib.request

import pika
import pytest

import brokers

ALL = {"configure": ".*", "write": ".*", "read": ".*"}


class Api:
    """The management API as one user; request() returns (status, JSON or None)."""

    def __init__(self, address, user="guest", password="guest"):
        self.base = f"http://{address}/api"
        self.login = base64.b64encode(f"{user}:{password}".encode()).decode()

    def request(self, method, *path, body=None):
        url = "/".join([self.base, *(urllib.parse.quote(part, safe="") for part in path)])
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Basic {self.login}", "Content-Type": "application/json"}
        ask = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(ask, timeout=20) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        return status, json.loads(text) if text else None

    def put(self, *path, **body):
        status, answer = self.request("PUT", *path, body=body)
        assert status in (201, 204), answer

    def delete(self, *path):
        status, answer = self.request("DELETE", *path)
        assert status in (204, 404), answer


@pytest.fixture
def http(broker):
    address = getattr(broker, "http", None) or os.environ.get("PABAL_HTTP")
    if not address:
        pytest.skip(f"{broker.name} has no management API here")
    return address


class World:
    """A user and a vhost of a test's own."""

    def __init__(self, amqp, http, name):
        self.amqp, self.api, self.name = amqp, Api(http), name
        self.connections = []
        self.api.put("users", name, password="secret", tags="management")
        self.api.put("vhosts", name)

    def permit(self, **patterns):
        self.api.put("permissions", self.name, self.name, **patterns)

    def connect(self, user=None, password="secret", vhost=None, **more):
        host, port = self.amqp.rsplit(":", 1)
        parameters = pika.ConnectionParameters(
            host, int(port), vhost or self.name,
            pika.PlainCredentials(user or self.name, password), blocked_connection_timeout=10, **more)
        self.connections.append(pika.BlockingConnection(parameters))
        return self.connections[-1]

    def close(self):
        for connection in self.connections:
            if connection.is_open:
                connection.close()
        self.api.delete("vhosts", self.name)
        self.api.delete("users", self.name)


@pytest.fixture
def world(amqp, http, name):
    one = World(amqp, http, name)
    yield one
    one.close()


def refused(connection, act):
    """The code and the text with which the broker closes the channel that act() uses."""
    channel, told = connection.channel(), []
    channel._impl.add_on_close_callback(lambda _, why: told.append(why))
    try:
        act(channel)
    except pika.exceptions.ChannelClosedByBroker:
        pass
    for _ in range(100):
        if told:
            break
        connection.process_data_events(0.1)
    return told[0].reply_code, told[0].reply_text


def closed(connect):
    """The code and the text with which the broker closes a connection that opens."""
    with pytest.raises(pika.exceptions.ProbableAccessDeniedError) as told:
        connect()
    code, text = re.search(r"""\((\d+)\) ['"](.*)['"]""", str(told.value)).groups()
    return int(code), text


def test_a_vhost_opens_for_users_with_permissions_there(world):
    name = world.name
    assert closed(world.connect) == (
        530, f"NOT_ALLOWED - access to vhost '{name}' refused for user '{name}'")
    assert closed(lambda: world.connect(vhost="nowhere")) == (530, "NOT_ALLOWED - vhost nowhere not found")
    world.permit(**ALL)
    world.connect()


def test_a_wrong_password_is_refused(world):
    with pytest.raises(pika.exceptions.ProbableAuthenticationError) as told:
        world.connect(password="wrong")
    assert "Login was refused using authentication mechanism PLAIN" in str(told.value)
    world.api.put("users", world.name, tags="")  # no password at all
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        world.connect(password="")


def text_of(world, right, thing):
    return 403, f"ACCESS_REFUSED - {right} access to {thing} in vhost '{world.name}' refused for user '{world.name}'"


def test_each_method_is_refused_in_the_same_words(world):
    world.permit(configure="^mine", write="^mine", read="^mine")
    connection = world.connect()
    setup = connection.channel()
    setup.exchange_declare("mine-x")
    setup.exchange_declare("mine-y")
    setup.queue_declare("mine")
    dead, alternate = {"x-dead-letter-exchange": "x"}, {"alternate-exchange": "x"}
    for act, right, thing in [
        (lambda c: c.queue_declare("q"), "configure", "queue 'q'"),
        (lambda c: c.queue_delete("q"), "configure", "queue 'q'"),
        (lambda c: c.exchange_declare("x"), "configure", "exchange 'x'"),
        (lambda c: c.exchange_delete("x"), "configure", "exchange 'x'"),
        (lambda c: c.queue_declare("mine-q", arguments=dead), "write", "exchange 'x'"),
        (lambda c: c.exchange_declare("mine-z", arguments=alternate), "write", "exchange 'x'"),
        (lambda c: c.queue_bind("q", "mine-x"), "write", "queue 'q'"),
        (lambda c: c.queue_bind("mine", "amq.direct"), "read", "exchange 'amq.direct'"),
        (lambda c: c.queue_unbind("mine", "amq.direct"), "read", "exchange 'amq.direct'"),
        (lambda c: c.exchange_bind("x", "mine-x"), "write", "exchange 'x'"),
        (lambda c: c.exchange_bind("mine-x", "x"), "read", "exchange 'x'"),
        (lambda c: c.exchange_unbind("x", "mine-x"), "write", "exchange 'x'"),
        (lambda c: c.basic_get("q"), "read", "queue 'q'"),
        (lambda c: c.basic_consume("q", print), "read", "queue 'q'"),
        (lambda c: c.queue_purge("q"), "read", "queue 'q'"),
        (lambda c: c.basic_publish("x", "", b""), "write", "exchange 'x'"),
        (lambda c: c.basic_publish("", "mine", b""), "write", "exchange 'amq.default'"),
    ]:
        assert refused(connection, act) == text_of(world, right, thing)
    setup.exchange_bind("mine-x", "mine-y")
    setup.queue_bind("mine", "mine-y", "k")
    setup.basic_publish("mine-x", "k", b"")
    setup.queue_declare("mine", passive=True)
    setup.queue_purge("mine")


def test_routing_keys_are_refused_by_topic_permissions(world):
    world.permit(**ALL)
    world.api.put("topic-permissions", world.name, world.name,
                  exchange="amq.topic", write="^{username}\\.", read="^open\\.")
    connection, own = world.connect(), world.name + ".a"

    def words(right, key):
        return text_of(world, right, f"topic '{key}' in exchange 'amq.topic'")

    assert refused(connection, lambda c: c.basic_publish("amq.topic", "other.a", b"")) == words("write", "other.a")
    copies = pika.BasicProperties(headers={"CC": ["other.b"]})
    assert refused(connection, lambda c: c.basic_publish("amq.topic", own, b"", copies)) == words("write", "other.b")
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.confirm_delivery()
    channel.basic_publish("amq.topic", own, b"", pika.BasicProperties(headers={"CC": [own]}))
    channel.queue_bind(queue, "amq.topic", "open.#")
    channel.queue_bind(queue, "amq.direct", own)
    assert refused(connection, lambda c: c.queue_bind(queue, "amq.topic", own)) == words("read", own)


def test_a_user_id_is_ones_own_unless_one_may_impersonate(world):
    world.permit(**ALL)
    connection = world.connect()
    guest = pika.BasicProperties(user_id="guest")
    own = pika.BasicProperties(user_id=world.name)
    assert refused(connection, lambda c: c.basic_publish("amq.fanout", "", b"", guest)) == (
        406, f"PRECONDITION_FAILED - user_id property set to 'guest' but authenticated user was '{world.name}'")
    connection.channel().basic_publish("amq.fanout", "", b"", own)
    world.api.put("users", world.name, password="secret", tags="impersonator")
    channel = world.connect().channel()
    channel.confirm_delivery()
    channel.basic_publish("amq.fanout", "", b"", guest)


def test_connections_channels_and_queues_are_limited(world):
    name, api = world.name, world.api
    world.permit(**ALL)
    connection = world.connect()
    connection.channel().queue_declare("first")
    api.put("vhost-limits", name, "max-queues", value=1)
    assert refused(connection, lambda c: c.queue_declare("second")) == (
        406, f"PRECONDITION_FAILED - cannot declare queue 'second': queue limit in vhost '{name}' (1) is reached")

    def opens_refused(text):
        # RabbitMQ counts connections a moment later.
        brokers.wait_until(lambda: closed(world.connect) == (530, "NOT_ALLOWED - " + text))

    api.put("vhost-limits", name, "max-connections", value=1)
    opens_refused(f"access to vhost '{name}' refused for user '{name}': connection limit (1) is reached")
    api.put("vhost-limits", name, "max-connections", value=-1)
    api.put("user-limits", name, "max-connections", value=1)
    opens_refused(f"connection refused for user '{name}': user connection limit (1) is reached")
    api.put("user-limits", name, "max-connections", value=-1)

    limit = len(connection._impl._channels) + 1
    api.put("user-limits", name, "max-channels", value=limit)
    connection.channel()
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as told:
        while True:
            connection.channel()
    assert told.value.reply_code == 530
    # RabbitMQ 4.0 tells the node's name for the user's.
    assert re.fullmatch(rf"NOT_ALLOWED - number of channels opened for user '.*' has reached the maximum allowed "
                        rf"user limit of \({limit}\)", told.value.reply_text)


def ends(connection):
    """The code and the text with which an open connection is closed."""
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as told:
        while True:
            connection.process_data_events(1)
    return told.value.reply_code, told.value.reply_text


def test_connections_end_with_their_user(world):
    world.permit(**ALL)
    connection = world.connect()
    world.api.delete("users", world.name)
    assert ends(connection) == (320, f"CONNECTION_FORCED - user '{world.name}' is deleted")
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        world.connect()


def test_connections_end_with_their_vhost(world):
    world.permit(**ALL)
    connection = world.connect()
    connection.channel().queue_declare("q", durable=True)
    world.api.delete("vhosts", world.name)
    assert ends(connection)[0] == 320
    assert closed(world.connect) == (530, f"NOT_ALLOWED - vhost {world.name} not found")
    world.api.put("vhosts", world.name)  # nothing of the old one is left
    world.permit(**ALL)
    assert refused(world.connect(), lambda c: c.queue_declare("q", passive=True))[0] == 404


def test_a_password_hash_of_rabbitmq_logs_in(world):
    """The example in RabbitMQ's documentation: "test12"."""
    world.permit(**ALL)
    world.api.put("users", world.name, tags="",
                  password_hash="kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR")
    world.connect(password="test12")


@pytest.fixture
def own_world(own_broker, name):
    if not own_broker.http:
        pytest.skip(f"{own_broker.name} has no management API here")
    one = World(own_broker.amqp, own_broker.http, name)
    yield one
    one.close()


def kill_and_start(own_broker, world):
    own_broker.kill()
    own_broker.start()
    world.amqp, world.api, world.connections = own_broker.amqp, Api(own_broker.http), []


def test_what_was_set_is_there_after_kill(own_broker, own_world):
    own_world.permit(configure="^a", write="", read="")
    kill_and_start(own_broker, own_world)
    connection = own_world.connect()
    connection.channel().queue_declare("a")
    assert refused(connection, lambda c: c.queue_declare("b"))[0] == 403


def test_the_deletion_of_a_vhost_goes_on_after_kill(own_broker, own_world):
    own_world.permit(**ALL)
    channel = own_world.connect().channel()
    for i in range(1500):
        channel.queue_declare(f"q{i}", durable=True)

    def delete():
        with contextlib.suppress(OSError):  # its answer may never come
            own_world.api.request("DELETE", "vhosts", own_world.name)

    threading.Thread(target=delete).start()
    with pytest.raises(pika.exceptions.AMQPError):
        while True:
            channel.connection.process_data_events(1)  # until the vhost closes it
    kill_and_start(own_broker, own_world)
    assert own_world.api.request("GET", "vhosts", own_world.name)[0] == 404
    own_world.api.put("vhosts", own_world.name)
    status, queues = own_world.api.request("GET", "queues", own_world.name)
    assert (status, queues) == (200, [])
