"""Medians and ranges of the rounds, as JSON and as tables of Markdown; who is better, losses too."""
import json
import re
import statistics

import contenders
import scenarios

COLUMNS = [
    # key, heading, form, with the range
    ("rate", "msg/s", "{:,.0f}", True),
    ("mb_s", "MB/s", "{:,.1f}", False),
    ("cpu_us", "CPU us/msg", "{:.3f}", True),
    ("cpu_s_gb", "CPU s/GB", "{:,.2f}", False),
    ("instructions", "instr/msg", "{:,.0f}", False),
    ("switches", "switches/msg", "{:.4f}", False),
    ("p50_us", "p50 us", "{:,.0f}", False),
    ("p99_us", "p99 us", "{:,.0f}", False),
    ("p99.9_us", "p99.9 us", "{:,.0f}", True),
    ("max_us", "max us", "{:,.0f}", False),
    ("rss_mib", "RSS MiB", "{:,.1f}", False),
    ("written_per_byte", "written/byte", "{:.2f}", False),
    ("floor_percent", "% of floor", "{:.0f}", False),
]
EXTRAS = [
    ("ready_ms", "ready, ms", "{:,.0f}"),
    ("rss_mib", "RSS, MiB", "{:,.1f}"),
    ("rss_more_mib", "of that for the connections", "{:,.1f}"),
    ("cpu_percent", "CPU, % of a processor", "{:.1f}"),
    ("read_mb_s", "the reader's MB/s", "{:,.0f}"),
]
# What is compared, and whether more of it is better.
COMPARED = [("rate", "rate", True), ("cpu_us", "CPU/msg", False), ("p99.9_us", "p99.9", False),
            ("ready_ms", "ready", False), ("rss_mib", "RSS", False), ("read_mb_s", "read rate", True),
            ("written_per_byte", "written", False)]
EVEN = 0.95  # a ratio above it is no loss


def summarise(rounds):
    """[{(row, broker): {key: value}}] -> {(row, broker): {key: (median, least, most)}}"""
    values = {}
    for one in rounds:
        for row, measured in one.items():
            values.setdefault(row, {})
            for key, value in measured.items():
                if value is not None:
                    values[row].setdefault(key, []).append(value)
    return {row: {key: (statistics.median(all), min(all), max(all)) for key, all in keys.items()}
            for row, keys in values.items()}


def cell(summary, form, with_range=True):
    """The median, and the range when there is one."""
    if summary is None:
        return "-"
    median, least, most = (form.format(value) for value in summary)
    return median if not with_range or least == most else f"{median} ({least}-{most})"


def by_row(summary):
    """{row: {broker: measures}}, rows in the order in which they ran."""
    rows = {}
    for (row, broker), keys in summary.items():
        rows.setdefault(row, {})[broker] = keys
    return rows


def level_of(label):
    return contenders.LABELS[label][0]


def opponent(label, labels):
    """Pabal at the peer's level; where there is no such, Pabal as it was measured."""
    wanted = f"pabal {level_of(label)}"
    return wanted if wanted in labels else next((one for one in labels if one.startswith("pabal")), None)


def comparisons(summary):
    """[(row, mine, peer, {what: ratio})]; a ratio above 1 is to Pabal's advantage."""
    found = []
    for row, brokers in by_row(summary).items():
        for peer in brokers:
            mine = opponent(peer, brokers)
            if peer.startswith("pabal") or not mine:
                continue
            ratios = {what: ratio for key, what, more_is_better in COMPARED
                      if (ratio := advantage(compared(row, brokers[mine], key), compared(row, brokers[peer], key),
                                             more_is_better))}
            if ratios:
                found.append((row, mine, peer, ratios))
    return found


def said_rate(row):
    """The messages a second that a row's name says, or None: as many as there can be."""
    found = re.search(r"([\d,]+)/s", row)
    return int(found[1].replace(",", "")) if found else None


def compared(row, keys, key):
    """What counts of a measure. More than a fixed rate comes of having stood still before the measurement began."""
    rate = said_rate(row)
    return tuple(min(value, rate) for value in keys[key]) if key == "rate" and rate and key in keys else keys.get(key)


def advantage(mine, theirs, more_is_better):
    if not mine or not theirs or not mine[0] or not theirs[0]:
        return None
    return mine[0] / theirs[0] if more_is_better else theirs[0] / mine[0]


def losses(ratios):
    return [what for what, ratio in ratios.items() if ratio < EVEN]


def load_table(summary):
    lines = ["| scenario | broker | " + " | ".join(heading for _, heading, _, _ in COLUMNS) + " |",
             "| --- | --- |" + " ---: |" * len(COLUMNS)]
    for row, brokers in by_row(summary).items():
        for broker, keys in brokers.items():
            if keys and "rate" not in keys:
                continue
            cells = [cell(keys.get(key), form, with_range) for key, _, form, with_range in COLUMNS]
            if not keys:
                cells[0] = "failed"
            lines.append(f"| {row} | {broker} | " + " | ".join(cells) + " |")
    return lines


