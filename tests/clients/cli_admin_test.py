"""The commands of administration and rabbitmqctl: over the control socket and by HTTP."""
import json
import os
import time

import pytest

import brokers
from conftest import amqp_connect
from program import Cli


@pytest.fixture(params=["socket", "http"])
def cli(pabal, request):
    """Both ways ask the same."""
    cli = Cli(pabal())
    if request.param == "http":
        cli.url = f"http://guest:guest@{cli.broker.http}"
        run = cli.start
        cli.start = lambda *words, **options: run(
            *words, **{**options, "env": {"PABAL_URL": cli.url, **options.get("env", {})}})
    return cli


@pytest.fixture
def here(pabal):
    return Cli(pabal())


def names(rows):
    return [row["name"] for row in rows]


# -- exchanges and bindings

def test_exchanges_are_made_listed_shown_and_deleted(cli):
    assert cli.json("exchange", "create", "events", "--type", "topic",
                    "--arg", "alternate-exchange=rest") == {"name": "events", "created": True}
    cli.run("exchange", "create", "events", code=4)
    assert "exchange events exists already" in cli.err
    assert cli.json("exchange", "create", "events", "--if-not-exists")["created"] is False
    shown = cli.json("exchange", "show", "events")
    assert (shown["type"], shown["durable"]) == ("topic", True)
    assert shown["arguments"] == {"alternate-exchange": "rest"}
    assert "events" in names(cli.json("exchange", "list", "--vhost", "/"))
    header = cli.run("exchange", "list").split("\n")[0].split()
    assert header == ["NAME", "VHOST", "TYPE", "DURABLE", "AUTO_DELETE", "INTERNAL", "POLICY"]
    cli.run("exchange", "show", "event", code=3)
    assert "there is no exchange event in vhost /; did you mean events?" in cli.err
    cli.run("exchange", "create", "other", "--type", "nonsense", code=4)
    cli.run("exchange", "create", "other", "--arg", "novalue", code=2)
    cli.run("exchange", "create", "other", "--vhost", "nowhere", code=3)
    assert "there is no vhost nowhere" in cli.err
    cli.run("exchange", "list", "--vhost", "nowhere", code=3)
    assert cli.json("exchange", "delete", "events") == {"name": "events", "deleted": True}
    cli.run("exchange", "delete", "events", code=3)
    assert cli.json("exchange", "delete", "events", "--if-exists")["deleted"] is False


def test_names_may_have_any_characters(cli):
    name = "a/b c%2F?ä#"
    cli.run("queue", "create", name)
    assert cli.json("queue", "show", name)["name"] == name
    cli.run("exchange", "create", name)
    cli.run("binding", "create", name, name, "--key", name)
    assert [b["routing_key"] for b in cli.json("binding", "list") if b["source"]] == [name]
    cli.run("binding", "delete", name, name, "--key", name)
    cli.run("queue", "delete", name)
    assert cli.json("queue", "list") == []


def test_bindings_are_made_listed_and_deleted(cli):
    cli.run("queue", "create", "q")
    cli.run("exchange", "create", "x", "--type", "headers")
    cli.run("binding", "create", "x", "q", "--arg", "x-match=any", "--arg", "n=1")
    cli.run("binding", "create", "x", "q", "--key", "k")
    cli.run("binding", "create", "x", "amq.fanout", "--to-exchange")
    rows = [row for row in cli.json("binding", "list") if row["source"] == "x"]
    assert len(rows) == 3
    assert {"x-match": "any", "n": 1} in [row["arguments"] for row in rows]
    cli.run("binding", "create", "x", "nobody", code=3)
    cli.run("binding", "create", "nobody", "q", code=3)
    cli.run("binding", "delete", "x", "q", "--key", "k", "--arg", "n=1", code=3)
    assert 'q is not bound to x with key "k" and these arguments' in cli.err
    cli.run("exchange", "delete", "x", "--if-unused", code=4)
    cli.run("binding", "delete", "x", "q", "--arg", "n=1", "--arg", "x-match=any")
    cli.run("binding", "delete", "x", "q", "--key", "k")
    cli.run("binding", "delete", "x", "amq.fanout", "--to-exchange")
    assert [row for row in cli.json("binding", "list") if row["source"] == "x"] == []
    cli.run("binding", "create", "x", code=2)


