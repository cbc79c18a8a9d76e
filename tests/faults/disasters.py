"""What can happen to a broker at work: one function each, which leaves it running.

Each takes the world and the campaign and returns what was wrong, as lines; most leave that to the checkers.
"""
import contextlib
import dataclasses
import itertools
import signal
import socket
import struct
import time

import amqp_raw
import attacks
import brokers
import diskfull
import kafka_raw
import loop_fs
import rot
import shim

ROOM = 64 << 20  # what is left when the disk is made full, beside the reserve
GROWTH_MIB = 512  # of memory, by twenty clients that do not read; up to 331 were seen, see README.md
CLOCK_STEP_S = 36 * 3600


def kill(world, campaign):
    world.broker.kill()
    world.broker.start()


def pause(world, campaign):
    """The machine is elsewhere for a while."""
    world.broker.halt()
    time.sleep(world.random.uniform(0.1, 3))
    world.broker.process.send_signal(signal.SIGCONT)


def power(world, campaign):
    """What was not synced is gone. The call that stops the file system has three kinds."""
    world.cut_power(world.random.choice((loop_fs.FLUSH_NOTHING, loop_fs.FLUSH_JOURNAL, loop_fs.FLUSH_ALL)))
    world.broker.start()


def power_at_once(world, campaign):
    """The kind that writes nothing more at all."""
    world.cut_power(loop_fs.FLUSH_NOTHING)
    world.broker.start()


def idle(world, campaign):
    """Nobody is there for about as long as it takes until the journal is tidied; then the end, before, in or behind it."""
    campaign.stop_clients()
    time.sleep(world.random.uniform(2.7, 3.3))
    power(world, campaign) if world.fs and world.random.random() < 0.5 else kill(world, campaign)


def forget(world, campaign):
    """The same without root: what no sync covered is taken back."""
    world.broker.kill()
    world.shim.lose_unsynced()
    world.broker.start()


def sync(world, campaign):
    """One sync fails, and then what the disk may have lost is lost."""
    world.shim.fail_next_sync()
    with contextlib.suppress(TimeoutError):
        brokers.wait_until(lambda: not world.shim.will_fail(), 10, what="a sync that fails")
    time.sleep(world.random.uniform(0, 1))
    if world.fs:
        world.cut_power(loop_fs.FLUSH_NOTHING)
    world.broker.kill()
    world.shim.fail_no_sync()
    world.broker.start()


def full(world, campaign):
    """The disk fills up, and has room again after a while, now and then behind a kill."""
    with diskfull.ballast(world.fs, leave=ROOM):
        diskfull.wait_stalled(campaign, timeout_s=15, quiet_s=1.0)
        if world.random.random() < 0.3:
            kill(world, campaign)
        before = campaign.acknowledged()
    return [] if diskfull.wait_for_acked(campaign, before + 50, 60) else ["nothing goes on after space was freed"]


def clock(world, campaign):
    """The clock of the day jumps, back or ahead."""
    world.shim.step_clock(world.random.randint(-CLOCK_STEP_S, CLOCK_STEP_S))


def slow(world, campaign):
    """Clients that ask for much and do not read it: bounded memory, and the others go on."""
    before, acked = world.broker.rss_mib(), campaign.acknowledged()
    with contextlib.ExitStack() as held:
        for _ in range(10):
            ask_and_do_not_read(world.broker, campaign, held)
        time.sleep(world.random.uniform(0.5, 2))
        grown = world.broker.rss_mib() - before
        lines = goes_on(campaign, acked)
    if world.broker.name == "pabal" and grown > GROWTH_MIB:
        lines.append(f"grown by {grown:.0f} MiB by clients that do not read")
    return lines


def ask_and_do_not_read(broker, campaign, held):
    if broker.kafka and campaign.topic:
        raw = held.enter_context(kafka_raw.Connection(broker.kafka))
        raw.socket.settimeout(0.2)
        body = struct.pack(">iiiib", -1, 0, 1, 1 << 20, 0) + struct.pack(">i", 1) + kafka_raw.text(campaign.topic)
        body += struct.pack(">iiqi", 1, 0, 0, 1 << 20)
        with contextlib.suppress(OSError):
            for _ in range(100):
                raw.send(kafka_raw.FETCH, 4, body)
    if broker.amqp and campaign.still_queue:
        raw = held.enter_context(amqp_raw.Connection(broker.amqp))
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.socket.sendall(amqp_raw.method(  # with acknowledgements: everything goes back
            1, 60, 20, b"\0\0" + amqp_raw.short(campaign.still_queue.encode()) + amqp_raw.short(b"slow")
            + b"\0" + b"\0\0\0\0"))


def hostile(world, campaign):
    """Connections that say what no client says."""
    acked, deadline = campaign.acknowledged(), time.monotonic() + world.random.uniform(0.5, 2)
    for address, payload in itertools.cycle(attacks.against(world.broker)):
        host, port = address.rsplit(":", 1)
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 10) as raw:
            raw.sendall(payload)
        if time.monotonic() > deadline:
            return goes_on(campaign, acked)
        time.sleep(0.002)


def goes_on(campaign, acked):
    return [] if diskfull.wait_for_acked(campaign, acked + 50, 60) else ["the honest clients do not get on"]


@dataclasses.dataclass
class Disaster:
    strike: object
    needs: str = None  # "fs", "shim", "undo", or "copy": a load that can judge a copy
    peers: bool = False  # for the original brokers too
    is_drawn: bool = True  # otherwise only when it is asked for


DISASTERS = {
    "kill": Disaster(kill, peers=True),
    "idle": Disaster(idle, peers=True, is_drawn=False),
    "pause": Disaster(pause, peers=True),
    "power": Disaster(power, "fs", peers=True),
    "power-at-once": Disaster(power_at_once, "fs", peers=True, is_drawn=False),
    "forget": Disaster(forget, "undo", is_drawn=bool(loop_fs.why_not())),
    "sync": Disaster(sync, "shim"),
    "full": Disaster(full, "fs"),
    "rot": Disaster(rot.strike, "copy"),
    "clock": Disaster(clock, "shim"),
    "slow": Disaster(slow, peers=True),
    "hostile": Disaster(hostile, peers=True),
}
WHY_NOT = {"fs": loop_fs.why_not, "shim": shim.why_not, "undo": shim.why_not}
