"""Policies and definitions over the HTTP API: files that RabbitMQ has exported, many objects, live policies."""
import base64
import json
import os
import urllib.request

import pytest

import brokers
from conftest import amqp_connect
from manage_objects_test import Api, api  # noqa: F401 (a fixture)

GOLDEN = os.path.join(brokers.TOP, "tests", "golden", "definitions")
QUEUES, BINDINGS, IMPORT_S = 10_000, 100_000, 5


def exported(name):
    with open(os.path.join(GOLDEN, name), encoding="utf-8") as file:
        return json.load(file)


def without(rows, *keys):
    return sorted((json.dumps({k: v for k, v in row.items() if k not in keys}, sort_keys=True) for row in rows))


def imported(pabal, definitions, path="definitions"):
    api = Api(pabal().http)
    status, answer = api.do("POST", path, definitions)
    assert status == 204, answer
    return api


# ---- files of RabbitMQ ----

def test_what_rabbitmq_exported_is_exported_again(pabal):
    theirs = exported("rabbitmq-4.0.json")
    ours = imported(pabal, theirs).get("definitions")
    for key in ("permissions", "topic_permissions", "policies", "parameters", "exchanges", "bindings"):
        assert without(ours[key]) == without(theirs[key]), key
    # A queue's type is told beside its arguments by newer versions.
    assert without(ours["queues"], "type") == without(theirs["queues"])
    assert without(ours["users"]) == without(theirs["users"])
    # Which type a queue is that does not say is told only where somebody has said it.
    assert {v["name"]: v["description"] for v in ours["vhosts"]} == \
        {v["name"]: v["description"] for v in theirs["vhosts"]}
    kept = [p for p in theirs["global_parameters"] if not p["name"].startswith("internal")]
    assert without(ours["global_parameters"]) == without(kept)


def test_an_export_imported_by_another_broker_is_the_same_export(pabal):
    first = imported(pabal, exported("rabbitmq-4.0.json")).get("definitions")
    second = imported(pabal, first).get("definitions")
    for unlike in ("original_cluster_name", "explanation"):
        first.pop(unlike), second.pop(unlike)
    assert first == second


def test_the_users_of_rabbitmq_log_in_with_their_passwords(pabal):
    broker = pabal()
    assert Api(broker.http).do("POST", "definitions", exported("rabbitmq-4.0.json"))[0] == 204
    request = urllib.request.Request(f"http://{broker.http}/api/whoami")
    request.add_header("Authorization", "Basic " + base64.b64encode(b"worker:s3cret").decode())
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["name"] == "worker"


def test_one_vhost_s_definitions_go_into_another_vhost(pabal):
    api = Api(pabal().http)
    theirs = exported("rabbitmq-4.0-vhost.json")
    assert api.do("PUT", "vhosts/other", {})[0] == 201
    status, answer = api.do("POST", "definitions/other", theirs)
    assert status == 204, answer
    ours = api.get("definitions/other")
    for key in ("policies", "parameters", "exchanges", "bindings"):
        assert without(ours[key]) == without(theirs[key]), key
    assert without(ours["queues"], "type") == without(theirs["queues"])


def test_a_file_is_imported_before_anybody_connects(pabal, tmp_path):
    path = tmp_path / "definitions.json"
    path.write_text(json.dumps(exported("rabbitmq-4.0.json")))
    broker = pabal({"load_definitions": str(path)})
    assert Api(broker.http).get("queues/shop/orders")["arguments"]["x-queue-type"] == "quorum"
    broker.restart()
    assert len(Api(broker.http).get("queues/shop")) == 4


def test_a_file_that_is_wrong_stops_the_start(pabal, tmp_path):
    path = tmp_path / "definitions.json"
    path.write_text('{"queues": [{"name": "q", "vhost": "/", "arguments": {"x-expires": 0}}]}')
    with pytest.raises(brokers.Failed) as failed:
        pabal({"definitions.file": str(path)})
    assert "queues[0]: invalid arg 'x-expires'" in str(failed.value)


# ---- many ----

def cpu_s(broker):
    """What the broker has used of a processor, which other work on the machine does not change."""
    with open(f"/proc/{broker.process.pid}/stat", encoding="ascii") as stat:
        user, system = stat.read().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def test_many_queues_and_bindings_are_imported_in_time_and_are_there_after_a_kill(pabal):
    many = {
        "exchanges": [{"name": f"x{i}", "vhost": "/", "type": "topic", "durable": True, "auto_delete": False,
                       "internal": False, "arguments": {}} for i in range(100)],
        "queues": [{"name": f"q{i:05}", "vhost": "/", "durable": True, "auto_delete": False,
                    "arguments": {"x-max-length": 1000 + i}} for i in range(QUEUES)],
        "bindings": [{"source": f"x{i % 100}", "vhost": "/", "destination": f"q{i % QUEUES:05}",
                      "destination_type": "queue", "routing_key": f"key.{i}.*", "arguments": {}}
                     for i in range(BINDINGS)],
    }
    broker = pabal()
    api = Api(broker.http)
    started = cpu_s(broker)
    status, answer = api.do("POST", "definitions", many)
    took = cpu_s(broker) - started
    assert status == 204, answer
    assert took < IMPORT_S, f"{took:.1f} s"
    broker.kill()
    broker.start()
    ours = Api(broker.http).get("definitions")
    assert without(ours["bindings"]) == without(many["bindings"])
    assert without(ours["queues"], "type") == without(many["queues"])


