"""The table of scenarios: whole, and each one does what it says against Pabal, for a moment."""
import types

import pytest

import contenders
import measure
import run
import runners
import scenarios

FLOORS = {"receive_ns_byte": 1, "send_ns_byte": 2, "checksum_ns_byte": 0.25, "write_ns_byte": 0.75, "lone_ns": 1000}
TINY = run.Sizes(history_bytes=5 << 20, stored_bytes=5 << 20, backlog=10_000, connections=300, logs=(0, 100),
                 fetch_messages=20_000)


def test_a_late_timer_delays_those_behind_it_and_the_worst_processor_counts(monkeypatch):
    on = [{0, 1}]
    clock = [0.0]

    def sleep(seconds):
        before = clock[0]
        clock[0] += seconds
        if on[0] == {1} and before < 1 <= clock[0]:  # the one due after a second is 4.5 ms late
            clock[0] += 0.0045

    monkeypatch.setattr(measure, "time", types.SimpleNamespace(monotonic=lambda: clock[0], sleep=sleep))
    monkeypatch.setattr(measure.os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr(measure.os, "sched_setaffinity", lambda pid, processors: on.__setitem__(0, processors))
    late = measure.late_by_ms(2)
    assert len(late) == 2000 and max(late) == pytest.approx(0, abs=1e-6)
    clock[0] = 0
    on[0] = {1}
    late = measure.late_by_ms(2)
    assert [round(ms, 1) for ms in late if ms > 0.1] == [4.5, 3.5, 2.5, 1.5, 0.5]
    clock[0] = 0
    assert measure.late_timers_ms(2, 1) == 0  # the second processor's window begins at two seconds
    clock[0] = -2
    assert measure.late_timers_ms(2, 1) == pytest.approx(3.5)
    assert on[0] == {0, 1}


def test_a_floor_is_the_sum_of_its_parts():
    assert scenarios.Floor(received=1000, sent=500, stored=1000, lone=2).cpu_us(FLOORS) == 1 + 1 + 1 + 2


def test_names_are_unique_and_every_scenario_has_its_runner_and_brokers():
    names = [scenario.name for scenario in scenarios.SCENARIOS]
    assert len(names) == len(set(names))
    for scenario in scenarios.SCENARIOS:
        assert callable(getattr(runners, scenario.run))
        assert set(scenario.labels) <= set(contenders.LABELS)
        assert scenario.family in scenarios.FAMILIES


def test_scenarios_are_chosen_by_their_first_word():
    assert {scenario.id for scenario in scenarios.chosen(["K1", "A7"], False)} == {"K1", "A7"}
    assert not any(scenario.only_full for scenario in scenarios.chosen([], False))
    assert len(scenarios.chosen([], True)) == len(scenarios.SCENARIOS)
    with pytest.raises(SystemExit, match="no scenario K9"):
        scenarios.chosen(["K9"], False)


def test_another_broker_begins_each_round():
    assert [run.in_turn(["a", "b", "c"], number)[0] for number in range(4)] == ["a", "b", "c", "a"]
    assert run.in_turn(["a", "b", "c"], 1) == ["b", "c", "a"]
    assert run.in_turn([], 1) == []


def test_the_time_left_comes_from_what_was_seen():
    one, two = scenarios.SCENARIOS[0], scenarios.SCENARIOS[10]
    progress = run.Progress([(0, one, "kafka"), (1, one, "kafka"), (0, two, "kafka")], 2)
    assert progress.left_s() == 2 * one.estimate_s + two.estimate_s
    progress.step(0, one, "kafka", 10)
    assert progress.left_s() == 10 + two.estimate_s


def test_rounds_that_do_not_fit_are_left_out_from_the_end():
    one = scenarios.SCENARIOS[0]
    progress = run.Progress([(number, one, "kafka") for number in range(5)], 2, limit_s=3.5 * one.estimate_s)
    assert progress.still_has(2) and not progress.still_has(3) and not progress.still_has(4)
    progress.seen[one.name, "kafka"] = 1000
    assert progress.still_has(1)  # two are run in any case
    assert not progress.still_has(2)


def test_costs_are_told_for_each_message_and_byte():
    cost = types.SimpleNamespace(cpu_s=2, written=4e9, switches=500, instructions=None, rss_mib=7)
    row = measure.per_message(cost, 1_000_000, 1000)
    assert row == {"cpu_us": 2, "cpu_s_gb": 2, "instructions": None, "switches": 0.0005, "rss_mib": 7,
                   "written_per_byte": 4}


@pytest.fixture(scope="module")
def pabal():
    run.raise_file_limit()
    racers, servers = contenders.start(["pabal fsync"])
    yield racers[0]
    contenders.close(servers)


def make_bench():
    options = types.SimpleNamespace(seconds=0.15, pin=False)
    bench = run.Bench(run.brokers.pabal_program(), options, TINY, FLOORS, 1e9)
    return bench


@pytest.mark.parametrize("scenario", [s for s in scenarios.SCENARIOS if s.run != "perftest" and s.family != "life"],
                         ids=lambda scenario: scenario.name)
def test_it_runs(scenario, pabal):
    bench = make_bench()
    rows = bench.measure(scenario, pabal, "smoke-" + scenario.name.replace(" ", "-").replace(",", "").replace("/", "-"))
    assert not bench.failures
    for (row, label), measures in rows.items():
        assert row.startswith(scenario.name) and label == "pabal fsync"
        assert measures["rss_mib"] > 1
        assert "idle" in row or (measures["cpu_us"] > 0 and measures["mb_s"] >= 0)


@pytest.mark.parametrize("scenario", [s for s in scenarios.SCENARIOS if s.family == "life"],
                         ids=lambda scenario: scenario.name)
def test_a_life_runs(scenario):
    bench = make_bench()
    racers, servers = contenders.start(["pabal fsync"])
    try:
        rows = bench.measure(scenario, racers[0], "life")
    finally:
        contenders.close(servers)
    assert not bench.failures and len(rows) >= 2
    assert all(measures.get("ready_ms", 0) > 0 or measures.get("rss_mib", 0) > 1 for measures in rows.values())
