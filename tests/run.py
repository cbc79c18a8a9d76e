#!/usr/bin/env python3
"""Run every test and print the sum: the last line, alone, is `N passed, N failed, N skipped`.

    run.py BUILD [--parts unit,clients,faults] [--limit SECONDS] [pytest arguments]

Parts: unit is all that Meson knows (unit tests, simulation, fuzz corpora, tidy), clients the real
clients, faults the short forms of kill -9, power cut, full disk and failed sync. Each test of cmocka and
pytest counts; a runner that fails without naming a test, or runs out of time, counts as one failure.
"""
import argparse
import collections
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# What needs to run with one number of I/O threads alone, in rows side by side: most of the time is waiting.
ROWS = [
    ("0", ["matrix_test.py", "--clients=kcat,confluent,kafka-python"]),
    ("2", ["matrix_test.py", "--clients=java-4.1.0,java-2.4.0,aiokafka"]),
    ("2", ["matrix_test.py", "--clients=sarama,kafka-go,franz-go,kafkajs"]),
    ("2", ["kafka_programs_test.py"]),
    ("0", ["rabbit_clients_test.py", "-k", "celery"]),
    ("0", ["rabbit_clients_test.py", "-k", "not celery"]),
    ("2", ["rabbit_clients_test.py", "-k", "not celery"]),
]

OUT_OF_TIME = (124, 137)  # as timeout(1) ends: the program heard of it, or was killed

Runner = collections.namedtuple("Runner", "part command report env")


class Sum:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, report, code):
        """The counts of a JUnit report; `code` is what its runner ended with."""
        failed_before = self.failed
        cases = xml.parse(report).iter("testcase") if os.path.exists(report) else []
        for case in cases:
            if case.find("failure") is not None or case.find("error") is not None:
                self.failed += 1
            elif case.find("skipped") is not None:
                self.skipped += 1
            else:
                self.passed += 1
        if code and self.failed == failed_before:
            self.failed += 1

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def meson_runner(build):
    command = ["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs"]
    report = os.path.join(build, "meson-logs", "testlog.junit.xml")
    if os.path.exists(report):
        os.unlink(report)
    return Runner("unit", command, report, None)


def pytest_runner(build, part, folder, label, arguments, file=""):
    report = os.path.join(folder, f"{label}.xml")
    env = dict(os.environ, PABAL_BIN=os.path.abspath(os.path.join(build, "src/server/pabal")),
               PABAL_CLIENTS=os.path.abspath(os.path.join(build, "clients")))
    command = [sys.executable, "-m", "pytest", f"--rootdir={TOP}/tests/{part}",
               f"--config-file={TOP}/tests/{part}/pytest.ini", os.path.join(TOP, "tests", part, file),
               f"--junitxml={report}", *arguments]
    return Runner(part, command, report, env)


def bench_runner(build, folder):
    """The benchmark's own arithmetic, and a moment of each of its scenarios."""
    report = os.path.join(folder, "bench.xml")
    env = dict(os.environ, PABAL_BIN=os.path.abspath(os.path.join(build, "src/server/pabal")))
    command = [sys.executable, "-m", "pytest", os.path.join(TOP, "bench"), f"--junitxml={report}"]
    return Runner("clients", command, report, env)


def client_runners(build, folder, arguments):
    """Everything with and without I/O threads, but for the rows."""
    elsewhere = {f"--ignore={TOP}/tests/clients/{file}" for _, (file, *_) in ROWS}
    common = [*sorted(elsewhere), *arguments]
    runners = [pytest_runner(build, "clients", folder, f"io{count}", [f"--io-threads={count}", *common])
               for count in (0, 2)]
    runners[1].command.append("--without-java")  # once is enough for what is mostly the start of a JVM
    for number, (threads, (file, *chosen)) in enumerate(ROWS):
        chosen = [f"--io-threads={threads}", *chosen, *arguments]
        runners.append(pytest_runner(build, "clients", folder, f"row{number}", chosen, file))
    return runners


def stages(build, folder, arguments):
    """What runs, in order; the runners of one stage run at the same time."""
    return [[meson_runner(build)], [*client_runners(build, folder, arguments), bench_runner(build, folder)],
            [pytest_runner(build, "faults", folder, "faults", arguments)]]


def run_stage(runners, deadline, totals):
    """Run them side by side; the output of each is printed when it has ended. Interrupted when the time is over,
    pytest stops what its fixtures have started and reports what was done."""
    started = []
    seconds = max(1, int(deadline - time.monotonic()))
    limited = ["timeout", "--foreground", "--signal=INT", "--kill-after=20", str(seconds)]
    for runner in runners:
        output = tempfile.TemporaryFile()
        started.append((runner, output, subprocess.Popen(
            limited + runner.command, env=runner.env, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)))
    for runner, output, process in started:
        code = process.wait()
        if code in OUT_OF_TIME:
            output.write(b"stopped: out of time\n")
        output.seek(0)
        sys.stdout.write(output.read().decode(errors="replace"))
        totals[runner.part].add(runner.report, code)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("--parts", default="unit,clients,faults")
    parser.add_argument("--limit", type=int, default=840, help="seconds for all parts together")
    options, arguments = parser.parse_known_args()
    parts = options.parts.split(",")
    deadline = time.monotonic() + options.limit
    totals, times = collections.defaultdict(Sum), {}
    with tempfile.TemporaryDirectory() as folder:
        for runners in stages(options.build, folder, arguments):
            part = runners[0].part
            if part not in parts:
                continue
            began = time.monotonic()
            run_stage(runners, deadline, totals)
            times[part] = time.monotonic() - began
    for part, seconds in times.items():
        print(f"{part}: {totals[part]} in {seconds:.0f} s")
    whole = Sum()
    for one in totals.values():
        whole.passed += one.passed
        whole.failed += one.failed
        whole.skipped += one.skipped
    print(whole)
    return 1 if whole.failed else 0


if __name__ == "__main__":
    sys.exit(main())
