"""RabbitMQ's HTTP API about queues, exchanges, bindings, messages, connections, channels, consumers.

The same with --broker=rabbitmq, whose statistics come some seconds late.
"""
import base64
import json
import urllib.error
import urllib.parse
import urllib.request

import pika
import pytest

import brokers
from conftest import amqp_connect, publish

LATE_S = 20  # until the real one has its statistics


class Api:
    def __init__(self, address):
        self.address = address

    def ask(self, method, path, body=None, **headers):
        """(status, answer, headers); the answer as JSON, or "" when there is none."""
        request = urllib.request.Request(f"http://{self.address}/api/{path}", method=method)
        request.add_header("Authorization", "Basic " + base64.b64encode(b"guest:guest").decode())
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        for key, value in headers.items():
            request.add_header(key.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, _parsed(answer.read()), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, _parsed(error.read()), error.headers

    def get(self, path):
        status, answer, _ = self.ask("GET", path)
        assert status == 200, answer
        return answer

    def do(self, method, path, body=None):
        return self.ask(method, path, body)[:2]


def _parsed(text):
    return json.loads(text) if text else ""


@pytest.fixture
def api(broker):
    if not getattr(broker, "http", None):
        pytest.skip(f"{broker.name} has no HTTP API here")
    return Api(broker.http)


def wait(condition, what="statistics"):
    return brokers.wait_until(condition, LATE_S, 0.2, what)


def in_path(name):
    return urllib.parse.quote(name, safe="")


def missing(keys, answer):
    return sorted(set(keys.split()) - set(answer))


MISSING = (404, {"error": "Object Not Found", "reason": "Not Found"})
REFUSED = (401, {"error": "not_authorised", "reason": "Access refused."})
RATE = {"rate": pytest.approx(0, abs=1e9)}

# -- queues

QUEUE = """name vhost type durable auto_delete exclusive arguments node state policy operator_policy
effective_policy_definition consumers consumer_capacity consumer_utilisation consumer_details messages
messages_details messages_ready messages_ready_details messages_unacknowledged
messages_unacknowledged_details message_bytes message_bytes_ready message_bytes_unacknowledged
message_bytes_persistent message_bytes_ram messages_persistent messages_ram head_message_timestamp memory
message_stats garbage_collection reductions exclusive_consumer_tag single_active_consumer_tag deliveries
incoming storage_version"""
QUEUE_STATS = "publish deliver deliver_no_ack deliver_get get get_no_ack get_empty ack redeliver"


def test_a_queue_has_all_that_tools_look_at(api, channel, name):
    channel.queue_declare(name, durable=True, arguments={"x-max-length": 1000})
    channel.basic_qos(prefetch_count=7)
    publish(channel, name, *[b"hello %d" % i for i in range(20)])
    channel.basic_consume(name, lambda *_: None, consumer_tag="tag", arguments={"x-priority": 3})
    channel.basic_get(name, auto_ack=False)
    path = f"queues/%2F/{name}"
    queue = wait(lambda: (q := api.get(path)).get("message_stats", {}).get("get") and q.get("consumers") and q)
    assert missing(QUEUE, queue) == []
    assert (queue["name"], queue["vhost"], queue["type"]) == (name, "/", "classic")
    assert queue["arguments"]["x-max-length"] == 1000
    assert (queue["durable"], queue["exclusive"], queue["state"]) == (True, False, "running")
    assert (queue["messages"], queue["messages_ready"], queue["messages_unacknowledged"]) == (20, 12, 8)
    assert queue["messages_details"] == RATE
    assert queue["message_bytes"] == 10 * 7 + 10 * 8
    stats = queue["message_stats"]
    assert missing(QUEUE_STATS, stats) == []
    assert (stats["publish"], stats["deliver"], stats["get"], stats["deliver_get"]) == (20, 7, 1, 8)
    assert stats["publish_details"] == RATE
    consumer, = queue["consumer_details"]
    assert consumer["consumer_tag"] == "tag"
    assert consumer["queue"] == {"name": name, "vhost": "/"}
    assert consumer["arguments"] == {"x-priority": 3}
    assert (consumer["ack_required"], consumer["prefetch_count"], consumer["activity_status"]) == (True, 7, "up")
    assert missing("connection_name name node number peer_host peer_port user", consumer["channel_details"]) == []


def test_an_exclusive_queue_names_its_connection(api, amqp, name):
    with amqp_connect(amqp) as connection:
        channel = connection.channel()
        channel.queue_declare(name, exclusive=True)
        owner = wait(lambda: (o := api.get(f"queues/%2F/{name}")["owner_pid_details"]) and "name" in o and o)
        assert missing("name peer_host peer_port", owner) == []
        locked = 400, {"error": "bad_request", "reason":
                       f"cannot obtain exclusive access to locked queue '{name}' in vhost '/'. It could be "
                       "originally declared on another connection or the exclusive property value does not "
                       "match that of the original declaration."}
        assert api.do("DELETE", f"queues/%2F/{name}") == locked
        assert api.do("DELETE", f"queues/%2F/{name}/contents") == locked
        assert api.do("PUT", f"queues/%2F/{name}", {}) == locked


def test_a_queue_is_declared_and_deleted_in_the_words_of_amqp(api, channel, name):
    path, arguments = f"queues/%2F/{name}", {"x-max-length": 10}
    assert api.do("PUT", path, {"durable": True, "arguments": arguments}) == (201, "")
    assert api.do("PUT", path, {"durable": True, "arguments": arguments}) == (204, "")
    inequivalent = f"inequivalent arg '%s' for queue '{name}' in vhost '/': received %s but current is %s"
    assert api.do("PUT", path, {"durable": False}) == (
        400, {"error": "bad_request", "reason": inequivalent % ("durable", "'false'", "'true'")})
    assert api.do("PUT", path, {"durable": True, "arguments": {"x-max-length": 11}}) == (
        400, {"error": "bad_request", "reason": inequivalent % ("x-max-length", "'11'", "'10'")})
    assert api.do("PUT", "queues/%2F/amq.foo", {}) == REFUSED
    channel.queue_declare(name, passive=True)
    publish(channel, name, b"x")
    wait(lambda: channel.queue_declare(name, passive=True).method.message_count == 1, "the message")
    assert api.do("DELETE", path + "?if-empty=true") == (
        400, {"error": "bad_request", "reason": f"queue '{name}' in vhost '/' not empty"})
    assert api.do("DELETE", path + "/contents") == (204, "")
    assert channel.queue_declare(name, passive=True).method.message_count == 0
    assert api.do("DELETE", path + "?if-empty=true&if-unused=true") == (204, "")
    assert api.do("DELETE", path) == MISSING
    assert api.do("GET", path) == MISSING
    assert api.do("DELETE", path + "/contents") == MISSING


def test_the_calls_of_keda_and_flower(api, channel, name):
    for number in range(3):
        channel.queue_declare(f"{name}-{number}", durable=True)
        publish(channel, f"{name}-{number}", b"x")
    pattern = urllib.parse.quote(f"^{name}-[01]$")
    path = f"queues/%2F?page=1&use_regex=true&pagination=false&name={pattern}&page_size=100"
    page = wait(lambda: (p := api.get(path)) and all(i.get("messages") for i in p["items"]) and p)
    assert [item["name"] for item in page["items"]] == [f"{name}-0", f"{name}-1"]
    assert (page["page"], page["page_count"], page["filtered_count"], page["item_count"]) == (1, 1, 2, 2)
    assert page["items"][0]["messages_unacknowledged"] == 0
    wait(lambda: {row["name"]: row.get("messages") for row in api.get("queues/%2F")}[f"{name}-2"] == 1)
    columns = api.get("queues?columns=name,messages&sort=name&sort_reverse=true")
    assert all(set(row) <= {"name", "messages"} for row in columns)
    names = [row["name"] for row in columns]
    assert names == sorted(names, reverse=True)


# -- exchanges and bindings


def test_an_exchange_is_declared_shown_and_deleted(api, name):
    path = f"exchanges/%2F/{name}"
    assert api.do("PUT", path, {"type": "topic", "durable": True}) == (201, "")
    assert api.do("PUT", path, {"type": "topic", "durable": True}) == (204, "")
    assert api.do("PUT", path, {"type": "direct", "durable": True}) == (400, {
        "error": "bad_request",
        "reason": f"inequivalent arg 'type' for exchange '{name}' in vhost '/': received 'direct' but current is "
                  "'topic'"})
    exchange = api.get(path)
    assert missing("name vhost type durable auto_delete internal arguments incoming outgoing", exchange) == []
    assert (exchange["type"], exchange["durable"], exchange["internal"]) == ("topic", True, False)
    assert api.get("exchanges/%2F/amq.default")["name"] == ""
    assert {"", "amq.direct", "amq.topic", name} <= {x["name"] for x in api.get("exchanges/%2F")}
    assert api.do("PUT", "exchanges/%2F/amq.x", {"type": "direct"}) == REFUSED
    assert api.do("DELETE", "exchanges/%2F/amq.topic") == REFUSED
    assert api.do("DELETE", "exchanges/%2F/amq.default") == REFUSED
    assert api.do("PUT", path + "2", {"type": "nope"}) == (
        400, {"error": "bad_request", "reason": "unknown exchange type 'nope'"})
    assert api.do("POST", f"bindings/%2F/e/{name}/e/amq.fanout", {})[0] == 201
    assert api.do("DELETE", path + "?if-unused=true") == (
        400, {"error": "bad_request", "reason": f"exchange '{name}' in vhost '/' in use"})
    assert api.do("DELETE", path) == (204, "")
    assert api.do("DELETE", path) == MISSING


def test_bindings_are_made_listed_and_deleted_by_their_key(api, channel, name):
    channel.queue_declare(name)
    channel.exchange_declare(name, "topic")
    path = f"bindings/%2F/e/{name}/q/{name}"
    for key, location in (("a.b", "a.b"), ("", "~"), ("k k/é*", "k%2Bk%252F%25C3%25A9%252A")):
        status, _, headers = api.ask("POST", path, {"routing_key": key, "arguments": {}})
        assert (status, headers["Location"]) == (201, f"{name}/{location}")
    status, _, headers = api.ask("POST", path, {"routing_key": "a.b", "arguments": {"x": 1, "y": "s"}})
    hashed = headers["Location"].split("/")[1]
    assert status == 201 and hashed.startswith("a.b~")
    bindings = {b["properties_key"]: b for b in api.get(path)}
    assert set(bindings) == {"a.b", "~", "k+k%2F%C3%A9%2A", hashed}
    assert bindings[hashed] == {
        "source": name, "vhost": "/", "destination": name, "destination_type": "queue", "routing_key": "a.b",
        "arguments": {"x": 1, "y": "s"}, "properties_key": hashed}
    for key in bindings:
        assert api.get(f"{path}/{in_path(key)}") == bindings[key]
    by_default = {"source": "", "vhost": "/", "destination": name, "destination_type": "queue",
                  "routing_key": name, "arguments": {}, "properties_key": name}
    assert by_default in api.get(f"queues/%2F/{name}/bindings")
    assert len(api.get(f"queues/%2F/{name}/bindings")) == 5
    assert len(api.get(f"exchanges/%2F/{name}/bindings/source")) == 4
    assert api.get(f"exchanges/%2F/{name}/bindings/destination") == []
    assert by_default in api.get("bindings") and by_default in api.get("bindings/%2F")
    for key in bindings:
        assert api.do("DELETE", f"{path}/{in_path(key)}") == (204, "")
        assert api.do("DELETE", f"{path}/{in_path(key)}") == MISSING
    assert api.get(path) == []
    assert api.do("POST", f"bindings/%2F/e/{name}/q/none", {"routing_key": "a"}) == (
        404, {"error": "not_found", "reason": "no queue 'none' in vhost '/'"})
    assert api.do("POST", f"bindings/%2F/e/amq.default/q/{name}", {"routing_key": "a"}) == REFUSED


# -- messages

PROPERTIES = {"delivery_mode": 2, "content_type": "x/y", "content_encoding": "ce", "priority": 4,
              "headers": {"h": 1, "t": {"a": [1]}}, "message_id": "m", "timestamp": 1700000000,
              "user_id": "guest", "expiration": "600000", "reply_to": "r", "correlation_id": "c", "type": "t",
              "app_id": "a", "cluster_id": "cl"}


def send(api, exchange, key, payload, encoding="string", **properties):
    return api.do("POST", f"exchanges/%2F/{exchange}/publish",
                  {"properties": properties, "routing_key": key, "payload": payload, "payload_encoding": encoding})


def get(api, queue, mode, count=1, encoding="auto", **more):
    status, messages = api.do("POST", f"queues/%2F/{queue}/get",
                              {"count": count, "ackmode": mode, "encoding": encoding, **more})
    assert status == 200, messages
    return messages


def test_a_published_message_comes_with_all_its_properties(api, channel, name):
    channel.queue_declare(name)
    assert send(api, "amq.default", name, "aGk=", "base64", **PROPERTIES) == (200, {"routed": True})
    assert send(api, "amq.default", name + "-none", "hi") == (200, {"routed": False})
    message, = get(api, name, "ack_requeue_true")
    assert message == {"payload_bytes": 2, "redelivered": False, "exchange": "", "routing_key": name,
                       "message_count": 0, "properties": PROPERTIES, "payload": "hi", "payload_encoding": "string"}
    _, properties, body = channel.basic_get(name, auto_ack=True)
    assert body == b"hi" and properties.headers == {"h": 1, "t": {"a": [1]}}
    assert (properties.delivery_mode, properties.timestamp, properties.app_id) == (2, 1700000000, "a")


def test_each_way_to_get(api, channel, name):
    channel.queue_declare(name)
    publish(channel, name, b"one", b"two", b"\xff\x01")
    wait(lambda: channel.queue_declare(name, passive=True).method.message_count == 3, "the messages")
    assert get(api, name, "reject_requeue_true", truncate=2)[0]["payload"] == "on"
    three = get(api, name, "ack_requeue_true", 9, "base64")
    assert [m["payload"] for m in three] == ["b25l", "dHdv", "/wE="]
    assert [m["redelivered"] for m in three] == [True, False, False]
    assert [m["message_count"] for m in three] == [2, 1, 0]
    assert get(api, name, "ack_requeue_false")[0]["payload"] == "one"
    assert get(api, name, "reject_requeue_false")[0]["payload"] == "two"
    last, = get(api, name, "ack_requeue_false")
    assert (last["payload"], last["payload_encoding"]) == ("/wE=", "base64")
    assert get(api, name, "ack_requeue_false") == []


def test_what_is_wrong_with_a_publish_or_a_get(api, channel, name):
    channel.queue_declare(name)
    whole = {"properties": {}, "routing_key": "a", "payload": "x", "payload_encoding": "string"}

    def reason(method_path, body):
        status, answer = api.do("POST", method_path, body)
        assert status == 400, answer
        return answer["reason"]

    to = "exchanges/%2F/amq.direct/publish"
    assert reason(to, {k: v for k, v in whole.items() if k != "properties"}) == "[{key_missing,properties}]"
    assert reason(to, {**whole, "payload_encoding": "nope"}) == ["unsupported_encoding", "nope"]
    assert reason(to, {**whole, "payload_encoding": "base64", "payload": "!!"}) == ["not_base64", "!!"]
    assert reason(to, {**whole, "payload": 5}) == "payload_not_string"
    assert reason(to, {**whole, "properties": {"delivery_mode": "two"}}) == ["not_int", "delivery_mode"]
    assert reason(to, {**whole, "properties": {"expiration": "x"}}) == \
        "406 PRECONDITION_FAILED - invalid expiration 'x': no_integer"
    assert reason(to, {**whole, "properties": {"user_id": "bob"}}) == \
        "406 PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'"
    assert api.do("POST", "exchanges/%2F/none/publish", whole) == (
        404, {"error": "not_found", "reason": "exchange_not_found"})
    good = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}
    at = f"queues/%2F/{name}/get"
    assert reason(at, {"count": 1, "encoding": "auto"}) == "[{key_missing,ackmode}]"
    assert reason(at, {**good, "encoding": "nope"}) == "Unsupported encoding. Please use auto or base64."
    assert reason(at, {**good, "truncate": "x"}) == ["not_integer", "x"]
    assert api.do("POST", "queues/%2F/none/get", good) == (
        404, {"error": "not_found", "reason": "queue_not_found"})


