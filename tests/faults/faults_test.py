"""The short forms of the fault loops; each has a command of its own for the long one."""
import os

import pytest

import brokers
import diskfull
import keeper
import killer
import loop_fs
import powercut
import shim
import syncfail

SEED = int(os.environ.get("PABAL_TEST_SEED", "1"))

needs_loop = pytest.mark.skipif(bool(loop_fs.why_not()), reason=str(loop_fs.why_not()))
needs_shim = pytest.mark.skipif(bool(shim.why_not()), reason=str(shim.why_not()))
needs_pabal = pytest.mark.skipif(not os.path.exists(brokers.pabal_program()), reason="pabal is not built")

pytestmark = needs_pabal


@pytest.mark.parametrize("settings", [{"io.threads": "0"}, {"io.threads": "2"}, {"durability": "os"}],
                         ids=["io0", "io2", "os"])
def test_nothing_acknowledged_is_lost_by_kill_9(settings):
    assert killer.run(3, SEED, settings=settings, idempotent=True) == []


def test_compaction_and_retention_keep_what_has_to_stay_over_kill_9():
    assert keeper.run(3, SEED) == []


@needs_shim
def test_nothing_acknowledged_is_lost_when_unsynced_writes_are():
    assert killer.run_forgetting(3, SEED) == []


@needs_shim
def test_a_disk_that_lies_about_syncs_is_found_out():
    assert killer.run_forgetting(1, SEED, lie=True) != []


@needs_loop
def test_nothing_acknowledged_is_lost_by_a_power_cut():
    assert powercut.run(3, SEED) == []


@needs_loop
def test_a_broker_that_does_not_sync_is_found_out():
    settings = {"durability": "os", "journal.max.bytes": "128MiB", "segment.bytes": "256MiB"}
    # It still syncs now and then, and a cut may come just behind one.
    assert any(powercut.run(2, SEED + attempt, settings=settings, kinds=(2,)) for attempt in range(4))


@needs_loop
@pytest.mark.parametrize("restart_full", [False, True])
def test_a_full_disk_holds_writers_up_and_loses_nothing(restart_full):
    assert diskfull.run(restart_full) == []


@needs_shim
@pytest.mark.parametrize("trigger", ["kafka", "amqp"])
def test_a_failed_sync_freezes_what_was_committed(trigger):
    assert syncfail.run(trigger=trigger) == []
