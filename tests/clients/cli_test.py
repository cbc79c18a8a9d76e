"""The commands of the program, against a broker of its own: output, exit codes, both protocols."""
import json
import os
import signal
import subprocess
import time

import pytest

import brokers
from program import Cli


@pytest.fixture
def cli(pabal):
    return Cli(pabal())


def test_topics_are_made_listed_shown_and_deleted(cli):
    assert cli.json("topic", "create", "orders", "--partitions", "3") == {"name": "orders", "created": True}
    assert cli.json("topic", "list") == [
        {"name": "orders", "partitions": 3, "messages": 0, "bytes": 0}]
    assert [p["partition"] for p in cli.json("topic", "show", "orders")] == [0, 1, 2]
    assert cli.run("topic", "list").split("\n")[0].split() == [
        "NAME", "PARTITIONS", "MESSAGES", "BYTES"]
    cli.run("topic", "create", "orders", code=4)
    assert cli.json("topic", "create", "orders", "--if-not-exists")["created"] is False
    cli.run("topic", "show", "order", code=3)
    assert "there is no topic order; did you mean orders?" in cli.err
    cli.run("topic", "delete", "orders")
    cli.run("topic", "show", "orders", code=3)
    assert "there is no topic orders" in cli.err
    cli.run("topic", "delete", "orders", code=3)
    assert cli.json("topic", "delete", "orders", "--if-exists")["deleted"] is False


def test_a_topic_is_found_by_the_address_as_well(cli):
    cli.kafka("topic", "create", "t", "--partitions", "2")
    cli.kafka("topic", "create", "t", code=4)
    cli.run("publish", "t", "one", "--partition", "1", "--server", cli.broker.kafka)
    shown = json.loads(cli.kafka("topic", "show", "t", "--output", "json"))
    assert [(p["partition"], p["start"], p["end"], p["messages"]) for p in shown] == [(0, 0, 0, 0), (1, 0, 1, 1)]
    assert shown[1]["bytes"] > 60
    assert "t " in cli.run("topic", "list", env={"PABAL_SERVER": cli.broker.kafka})
    cli.kafka("topic", "delete", "t")
    cli.kafka("topic", "show", "t", code=3)


def test_a_topic_is_altered(cli):
    cli.run("topic", "create", "t", "--config", "retention.ms=1000000")
    configs = {row["name"]: row for row in cli.json("topic", "show", "t", "--configs")}
    assert (configs["retention.ms"]["value"], configs["retention.ms"]["source"]) == ("1000000", "topic")
    cli.run("topic", "alter", "t", "--partitions", "3", "--config", "max.message.bytes=5000",
            "--delete-config", "retention.ms", "--dry-run")
    assert len(cli.json("topic", "show", "t")) == 1
    cli.run("topic", "alter", "t", "--partitions", "3", "--config", "max.message.bytes=5000",
            "--delete-config", "retention.ms")
    configs = {row["name"]: row for row in cli.json("topic", "show", "t", "--configs")}
    assert configs["max.message.bytes"]["value"] == "5000"
    assert configs["retention.ms"]["source"] != "topic"
    assert len(cli.json("topic", "show", "t")) == 3
    cli.run("topic", "alter", "t", "--partitions", "2", code=1)
    cli.run("topic", "alter", "t", "--config", "max.message.bytes=many", code=1)
    cli.run("topic", "alter", "t", "--config", "max.mesage.bytes=1", code=1)
    cli.run("topic", "alter", "t", "--config", "no-value", code=1)
    cli.run("topic", "alter", "t", code=1)
    cli.run("topic", "alter", "nobody", "--partitions", "2", code=3)
    cli.run("publish", "t", "x" * 6000, code=1)
    assert "max.message.bytes" in cli.err


def test_lines_go_through_a_topic(cli):
    cli.run("topic", "create", "t")
    lines = [f"line {i}" for i in range(5000)]
    cli.kafka("publish", "t", stdin="\n".join(lines) + "\n")
    assert "published 5000" in cli.err
    got = cli.kafka("consume", "t", "--from-beginning", "--count", "5000").splitlines()
    assert got == lines
    assert cli.kafka("consume", "t", "--offset", "4998", "--idle", "200ms").splitlines() == lines[-2:]
    assert cli.kafka("consume", "t", "--idle", "100ms") == ""