# -- queues

def test_queues_have_types_arguments_and_conditions(cli):
    cli.run("queue", "create", "q", "--type", "quorum", "--arg", "x-max-length=10")
    shown = cli.json("queue", "show", "q")
    assert shown["arguments"] == {"x-queue-type": "quorum", "x-max-length": 10}
    cli.run("queue", "create", "bad", "--arg", "x-max-length=-1", code=4)
    assert "x-max-length" in cli.err
    assert cli.json("queue", "create", "q", "--if-not-exists")["created"] is False
    cli.amqp("publish", "--queue", "q", "x")
    cli.run("queue", "delete", "q", "--if-empty", "--if-unused", code=4)
    cli.run("queue", "purge", "quue", code=3)
    assert "there is no queue quue in vhost /" in cli.err
    cli.run("queue", "purge", "q")
    assert cli.json("queue", "show", "q")["messages"] == 0
    cli.run("queue", "delete", "q", "--if-empty", "--if-unused")
    assert cli.json("queue", "delete", "q", "--if-exists")["deleted"] is False


def test_messages_are_looked_at_and_taken(cli):
    cli.run("queue", "create", "q")
    cli.amqp("publish", "--queue", "q", stdin="1\n2\n3\n")
    assert [m["payload"] for m in cli.json("queue", "get", "q", "--count", "2", "--keep")] == ["1", "2"]
    got = cli.json("queue", "get", "q", "--count", "5")
    assert [(m["payload"], m["redelivered"]) for m in got] == [("1", True), ("2", True), ("3", False)]
    assert cli.json("queue", "get", "q") == []
    cli.run("queue", "get", "nobody", code=3)


def test_a_synced_queue_survives_a_kill(cli):
    cli.run("queue", "create", "q")
    cli.amqp("publish", "--queue", "q", stdin="1\n2\n")
    cli.amqp("consume", "--queue", "q", "--count", "1")
    assert cli.json("queue", "sync", "q") == {"name": "q", "synced": True}
    cli.broker.kill()
    cli.broker.start()
    cli.url = f"http://guest:guest@{cli.broker.http}"
    assert cli.json("queue", "show", "q")["messages"] == 1
    cli.run("queue", "sync", "nobody", code=3)


# -- vhosts, users, permissions

def test_vhosts_are_made_changed_and_deleted(cli):
    cli.run("vhost", "create", "shop", "--description", "orders", "--tags", "a,b")
    cli.run("vhost", "create", "shop", code=4)
    assert cli.json("vhost", "create", "shop", "--if-not-exists")["created"] is False
    shown = cli.json("vhost", "show", "shop")
    assert (shown["description"], shown["tags"]) == ("orders", ["a", "b"])
    cli.run("vhost", "alter", "shop", "--description", "bills", "--max-queues", "1")
    assert cli.json("vhost", "show", "shop")["description"] == "bills"
    cli.run("queue", "create", "one", "--vhost", "shop")
    cli.run("queue", "create", "two", "--vhost", "shop", code=4)
    cli.run("vhost", "alter", "shop", "--max-queues", "-1")
    cli.run("queue", "create", "two", "--vhost", "shop")
    cli.run("vhost", "alter", "shop", "--max-queues", "many", code=2)
    cli.run("vhost", "alter", "shop", code=2)
    cli.run("vhost", "alter", "shap", "--tags", "x", code=3)
    assert "did you mean shop?" in cli.err
    assert names(cli.json("vhost", "list")) == ["/", "shop"]
    cli.run("vhost", "delete", "shop")
    cli.run("vhost", "delete", "shop", code=3)
    assert names(cli.json("queue", "list")) == []