# -- connections, channels, consumers

CONNECTION = """name user_provided_name node state user vhost protocol host port peer_host peer_port ssl
auth_mechanism client_properties channels channel_max frame_max timeout connected_at recv_oct send_oct recv_cnt
send_cnt send_pend type recv_oct_details send_oct_details user_who_performed_action"""
CHANNEL = """name number connection_details user vhost node state confirm transactional prefetch_count
consumer_count messages_unacknowledged messages_unconfirmed messages_uncommitted acks_uncommitted message_stats"""
CHANNEL_STATS = QUEUE_STATS + " confirm return_unroutable drop_unroutable"


@pytest.fixture
def named(amqp, name):
    """A connection that says its name."""
    host, port = amqp.rsplit(":", 1)
    connection = pika.BlockingConnection(pika.ConnectionParameters(
        host, int(port), client_properties={"connection_name": name}))
    yield connection
    if connection.is_open:
        connection.close()


def find(api, name):
    """The connection of that name, when it is listed."""
    return wait(lambda: next((c for c in api.get("connections") if c.get("user_provided_name") == name), None))


def test_a_connection_is_described_and_found(api, named, name):
    row = find(api, name)
    path = "connections/" + in_path(row["name"])
    connection = wait(lambda: "recv_oct_details" in (c := api.get(path)) and c)
    assert missing(CONNECTION, connection) == []
    assert row["name"] == f"{row['peer_host']}:{row['peer_port']} -> {row['host']}:{row['port']}"
    assert (connection["user"], connection["vhost"]) == ("guest", "/")
    assert (connection["protocol"], connection["type"]) == ("AMQP 0-9-1", "network")
    assert (connection["state"], connection["auth_mechanism"]) == ("running", "PLAIN")
    assert connection["client_properties"]["connection_name"] == name
    assert connection["client_properties"]["capabilities"]["basic.nack"] is True
    assert connection["frame_max"] == 131072 and connection["channel_max"] == 2047
    assert connection["recv_oct"] > 300 and connection["send_oct"] > 300
    names = [c["name"] for c in api.get("vhosts/%2F/connections")]
    assert connection["name"] in names
    assert connection["name"] in [c["name"] for c in api.get("connections/username/guest")]
    assert api.do("GET", "connections/nope") == MISSING
    assert api.do("DELETE", "connections/nope") == MISSING


