"""The arithmetic of the report."""
import json

import report

ROUNDS = [
    {("fetch", "pabal fsync"): {"rate": 10.0, "cpu_us": 1.0, "instructions": None},
     ("fetch", "kafka"): {"rate": 4.0, "cpu_us": 5.0}},
    {("fetch", "pabal fsync"): {"rate": 30.0, "cpu_us": 3.0}, ("fetch", "kafka"): {"rate": 4.0, "cpu_us": 7.0}},
    {("fetch", "pabal fsync"): {"rate": 20.0, "cpu_us": 2.0}, ("fetch", "kafka"): {"rate": 4.0, "cpu_us": 6.0}},
]


def test_medians_and_ranges():
    summary = report.summarise(ROUNDS)
    assert summary[("fetch", "pabal fsync")] == {"rate": (20.0, 10.0, 30.0), "cpu_us": (2.0, 1.0, 3.0)}


def test_a_range_without_extent_is_not_shown():
    assert report.cell((4.0, 4.0, 4.0), "{:.0f}") == "4"
    assert report.cell((20.0, 10.0, 30.0), "{:.0f}") == "20 (10-30)"
    assert report.cell(None, "{:.0f}") == "-"


def test_the_table_has_a_row_for_each_pair_and_tells_who_is_cheaper(tmp_path):
    text = report.save(str(tmp_path / "x"), {"kernel": "k"}, ROUNDS, report.summarise(ROUNDS))
    assert "| fetch | pabal fsync | 20 (10-30) | 2.000 (1.000-3.000) | - |" in text
    assert "| fetch | kafka | 4 | 6.000 (5.000-7.000) | - |" in text
    assert "- fetch: pabal fsync needs 3.0x less CPU per message than kafka" in text
    saved = json.loads((tmp_path / "x.json").read_text())
    assert saved["rounds"][0]["fetch / kafka"] == {"rate": 4.0, "cpu_us": 5.0}