def test_a_user_may_do_what_it_was_given(cli):
    cli.run("queue", "create", "billing")
    cli.run("user", "create", "ann", "--password", "secret")
    cli.run("user", "create", "ann", "--password", "secret", code=4)
    login = ["--user", "ann", "--password", "secret"]
    cli.amqp("publish", "--queue", "billing", "x", *login, code=4)
    cli.run("permission", "set", "ann", "--write", "^amq\\.default$", "--read", "^bill")
    cli.amqp("publish", "--queue", "billing", "x", *login)
    assert cli.amqp("consume", "--queue", "billing", "--count", "1", *login) == "x\n"
    rows = {row["user"]: row for row in cli.json("permission", "list")}
    assert (rows["ann"]["configure"], rows["ann"]["read"]) == ("", "^bill")
    assert [row["read"] for row in cli.json("permission", "show", "ann")] == ["^bill"]
    assert cli.json("permission", "show", "ann", "--topics") == []
    cli.run("permission", "show", "anna", code=3)
    cli.run("user", "alter", "ann", "--tags", "monitoring,management")
    cli.amqp("publish", "--queue", "billing", "x", *login)
    cli.run("user", "alter", "ann", "--password", "better")
    assert cli.json("user", "show", "ann")["tags"] == ["monitoring", "management"]
    cli.amqp("publish", "--queue", "billing", "x", *login, code=4)
    cli.run("user", "alter", "ann", "--password", "-", stdin="typed\n")
    cli.amqp("publish", "--queue", "billing", "x", "--user", "ann", "--password", "typed")
    cli.run("user", "alter", "ann", "--password", "-", code=2)
    cli.run("user", "alter", "ann", "--password", "\udcff", code=2)  # a byte that is no UTF-8
    assert "--password: not UTF-8" in cli.err
    cli.run("permission", "clear", "ann")
    cli.run("permission", "clear", "ann", code=3)
    cli.amqp("publish", "--queue", "billing", "x", "--user", "ann", "--password", "typed", code=4)
    cli.run("user", "delete", "ann")
    assert names(cli.json("user", "list")) == ["guest"]


def test_wrong_users_and_permissions_are_named(cli):
    cli.run("user", "create", "ann", code=2)
    assert "--password, --password-hash or --no-password is missing" in cli.err
    cli.run("user", "create", "ann", "--password", "x", "--no-password", code=2)
    cli.run("user", "create", "ann", "--no-password", "--tags", "administrator")
    cli.run("user", "alter", "anna", "--tags", "x", code=3)
    assert "there is no user anna; did you mean ann?" in cli.err
    cli.run("user", "alter", "ann", code=2)
    cli.run("permission", "set", "anna", "--read", "x", code=3)
    cli.run("permission", "set", "ann", "--vhost", "nowhere", code=3)
    assert "there is no vhost nowhere" in cli.err
    cli.run("permission", "set", "ann", "--read", "(", code=4)
    cli.run("permission", "set", "ann", "--topic", "amq.topic", "--configure", "x", code=2)
    cli.run("permission", "set", "ann", "--topic", "amq.topic", "--write", "^a")
    assert cli.json("permission", "list", "--topics")[0]["write"] == "^a"
    cli.run("permission", "clear", "ann", "--topics")
    assert cli.json("permission", "list", "--topics") == []
    cli.run("user", "delete", "anna", code=3)
    assert cli.json("user", "delete", "anna", "--if-exists")["deleted"] is False


# -- policies, definitions

def test_policies_are_set_and_cleared(cli):
    cli.run("policy", "set", "short", "^q", "--set", "max-length=1", "--apply-to", "queues",
            "--priority", "3")
    assert cli.json("policy", "show", "short")["definition"] == {"max-length": 1}
    cli.run("queue", "create", "q")
    cli.amqp("publish", "--queue", "q", stdin="1\n2\n")
    assert cli.json("queue", "show", "q")["messages"] == 1
    assert cli.json("queue", "show", "q")["policy"] == "short"
    cli.run("policy", "set", "short", "^q", "--definition", '{"max-length": 5}')
    assert names(cli.json("policy", "list")) == ["short"]
    cli.run("policy", "set", "bad", "^q", "--set", "max-lenght=1", code=4)
    cli.run("policy", "set", "bad", "(", "--set", "max-length=1", code=4)
    cli.run("policy", "set", "bad", "^q", code=2)
    cli.run("policy", "set", "bad", "^q", "--definition", "[1]", code=2)
    cli.run("policy", "set", "bad", "^q", "--set", "max-length=1", "--priority", "high", code=2)
    cli.run("policy", "set", "op", "^q", "--set", "max-length=2", "--operator")
    assert names(cli.json("policy", "list", "--operator", "--vhost", "/")) == ["op"]
    cli.run("policy", "clear", "op", "--operator")
    cli.run("policy", "clear", "shrt", code=3)
    assert "did you mean short?" in cli.err
    cli.run("policy", "clear", "short")
    assert cli.json("policy", "clear", "short", "--if-exists")["deleted"] is False