def test_a_connection_is_closed_with_a_reason(api, named, name):
    path = "connections/" + in_path(find(api, name)["name"])
    assert api.ask("DELETE", path, X_Reason="because I say so")[0] == 204
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
        named.process_data_events(5)
    assert (closed.value.reply_code, closed.value.reply_text) == (320, "CONNECTION_FORCED - because I say so")


def test_a_connection_is_closed_without_a_reason(api, named, name):
    assert api.ask("DELETE", "connections/" + in_path(find(api, name)["name"]))[0] == 204
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
        named.process_data_events(5)
    assert (closed.value.reply_code, closed.value.reply_text) == (
        320, "CONNECTION_FORCED - Closed via management plugin")


def test_a_channel_and_its_consumers(api, named, name):
    channel = named.channel()
    channel.confirm_delivery()
    channel.basic_qos(prefetch_count=3)
    channel.queue_declare(name, exclusive=True)
    channel.basic_publish("", name, b"x")
    channel.basic_publish("", name, b"y")
    channel.basic_publish("amq.direct", name + "-none", b"z")
    channel.basic_consume(name, lambda *_: None, consumer_tag="c1", exclusive=True)
    named.process_data_events(1)
    of_channel = in_path(find(api, name)["name"] + " (1)")

    def described():
        status, found = api.do("GET", "channels/" + of_channel)
        return status == 200 and found.get("message_stats", {}).get("deliver") == 2 and found.get(
            "messages_unacknowledged") == 2 and found
    found = wait(described)
    assert missing(CHANNEL, found) == []
    assert (found["number"], found["confirm"], found["transactional"]) == (1, True, False)
    assert (found["consumer_count"], found["messages_unacknowledged"], found["prefetch_count"]) == (1, 2, 3)
    stats = found["message_stats"]
    assert missing(CHANNEL_STATS, stats) == []
    assert (stats["publish"], stats["confirm"], stats["drop_unroutable"], stats["deliver"]) == (3, 3, 1, 2)
    assert [c["consumer_tag"] for c in found["consumer_details"]] == ["c1"]
    consumer = next(c for c in api.get("consumers/%2F") if c["queue"]["name"] == name)
    assert missing("consumer_tag queue channel_details ack_required exclusive active activity_status "
                   "prefetch_count arguments consumer_timeout", consumer) == []
    assert (consumer["exclusive"], consumer["active"]) == (True, True)
    assert found["name"] in [c["name"] for c in api.get("vhosts/%2F/channels")]
    assert found["name"] in [c["name"] for c in api.get("channels")]
    of_connection = api.get(f"connections/{in_path(find(api, name)['name'])}/channels")
    assert [c["number"] for c in of_connection] == [1]
    wait(lambda: api.get(f"queues/%2F/{name}").get("exclusive_consumer_tag") == "c1")
    assert api.do("GET", "channels/nope") == MISSING


def test_kafka_s_connections_are_listed_and_closed_too(pabal):
    import kafka_raw
    one = pabal()
    api = Api(one.http)
    with kafka_raw.Connection(one.kafka) as raw:
        row, = wait(lambda: api.get("connections"))
        assert (row["protocol"], row["channels"], row["state"]) == ("Kafka", 0, "running")
        assert missing(CONNECTION.replace("user_provided_name", ""), row) == []
        assert api.do("DELETE", "connections/" + in_path(row["name"])) == (204, "")
        wait(lambda: api.get("connections") == [])
        assert raw is not None
