"""The short forms of the fault loops; each has a command of its own for the long one."""
import os

import pytest

import brokers
import chaos
import diskfull
import loop_fs
import shim
import syncfail

SEED = int(os.environ.get("PABAL_TEST_SEED", "1"))
# Files so large that nothing has to be synced to make room.
ROOMY = {"journal.max.bytes": "128MiB", "segment.bytes": "256MiB"}

needs_loop = pytest.mark.skipif(bool(loop_fs.why_not()), reason=str(loop_fs.why_not()))
needs_shim = pytest.mark.skipif(bool(shim.why_not()), reason=str(shim.why_not()))
needs_pabal = pytest.mark.skipif(not os.path.exists(brokers.pabal_program()), reason="pabal is not built")

pytestmark = needs_pabal


@pytest.mark.parametrize("settings", [{"io.threads": "0"}, {"io.threads": "2"}, {"io.uring": "false"}, {"durability": "os"}],
                         ids=["io0", "io2", "no_uring", "os"])
def test_nothing_acknowledged_is_lost_by_kill_9(settings):
    assert chaos.run(2, SEED, ["kill"], settings=settings, rate=600) == []


def test_compaction_and_retention_keep_what_has_to_stay_over_kill_9():
    assert chaos.run(3, SEED, ["kill"], load="keeper") == []


def test_what_queues_move_is_in_one_place_over_kill_9():
    assert chaos.run(3, SEED, ["kill"], load="mover") == []


@needs_shim
def test_nothing_acknowledged_is_lost_when_unsynced_writes_are():
    assert chaos.run(2, SEED, ["forget"], rate=600) == []


@needs_shim
def test_a_disk_that_lies_about_syncs_is_found_out():
    assert chaos.run(1, SEED, ["forget"], lie=True, rate=600) != []


@needs_loop
def test_nothing_acknowledged_is_lost_by_a_power_cut():
    assert chaos.run(2, SEED, ["power"], rate=600) == []


@needs_loop
def test_what_queues_move_is_in_one_place_over_a_power_cut():
    assert chaos.run(3, SEED, ["power"], load="mover") == []


@needs_loop
def test_a_broker_that_does_not_sync_is_found_out():
    settings = {"durability": "os", **ROOMY}
    # It still syncs now and then, and a cut may come just behind one.
    assert any(chaos.run(1, SEED + attempt, ["power-at-once"], settings=settings) for attempt in range(4))


@needs_shim
def test_a_broker_that_does_not_sync_what_queues_move_is_found_out():
    """Policies change all the time, and are synced together with all that is before them: little is lost."""
    settings = {"durability": "os", **ROOMY}
    assert any(chaos.run(1, SEED + attempt, ["forget"], "mover", settings=settings, patience_s=4)
               for attempt in range(8))


def test_whatever_happens_nothing_acknowledged_is_lost():
    """Some of all the disasters that can be had here."""
    assert chaos.run(4, SEED, rate=600) == []


@needs_loop
@pytest.mark.parametrize("restart_full", [False, True])
def test_a_full_disk_holds_writers_up_and_loses_nothing(restart_full):
    assert diskfull.run(restart_full) == []


@needs_shim
@pytest.mark.parametrize("trigger", ["kafka", "amqp"])
def test_a_failed_sync_freezes_what_was_committed(trigger):
    assert syncfail.run(trigger=trigger) == []
