"""A small ext4 file system of its own, which can lose its power. Needs root and loop devices."""
import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
import time

# _IOR('X', 125, __u32) of fs/ext4: stop the file system at once, as far as the disk is concerned.
EXT4_IOC_SHUTDOWN = 0x8004587D
FLUSH_ALL, FLUSH_JOURNAL, FLUSH_NOTHING = 0, 1, 2


def why_not():
    """Why this cannot be used here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    for tool in ("mkfs.ext4", "mount", "umount"):
        if not shutil.which(tool):
            return f"needs {tool}"
    try:
        with LoopFs(size_mib=16):
            return None
    except (subprocess.CalledProcessError, OSError) as error:
        return f"no loop mount: {error}"


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def leave_mounts_of_others():
    """From now on this thread's mounts are its own. A process elsewhere that copies all mounts for itself, as
    containers do, would else keep the file system alive after it was unmounted here."""
    clone_newns = 0x20000
    if ctypes.CDLL(None, use_errno=True).unshare(clone_newns):
        raise OSError(ctypes.get_errno(), "unshare")
    run("mount", "--make-rprivate", "/")


class LoopFs:
    def __init__(self, size_mib=4096):
        leave_mounts_of_others()
        self.base = tempfile.mkdtemp(prefix="loop-fs-", dir="/var/tmp")
        self.image = os.path.join(self.base, "image")
        self.path = os.path.join(self.base, "mnt")
        os.mkdir(self.path)
        with open(self.image, "wb") as image:
            image.truncate(size_mib << 20)
        run("mkfs.ext4", "-q", "-F", "-m", "0", self.image)
        self.mounted = False

    def __enter__(self):
        try:
            self.mount()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error):
        self.close()

    def mount(self):
        run("mount", "-o", "loop", self.image, self.path)
        self.mounted = True

    def unmount(self):
        for attempt in range(100):
            try:
                run("umount", self.path)
                break
            except subprocess.CalledProcessError:
                if attempt == 99:
                    raise
                time.sleep(0.05)  # a process that was killed still lets go of its files
        self.mounted = False

    def cut_power(self, how):
        """From now on nothing reaches the disk; what was not written yet is gone after unmounting."""
        directory = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, EXT4_IOC_SHUTDOWN, struct.pack("I", how))
        finally:
            os.close(directory)

    def free_bytes(self):
        stat = os.statvfs(self.path)
        return stat.f_bavail * stat.f_frsize

    def close(self):
        if self.mounted:
            self.unmount()
        shutil.rmtree(self.base, ignore_errors=True)
