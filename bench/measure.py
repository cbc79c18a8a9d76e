"""What a broker costs: processor time, memory, bytes to disk, instructions, over its process tree."""
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "clients"))

import brokers

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid):
    """Processor time of the tree, of threads that ended too. The kernel counts living threads in
    nanoseconds and whole processes in ticks: the larger is nearer."""
    total = 0
    for one in brokers.process_tree(pid):
        try:
            with open(f"/proc/{one}/stat") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
            nanoseconds = sum(thread_ns(one, thread) for thread in os.listdir(f"/proc/{one}/task"))
        except OSError:
            continue
        total += max((int(fields[11]) + int(fields[12])) / TICKS_PER_S, nanoseconds / 1e9)
    return total


def thread_ns(pid, thread):
    try:
        with open(f"/proc/{pid}/task/{thread}/schedstat") as stat:
            return int(stat.read().split()[0])
    except OSError:
        return 0


def rss_mib(pid):
    return brokers.proc_status_kib(pid, "VmRSS") / 1024


def written_bytes(pid):
    """Bytes that the tree made the kernel write to disks."""
    total = 0
    for one in brokers.process_tree(pid):
        try:
            with open(f"/proc/{one}/io") as io:
                fields = dict(line.split(": ") for line in io.read().splitlines())
        except OSError:
            continue
        total += int(fields["write_bytes"]) - int(fields["cancelled_write_bytes"])
    return total


def perf_counts():
    """Does `perf stat` count instructions here?"""
    if not shutil.which("perf"):
        return False
    done = subprocess.run(["perf", "stat", "-x", ",", "-e", "instructions", "true"], capture_output=True, text=True)
    return done.returncode == 0 and done.stderr.split(",")[0].isdigit()


class Cost:
    """What happens to a broker between enter and exit."""

    def __init__(self, pid, with_instructions):
        self.pid = pid
        self.with_instructions = with_instructions

    def __enter__(self):
        self.perf = None
        if self.with_instructions:
            pids = ",".join(map(str, brokers.process_tree(self.pid)))
            self.perf = subprocess.Popen(["perf", "stat", "-x", ",", "-e", "instructions:u,instructions:k", "-p", pids],
                                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            time.sleep(0.1)
        self.began = time.monotonic()
        self.cpu_before, self.written_before = cpu_s(self.pid), written_bytes(self.pid)
        return self

    def __exit__(self, *error):
        self.seconds = time.monotonic() - self.began
        self.cpu = cpu_s(self.pid) - self.cpu_before
        self.written = written_bytes(self.pid) - self.written_before
        self.instructions = None
        if self.perf:
            self.perf.send_signal(2)
            lines = self.perf.communicate()[1].splitlines()
            counts = [line.split(",")[0] for line in lines if "instructions" in line]
            if counts and all(count.isdigit() for count in counts):
                self.instructions = sum(map(int, counts))


def disk_probe(folder, count=300):
    """4 KiB overwritten and synced, and 64 MiB written and synced once."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, 4096)
        took = []
        for _ in range(count):
            before = time.monotonic()
            os.pwrite(file.fileno(), os.urandom(4096), 0)
            os.fdatasync(file.fileno())
            took.append((time.monotonic() - before) * 1e6)
        took.sort()
        before = time.monotonic()
        for i in range(64):
            os.pwrite(file.fileno(), bytes(1 << 20), (i + 1) << 20)
        os.fdatasync(file.fileno())
        rate = 64 / (time.monotonic() - before)
    return {"sync_4k_p50_us": took[count // 2], "sync_4k_p99_us": took[count * 99 // 100], "write_mib_s": rate}


def machine():
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "?")
    with open("/proc/meminfo") as info:
        memory_kib = int(info.readline().split()[1])
    return {"cpu": model, "processors": os.cpu_count(), "memory_gib": round(memory_kib / (1 << 20), 1),
            "kernel": os.uname().release, "load": os.getloadavg()[0]}
