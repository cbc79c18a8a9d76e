"""The arithmetic of the report, and the plots."""
import json
import re

import plot
import report

ROUNDS = [
    {("K1 produce", "pabal os"): {"rate": 10.0, "cpu_us": 1.0, "instructions": None},
     ("K1 produce", "kafka"): {"rate": 4.0, "cpu_us": 5.0}, ("R1 start", "pabal fsync"): {"ready_ms": 8.0}},
    {("K1 produce", "pabal os"): {"rate": 30.0, "cpu_us": 3.0}, ("K1 produce", "kafka"): {"rate": 4.0, "cpu_us": 7.0}},
    {("K1 produce", "pabal os"): {"rate": 20.0, "cpu_us": 2.0}, ("K1 produce", "kafka"): {"rate": 4.0, "cpu_us": 6.0}},
]
SUMMARY = report.summarise(ROUNDS)


def one(value):
    return (value, value, value)


def test_medians_and_ranges():
    assert SUMMARY[("K1 produce", "pabal os")] == {"rate": (20.0, 10.0, 30.0), "cpu_us": (2.0, 1.0, 3.0)}


def test_a_range_without_extent_is_not_shown():
    assert report.cell((4.0, 4.0, 4.0), "{:.0f}") == "4"
    assert report.cell((20.0, 10.0, 30.0), "{:.0f}") == "20 (10-30)"
    assert report.cell((20.0, 10.0, 30.0), "{:.0f}", with_range=False) == "20"
    assert report.cell(None, "{:.0f}") == "-"


def test_a_peer_is_compared_with_the_same_level_and_with_what_there_is_otherwise():
    labels = ["pabal os", "pabal fsync", "kafka", "kafka flush=1"]
    assert report.opponent("kafka", labels) == "pabal os"
    assert report.opponent("kafka flush=1", labels) == "pabal fsync"
    assert report.opponent("kafka", ["pabal fsync", "kafka"]) == "pabal fsync"
    assert report.opponent("kafka", ["kafka"]) is None


def test_ratios_above_one_are_to_our_advantage():
    assert report.advantage(one(20), one(10), more_is_better=True) == 2
    assert report.advantage(one(20), one(10), more_is_better=False) == 0.5
    assert report.advantage(None, one(10), more_is_better=True) is None
    assert report.comparisons(SUMMARY) == [("K1 produce", "pabal os", "kafka", {"rate": 5.0, "CPU/msg": 3.0})]


def test_what_the_peer_is_better_at_is_marked():
    summary = {("A4", "pabal os"): {"rate": one(90), "cpu_us": one(1)},
               ("A4", "rabbitmq classic"): {"rate": one(100), "cpu_us": one(9)}}
    assert "| A4 | pabal os | rabbitmq classic | 0.90 | 9.00 |" in "\n".join(report.comparison_table(summary))
    assert "**rate**" in "\n".join(report.comparison_table(summary))
    assert report.losses({"rate": 0.96, "CPU/msg": 0.94}) == ["CPU/msg"]


def test_who_catches_up_at_a_fixed_rate_is_not_faster():
    summary = {("K5 10,000/s", "pabal os"): {"rate": one(10000)}, ("K5 10,000/s", "kafka"): {"rate": one(11000)},
               ("K4 10,000/s", "pabal os"): {"rate": one(9000)}, ("K4 10,000/s", "kafka"): {"rate": one(11000)},
               ("A5 1 message/s each", "pabal os"): {"rate": one(9000)},
               ("A5 1 message/s each", "rabbitmq classic"): {"rate": one(10)}}
    assert [ratios for _, _, _, ratios in report.comparisons(summary)] == [{"rate": 1.0}, {"rate": 0.9}, {"rate": 900.0}]


def test_the_tables_have_a_row_for_each_broker(tmp_path):
    text = report.save(str(tmp_path / "x"), {"kernel": "k"}, ROUNDS, SUMMARY, ["A1, kafka: gone"])
    assert "- kernel: k" in text
    assert "| K1 produce | pabal os | 20 (10-30) | - | 2.000 (1.000-3.000) |" in text
    assert "| K1 produce | kafka | 4 | - | 6.000 (5.000-7.000) |" in text
    assert "| R1 start | pabal fsync | ready, ms | 8 |" in text
    assert "- A1, kafka: gone" in text
    saved = json.loads((tmp_path / "x.json").read_text())
    assert saved["rounds"][0]["K1 produce / kafka"] == {"rate": 4.0, "cpu_us": 5.0}


def test_the_short_table_shows_rates_or_latencies_by_level():
    summary = {("A1 all", "pabal os"): {"rate": one(9000), "cpu_us": one(0.5), "p99.9_us": one(70)},
               ("A1 all", "rabbitmq quorum"): {},
               ("A1 5,000/s", "kafka"): {"rate": one(5000), "cpu_us": one(40), "p99.9_us": one(700)}}
    table = report.short_table(summary)
    assert "| A1 all | 9,000/s, 0.50 | - | - | failed |" in table
    assert "| A1 5,000/s | - | 700 us, 40.00 | - | - |" in table


def test_a_failure_is_a_row_without_numbers():
    table = "\n".join(report.load_table(report.summarise([{("A1", "kafka"): {}}])))
    assert "| A1 | kafka | failed | - |" in table


def test_bars_are_longer_for_more_and_names_are_escaped(tmp_path):
    svg = plot.draw("a < b", [("K1", [("pabal os", 1.0), ("kafka", 100.0)])], "{:.0f}")
    widths = [int(width) for width in re.findall(r"width='(\d+)' height='\d+' fill='#", svg)]
    assert "a &lt; b" in svg and len(widths) == 2 and widths[0] < widths[1]
    assert len(plot.save(str(tmp_path / "x"), SUMMARY)) == 3  # cpu, rate, start


def test_rows_go_to_the_plots_they_belong_to():
    assert plot.belongs("K1 produce", None) and not plot.belongs("R3 memory", None)
    assert plot.belongs("R3 memory, idle", "R3") and not plot.belongs("R1 start", "R3")
    assert plot.belongs("A1 confirms, 10,000/s", "/s") and not plot.belongs("A1 confirms", "/s")