def test_definitions_go_from_one_server_to_another(pabal, tmp_path):
    first, second = Cli(pabal()), Cli(pabal())
    path = str(tmp_path / "definitions.json")
    first.run("vhost", "create", "shop")
    first.run("user", "create", "ann", "--password", "secret")
    first.run("permission", "set", "ann", "--vhost", "shop", "--read", ".*")
    first.run("exchange", "create", "events", "--type", "topic", "--vhost", "shop")
    first.run("queue", "create", "q", "--vhost", "shop")
    first.run("binding", "create", "events", "q", "--key", "a.#", "--vhost", "shop")
    first.run("policy", "set", "p", "^q", "--set", "max-length=1", "--vhost", "shop")
    first.run("definitions", "export", path)
    second.run("definitions", "import", path)
    for what in ("vhost", "exchange", "binding", "policy", "permission"):
        assert sorted(map(str, second.json(what, "list"))) == sorted(map(str, first.json(what, "list")))
    second.amqp("consume", "--queue", "q", "--vhost", "shop", "--user", "ann", "--password", "secret",
                "--idle", "100ms")
    assert json.loads(first.run("definitions", "export"))["queues"][0]["name"] == "q"
    second.run("definitions", "import", "-", stdin=first.run("definitions", "export"))
    second.run("definitions", "import", "-", stdin="no json", code=1)
    second.run("definitions", "import", str(tmp_path / "none"), code=3)
    second.run("definitions", "export", str(tmp_path / "none" / "x"), code=3)


# -- connections

def test_clients_are_listed_and_closed(cli):
    cli.run("queue", "create", "q")
    consumer = cli.start("consume", "--queue", "q", "--server", cli.broker.amqp)
    rows = brokers.wait_until(lambda: cli.json("consumer", "list"), 5, what="a consumer")
    assert rows[0]["queue"] == {"name": "q", "vhost": "/"}
    assert cli.run("consumer", "list").split("\n")[0].split()[0] == "QUEUE"
    assert len(cli.json("channel", "list")) == 1
    amqp = [row for row in cli.json("connection", "list") if row["user"] == "guest"]
    assert cli.json("connection", "show", amqp[0]["name"])["protocol"] == "AMQP 0-9-1"
    cli.run("connection", "show", "nobody", code=3)
    cli.run("connection", "close", "nobody", code=3)
    cli.run("connection", "close", amqp[0]["name"], "--reason", "enough of that")
    _, err = consumer.communicate(timeout=10)
    assert consumer.returncode != 0 and "enough of that" in err
    assert cli.json("consumer", "list") == []


# -- the way to the server

def test_health_is_asked_both_ways(cli):
    health = cli.json("health")
    assert health["status"] == "ok" and health["version"]
    cli.broker.stop()
    cli.run("health", code=1)
    cli.broker.start()


def test_a_server_that_is_not_there_or_says_no(here):
    here.run("queue", "list", "--url", "http://127.0.0.1:1", code=1)
    assert "127.0.0.1:1" in here.err
    here.run("queue", "list", "--url", "localhost", code=2)
    here.run("queue", "list", "--url", f"http://guest:wrong@{here.broker.http}", code=4)
    here.run("queue", "list", "--control", "/nonexistent", code=1, env={"PABAL_URL": "http://127.0.0.1:1"})
    assert "/nonexistent" in here.err
    here.broker.halt()
    before = time.monotonic()
    here.run("queue", "list", "--url", f"http://guest:guest@{here.broker.http}", "--timeout", "300ms",
             code=5)
    here.run("queue", "list", "--timeout", "300ms", code=5)
    assert time.monotonic() - before < 5