def test_keys_are_split_off_and_choose_the_partition(cli):
    cli.run("topic", "create", "t", "--partitions", "4")
    cli.kafka("publish", "t", "--key-separator", ":", stdin="a:1\nb:2\na:3\n")
    out = cli.kafka("consume", "t", "--from-beginning", "--count", "3", "--output", "json")
    records = [json.loads(line) for line in out.splitlines()]
    assert sorted((r["key"], r["value"]) for r in records) == [("a", "1"), ("a", "3"), ("b", "2")]
    assert len({r["partition"] for r in records if r["key"] == "a"}) == 1


def test_what_is_no_text_is_printed_in_hexadecimal(cli, tmp_path):
    (tmp_path / "raw").write_bytes(b"\xff\xfe\n")
    cli.run("topic", "create", "t")
    cli.kafka("publish", "t", "--file", str(tmp_path / "raw"))
    record = json.loads(cli.kafka("consume", "t", "--from-beginning", "--count", "1",
                                  "--output", "json"))
    assert record["value_hex"] == "fffe" and "value" not in record


def test_places_to_begin_at(cli):
    cli.run("topic", "create", "t")
    cli.run("publish", "t", stdin="".join(f"{i}\n" for i in range(10)))

    def consume(*words):
        return cli.run("consume", "t", "--exit", *words).split()
    assert consume("-o", "beginning") == [str(i) for i in range(10)]
    assert consume("--from", "end") == []
    assert consume("-o", "7") == ["7", "8", "9"]
    assert consume("-o", "-2") == ["8", "9"]
    assert consume("-o", "-100") == consume("--from-beginning")
    assert consume("--from", "1h", "-c", "3") == ["0", "1", "2"]
    assert consume("--from", "2020-01-01T00:00:00Z") == [str(i) for i in range(10)]
    assert consume("--from", "2100-01-01") == []
    cli.run("consume", "t", "--from", "yesterday", code=2)
    assert "must be beginning, end, an offset" in cli.err
    cli.run("consume", "t", "--from", "end", "-o", "1", code=2)
    cli.run("consume", "t", "-p", "5", "-e", code=3)
    assert "t has no partition 5; it has 1" in cli.err


def test_records_have_keys_headers_codecs_and_formats(cli, tmp_path):
    cli.run("topic", "create", "t")
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        cli.run("publish", "t", codec, "-z", codec, "-k", "key", "-H", "a=1", "--header", "b=x y")
    out = cli.run("consume", "t", "-o", "beginning", "-e", "-f", "%t/%p/%o %k=%s %K %S [%h]\\n")
    assert out.splitlines()[3] == "t/0/3 key=lz4 3 3 [a=1,b=x y]"
    record = json.loads(cli.run("consume", "t", "-o", "-1", "-e", "--output", "json"))
    assert record["headers"] == [{"name": "a", "value": "1"}, {"name": "b", "value": "x y"}]
    assert (record["topic"], record["key"], record["value"]) == ("t", "key", "zstd")
    (tmp_path / "one").write_text("two\nlines")
    cli.run("publish", "t", "--message-file", str(tmp_path / "one"))
    assert cli.run("consume", "t", "-o", "-1", "-e", "-f", "%S:%s") == "9:two\nlines"
    cli.run("consume", "t", "-f", "%q", code=2)
    cli.run("publish", "t", "x", "-z", "brotli", code=2)
    cli.run("publish", "t", "x", "-H", "novalue", code=1)
    cli.run("publish", "--queue", "q", "x", "-z", "lz4", code=2)


def lags(cli, group):
    return {(p["topic"], p["partition"]): p.get("lag") for p in cli.json("group", "show", group)}


