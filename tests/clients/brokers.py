"""Brokers that tests start, kill and measure: Pabal and, for comparison, the real Kafka and RabbitMQ.

Every broker has the same handles: start, stop, kill, restart, address by protocol, resident memory,
the log as text. Ports are taken below the range that the kernel gives to outgoing connections, so
that a client that reconnects to a dead broker can never take the port or connect to itself.
"""
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PEERS = os.path.join(TOP, "bench", "peers")
PORTS = range(18000, 28000)
_taken = set()


class Failed(Exception):
    """The broker did not do what was asked; the text carries the end of its log."""


def free_ports(count):
    """A row of `count` neighbouring ports on which nobody listens."""
    while True:
        first = random.randrange(PORTS.start, PORTS.stop - count)
        row = range(first, first + count)
        if _taken.isdisjoint(row) and all(_is_free(port) for port in row):
            _taken.update(row)
            return first


def _is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def wait_until(condition, timeout_s=10, pause_s=0.02, what="condition"):
    """Poll `condition` until it is true and return its value."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s} s")
        time.sleep(pause_s)


def accepts(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 1).close()
        return True
    except OSError:
        return False


def process_tree(pid):
    """The process and all its descendants."""
    children = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as stat:
                parent = int(stat.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(name))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def proc_status_kib(pid, key):
    """The sum of a KiB line of /proc/PID/status over the process tree."""
    total = 0
    for one in process_tree(pid):
        try:
            with open(f"/proc/{one}/status") as status:
                found = re.search(rf"^{key}:\s+(\d+) kB", status.read(), re.M)
        except OSError:
            continue
        total += int(found.group(1)) if found else 0
    return total


def minor_faults(pid):
    """Pages that a process was given so far, or found in memory."""
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[7])


class Broker:
    """A broker process. Subclasses say how it is started and when it is ready."""

    name = "?"
    kafka = None
    amqp = None
    http = None
    queue_arguments = {}  # of the durable queues that tests declare in it
    stop_timeout_s = 60
    ready_timeout_s = 60

    def __init__(self, dir=None, env=None):
        self.own_dir = dir is None
        self.dir = dir or tempfile.mkdtemp(prefix=f"{self.name}-test-")
        self.extra_env = dict(env or {})
        self.process = None
        self.log_path = os.path.join(self.dir + ".log")

    # -- life

    def start(self):
        if self.process:
            raise Failed(f"{self.name} runs already")
        self.log_from = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        env = {k: v for k, v in os.environ.items() if not k.startswith("PABAL_")}
        if "PABAL_BENCH_CACHE" in os.environ:
            env["PABAL_BENCH_CACHE"] = os.environ["PABAL_BENCH_CACHE"]
        env.update(self.extra_env)
        before = time.monotonic()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        self._wait_ready()
        self.ready_s = time.monotonic() - before
        return self

    def _wait_ready(self):
        deadline = time.monotonic() + self.ready_timeout_s
        while not self.is_ready():
            if self.process.poll() is not None:
                code, self.process = self.process.returncode, None
                raise Failed(f"{self.name} ended with {code} at start:\n{self.log()[-3000:]}")
            if time.monotonic() > deadline:
                self.kill()
                raise Failed(f"{self.name} was not ready in time:\n{self.log()[-3000:]}")
            time.sleep(self.poll_s)

    poll_s = 0.05

    def stop(self):
        """Ask it to stop and wait; returns its exit code."""
        if not self.process:
            return None
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(self.stop_timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Failed(f"{self.name} did not stop in {self.stop_timeout_s} s:\n{self.log()[-3000:]}")

    def kill(self):
        """kill -9."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def halt(self):
        """It does nothing more, and is still there to be killed."""
        self.process.send_signal(signal.SIGSTOP)

    def restart(self):
        code = self.stop()
        self.start()
        return code

    def close(self):
        self.kill()
        if self.own_dir:
            shutil.rmtree(self.dir, ignore_errors=True)
            if os.path.exists(self.log_path):
                os.unlink(self.log_path)

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def __enter__(self):
        return self.start()

    def __exit__(self, *error):
        self.close()

    # -- measures

    @property
    def pid(self):
        return self.process.pid

    def rss_mib(self):
        return proc_status_kib(self.pid, "VmRSS") / 1024

    def log(self):
        """What this run has printed so far."""
        with open(self.log_path, "rb") as log:
            log.seek(self.log_from)
            return log.read().decode(errors="replace")

    def wait_log(self, pattern, timeout_s=5):
        return wait_until(lambda: re.search(pattern, self.log()), timeout_s, what=f"log {pattern!r}")


