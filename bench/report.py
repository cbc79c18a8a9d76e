"""Medians and ranges of the rounds, as JSON and as a table of Markdown."""
import json
import statistics

COLUMNS = [
    # key, heading, form
    ("rate", "msg/s", "{:,.0f}"),
    ("cpu_us", "CPU us/msg", "{:.3f}"),
    ("instructions", "instr/msg", "{:,.0f}"),
    ("p50_us", "p50 us", "{:,.0f}"),
    ("p99_us", "p99 us", "{:,.0f}"),
    ("p99.9_us", "p99.9 us", "{:,.0f}"),
    ("written_per_byte", "written/byte", "{:.2f}"),
    ("ready_ms", "ready ms", "{:,.0f}"),
    ("rss_mib", "RSS MiB", "{:,.1f}"),
]


def summarise(rounds):
    """[{(scenario, broker): {key: value}}] -> {(scenario, broker): {key: (median, least, most)}}"""
    values = {}
    for one in rounds:
        for row, measured in one.items():
            for key, value in measured.items():
                if value is not None:
                    values.setdefault(row, {}).setdefault(key, []).append(value)
    return {row: {key: (statistics.median(all), min(all), max(all)) for key, all in keys.items()}
            for row, keys in values.items()}


def cell(summary, form):
    """The median, and the range when there is one."""
    if summary is None:
        return "-"
    median, least, most = (form.format(value) for value in summary)
    return median if least == most else f"{median} ({least}-{most})"


def ratio(mine, theirs):
    """How many times better: less cost, or a higher rate."""
    return f"{theirs / mine:.1f}x" if mine and theirs else "-"


def by_scenario(summary):
    """The rows with those of one scenario together, scenarios in the order in which they ran."""
    scenarios = list(dict.fromkeys(scenario for scenario, _ in summary))
    return sorted(summary.items(), key=lambda row: scenarios.index(row[0][0]))


def markdown(about, summary):
    lines = ["# Benchmark", ""]
    lines += [f"- {key}: {value}" for key, value in about.items()]
    lines += ["", "Medians of the rounds, with the range in brackets. `CPU us/msg` is the broker's own processor"
              " time, over all its processes; rates are what one client thread on the same machine reaches.", ""]
    headings = ["scenario", "broker"] + [heading for _, heading, _ in COLUMNS]
    lines += ["| " + " | ".join(headings) + " |", "| --- | --- |" + " ---: |" * len(COLUMNS)]
    for (scenario, broker), keys in by_scenario(summary):
        cells = [cell(keys.get(key), form) for key, _, form in COLUMNS]
        lines.append(f"| {scenario} | {broker} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def comparison(summary):
    """One line for each scenario that Pabal and a peer both did: CPU per message against CPU per message."""
    lines = []
    for (scenario, broker), keys in by_scenario(summary):
        for level in ("pabal fsync", "pabal os"):
            mine = summary.get((scenario, level), {}).get("cpu_us")
            theirs = keys.get("cpu_us")
            if not broker.startswith("pabal") and mine and theirs:
                lines.append(f"- {scenario}: {level} needs {ratio(mine[0], theirs[0])} less CPU per message than {broker}")
    return lines


def save(path, about, rounds, summary):
    """PATH.json has every number, PATH.md the table."""
    with open(path + ".json", "w") as out:
        json.dump({"about": about,
                   "rounds": [{" / ".join(row): keys for row, keys in one.items()} for one in rounds]}, out, indent=1)
        out.write("\n")
    text = markdown(about, summary) + "\n" + "\n".join(comparison(summary)) + "\n"
    with open(path + ".md", "w") as out:
        out.write(text)
    return text
