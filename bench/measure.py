"""What a broker costs: processor time, memory, bytes to disk, switches, instructions, over its processes."""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "clients"))

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
SWITCHES = ("voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")


def data_folder():
    """Where brokers keep their data: PABAL_BENCH_DATA, which is made when it is missing."""
    folder = os.environ.get("PABAL_BENCH_DATA") or tempfile.gettempdir()
    os.makedirs(folder, exist_ok=True)
    return folder


def fields_of(path):
    """The lines `key: value` of a file of /proc."""
    with open(path) as file:
        return dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)


def cpu_s(pid):
    """Processor time, of threads that ended too. The kernel counts living threads in nanoseconds and whole
    processes in ticks: the larger is nearer."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        nanoseconds = sum(thread_ns(pid, thread) for thread in os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0
    return max((int(fields[11]) + int(fields[12])) / TICKS_PER_S, nanoseconds / 1e9)


def thread_ns(pid, thread):
    try:
        with open(f"/proc/{pid}/task/{thread}/schedstat") as stat:
            return int(stat.read().split()[0])
    except OSError:
        return 0


def switches(pid):
    """Context switches of all living threads."""
    total = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            fields = fields_of(f"/proc/{pid}/task/{thread}/status")
            total += sum(int(fields[key]) for key in SWITCHES)
    except (OSError, KeyError):
        pass
    return total


def written_bytes(pid):
    """Bytes that the process gave the kernel to write to disks, also of files that were deleted before that."""
    try:
        fields = fields_of(f"/proc/{pid}/io")
    except OSError:
        return 0
    return int(fields["write_bytes"])


def rss_mib(pids):
    total = 0
    for pid in pids:
        try:
            total += int(fields_of(f"/proc/{pid}/status").get("VmRSS", "0 kB").split()[0])
        except OSError:
            continue
    return total / 1024


def perf_counts():
    """Does `perf stat` count instructions here?"""
    if not shutil.which("perf"):
        return False
    done = subprocess.run(["perf", "stat", "-x", ",", "-e", "instructions", "true"], capture_output=True, text=True)
    return done.returncode == 0 and done.stderr.split(",")[0].isdigit()


class Cost:
    """What happens to a broker's processes between begin() and end(), or inside `with`."""

    with_instructions = False  # for all, set once

    def __init__(self, pids):
        self.pids = pids
        self.perf = None
        self.instructions = None

    def sums(self):
        return [sum(count(pid) for pid in self.pids) for count in (cpu_s, written_bytes, switches)]

    def __enter__(self):
        self.begin()
        return self

    def __exit__(self, *error):
        self.end()

    def begin(self):
        if self.with_instructions:
            pids = ",".join(map(str, self.pids))
            self.perf = subprocess.Popen(["perf", "stat", "-x", ",", "-e", "instructions:u,instructions:k", "-p", pids],
                                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            time.sleep(0.1)
        self.began, self.before = time.monotonic(), self.sums()

    def end(self):
        after = self.sums()
        self.seconds = time.monotonic() - self.began
        self.cpu_s, self.written, self.switches = (new - old for new, old in zip(after, self.before))
        self.rss_mib = rss_mib(self.pids)
        if self.perf:
            self.perf.send_signal(2)
            lines = self.perf.communicate()[1].splitlines()
            counts = [line.split(",")[0] for line in lines if "instructions" in line]
            if counts and all(count.isdigit() for count in counts):
                self.instructions = sum(map(int, counts))


def per_message(cost, messages, size):
    """The costs that a report has columns for, of `messages` of `size` bytes."""
    payload = messages * size
    return {"cpu_us": cost.cpu_s / messages * 1e6, "cpu_s_gb": cost.cpu_s / payload * 1e9,
            "instructions": cost.instructions / messages if cost.instructions is not None else None,
            "switches": cost.switches / messages, "rss_mib": cost.rss_mib,
            "written_per_byte": cost.written / payload}


# ---- the machine

def disk_probe(folder, count=300):
    """4 KiB overwritten and synced, and 64 MiB written and synced, the median of three."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        took = sync_times_us(file.fileno(), count)
        rates = []
        for i in range(3):
            before = time.monotonic()
            for at in range(64):
                os.pwrite(file.fileno(), bytes(1 << 20), (i * 64 + at + 1) << 20)
            os.fdatasync(file.fileno())
            rates.append(64 / (time.monotonic() - before))
    return {"sync_4k_p50_us": took[count // 2], "sync_4k_p99_us": took[count * 99 // 100],
            "synced_mib_s": statistics.median(rates)}


def sync_times_us(fd, count):
    """How long it takes to overwrite 4 KiB durably, sorted."""
    os.posix_fallocate(fd, 0, 4096)
    took = []
    for _ in range(count):
        before = time.monotonic()
        os.pwrite(fd, os.urandom(4096), 0)
        os.fdatasync(fd)
        took.append((time.monotonic() - before) * 1e6)
    return sorted(took)


def late_timers_ms(seconds=2, windows=3):
    """How late a program is that wakes each millisecond on the idle machine: p99.9, on the processor where it is
    latest, the median of some windows each as long as a measurement. Who sleeps there, brokers and clients too, is
    late as often: what their p99.9 at a fixed rate is to be seen beside."""
    allowed = os.sched_getaffinity(0)
    worst = 0
    for processor in allowed:
        os.sched_setaffinity(0, {processor})
        late = [sorted(late_by_ms(seconds)) for _ in range(windows)]
        worst = max(worst, statistics.median(window[len(window) * 999 // 1000] for window in late))
    os.sched_setaffinity(0, allowed)
    return worst


def late_by_ms(seconds):
    """One number for each millisecond; a timer that another delays counts too, as a message does."""
    begin = time.monotonic()
    late = []
    for due in (begin + i / 1000 for i in range(1, int(seconds * 1000) + 1)):
        time.sleep(max(0, due - time.monotonic()))
        late.append((time.monotonic() - due) * 1e3)
    return late


def wait_for_calm(folder, usual_us, patience_s):
    """Wait until a small durable write takes not much longer than usual, or the patience ends: what the
    one before left unwritten shall not weigh on the next."""
    deadline = time.monotonic() + patience_s
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        while sync_times_us(file.fileno(), 9)[4] > 4 * max(usual_us, 50) and time.monotonic() < deadline:
            time.sleep(0.05)


def floors(program, folder, runs=3):
    """What bench/floor.c says, the least of some runs: neighbours only ever add."""
    told = [json.loads(subprocess.run([program, folder], check=True, capture_output=True, text=True).stdout)
            for _ in range(runs)]
    return {key: min(one[key] for one in told) for key in told[0]}


def machine():
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "?")
    with open("/proc/meminfo") as info:
        memory_kib = int(info.readline().split()[1])
    return {"cpu": model, "processors": os.cpu_count(), "memory_gib": round(memory_kib / (1 << 20), 1),
            "kernel": os.uname().release, "load": os.getloadavg()[0]}


def steal_s():
    """Processor time that the hypervisor gave to others."""
    with open("/proc/stat") as stat:
        return int(stat.readline().split()[8]) / TICKS_PER_S