class Pabal(Broker):
    """build/pabal, or the program that PABAL_BIN names."""

    name = "pabal"
    poll_s = 0.002

    def __init__(self, dir=None, settings=None, program=None, env=None):
        super().__init__(dir, env)
        self.program = program or pabal_program()
        port = free_ports(3)
        self.settings = {
            "listener.kafka": f"127.0.0.1:{port}",
            "listener.amqp": f"127.0.0.1:{port + 1}",
            "listener.http": f"127.0.0.1:{port + 2}",
        }
        self.settings.update(settings or {})

    def command(self):
        settings = {"data.dir": self.data_dir, **self.settings}
        return [self.program, "server"] + [f"--set={k}={v}" for k, v in settings.items()]

    @property
    def data_dir(self):
        return os.path.join(self.dir, "data")

    def is_ready(self):
        line = re.search(r"\bready\b(( \w+=\S+)+)", self.log())
        if not line:
            return False
        found = dict(part.split("=", 1) for part in line.group(1).split())
        self.kafka, self.amqp, self.http = (found.get(k) for k in ("kafka", "amqp", "http"))
        return True


class Kafka(Broker):
    """Apache Kafka 4.1 out of the cache of bench/peers."""

    name = "kafka"

    def __init__(self, dir=None, extra="", heap=None):
        super().__init__(dir)
        self.port = free_ports(2)
        self.kafka = f"127.0.0.1:{self.port}"
        self.extra_env["KAFKA_EXTRA"] = extra
        if heap:
            self.extra_env["KAFKA_HEAP"] = heap

    def command(self):
        return [os.path.join(PEERS, "kafka"), "run", self.dir, str(self.port)]

    def is_ready(self):
        return accepts(self.kafka)


class Rabbit(Broker):
    """RabbitMQ 4.0 out of the cache of bench/peers; needs root."""

    name = "rabbitmq"

    def __init__(self, dir=None, extra=""):
        super().__init__(dir)
        self.port = free_ports(4)
        self.amqp = f"127.0.0.1:{self.port}"
        self.http = f"127.0.0.1:{self.port + 1}"
        self.extra_env["RABBIT_EXTRA"] = extra

    def command(self):
        return [os.path.join(PEERS, "rabbit"), "run", self.dir, str(self.port)]

    def is_ready(self):
        return "Time to start RabbitMQ" in self.log() and accepts(self.amqp)

    def stop(self):
        """The init of its process name space takes no signal; its own command ends it."""
        if not self.process:
            return None
        for child in process_tree(self.pid):
            try:
                with open(f"/proc/{child}/comm") as comm:
                    if comm.read().strip() == "beam.smp":
                        os.kill(child, signal.SIGTERM)
            except OSError:
                continue
        process, self.process = self.process, None
        try:
            return process.wait(self.stop_timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Failed("rabbitmq did not stop")


class RabbitQuorum(Rabbit):
    """The same with quorum queues, which never give up a message that often comes back."""

    queue_arguments = {"x-queue-type": "quorum", "x-delivery-limit": -1}


class Remote:
    """Somebody else's broker: it can be talked to, not started or killed."""

    name = "remote"
    process = None
    http = None

    def __init__(self, kafka=None, amqp=None):
        self.kafka, self.amqp = kafka, amqp

    def close(self):
        pass


def pabal_program():
    built = os.path.join(TOP, "build", "pabal")
    inside = os.path.join(TOP, "build", "src", "server", "pabal")
    return os.environ.get("PABAL_BIN") or (built if os.path.exists(built) else inside)


KINDS = {"pabal": Pabal, "kafka": Kafka, "rabbitmq": Rabbit, "rabbitmq-quorum": RabbitQuorum}


def make(kind, **options):
    """A broker by name."""
    return KINDS[kind](**options)