def test_a_group_consumes_and_is_listed_shown_reset_and_deleted(cli):
    cli.run("topic", "create", "t", "--partitions", "2")
    for partition in ("0", "1"):
        cli.run("publish", "t", "-p", partition, stdin="".join(f"{i}\n" for i in range(10)))
    consume = ["consume", "t", "-g", "g", "--from", "beginning"]
    assert len(cli.run(*consume, "-c", "7").split()) == 7
    assert sum(lags(cli, "g").values()) == 13
    assert len(cli.run(*consume, "-e").split()) == 13
    assert cli.json("group", "list") == [{"name": "g", "state": "Empty", "protocol": "consumer", "lag": 0}]
    cli.run("publish", "t", "-p", "1", "late")
    time.sleep(1.1)
    late = cli.json("group", "show", "g")[1]
    assert (late["committed"], late["end"], late["lag"]) == (10, 11, 1) and late["lag_s"] >= 1

    preview = cli.json("group", "reset", "g", "--topic", "t", "--to", "beginning")
    assert [(p["from"], p["to"]) for p in preview] == [(10, 0), (10, 0)]
    assert "nothing was changed" in cli.err
    assert lags(cli, "g") == {("t", 0): 0, ("t", 1): 1}
    cli.run("group", "reset", "g", "--topic", "t", "--to", "4", "--execute")
    assert lags(cli, "g") == {("t", 0): 6, ("t", 1): 7}
    cli.run("group", "reset", "g", "--topic", "t", "--shift", "-2", "--partition", "1", "--execute")
    assert lags(cli, "g") == {("t", 0): 6, ("t", 1): 9}
    cli.run("group", "reset", "g", "--all-topics", "--to", "1h", "--execute")
    assert lags(cli, "g") == {("t", 0): 10, ("t", 1): 11}
    cli.run("group", "reset", "g", "--all-topics", "--to", "999", "--execute")
    assert lags(cli, "g") == {("t", 0): 0, ("t", 1): 0}
    cli.run("group", "reset", "g", "--to", "end", code=2)
    cli.run("group", "reset", "g", "--topic", "t", code=2)
    cli.run("group", "reset", "g", "--topic", "nobody", "--to", "end", code=3)
    cli.run("group", "show", "h", code=3)
    assert "did you mean g?" in cli.err
    cli.run("group", "delete", "g", "--topic", "t")
    cli.run("group", "reset", "new", "--topic", "t", "--to", "end", "--execute")
    assert lags(cli, "new") == {("t", 0): 0, ("t", 1): 0}
    cli.run("group", "delete", "new")
    cli.run("group", "show", "new", code=3)


def test_members_share_a_topic_and_are_not_reset(cli):
    cli.run("topic", "create", "t", "--partitions", "4")
    members = [cli.start("consume", "t", "-g", "g") for _ in range(2)]

    def holders():
        process = cli.start("group", "show", "g", "--output", "json")
        out, _ = process.communicate(timeout=10)
        return len([p for p in json.loads(out or "[]") if p.get("client")])
    brokers.wait_until(lambda: holders() == 4, 15, what="both members")
    cli.run("group", "reset", "g", "--topic", "t", "--to", "end", "--execute", code=4)
    assert "stop them first" in cli.err
    cli.run("group", "delete", "g", code=4)
    for partition in range(4):
        cli.run("publish", "t", f"m{partition}", "-p", str(partition))
    time.sleep(2)
    for member in members:
        member.send_signal(signal.SIGINT)
    got = [member.communicate(timeout=15)[0].split() for member in members]
    assert sorted(sum(got, [])) == ["m0", "m1", "m2", "m3"]
    assert [member.returncode for member in members] == [0, 0]
    assert set(lags(cli, "g").values()) == {0}


def test_queues_are_made_listed_purged_and_deleted(cli):
    cli.run("queue", "create", "tasks")
    cli.run("queue", "create", "tasks", code=4)
    cli.amqp("publish", "--queue", "tasks", stdin="1\n2\n3\n")
    queue = cli.json("queue", "show", "tasks")
    assert (queue["messages_ready"], queue["durable"], queue["vhost"]) == (3, True, "/")
    cli.run("queue", "delete", "tasks", "--if-empty", code=4)
    assert cli.json("queue", "purge", "tasks") == {"name": "tasks", "purged": True}
    assert [q["name"] for q in cli.json("queue", "list")] == ["tasks"]
    cli.run("queue", "delete", "tasks", "--if-empty")
    cli.run("queue", "show", "tasks", code=3)


@pytest.mark.parametrize("mode, left", [("ack", 1), ("auto", 0), ("reject", 1), ("none", 3),
                                        ("requeue", 3)])
def test_a_queue_is_consumed(cli, mode, left):
    cli.run("queue", "create", "q")
    cli.amqp("publish", "--queue", "q", stdin="1\n2\n3\n")
    out = cli.amqp("consume", "--queue", "q", "--count", "2", "--ack", mode)
    assert out.splitlines() == ["1", "2"]
    brokers.wait_until(lambda: cli.json("queue", "show", "q")["messages_unacknowledged"] == 0, 5, what="returns")
    assert cli.json("queue", "show", "q")["messages_ready"] == left


