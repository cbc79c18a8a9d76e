"""Programs that people run beside a broker: franz-go's own tests, Kafka Streams, Kafka Connect, Kafka's
load generators and its reader of segment files. Each works, and works again after a restart."""
import json
import os
import re
import subprocess
import time
import urllib.request

import pytest

from brokers import free_ports, wait_until
from conftest import consume, create_topic, installed, produce, values_of

JAVA = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]

# Those of franz-go's tests that speak to a broker, without the ones for transactions, share groups and the
# next generation of consumer groups.
FRANZ_GO = """TestPing TestIssue1034 TestIssue325 TestConsumeRegex TestIssue337 TestDirectPartitionPurge
    TestIssue434 TestAddRemovePartitions TestPauseIssue489 TestPauseIssueOct2023 TestIssue523 TestIssue648
    TestIssue810 TestIssue865 TestPooling TestGroupSimple TestHookPollStart TestGroupETL TestClient_Produce
    TestIssue769 TestIssueProduceSyncManualPartitionNegativeDoesNotPanic TestIssue831
    TestClient_ProduceLargeMessages""".split()


@pytest.mark.timeout(200)
def test_franz_go_passes_its_own_tests(kafka):
    program, = installed("kgo.test")
    env = dict(os.environ, KGO_SEEDS=kafka, KGO_TEST_RF="1", KGO_TEST_RECORDS="20000")
    command = [program, "-test.v", "-test.run", f"^({'|'.join(FRANZ_GO)})$", "-test.skip", "/848",
               "-test.timeout", "180s"]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    failed = re.findall(r"^ *--- FAIL: \S+", done.stdout, re.M)
    assert done.returncode == 0 and not failed, f"{failed}\n{done.stdout[-3000:]}"
    passed = set(re.findall(r"^--- PASS: (\S+)", done.stdout, re.M))
    assert passed == set(FRANZ_GO)


class Program:
    """A JVM that runs until it is stopped; what it says lies in a file."""

    def __init__(self, folder, *command):
        self.log_path = os.path.join(folder, "program.log")
        classes, jars = installed("java-classes", "java-programs")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*JAVA, "-cp", f"{classes}:{jars}/*", *map(str, command)],
                                            stdin=subprocess.PIPE, stdout=log, stderr=log)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()

    def log(self):
        with open(self.log_path) as log:
            return log.read()

    def check(self):
        assert self.process.poll() is None, self.log()[-3000:]
        return True


def latest_counts(kafka, topic):
    """{word: count} as the last records of a topic of counts tell it; what is there now."""
    counts = {}
    for message in consume(kafka, topic, 1_000_000, timeout_s=1):
        counts[message.key().decode()] = int(message.value())
    return counts


@pytest.mark.timeout(120)
def test_kafka_streams_counts_words_and_goes_on_after_restarts(own_broker, own_kafka, name, tmp_path):
    create_topic(own_kafka, name)
    create_topic(own_kafka, name + "-counts")
    command = ["WordCount", own_kafka, name, name + "-counts", name + "-application", tmp_path / "state"]
    with Program(tmp_path, *command) as first:
        produce(own_kafka, name, [b"one two two", b"three three three"])
        wait_until(lambda: first.check() and latest_counts(own_kafka, name + "-counts") ==
                   {"one": 1, "two": 2, "three": 3}, 40, what="the first counts")
        first.process.stdin.close()
        assert first.process.wait(30) == 0
    with Program(tmp_path, *command) as second:
        produce(own_kafka, name, [b"one three"])
        wait_until(lambda: second.check() and latest_counts(own_kafka, name + "-counts") ==
                   {"one": 2, "two": 2, "three": 4}, 40, what="counts that go on where they were")
        own_broker.kill()
        own_broker.start()
        produce(own_kafka, name, [b"two"])

        def counted_again():
            counts = latest_counts(own_kafka, name + "-counts")
            return second.check() and counts["two"] >= 3 and counts["one"] >= 2 and counts["three"] >= 4

        wait_until(counted_again, 60, what="counts after the broker was killed")


