"""Bits of files flip while the broker is stopped: it has to find and report it, and never serves it as good.

Of a stopped broker's data a copy is made, in which one bit flips, and a second broker is started on it. It
may refuse to start, or to read; it may leave out what is damaged if it says so in its log. What it does serve
must be what was written.
"""
import os
import re
import shutil
import subprocess
import tempfile

import brokers

FLIPS = 2  # for each stop; the clients of the original wait meanwhile
REPORT = re.compile(r"^\S+ (?:WARN|ERROR) .*$", re.M)
REFUSAL = re.compile(r"^pabal: .*(?:damaged|corrupt|missing|gone).*$", re.M)


def strike(world, campaign):
    """Stop it one way or the other, look at damaged copies, and start it again."""
    is_clean = world.random.random() < 0.5
    world.broker.stop() if is_clean else world.broker.kill()
    lines = []
    for _ in range(FLIPS):
        lines += look_at_copy(world, campaign, "stopped" if is_clean else "killed")
    world.broker.start()
    return lines


def look_at_copy(world, campaign, how):
    dir = tempfile.mkdtemp(prefix="rot-", dir="/var/tmp")
    try:
        subprocess.run(["cp", "-a", "--sparse=always", world.broker.data_dir, dir], check=True)
        where = flip(os.path.join(dir, "data"), world.random)
        if where is None:
            return []
        lines, outcome = judge(dir, world.broker, campaign)
        campaign.counts.update({f"rot_{outcome}": 1})
        return [f"rot: {how}, then {where}: {line}" for line in lines]
    finally:
        shutil.rmtree(dir, ignore_errors=True)


def judge(dir, original, campaign):
    """(The violations; "refused", "reported", "unseen" for a bit that nothing depends on.)"""
    settings = {key: value for key, value in original.settings.items() if not key.startswith("listener.")}
    broker = brokers.Pabal(dir=dir, settings=settings, program=original.program)
    try:
        broker.start()
        wrong, missing = campaign.look_at_copy(broker)
        reports = [line for line in REPORT.findall(broker.log())]
        if not broker.is_alive():
            return [f"the broker ended: {broker.log()[-500:]}"], "ended"
    except brokers.Failed as failed:
        said = REFUSAL.search(str(failed))
        return [] if said else [f"it does not start and does not say what is damaged: {failed}"], "refused"
    finally:
        broker.close()
        os.unlink(broker.log_path)
    lines = [f"served as good: {line}" for line in wrong]
    if missing and not reports:
        lines += [f"not reported: {line}" for line in missing]
    return lines, "reported" if reports else "unseen"


def flip(root, chance):
    """One bit of a byte that is not zero, in any file: what was flipped, or None."""
    paths = sorted(os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)
    for path in chance.sample(paths, len(paths)):
        at = find_byte(path, chance) if os.path.isfile(path) else None
        if at is None:
            continue
        bit = chance.randrange(8)
        with open(path, "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1 << bit]))
        return f"bit {bit} of byte {at} of {os.path.relpath(path, root)} flipped"
    return None


def find_byte(path, chance):
    """A place in the part of the file that was written: fresh space is zero."""
    with open(path, "rb") as file:
        used = len(file.read().rstrip(b"\0"))
    return chance.randrange(used) if used else None