def test_typos_are_answered_with_what_was_meant(here):
    for typed, meant in ((["topci"], "pabal topic"), (["quue", "list"], "pabal queue list"),
                         (["queue", "lst"], "pabal queue list"), (["helth"], "pabal health")):
        here.run(*typed, code=2)
        assert f'did you mean "{meant}"?' in here.err
    here.run("user", "create", "x", "--pasword", "y", code=2)
    assert "did you mean --password?" in here.err


# -- rabbitmqctl

class Ctl:
    """As scripts call it."""

    def __init__(self, cli, program="rabbitmqctl"):
        self.cli, self.program = cli, program

    def __call__(self, *words, **options):
        return self.cli.run(self.program, *words, **options)


@pytest.fixture
def ctl(cli):
    return Ctl(cli)


def test_ctl_prints_tables_for_scripts(ctl):
    assert ctl("list_queues") == "Timeout: 60.0 seconds ...\nListing queues for vhost / ...\n"
    ctl.cli.run("queue", "create", "q", "--arg", "x-max-length=100")
    ctl.cli.amqp("publish", "--queue", "q", stdin="1\n2\n")
    assert ctl("list_queues", "-q") == "name\tmessages\nq\t2\n"
    assert ctl("list_queues", "--silent", "name", "messages_ready,durable") == "q\t2\ttrue\n"
    assert ctl("-q", "list_queues", "--no-table-headers", "-p", "/", "arguments") == (
        '[{"x-max-length",100}]\n')
    assert ctl("list_queues", "--formatter", "json", "name", "arguments") == (
        '[\n{"name":"q","arguments":[["x-max-length","signedint",100]]}\n]\n')
    assert ctl("list_queues", "--formatter=csv") == '"name","messages"\n"q","2"\n'
    assert "NAME  MESSAGES\nq     2" in ctl("list_queues", "--formatter", "pretty_table")
    assert ctl("list_queues", "-q", "-p", "nowhere") == ""
    ctl("list_queues", "nonsense", code=64)
    assert "Info key(s) nonsense are not supported" in ctl.cli.err
    assert "amq.topic\ttopic\n" in ctl("list_exchanges")
    assert "\texchange\tq\tqueue\tq\t[]\n" in ctl("list_bindings", "-q")
    assert ctl("list_users", "-q") == "user\ttags\nguest\t[administrator]\n"
    assert ctl("list_vhosts", "--silent") == "/\n"
    assert ctl("list_permissions", "--silent") == "guest\t.*\t.*\t.*\n"
    assert ctl("list_user_permissions", "guest", "--silent") == "/\t.*\t.*\t.*\n"
    assert ctl("list_policies", "-q") == "\n"
    assert ctl("list_topic_permissions", "--formatter", "json") == "[]\n"
    ctl("list_permissions", "-p", "nowhere", code=65)
    assert ctl.cli.err == "Virtual host 'nowhere' does not exist\n"
    ctl("list_user_permissions", "nobody", code=69)


