"""What a broker stands on in a run: a disk that can lose its power, a library that makes syncs fail."""
import contextlib
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "clients"))

import brokers
import loop_fs
import shim

# Small files, so that journals are recycled and segments rolled while it runs.
SETTINGS = {"journal.max.bytes": "16MiB", "segment.bytes": "8MiB", "disk.reserve.bytes": "16MiB"}


class World(contextlib.ExitStack):
    """A broker that runs, `fs` when it lies on a file system of its own, `shim` when it has one."""

    def __init__(self, kind="pabal", seed=1, settings=None, needs=(), lie=False, program=None, fs_mib=4096):
        super().__init__()
        self.random = random.Random(seed)
        self.fs = self.shim = None
        if "fs" in needs:
            self.fs = self.enter_context(loop_fs.LoopFs(fs_mib))
        try:
            self.broker = self.make_broker(kind, settings or {}, program)
            if "shim" in needs or "undo" in needs:
                self.shim = shim.Shim(self.broker.data_dir, lie=lie, undo="undo" in needs)
                self.callback(self.shim.close)
                self.broker.extra_env.update(self.shim.env)
            self.enter_context(self.broker)
        except BaseException:
            self.close()
            raise

    def make_broker(self, kind, settings, program):
        options = {}
        if self.fs:
            options["dir"] = os.path.join(self.fs.path, "broker")
            os.mkdir(options["dir"])
        if kind == "pabal":
            broker = brokers.Pabal(settings={**SETTINGS, **settings}, program=program, **options)
        else:
            broker = brokers.make(kind, **options)
        if self.fs:
            broker.log_path = os.path.join(self.fs.base, "broker.log")
        return broker

    def cut_power(self, how):
        """The machine stops as a whole, and is switched on again; the broker is not started."""
        # A broker that runs on beside a file system that shuts down may be told of a sync that the shutdown
        # has undone, and tell a client: jbd2_complete_transaction() finds no transaction any more when it
        # comes late, and takes that for done.
        self.broker.halt()
        self.fs.cut_power(how)
        self.broker.kill()
        self.fs.unmount()
        self.fs.mount()