def extra_table(summary):
    lines = ["| scenario | broker | what | value |", "| --- | --- | --- | ---: |"]
    for row, brokers in by_row(summary).items():
        for broker, keys in brokers.items():
            for key, what, form in EXTRAS:
                if key in keys and ("rate" not in keys or key not in {column[0] for column in COLUMNS}):
                    lines.append(f"| {row} | {broker} | {what} | {cell(keys[key], form)} |")
    return lines if len(lines) > 2 else []


def comparison_table(summary):
    """How many times better Pabal is; what is worse is marked."""
    found = comparisons(summary)
    if not found:
        return []
    lines = ["", "## Beside the peer", "",
             "How many times better Pabal is than the peer at the same level (below 1: worse), by the medians."
             " Where the peer is better, the row is marked with what it is better at.", "",
             "| scenario | Pabal | peer | " + " | ".join(what for _, what, _ in COMPARED) + " | peer is better at |",
             "| --- | --- | --- |" + " ---: |" * len(COMPARED) + " --- |"]
    for row, mine, peer, ratios in found:
        cells = [number(ratios[what]) if what in ratios else "-" for _, what, _ in COMPARED]
        worse = ", ".join(f"**{what}**" for what in losses(ratios))
        lines.append(f"| {row} | {mine} | {peer} | " + " | ".join(cells) + f" | {worse} |")
    return lines


def short_table(summary):
    """For the README: of each scenario and level, Pabal and its peer, two numbers each."""
    lines = ["| scenario | Pabal `os` | Kafka, RabbitMQ | Pabal `fsync` | Kafka, RabbitMQ, synced |",
             "| --- | ---: | ---: | ---: | ---: |"]
    for row, brokers in by_row(summary).items():
        if any("rate" in keys for keys in brokers.values()):
            cells = [short_cell(row, brokers, level, is_pabal)
                     for level in ("os", "fsync") for is_pabal in (True, False)]
            lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return lines


def short_cell(row, brokers, level, is_pabal):
    """The rate, or the p99.9 where the rate is fixed; then the cost."""
    found = [keys for label, keys in brokers.items()
             if level_of(label) == level and label.startswith("pabal") == is_pabal]
    if not found or "rate" not in found[0]:
        return "failed" if found else "-"
    keys = found[0]
    first = cell(keys.get("p99.9_us"), "{:,.0f} us", False) if "/s" in row else cell(keys["rate"], "{:,.0f}/s", False)
    return f"{first}, {cell(keys['cpu_us'], '{:,.2f}', False)}"


def arguments_list(summary):
    """The load generator's arguments of each scenario that was run."""
    return [f"- {scenario.name}: `{scenario.run.split('_')[0]} {scenario.arguments}`, {scenario.size:,} bytes"
            for scenario in scenarios.SCENARIOS
            if scenario.arguments and any(row.startswith(scenario.name) for row, _ in summary)]


def number(ratio):
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:,.0f}"


NOTES = """
Medians of the rounds, ranges in brackets (all numbers are in the JSON file). Rates are what one client thread
on the same machine reaches. CPU and switches are the broker's own, over all its processes, between the opening
of the last connection and the end of the load. Before each measurement all disks are synced, so that what one
broker has left to the kernel is written in nobody else's time. Latency counts from the moment at which a message was due: where
the scenario says a rate, by a fixed schedule; elsewhere at saturation, where it tells of queues, not of work.
`os`: acknowledged when the operating system has it (Kafka, RabbitMQ's classic queues, Pabal with `durability =
os`); `fsync`: when the disk has it (Kafka with `flush.messages=1`, quorum queues, Pabal by default). `% of
floor`: the processor time that receiving, checking, writing and sending the bytes in large pieces, and
answering lone requests, takes on this machine, of what the broker took. RSS is taken at the end of the load and
of a JVM holds its heap. K3: 50 producers, a record a request, no lingering, a million keys. K5's costs count
what is produced and what is read. M1: topics and queues side by side; the same data cannot be had as both.
Kafka's transactions are not in Pabal: K6 is idempotence, and AMQP's.
"""


def markdown(about, summary, failures=()):
    lines = ["# Benchmark", ""]
    lines += [f"- {key}: {value}" for key, value in about.items()]
    lines += ["", "In short: messages a second, or p99.9 where the rate is fixed, and the broker's processor time for a"
              " message in us.", ""] + short_table(summary) + NOTES.splitlines() + [""] + load_table(summary)
    extra = extra_table(summary)
    lines += ["", "## Starts, memory, readers", ""] + extra if extra else []
    lines += comparison_table(summary)
    lines += ["", "## What was done", ""] + arguments_list(summary)
    lines += ["", "## Failed", ""] + [f"- {failure}" for failure in failures] if failures else []
    return "\n".join(lines) + "\n"


def save(path, about, rounds, summary, failures=()):
    """PATH.json has every number, PATH.md the tables."""
    with open(path + ".json", "w") as out:
        json.dump({"about": about, "failures": list(failures),
                   "rounds": [{" / ".join(row): keys for row, keys in one.items()} for one in rounds]}, out, indent=1)
        out.write("\n")
    text = markdown(about, summary, failures)
    with open(path + ".md", "w") as out:
        out.write(text)
    return text
