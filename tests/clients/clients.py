"""The clients of the matrix: how each is started, what it has, and the language its driver speaks.

A Client is a driver process. It opens producers, consumers and admins, which are handles: a call goes out
as one line of JSON and its answer comes back by number, so that several handles work at the same time.
"""
import collections
import itertools
import json
import os
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DRIVERS = os.path.join(HERE, "drivers")
TOP = os.path.dirname(os.path.dirname(HERE))
INSTALLED = os.environ.get("PABAL_CLIENTS") or os.path.join(TOP, "build", "clients")
CALL_TIMEOUT_S = 40

_numbers = itertools.count(1)


class Refused(Exception):
    """The client said no. `code` is Kafka's error code where the client tells it."""

    def __init__(self, error):
        super().__init__(error["text"])
        self.code = error["code"]


class Client:
    """A driver process of one kind of client."""

    def __init__(self, kind):
        self.kind = kind
        self.answers, self.arrived = {}, threading.Condition()
        self.process = subprocess.Popen(kind.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, cwd=DRIVERS)
        self.said = collections.deque(maxlen=200)
        self.handles = []
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=lambda: self.said.extend(self.process.stderr), daemon=True).start()

    def _listen(self):
        for text in self.process.stdout:
            answer = json.loads(text)
            with self.arrived:
                self.answers[answer["id"]] = answer
                self.arrived.notify_all()
        with self.arrived:
            self.answers = None
            self.arrived.notify_all()

    def ask(self, on, op, **arguments):
        number = next(_numbers)
        request = {"id": number, "on": on, "op": op, **arguments}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return number

    def answer(self, number, timeout_s=CALL_TIMEOUT_S):
        with self.arrived:
            here = self.arrived.wait_for(lambda: self.answers is None or number in self.answers, timeout_s)
            if not here or self.answers is None:
                raise AssertionError(f"{self.kind.name}: no answer; it said {''.join(self.said)[-3000:]}")
            found = self.answers.pop(number)
        if "error" in found:
            raise Refused(found["error"])
        return found

    def call(self, on, op, timeout_s=CALL_TIMEOUT_S, **arguments):
        return self.answer(self.ask(on, op, **arguments), timeout_s)

    def is_alive(self):
        return self.process.poll() is None

    def close_all(self):
        """Close what a case has left open; what does not close does not matter."""
        closing = [self.ask(handle.name, "close") for handle in self.handles if not handle.closed]
        self.handles = []
        for number in closing:
            try:
                self.answer(number, 10)
            except (Refused, AssertionError):
                continue

    def kill(self):
        """kill -9: nobody says good-bye to the broker."""
        self.process.kill()
        self.process.wait()

    # -- handles

    def producer(self, servers, **config):
        return Producer(self, "producer", servers, **config)

    def consumer(self, servers, **config):
        return Consumer(self, "consumer", servers, **config)

    def admin(self, servers):
        return Handle(self, "admin", servers)


class Handle:
    def __init__(self, client, kind, servers, name=None, **config):
        self.client, self.name = client, name or f"{kind}-{next(_numbers)}"
        self.opening = client.ask(self.name, kind, servers=servers, name=self.name, **config)
        self.closed = False
        client.handles.append(self)

    def opened(self):
        if self.opening is not None:
            number, self.opening = self.opening, None
            self.client.answer(number)
        return self

    def call(self, op, **arguments):
        self.opened()
        return self.client.call(self.name, op, **arguments)

    def close(self):
        self.call("close")
        self.closed = True


class Producer(Handle):
    def send(self, topic, records, timeout_s=60):
        """The client's own results: offsets, or errors."""
        self.opened()
        return self.client.call(self.name, "send", topic=topic, records=records, timeout_s=timeout_s)["results"]

    def sent(self, topic, records):
        """The same, when none may fail."""
        results = self.send(topic, records)
        failed = [one for one in results if "code" in one]
        assert not failed, failed[:3]
        return results