def test_a_message_that_no_queue_takes_is_told(cli):
    cli.amqp("publish", "--exchange", "amq.direct", "--key", "nobody", "hello", code=3)
    assert "no queue takes messages" in cli.err
    cli.amqp("publish", "--exchange", "nowhere", "--key", "k", "hello", code=3)
    assert "404" in cli.err


    cli.amqp("publish", "--exchange", "amq.direct", "--key", "nobody", "hello", "--drop-unroutable")
    cli.amqp("publish", "--exchange", "amq.direct", "--key", "nobody", "hello", "--no-confirms")


def test_messages_have_properties_and_headers(cli):
    cli.run("queue", "create", "q")
    cli.run("exchange", "create", "events", "--type", "headers")
    cli.run("binding", "create", "events", "q", "--arg", "x-match=all", "--arg", "n=5")
    cli.amqp("publish", "--exchange", "events", "body", "--property", "content_type=text/plain",
             "--property", "priority=3", "--property", "delivery_mode=1", "--header", "n=5",
             "--header", "who=ann")
    message = json.loads(cli.amqp("consume", "--queue", "q", "--count", "1", "--output", "json",
                                  "--prefetch", "5"))
    assert message == {
        "exchange": "events", "routing_key": "", "redelivered": False, "body": "body",
        "properties": {"content_type": "text/plain", "delivery_mode": 1, "priority": 3,
                       "headers": {"n": 5, "who": "ann"}}}
    cli.amqp("publish", "--queue", "q", "x", "--no-confirms")
    assert json.loads(cli.amqp("consume", "--queue", "q", "--count", "1", "--output", "json"))[
        "properties"] == {"delivery_mode": 2}
    cli.amqp("publish", "--queue", "q", "x", "--property", "content-type=x", code=2)
    assert "did you mean content_type?" in cli.err
    cli.amqp("publish", "--queue", "q", "x", "--header", "x", code=2)
    cli.run("publish", "topic", "x", "--property", "priority=1", code=2)
    cli.amqp("consume", "--queue", "q", "--ack", "perhaps", code=2)
    cli.amqp("consume", "--queue", "q", "--prefetch", "70000", code=2)


def test_requeued_messages_come_again_in_order(cli):
    cli.run("queue", "create", "q")
    cli.amqp("publish", "--queue", "q", stdin="1\n2\n3\n")
    assert cli.amqp("consume", "--queue", "q", "--idle", "300ms", "--ack", "requeue") == "1\n2\n3\n"
    assert cli.amqp("consume", "--queue", "q", "--count", "3") == "1\n2\n3\n"


def test_a_message_is_repeated_at_a_rate(cli):
    cli.run("queue", "create", "q")
    before = time.monotonic()
    cli.amqp("publish", "--queue", "q", "again", "--count", "20", "--rate", "100")
    assert 0.15 < time.monotonic() - before < 5
    assert cli.json("queue", "show", "q")["messages_ready"] == 20


def test_a_line_is_published_when_the_writer_pauses(cli):
    cli.run("queue", "create", "q")
    process = cli.start("publish", "--queue", "q", "--server", cli.broker.amqp)
    process.stdin.write("first\n")
    process.stdin.flush()
    brokers.wait_until(lambda: cli.json("queue", "show", "q")["messages_ready"] == 1, 5, what="the line")
    process.communicate("second\n", timeout=10)
    assert process.returncode == 0
    assert cli.json("queue", "show", "q")["messages_ready"] == 2


def test_a_wrong_password_is_refused(cli):
    cli.amqp("publish", "--queue", "q", "x", "--password", "wrong", code=4)


def test_health_metrics_connections_and_configuration(cli):
    assert cli.json("health")["status"] == "ok"
    cli.run("topic", "create", "t")
    cli.kafka("publish", "t", "x")
    counters = {row["name"]: row["value"] for row in cli.json("metrics")}
    assert counters["append_records"] >= 1 and counters["commits"] >= 1
    assert isinstance(cli.json("connection", "list"), list)
    running = {row["option"]: row for row in cli.json("config", "show", "--running")}
    assert running["data.dir"]["origin"] == "--set"


def test_without_a_server_health_fails(cli):
    cli.broker.stop()
    cli.run("health", code=1)
    assert "no server answers" in cli.err
    cli.kafka("publish", "t", "x", code=1)


