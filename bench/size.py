#!/usr/bin/env python3
"""What Pabal costs when it is idle, when much is declared, stored or connected, and what one load does to
another: each figure beside its target.

    size.py [--only idle,queues] [--rounds 3] [--scale 1] [--bin PATH] [--out PATH]
    size.py --list

Everything runs at the default settings, in a new directory below PABAL_BENCH_DATA for each round. --scale
makes the big numbers (partitions, messages, bytes stored) smaller for a look; the targets stay what they are.
"""
import argparse
import datetime
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import measure
import network
import brokers
from size_load import SCENARIOS, Refused, Run

HERE = os.path.dirname(os.path.abspath(__file__))


def is_met(target, value):
    if not target:
        return None
    sign, limit = target.split()[:2]
    limit = float(limit.replace(",", ""))
    return value <= limit if sign == "<=" else value < limit if sign == "<" else value >= limit


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"


def table(results):
    """{(scenario, figure): (target, [values])} as Markdown."""
    yield "| scenario | figure | target | median | range | |"
    yield "| --- | --- | ---: | ---: | ---: | --- |"
    for (scenario, figure), (target, values) in results.items():
        middle = statistics.median(values)
        verdict = {None: "", True: "met", False: "**missed**"}[is_met(target, middle)]
        yield (f"| {scenario} | {figure} | {target or '-'} | {number(middle)} | "
               f"{number(min(values))}-{number(max(values))} | {verdict} |")


def head(program):
    machine = measure.machine()
    commit = subprocess.run(["git", "-C", HERE, "describe", "--always", "--dirty"], capture_output=True, text=True)
    folder = measure.data_folder()
    disk = measure.disk_probe(folder, 100)
    yield (f"{datetime.date.today()}, commit {commit.stdout.strip()}, {os.path.basename(program)} at its defaults; "
           f"{machine['cpu']}, {machine['processors']} processors, {machine['memory_gib']} GiB, Linux "
           f"{machine['kernel']}; load {machine['load']:.1f} at the beginning; a synced 4 KiB write "
           f"{disk['sync_4k_p50_us']:,.0f} us (p99 {disk['sync_4k_p99_us']:,.0f}), {disk['synced_mib_s']:,.0f} MiB/s.")
    yield ""


def run_one(name, rounds, options, results):
    for _ in range(rounds):
        folder = tempfile.mkdtemp(prefix="size-", dir=measure.data_folder())
        run = Run(folder, options)
        try:
            for figure, target, value in SCENARIOS[name](run):
                print(f"  {name}: {figure}: {number(value)} ({target or '-'})", file=sys.stderr, flush=True)
                results.setdefault((name, figure), (target, []))[1].append(value)
        except Refused as why:
            print(f"  {name}: left out: {why}", file=sys.stderr)
        finally:
            run.close()
            shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="names, separated by commas")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--bin", default=brokers.pabal_program())
    parser.add_argument("--out")
    options = parser.parse_args()
    if options.list:
        for name, scenario in SCENARIOS.items():
            print(f"{name:12} {scenario.__doc__.splitlines()[0]}")
        return
    names = options.only.split(",") if options.only else list(SCENARIOS)
    for name in names:
        if name not in SCENARIOS:
            parser.error(f"no scenario {name}; --list has them")
    lines, results = [*head(options.bin), f"TCP: {network.enter()}.", ""], {}
    for name in names:
        run_one(name, options.rounds, options, results)
    lines += table(results)
    print("\n".join(lines))
    if options.out:
        with open(options.out, "w") as out:
            out.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
