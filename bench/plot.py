"""Plots of the medians as SVG, by hand: bars on a logarithmic scale, one colour for each kind of broker."""
import html
import math

import report

COLOURS = {"pabal os": "#7fb3e6", "pabal fsync": "#2066a8", "kafka": "#f2b36b", "kafka flush=1": "#c46a10",
           "rabbitmq classic": "#a6cf8a", "rabbitmq quorum": "#4f8a2f"}
OTHER = "#999999"
WIDTH, LABEL_WIDTH, BAR, GAP = 900, 330, 13, 10
STYLE = "font-family='sans-serif' font-size='11' fill='#24292f'"

# file's suffix, title, key, form, of which rows
PLOTS = [
    ("cpu", "Broker's processor time for a message, us (less is better)", "cpu_us", "{:,.2f}", None),
    ("latency", "p99.9 latency at a fixed rate, us (less is better)", "p99.9_us", "{:,.0f}", "/s"),
    ("rate", "Messages a second, one client thread (more is better)", "rate", "{:,.0f}", None),
    ("size", "Resident memory, MiB (less is better)", "rss_mib", "{:,.1f}", "R3"),
    ("start", "Ready after the start, ms (less is better)", "ready_ms", "{:,.0f}", "R"),
]


def belongs(row, of):
    """Rates belong to rows without a fixed one, latencies to those with; R rows have plots of their own."""
    if of and of.startswith("R"):
        return row.startswith(of)
    return not row.startswith("R") and (of is None or of in row)


def values_of(summary, key, of):
    """[(row, [(broker, value)])]"""
    found = []
    for row, brokers in report.by_row(summary).items():
        bars = [(broker, keys[key][0]) for broker, keys in brokers.items() if key in keys and keys[key][0] > 0]
        if bars and belongs(row, of) and not (key == "rate" and "/s" in row):
            found.append((row, bars))
    return found


def scale(rows):
    """A function from a value to a share of the width, from a bit below the least."""
    all_values = [value for _, bars in rows for _, value in bars]
    low, high = math.log10(min(all_values)) - 0.3, math.log10(max(all_values))
    return lambda value: (math.log10(value) - low) / max(high - low, 0.1)


def draw(title, rows, form):
    """The SVG of one plot."""
    share, y, parts = scale(rows), 50, []
    for row, bars in rows:
        middle = y + len(bars) * BAR / 2 + 4
        parts.append(f"<text x='{LABEL_WIDTH - 8}' y='{middle:.0f}' text-anchor='end' {STYLE}>"
                     f"{html.escape(shorten(row))}</text>")
        for broker, value in bars:
            width = share(value) * (WIDTH - LABEL_WIDTH - 190)
            parts.append(f"<rect x='{LABEL_WIDTH}' y='{y}' width='{width:.0f}' height='{BAR - 2}' "
                         f"fill='{COLOURS.get(broker, OTHER)}'/>")
            parts.append(f"<text x='{LABEL_WIDTH + width + 5:.0f}' y='{y + BAR - 4}' {STYLE}>"
                         f"{form.format(value)} {html.escape(broker)}</text>")
            y += BAR
        y += GAP
    head = (f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{y}' viewBox='0 0 {WIDTH} {y}'>\n"
            f"<rect width='100%' height='100%' fill='white'/>\n"
            f"<text x='12' y='22' {STYLE} font-weight='bold'>{html.escape(title)}</text>\n"
            f"<text x='12' y='38' {STYLE}>logarithmic scale; medians</text>\n")
    return head + "\n".join(parts) + "\n</svg>\n"


def shorten(row, most=56):
    return row if len(row) <= most else row[:most - 3] + "..."


def save(path, summary):
    """Write PATH-NAME.svg for each plot that has something to show; returns their paths."""
    written = []
    for name, title, key, form, of in PLOTS:
        rows = values_of(summary, key, of)
        if not rows:
            continue
        written.append(f"{path}-{name}.svg")
        with open(written[-1], "w") as out:
            out.write(draw(title, rows, form))
    return written