def test_the_configuration_has_its_order_and_names_what_is_wrong(cli, tmp_path):
    file = tmp_path / "pabal.conf"
    file.write_text("num.partitions = 3\nnode.id = 5\n")
    show = ["config", "show", "--config", str(file), "--origin"]
    options = {row["option"]: row for row in cli.json(*show, "--set", "node.id=6",
                                                     env={"PABAL_NUM_PARTITIONS": "4"})}
    assert options["num.partitions"] == {"option": "num.partitions", "value": "4",
                                         "origin": "environment PABAL_NUM_PARTITIONS"}
    assert options["node.id"]["origin"] == "--set"
    file.write_text("\nnum.partition = 3\n")
    cli.run("server", "--config", str(file), code=1)
    assert f'{file}:2: unknown key "num.partition"; did you mean "num.partitions"?' in cli.err
    cli.run("server", "--set", "listener.kafka=0.0.0.0:0", code=4)
    assert "allow.anonymous" in cli.err


def test_wrong_words_end_with_2_and_name_the_nearest(cli):
    cli.run("topc", "list", code=2)
    assert 'did you mean "pabal topic list"?' in cli.err
    cli.run("topic", "list", "--outptu", "json", code=2)
    assert "did you mean --output?" in cli.err
    cli.run("topic", "list", "--output", "yaml", code=2)
    cli.run("publish", code=2)
    cli.run("topic", "create", code=2)
    cli.run(code=2)


def test_every_command_has_help(cli):
    listed = [line.split()[1:3] for line in cli.run("help").splitlines()
              if line.startswith("  pabal ")]
    assert len(listed) > 15
    for words in listed:
        two = len(words) == 2 and words[0] in (
            "topic", "group", "exchange", "binding", "queue", "vhost", "user", "permission", "policy",
            "definitions", "bench", "config", "connection", "channel", "consumer")
        command = words if two else words[:1]
        if command not in (["version"], ["help"], ["manual"]):
            assert cli.run(*command, "--help").startswith("Usage: pabal " + " ".join(command))


@pytest.mark.parametrize("words", [
    ["kafka", "both", "--rate", "2000", "--linger", "1ms", "--partitions", "2"],
    ["kafka", "produce", "--producers", "2"],
    ["kafka", "both", "--rate", "2000", "--linger", "1ms", "--codec", "lz4", "--group", "g",
     "--commit-every", "0"],
    ["amqp", "both", "--rate", "2000", "--confirm", "100", "--persistent", "--queues", "3"],
    ["amqp", "publish", "--confirm", "10"],
])
def test_bench_moves_messages_and_reports(cli, words):
    server = cli.broker.kafka if words[0] == "kafka" else cli.broker.amqp
    row = cli.json("bench", *words, "--duration", "300ms", "--warmup", "100ms", "--delete",
                   "--server", server)
    assert row["msg/s"] > 0 and row["p50_us"] > 0
    assert row["sent"] == row["confirmed"]
    assert row["received"] in (0, row["sent"])


def test_bench_ends_by_count(cli):
    cli.amqp("bench", "amqp", "publish", "--messages", "1000", "--confirm", "100")
    row = json.loads(cli.amqp("bench", "amqp", "consume", "--messages", "1000", "--output", "json"))
    assert row["received"] >= 1000
    cli.kafka("bench", "kafka", "produce", "--messages", "1000")
    row = json.loads(cli.kafka("bench", "kafka", "fetch", "--messages", "1000", "--output", "json"))
    assert row["received"] == 1000


def test_bench_takes_a_queue_that_is_there_as_it_is(cli):
    cli.run("queue", "create", "limited", "--arg", "x-max-length=10")
    row = json.loads(cli.amqp("bench", "amqp", "both", "--queue", "limited", "--messages", "10", "--confirm", "10",
                              "--purge", "--output", "json"))
    assert row["received"] == 10
    cli.amqp("bench", "amqp", "consume", "--queue", "limited", "--messages", "10", "--transient", code=4)
    assert "inequivalent arg 'durable'" in cli.err


def test_the_manual_page_is_what_the_commands_say(cli):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with open(os.path.join(root, "docs", "man", "pabal.1")) as page:
        assert page.read() == cli.run("manual"), "pabal manual > docs/man/pabal.1"


def test_the_server_stops_politely(cli):
    consumer = cli.start("consume", "--queue", "q", "--server", cli.broker.amqp)
    cli.run("queue", "create", "q")
    process = cli.broker.process
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    consumer.communicate(timeout=10)
    assert consumer.returncode != 0
    assert "stopped" in cli.broker.log()
    assert not os.path.exists(cli.control)
    cli.broker.process = None
