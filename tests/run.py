#!/usr/bin/env python3
"""Run every test and print the sum: the last line, alone, is `N passed, N failed, N skipped`.

    run.py BUILD [pytest arguments]

The tests that Meson knows (unit, simulation, fuzz corpora, tidy) come first, then the real clients.
Each test of cmocka and pytest counts; a runner that fails without naming a test counts as one failure.
"""
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


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


def run_meson(build, total):
    code = subprocess.call(["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs"])
    total.add(os.path.join(build, "meson-logs", "testlog.junit.xml"), code)


def run_pytest(build, arguments, total):
    env = dict(os.environ, PABAL_BIN=os.path.abspath(os.path.join(build, "src/server/pabal")))
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "pytest.xml")
        code = subprocess.call(
            [sys.executable, "-m", "pytest", os.path.join(TOP, "tests/clients"),
             f"--junitxml={report}", *arguments], env=env)
        total.add(report, code)


def main():
    build, arguments = sys.argv[1], sys.argv[2:]
    total = Sum()
    run_meson(build, total)
    run_pytest(build, arguments, total)
    sys.stdout.flush()
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