class Connect:
    """A worker of Kafka Connect with its REST interface."""

    def __init__(self, kafka, group, folder):
        self.kafka, self.folder = kafka, folder
        self.port = free_ports(1)
        self.settings = os.path.join(folder, "worker.properties")
        text = {"bootstrap.servers": kafka, "group.id": group, "listeners": f"http://127.0.0.1:{self.port}",
                "key.converter": "org.apache.kafka.connect.storage.StringConverter",
                "value.converter": "org.apache.kafka.connect.storage.StringConverter",
                "offset.flush.interval.ms": 500, "scheduled.rebalance.max.delay.ms": 0,
                "plugin.discovery": "service_load", "session.timeout.ms": 6000, "heartbeat.interval.ms": 1000}
        for kind in ("offset", "config", "status"):
            text[f"{kind}.storage.topic"] = f"{group}-{kind}"
            text[f"{kind}.storage.replication.factor"] = 1
        with open(self.settings, "w") as file:
            file.writelines(f"{key}={value}\n" for key, value in text.items())

    def start(self):
        return Program(self.folder, "org.apache.kafka.connect.cli.ConnectDistributed", self.settings)

    def ask(self, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode() if body else None,
            {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def runs(self, *connectors):
        """Whether these connectors and their tasks run."""
        try:
            found = [self.ask(f"/connectors/{one}/status") for one in connectors]
        except OSError:
            return False
        return all(one["connector"]["state"] == "RUNNING" and one["tasks"] and
                   all(task["state"] == "RUNNING" for task in one["tasks"]) for one in found)

    def answers(self):
        try:
            return self.ask("/connectors") is not None
        except OSError:
            return False


def read_lines(path):
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.timeout(150)
def test_kafka_connect_carries_a_file_and_goes_on_after_restarts(own_broker, own_kafka, name, tmp_path):
    create_topic(own_kafka, name)
    source, sink = tmp_path / "in.txt", tmp_path / "out.txt"
    connect = Connect(own_kafka, name + "-connect", str(tmp_path))
    wanted = []

    def carries(program, *more):
        wanted.extend(more)
        with open(source, "a") as file:
            file.writelines(line + "\n" for line in more)
        wait_until(lambda: program.check() and set(wanted) <= set(read_lines(sink)), 60,
                   what="the lines are carried")

    with connect.start() as first:
        wait_until(lambda: first.check() and connect.answers(), 60, 0.2, what="the worker answers")
        connect.ask("/connectors", {"name": "source", "config": {
            "connector.class": "FileStreamSource", "tasks.max": 1, "file": str(source), "topic": name}})
        connect.ask("/connectors", {"name": "sink", "config": {
            "connector.class": "FileStreamSink", "tasks.max": 1, "file": str(sink), "topics": name}})
        carries(first, "one", "two", "three")
        time.sleep(1)  # longer than the interval in which offsets are written
        first.process.terminate()
        first.process.wait(30)
    with connect.start() as second:
        wait_until(lambda: second.check() and connect.runs("source", "sink"), 60, 0.2, what="both run again")
        carries(second, "four", "five")
        assert values_of(consume(own_kafka, name, 5)) == [line.encode() for line in wanted]
        own_broker.restart()
        carries(second, "six")
    assert read_lines(sink)[:5] == wanted[:5]


# -- Kafka's own load generators and its reader of segments


def test_the_verifiable_producer_and_consumer_agree(kafka, topic, name, kafka_tool):
    told = kafka_tool("org.apache.kafka.tools.VerifiableProducer", "--bootstrap-server", kafka, "--topic", topic,
                      "--max-messages", 2000, "--acks", -1)
    summary = json.loads(told.splitlines()[-1])
    assert (summary["sent"], summary["acked"]) == (2000, 2000)
    told = kafka_tool("org.apache.kafka.tools.VerifiableConsumer", "--bootstrap-server", kafka, "--topic", topic,
                      "--group-id", name, "--max-messages", 2000, "--reset-policy", "earliest", "--verbose")
    events = [json.loads(line) for line in told.splitlines()]
    seen = [one["value"] for one in events if one["name"] == "record_data"]
    assert seen == [str(i) for i in range(2000)]
    assert events[-1]["name"] == "shutdown_complete"


def test_kafkas_performance_tools_move_all_records(kafka, topic, kafka_tool):
    told = kafka_tool("org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", 50_000,
                      "--record-size", 100, "--throughput", -1, "--producer-props", f"bootstrap.servers={kafka}",
                      "acks=all", "compression.type=lz4")
    assert told.splitlines()[-1].startswith("50000 records sent")
    told = kafka_tool("org.apache.kafka.tools.ConsumerPerformance", "--bootstrap-server", kafka, "--topic", topic,
                      "--messages", 50_000, "--timeout", 20_000)
    columns = dict(zip(*(line.split(", ") for line in told.splitlines()[:2])))
    assert int(columns["data.consumed.in.nMsg"]) == 50_000


def test_kafkas_tool_reads_our_segments(pabal, name, kafka_tool):
    """All but the last, which ends in zeros as Kafka's own does while it is preallocated. Between two of
    them there may be records that only the journal has."""
    broker = pabal({"segment.bytes": "1MiB", "journal.max.bytes": "8MiB"})
    create_topic(broker.kafka, name)
    values = [bytes([97 + i % 26]) * 100_000 for i in range(400)]
    produce(broker.kafka, name, values, compression_type="none", batch_size=100_000)
    broker.stop()
    segments = sorted(os.path.join(folder, file) for folder, _, files in os.walk(broker.data_dir)
                      for file in files if re.fullmatch(r"\d{20}\.log", file))
    assert len(segments) > 1
    told = kafka_tool("kafka.tools.DumpLogSegments", "--deep-iteration", "--skip-record-metadata", "--files",
                      ",".join(segments[:-1]))
    files = told.split("Dumping ")[1:]
    assert len(files) == len(segments) - 1
    for file in files:
        start, = re.findall(r"Log starting offset: (\d+)", file)
        batches = re.findall(r"baseOffset: (\d+) lastOffset: (\d+) .*isvalid: (\w+)", file)
        assert batches and all(valid == "true" for _, _, valid in batches)
        following = [int(start)] + [int(last) + 1 for _, last, _ in batches]
        assert [int(first) for first, _, _ in batches] == following[:-1]
