#!/usr/bin/env python3
"""Brokers that break one promise each, and disks that lie: the campaigns have to notice, by the right checker.

    mutants.py BUILD [--only NAME]

BUILD is a directory that Meson has set up; the mutants are built there. Exit code 0: all were caught.
"""
import argparse
import dataclasses
import os
import subprocess
import sys

import chaos
import soak

SEEDS = range(1, 5)  # tries, since a broken promise need not show in each round
ROOMY = {"journal.max.bytes": "128MiB", "segment.bytes": "256MiB"}
NO_SYNC = {"durability": "os", **ROOMY}


def quiet(line):
    """Nobody reads what the campaigns say of themselves."""


@dataclasses.dataclass
class Mutant:
    kinds: set  # of violations, of which all have to come
    only: list  # disasters
    load: str = "traffic"
    rounds: int = 2
    settings: dict = dataclasses.field(default_factory=dict)
    how: dict = dataclasses.field(default_factory=lambda: {"rate": 600})

    def run(self, seed, program):
        return chaos.run(self.rounds, seed, self.only, self.load, settings=self.settings, program=program,
                         progress=quiet, **self.how)


@dataclasses.dataclass
class Leak:
    """Less than a minute of load without disasters has to show it."""

    kinds: set

    def run(self, seed, program):
        return soak.run(5, seed, program=program, minute_s=10, progress=quiet)


def moving(kinds, only=("kill",), **how):
    return Mutant(kinds, list(only), "mover", how={"patience_s": 5}, **how)


# Named after the mutants of meson.build; "" in front: the broker as it is, on a disk that forgets.
MUTANTS = {
    "append_twice": Mutant({"duplicate"}, ["kill"]),
    "tell_behind": Mutant({"misplaced"}, ["kill"]),
    "next_partition": Mutant({"phantom"}, ["kill"]),
    "any_sequence": Mutant({"duplicate", "order"}, ["kill"], rounds=6, how={"rate": 5000}),  # two in one answer
    "forget_offsets": Mutant({"backwards"}, ["kill"]),
    "wrong_offsets": Mutant({"phantom"}, ["kill"]),
    "deliver_twice": Mutant({"duplicate"}, ["kill"]),
    "fresh_first": Mutant({"order"}, ["slow"]),
    "forget_settles": Mutant({"returned"}, ["kill"]),
    "settle_later": moving({"doubled"}, rounds=6),
    "release_early": moving({"early"}),
    "omit_log": moving({"torn"}, rounds=4),
    "leak_memory": Leak({"memory (MiB)"}),
    "leave_open": Leak({"descriptors"}),
    "-no sync": Mutant({"lost", "backwards"}, ["forget"], settings=NO_SYNC, how={"rate": 600, "idempotent": False}),
    "-no sync, moving": moving({"lost"}, ["forget"], settings=NO_SYNC),
}


def kinds_of(lines):
    return {part for line in lines for part in line.split(": ")[1:2]}


def is_caught(mutant, program):
    found = set()
    for seed in SEEDS:
        found |= kinds_of(mutant.run(seed, program))
        if mutant.kinds <= found:
            return True, found
    return False, found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("--only", choices=MUTANTS)
    options = parser.parse_args()
    missed = 0
    for name in [options.only] if options.only else MUTANTS:
        target = "src/server/pabal" if name.startswith("-") else f"tests/faults/pabal_mutant_{name}"
        subprocess.run(["ninja", "-C", options.build, "--quiet", target], check=True)
        caught, found = is_caught(MUTANTS[name], os.path.join(options.build, target))
        print(f"{name:18} {'caught' if caught else 'MISSED'}  wanted {sorted(MUTANTS[name].kinds)},"
              f" found {sorted(found)}", flush=True)
        missed += not caught
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
