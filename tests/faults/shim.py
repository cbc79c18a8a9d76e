"""The preloaded shim: built on the fly; what it recorded; taking back writes that no sync covered."""
import os
import shutil
import struct
import subprocess
import tempfile

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shim.c")
RECORD = struct.Struct("=IIQQQ")  # kind, path size, position, size, file size
WRITE, SYNC = 1, 2


def why_not():
    return None if shutil.which("cc") else "needs a C compiler"


class Shim:
    """Belongs to one broker; env goes into its environment."""

    def __init__(self, root, lie=False, undo=False):
        self.dir = tempfile.mkdtemp(prefix="shim-")
        library = os.path.join(self.dir, "shim.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", library, SOURCE,
                        "-ldl", "-lpthread"], check=True)
        self.log_path, self.fail_path, self.undo_path, self.clock_path = (
            os.path.join(self.dir, name) for name in ("log", "fail", "undo", "clock"))
        with open(self.clock_path, "wb") as clock:
            clock.write(bytes(8))
        self.env = {"LD_PRELOAD": library, "SHIM_ROOT": os.path.realpath(root), "SHIM_LOG": self.log_path,
                    "SHIM_FAIL": self.fail_path, "SHIM_CLOCK": self.clock_path}
        if lie:
            self.env["SHIM_LIE"] = "1"
        if undo:
            self.env["SHIM_UNDO"] = self.undo_path

    def fail_next_sync(self):
        open(self.fail_path, "w").close()

    def will_fail(self):
        return os.path.exists(self.fail_path)

    def fail_no_sync(self):
        if self.will_fail():
            os.unlink(self.fail_path)

    def step_clock(self, seconds):
        """From now on the clock of the day is so many seconds ahead of what it is."""
        with open(self.clock_path, "r+b") as clock:
            clock.write(struct.pack("=q", seconds))

    def syncs(self):
        """What became of each sync: [(what, path)]."""
        if not os.path.exists(self.log_path):
            return []
        with open(self.log_path) as log:
            return [tuple(line.rstrip("\n").split(" ", 1)) for line in log]

    def lose_unsynced(self):
        """Take back every write that no sync covered, the newest first. Returns how many."""
        if not os.path.exists(self.undo_path):
            raise RuntimeError("the library saw no write: it does not know the broker's way to write")
        with open(self.undo_path, "rb") as undo:
            data = undo.read()
        writes, covered = read_records(data)
        lost = [write for write in writes if write[0] >= covered.get(write[1], 0)]
        for _, path, position, before, file_size in reversed(lost):
            take_back(path, position, before, file_size)
        os.unlink(self.undo_path)
        return len(lost)

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def read_records(data):
    """([(where the record ends, path, position, before, file size)], {path: covered up to})."""
    writes, covered, at = [], {}, 0
    while at + RECORD.size <= len(data):
        kind, path_size, position, size, file_size = RECORD.unpack_from(data, at)
        at += RECORD.size
        path = data[at:at + path_size].decode()
        at += path_size
        if kind == SYNC:
            covered[path] = max(covered.get(path, 0), position + 1)
        else:
            before = data[at:at + size]
            at += size
            writes.append((at, path, position, before, file_size))
    return writes, covered


def take_back(path, position, before, file_size):
    if not os.path.exists(path):
        return  # removed since
    with open(path, "r+b") as file:
        file.seek(position)
        file.write(before)
        if os.path.getsize(path) > file_size:
            file.truncate(max(file_size, position + len(before)))