def test_ctl_manages_users_and_vhosts(ctl):
    assert ctl("add_user", "ann", "secret").startswith('Adding user "ann" ...\nDone. ')
    ctl("add_user", "ann", "secret", code=70)
    assert ctl.cli.err == 'Error:\nUser "ann" already exists\n'
    ctl("add_user", "bob", stdin="line\n")
    ctl("add_user", "eve", code=65)
    assert ctl("authenticate_user", "ann", "secret").endswith("Success\n")
    ctl("authenticate_user", "ann", "wrong", code=65)
    ctl("authenticate_user", "bob", "line")
    ctl("change_password", "ann", "better")
    ctl("authenticate_user", "ann", "better")
    ctl("authenticate_user", "ann", "secret", code=65)
    ctl("change_password", "nobody", "x", code=67)
    assert ctl("set_user_tags", "ann", "monitoring", "policymaker") == (
        'Setting tags for user "ann" to [monitoring, policymaker] ...\n')
    assert "ann\t[monitoring, policymaker]\n" in ctl("list_users")
    ctl("authenticate_user", "ann", "better")
    ctl("clear_password", "ann")
    ctl("authenticate_user", "ann", "better", code=65)
    ctl("set_permissions", "ann", "a", "b", "c")
    assert "ann\ta\tb\tc\n" in ctl("list_permissions")
    ctl("set_permissions", "nobody", "a", "b", "c", code=67)
    ctl("set_permissions", "-p", "nowhere", "ann", "a", "b", "c", code=69)
    ctl("set_permissions", "ann", "a", "b", code=64)
    ctl("set_topic_permissions", "ann", "amq.topic", "^w", "^r")
    ctl("set_topic_permissions", "ann", "other", "^w", "^r")
    ctl("clear_topic_permissions", "ann", "other")
    assert ctl("list_topic_permissions", "--silent") == "ann\tamq.topic\t^w\t^r\n"
    ctl("clear_topic_permissions", "ann")
    ctl("clear_permissions", "ann")
    ctl("clear_permissions", "ann")
    ctl("set_user_limits", "ann", '{"max-connections": 1}')
    assert ctl("list_user_limits", "-q", "--user", "ann") == '{"max-connections":1}\n'
    ctl("clear_user_limits", "ann", "all")
    ctl("delete_user", "ann")
    ctl("delete_user", "ann")
    ctl("add_vhost", "v", "--description", "d", "--tags", "a,b")
    ctl("add_vhost", "v")
    assert "v\td\t[a, b]\n" in ctl("list_vhosts", "name", "description", "tags")
    ctl("set_vhost_limits", "-p", "v", '{"max-queues": 3}')
    assert ctl("list_vhost_limits", "-q", "-p", "v") == '{"max-queues":3}\n'
    ctl("set_vhost_limits", "-p", "v", "no json", code=69)
    ctl("clear_vhost_limits", "-p", "v")
    ctl("delete_vhost", "v")
    ctl("delete_vhost", "v", code=65)
    assert ctl.cli.err == "Virtual host 'v' does not exist\n"


def test_ctl_manages_policies_and_definitions(ctl, tmp_path):
    path = str(tmp_path / "definitions.json")
    ctl("set_policy", "p", "^q", '{"max-length":10}', "--priority", "3", "--apply-to", "queues")
    assert ctl("list_policies", "--silent") == '/\tp\t^q\tqueues\t{"max-length":10}\t3\n'
    ctl("set_policy", "p", "^q", '{"nonsense":10}', code=69)
    assert ctl.cli.err.startswith("Error:\nValidation failed\n")
    ctl("set_policy", "p", "^q", "x", code=69)
    ctl("set_operator_policy", "o", "^q", '{"max-length":10}')
    assert ctl("list_operator_policies", "--silent").startswith("/\to\t^q\t")
    ctl("export_definitions", path)
    ctl("clear_policy", "p")
    ctl("clear_policy", "p", code=69)
    assert ctl.cli.err == "Error:\nParameter does not exist\n"
    ctl("clear_operator_policy", "o")
    ctl("import_definitions", path)
    assert ctl("list_policies", "--silent") != "\n"
    assert json.loads(ctl("export_definitions", "-"))["policies"][0]["name"] == "p"
    ctl("import_definitions", str(tmp_path / "none"), code=65)
    ctl("set_global_parameter", "g", '{"a":1}')
    assert 'g\t{"a":1}\n' in ctl("list_global_parameters")
    ctl("clear_global_parameter", "g")