class Consumer(Handle):
    """Everything that came is collected here."""

    def __init__(self, *arguments, **config):
        super().__init__(*arguments, **config)
        self.records, self.events, self.errors = [], [], []

    def look(self):
        if self.opening is not None:
            with self.client.arrived:
                ready = self.client.answers is None or self.opening in self.client.answers
            if not ready:
                return self
            self.opened()
        taken = self.client.call(self.name, "take")
        self.records += taken["records"]
        self.events += taken["events"]
        self.errors += taken["errors"]
        return self

    def wait(self, count, timeout_s=20):
        """Wait for `count` records since the last wait() and return them."""
        deadline = time.monotonic() + timeout_s
        while len(self.look().records) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        taken, self.records = self.records, []
        assert len(taken) >= count, f"{len(taken)} of {count} records came; errors: {self.errors[:3]}"
        return taken

    def wait_all(self, wanted, timeout_s=20):
        """Wait for all these values; a rebalance may bring others again, which were not committed."""
        deadline = time.monotonic() + timeout_s
        missing = set(wanted)
        while missing:
            missing -= {one["value"] for one in self.look().records}
            assert time.monotonic() < deadline, f"{len(missing)} values missing; errors: {self.errors[:3]}"
            time.sleep(0.02)
        self.records = []

    def wait_error(self, timeout_s=20):
        deadline = time.monotonic() + timeout_s
        while not self.look().errors and time.monotonic() < deadline:
            time.sleep(0.02)
        assert self.errors, "no error came"
        return self.errors[0]

    def nothing_more(self, seconds=0.7):
        time.sleep(seconds)
        assert not self.look().records, self.records[:3]


class Kind:
    """A client library; `lacks` tells by case why it has no part in it."""

    def __init__(self, name, command, needs, lacks=None):
        self.name, self._command, self.needs = name, command, needs
        self.lacks = lacks or {}

    def command(self):
        return [part.format(drivers=DRIVERS, installed=INSTALLED, python=sys.executable)
                for part in self._command]

    def is_installed(self):
        return all(os.path.exists(part.format(installed=INSTALLED, drivers=DRIVERS)) for part in self.needs)


def python(name, **more):
    driver = "{drivers}/" + name.replace("-", "_") + "_driver.py"
    return Kind(name, ["{python}", driver], [driver], **more)


def java(version, **more):
    jars = f"{{installed}}/java-{version}"
    command = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m", "-cp",
               "{installed}/java-classes:" + jars + "/*", "Driver"]
    return Kind(f"java-{version}", command, [jars, "{installed}/java-classes/Driver.class"], **more)


def go(name, **more):
    return Kind(name, ["{installed}/go-driver", name], ["{installed}/go-driver"], **more)


KINDS = [
    Kind("kcat", ["{python}", "{drivers}/kcat_driver.py"], ["/usr/bin/kcat"], lacks={
        "offsets": "tells none when it sends",
        "reading_resumes_at_what_was_committed_by_hand": "commits by itself alone",
        "reading_rewinds_by_offset_and_by_time": "never moves while it reads",
        "a_timestamp_out_of_bounds_is_refused": "sends no timestamp of ours",
        "administration": "has none",
        "administration_of_groups": "has none",
        "administration_is_refused_with_kafkas_codes": "has none",
    }),
    python("confluent"),
    python("kafka-python"),
    python("aiokafka", lacks={
        "too_few_replicas_refuse_acks_all_only": "never tells what it retries",
        "a_cooperative_group_moves_only_what_must_move": "has no cooperative assignor",
        "a_record_without_a_key_is_refused_by_a_compacted_topic": "does not know INVALID_RECORD (87)",
        "admin.delete_group": "has no such call",
    }),
    java("4.1.0"),
    java("2.4.0"),
    go("sarama", lacks={
        "a_new_group_without_a_start_gets_an_error": "always starts at one end",
    }),
    go("kafka-go", lacks={
        "an_idempotent_producer_neither_doubles_nor_reorders": "has no idempotent producer",
        "a_new_group_without_a_start_gets_an_error": "always starts at one end",
        "a_static_member_comes_back_without_a_rebalance": "has no static members",
        "a_cooperative_group_moves_only_what_must_move": "has no cooperative assignor",
        "admin.delete_records": "has no such call",
        "admin.group_offsets": "is asked through the reader instead",
    }),
    go("franz-go"),
    Kind("kafkajs", ["node", "{drivers}/node/driver.js", "{installed}/node_modules"], ["{installed}/node_modules"],
         lacks={
             "offsets": "tells none when it sends",
             "a_new_group_without_a_start_gets_an_error": "always starts at one end",
             "a_static_member_comes_back_without_a_rebalance": "has no static members",
             "a_cooperative_group_moves_only_what_must_move": "has no cooperative assignor",
             "a_record_without_a_key_is_refused_by_a_compacted_topic": "does not know INVALID_RECORD (87)",
         }),
]