# ---- live policies, the same with the real RabbitMQ ----

@pytest.fixture
def policy(api, name):
    """Set a policy for the queues of this test."""
    made = []

    def put(definition, priority=0, kind="policies", apply_to="queues", of=name):
        status, answer = api.do("PUT", f"{kind}/%2F/{of}", {
            "pattern": f"^{name}", "definition": definition, "priority": priority, "apply-to": apply_to})
        assert status in (201, 204), answer
        made.append((kind, of))

    yield put
    for kind, of in made:
        api.do("DELETE", f"{kind}/%2F/{of}")


def ready(channel, queue):
    return channel.queue_declare(queue, passive=True).method.message_count


def test_a_policy_drops_what_is_too_much_and_what_gets_too_old(broker, api, policy, name):
    with amqp_connect(broker.amqp) as connection:
        channel = connection.channel()
        channel.queue_declare(name, durable=True)
        for i in range(10):
            channel.basic_publish("", name, b"%d" % i)
        brokers.wait_until(lambda: ready(channel, name) == 10, what="ten")
        policy({"max-length": 4})
        brokers.wait_until(lambda: ready(channel, name) == 4, what="four")
        assert channel.basic_get(name, auto_ack=True)[2] == b"6"
        channel.queue_purge(name)  # the real one lets what is there already live as long as before
        policy({"message-ttl": 200})
        channel.basic_publish("", name, b"old soon")
        brokers.wait_until(lambda: ready(channel, name) == 1, what="one")
        brokers.wait_until(lambda: ready(channel, name) == 0, what="none")
        channel.queue_delete(name)


def test_an_operator_policy_limits_what_a_policy_allows(broker, api, policy, name):
    with amqp_connect(broker.amqp) as connection:
        channel = connection.channel()
        policy({"max-length": 10})
        policy({"max-length": 2}, kind="operator-policies")
        channel.queue_declare(name, durable=True, arguments={"x-max-length": 5})
        for i in range(10):
            channel.basic_publish("", name, b"%d" % i)
        brokers.wait_until(lambda: ready(channel, name) == 2, what="two")
        seen = brokers.wait_until(lambda: api.get(f"queues/%2F/{name}").get("operator_policy") and
                                  api.get(f"queues/%2F/{name}"), 20, 0.2, "statistics")
        assert (seen["policy"], seen["operator_policy"]) == (name, name)
        assert seen["effective_policy_definition"] == {"max-length": 2}
        assert seen["arguments"]["x-max-length"] == 5
        channel.queue_delete(name)


def test_a_policy_sends_dead_letters(broker, api, policy, name):
    dead = f"dead-{name}"
    with amqp_connect(broker.amqp) as connection:
        channel = connection.channel()
        channel.queue_declare(dead, durable=True)
        channel.queue_declare(name, durable=True)
        policy({"dead-letter-exchange": "", "dead-letter-routing-key": dead})
        channel.basic_publish("", name, b"bad")
        tag = brokers.wait_until(lambda: channel.basic_get(name)[0], what="message").delivery_tag
        channel.basic_reject(tag, requeue=False)
        brokers.wait_until(lambda: ready(channel, dead) == 1, what="dead letter")
        for queue in (name, dead):
            channel.queue_delete(queue)


@pytest.mark.parametrize("body, reason", [
    ({"pattern": "a", "definition": {"nonsense": 1}}, "are not recognised policy settings"),
    ({"pattern": "a", "definition": {"message-ttl": -1}}, "Validation failed\n\n-1 is not a valid message TTL\n"),
    ({"pattern": "a", "definition": {}}, "Validation failed\n\nno policy provided\n"),
    ({"pattern": "a"}, "[{key_missing,definition}]"),
    ({"pattern": "a", "definition": {"expires": 1}, "apply-to": "foo"}, "apply-to 'foo' unrecognised"),
    ({"pattern": "(", "definition": {"expires": 1}}, "pattern should be regular expression but is invalid"),
])
def test_a_bad_policy_is_refused_in_the_same_words(api, body, reason):
    status, answer = api.do("PUT", "policies/%2F/bad", body)
    assert (status, answer["error"]) == (400, "bad_request")
    assert reason in answer["reason"]