def test_ctl_manages_queues_and_connections(ctl):
    ctl.cli.run("queue", "create", "q")
    ctl.cli.amqp("publish", "--queue", "q", stdin="1\n2\n")
    assert ctl("purge_queue", "q") == "Purging queue 'q' in vhost '/' ...\n"
    ctl("purge_queue", "nobody", code=65)
    ctl.cli.amqp("publish", "--queue", "q", "1")
    ctl("delete_queue", "q", "--if-empty", code=69)
    consumer = ctl.cli.start("consume", "--queue", "q", "--ack", "none", "--server",
                             ctl.cli.broker.amqp)
    brokers.wait_until(lambda: ctl("list_consumers", "--silent"), 5, what="the consumer")
    row = ctl("list_connections", "--silent", "pid", "user", "state").rstrip("\n").split("\t")
    assert row[1:] == ["guest", "running"]
    assert ctl("list_channels", "--silent", "user", "consumer_count") == "guest\t1\n"
    ctl("close_connection", "nobody", "why", code=69)
    ctl("close_connection", row[0], "go away")
    assert "go away" in consumer.communicate(timeout=10)[1]
    assert ctl("close_all_connections", "why").endswith("Closed 0 connections\n")
    assert ctl("delete_queue", "q").endswith("Queue was successfully deleted with 1 ready messages\n")
    ctl("delete_queue", "q", code=64)


def test_ctl_tells_how_the_server_is(ctl):
    assert ctl("ping").endswith("Ping succeeded\n")
    assert ctl("await_startup") == ""
    status = ctl("status")
    assert "RabbitMQ version: 4." in status and "Listeners\n" in status
    assert json.loads(ctl("status", "--formatter", "json"))["running"] is True
    assert "Running Nodes" in ctl("cluster_status")
    assert len(json.loads(ctl("cluster_status", "--formatter", "json"))["running_nodes"]) == 1
    assert ctl("version").startswith("4.")
    assert "DEPRECATED" in ctl("node_health_check")
    assert "quorum_queue\tenabled\n" in ctl("list_feature_flags")
    ctl("enable_feature_flag", "all")
    ctl("enable_feature_flag", "nosuch", code=64)
    ctl("wait", code=64)
    ctl("eval", "1.", code=69)
    assert ctl.cli.err == "Error:\neval: the server does not run on Erlang\n"
    ctl("list_quues", code=64)
    assert "Did you mean 'list_queues'?" in ctl.cli.err
    assert "list_queues" in ctl("help")
    assert "[<column>, ...]" in ctl("help", "list_queues")
    diagnostics = Ctl(ctl.cli, "rabbitmq-diagnostics")
    assert "Successfully connected to ports" in diagnostics("check_port_connectivity")
    assert "fully booted and running" in diagnostics("check_running")
    diagnostics("-q", "check_port_listener", "1", code=69)
    diagnostics("check_protocol_listener", "amqp")
    diagnostics("check_alarms")


def test_ctl_traces_a_vhost(ctl):
    channel = amqp_connect(ctl.cli.broker.amqp).channel()
    channel.queue_declare("q")
    channel.queue_declare("fire")
    channel.queue_bind("fire", "amq.rabbitmq.trace", "#")
    assert ctl("trace_on") == ('Starting tracing for vhost "/" ...\nTrace enabled for vhost /\n')
    assert ctl("list_vhosts", "--silent", "name", "tracing") == "/\ttrue\n"
    channel.basic_publish("amq.fanout", "k", b"one")
    channel.basic_publish("", "q", b"two")
    assert channel.basic_get("q", auto_ack=True)[2] == b"two"
    assert ctl("trace_off") == 'Stopping tracing for vhost "/" ...\nTrace disabled for vhost /\n'
    channel.basic_publish("", "q", b"three")
    copies = [channel.basic_get("fire", auto_ack=True) for _ in range(4)]
    assert [(m.routing_key, body) for m, _, body in copies[:3]] == [
        ("publish.amq.fanout", b"one"), ("publish.", b"two"), ("deliver.q", b"two")]
    assert copies[3] == (None, None, None)
    headers = copies[1][1].headers
    assert headers.pop("connection").endswith("-> " + ctl.cli.broker.amqp)
    assert headers.pop("node").startswith("pabal@")
    assert headers == {"channel": 1, "exchange_name": "", "properties": {}, "routed_queues": ["q"],
                       "routing_keys": ["q"], "user": "guest", "vhost": "/"}
    assert copies[2][1].headers["redelivered"] == 0
    ctl("trace_on", "-p", "nowhere", code=65)


