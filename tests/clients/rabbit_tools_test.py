"""What people administer RabbitMQ with over HTTP: rabbitmqadmin, and the Go client rabbit-hole, which brings
its tests along."""
import json
import os
import re
import subprocess
import sys

import pytest

import brokers
from conftest import installed


@pytest.fixture
def admin(pabal):
    """rabbitmqadmin of a broker of its own: admin("list", "queues") is what it prints, in its format tsv."""
    script, = installed("rabbitmqadmin")
    broker = pabal()
    host, port = broker.http.split(":")

    def run(*arguments, code=0):
        done = subprocess.run([sys.executable, script, "--host", host, "--port", port, "-f", "tsv", *arguments],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr if code else done.stdout

    return run


def rows(text):
    return [line.split("\t") for line in text.splitlines()[1:]]


def test_rabbitmqadmin_declares_lists_and_deletes(admin):
    assert admin("declare", "queue", "name=q", "durable=true", 'arguments={"x-max-length":5}') == "queue declared\n"
    admin("declare", "exchange", "name=x", "type=fanout")
    admin("declare", "binding", "source=x", "destination=q", "routing_key=k /")
    admin("declare", "binding", "source=x", "destination=amq.topic", "destination_type=exchange")
    assert rows(admin("list", "queues", "name", "messages", "arguments.x-max-length")) == [["q", "0", "5"]]
    assert ["x", "fanout"] in rows(admin("list", "exchanges", "name", "type"))
    found = rows(admin("list", "bindings", "source", "destination", "destination_type", "properties_key"))
    assert found == [["", "q", "queue", "q"], ["x", "amq.topic", "exchange", "~"], ["x", "q", "queue", "k+%2F"]]
    admin("delete", "binding", "source=x", "destination=q", "destination_type=queue", "properties_key=k+%2F")
    assert len(rows(admin("list", "bindings"))) == 2
    admin("delete", "exchange", "name=x")
    admin("delete", "queue", "name=q")
    assert "No items" in admin("list", "queues")
    assert "Not found: /api/queues/%2F/q" in admin("delete", "queue", "name=q", code=1)
    assert "Access refused" in admin("declare", "queue", "name=amq.q", code=1)


def test_rabbitmqadmin_publishes_gets_and_purges(admin):
    admin("declare", "queue", "name=q")
    assert "Message published\n" == admin("publish", "routing_key=q", "payload=one")
    admin("publish", "routing_key=q", "payload=two", 'properties={"delivery_mode":2}')
    assert "NOT routed" in admin("publish", "routing_key=none", "payload=x")
    got = rows(admin("get", "queue=q", "count=5"))
    assert [row[3:6] for row in got] == [["one", "3", "string"], ["two", "3", "string"]]
    assert rows(admin("get", "queue=q", "ackmode=ack_requeue_false"))[0][3] == "one"
    assert rows(admin("list", "queues", "name", "messages_ready")) == [["q", "1"]]
    admin("purge", "queue", "name=q")
    assert rows(admin("list", "queues", "name", "messages")) == [["q", "0"]]


def test_rabbitmqadmin_exports_and_imports(admin, tmp_path):
    file = str(tmp_path / "definitions.json")
    admin("declare", "queue", "name=q", "durable=true")
    admin("declare", "exchange", "name=x", "type=topic")
    admin("declare", "binding", "source=x", "destination=q", "routing_key=a.*")
    admin("declare", "policy", "name=p", "pattern=^q", 'definition={"max-length":3}')
    admin("declare", "vhost", "name=v")
    admin("declare", "user", "name=u", "password=secret", "tags=monitoring")
    admin("declare", "permission", "vhost=v", "user=u", "configure=.*", "write=.*", "read=.*")
    admin("export", file)
    with open(file) as exported:
        assert {"queues", "exchanges", "bindings", "policies", "vhosts", "users"} <= set(json.load(exported))
    for kind, name in (("queue", "q"), ("exchange", "x"), ("policy", "p"), ("vhost", "v"), ("user", "u")):
        admin("delete", kind, "name=" + name)
    admin("import", file)
    assert rows(admin("list", "queues", "name", "policy")) == [["q", "p"]]
    assert ["x", "q", "a.*"] in rows(admin("list", "bindings", "source", "destination", "routing_key"))
    assert rows(admin("list", "vhosts", "name")) == [["/"], ["v"]]
    assert admin("-u", "u", "-p", "secret", "-V", "v", "list", "users", code=1)
    assert "No items" in admin("-u", "u", "-p", "secret", "-V", "v", "list", "queues")


def can_have_a_network():
    return subprocess.run(["unshare", "-n", "ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0


@pytest.mark.timeout(150)
def test_rabbit_hole_passes_its_own_tests(tmp_path):
    """It wants the ports that RabbitMQ has: in a network of its own. Federation and shovels are not there."""
    program, = installed("rabbit-hole.test")
    if not can_have_a_network():
        pytest.skip("no network of its own: needs root")
    script = """
        ip link set lo up
        "$0" server --set data.dir="$1" &
        for i in $(seq 100); do curl -s -o /dev/null http://127.0.0.1:15672/ && break; sleep 0.1; done
        put() { curl -s -f -u guest:guest -X PUT -H content-type:application/json \\
                     "http://127.0.0.1:15672/api/$1" -d "$2" || exit 9; }
        all='{"configure":".*","write":".*","read":".*"}'
        put vhosts/rabbit%2Fhole '{}'
        put permissions/rabbit%2Fhole/guest "$all"
        put users/policymaker '{"password":"policymaker","tags":"policymaker"}'
        put permissions/%2F/policymaker "$all"
        put permissions/rabbit%2Fhole/policymaker "$all"
        "$2" -ginkgo.no-color -ginkgo.flake-attempts 3 -ginkgo.skip "federation|[Ss]hovel"
        code=$?
        kill $!
        exit $code
    """
    env = {key: value for key, value in os.environ.items() if not key.startswith("PABAL_")}
    done = subprocess.run(["unshare", "-n", "sh", "-c", script, brokers.pabal_program(), str(tmp_path / "data"),
                           program], capture_output=True, text=True, timeout=140, cwd=tmp_path, env=env)
    failed = sorted(set(re.findall(r"^ *\[(?:FAIL|PANICKED!)\] .*", done.stdout, re.M)))
    assert done.returncode == 0 and not failed, "\n".join(failed) + done.stdout[-2000:] + done.stderr[-2000:]
    assert int(re.search(r"(\d+) Passed", done.stdout).group(1)) == 123