def blocked_by(ctl, command, undo):
    """An alarm that `command` makes and `undo` ends, as a publisher and management see it."""
    connection = amqp_connect(ctl.cli.broker.amqp)
    told = []
    connection.add_on_connection_blocked_callback(lambda _, method: told.append(method.method.reason))
    connection.add_on_connection_unblocked_callback(lambda *_: told.append("unblocked"))
    channel = connection.channel()
    channel.queue_declare("q")
    ctl(*command)
    channel.basic_publish("", "q", b"held")
    wait_for = lambda count: brokers.wait_until(
        lambda: connection.process_data_events(0.05) or len(told) == count, 10, what=told)
    wait_for(1)
    Ctl(ctl.cli, "rabbitmq-diagnostics")("-q", "check_alarms", code=69)
    node = json.loads(ctl("status", "--formatter", "json"))
    ctl(*undo)
    wait_for(2)
    Ctl(ctl.cli, "rabbitmq-diagnostics")("-q", "check_alarms")
    brokers.wait_until(lambda: channel.basic_get("q", auto_ack=True)[2] == b"held", 10)
    return told, node


def test_ctl_sets_the_memory_watermark(here):
    ctl = Ctl(here)
    told, node = blocked_by(ctl, ["set_vm_memory_high_watermark", "0.0001"],
                            ["set_vm_memory_high_watermark", "0.8"])
    assert told == ["low on memory", "unblocked"]
    assert node["mem_alarm"] is True and node["mem_limit"] < node["mem_used"]
    ctl("set_vm_memory_high_watermark", "absolute", "123MB")
    assert json.loads(ctl("status", "--formatter", "json"))["mem_limit"] == 123000000
    ctl("set_vm_memory_high_watermark", "2", code=65)
    assert "a fraction between 0.0 and 1.0" in here.err


def test_ctl_sets_the_disk_limit(here):
    ctl = Ctl(here)
    told, node = blocked_by(ctl, ["set_disk_free_limit", "100000000GB"],
                            ["set_disk_free_limit", "50MB"])
    assert told == ["low on disk", "unblocked"]
    assert node["disk_free_alarm"] is True and node["disk_free_limit"] == 10 ** 17
    assert json.loads(ctl("status", "--formatter", "json"))["disk_free_limit"] == 50000000


@pytest.mark.parametrize("words", [["stop"], ["shutdown"], ["stop", "PIDFILE"], ["shutdown", "--no-wait"]])
def test_ctl_stops_the_server(here, tmp_path, words):
    ctl = Ctl(here)
    pid = here.broker.process.pid
    (tmp_path / "pid").write_text(f"{pid}\n")
    here.run("queue", "create", "q")
    out = ctl(*[str(tmp_path / "pid") if word == "PIDFILE" else word for word in words])
    if words == ["stop"]:
        assert out.startswith("Stopping and halting node pabal@")
    if words == ["shutdown"]:
        assert "successfully shut down" in out
    if "PIDFILE" in words:
        assert f"process {pid} (take from pid file" in out
    assert here.broker.process.wait(10 if "--no-wait" in words else 1) == 0
    here.broker.stop()
    here.broker.start()
    assert ctl("list_queues", "--silent", "name") == "q\n"


def test_ctl_refuses_what_makes_no_sense_with_the_reason(here):
    ctl = Ctl(here)
    for command, why in [("stop_app", "no application apart from its process"),
                         ("start_app", "no application apart from its process"),
                         ("reset", "stop the server and delete its data.dir")]:
        ctl(command, code=69)
        assert why in here.err


def test_ctl_by_its_own_name_and_without_a_server(here, tmp_path):
    link = str(tmp_path / "rabbitmqctl")
    os.symlink(os.path.abspath(here.broker.program), link)
    here.broker.program, program = link, here.broker.program
    assert here.run("-q", "list_vhosts") == "name\n/\n"
    assert "listener.amqp = " in here.run("environment")
    assert "Listing queues" in here.run("report")
    here.broker.program = program
    here.broker.stop()
    here.broker.program = link
    here.run("list_queues", code=69)
    assert "unable to perform an operation on node" in here.err
    here.run("await_startup", "-t", "1", code=75)
