#!/usr/bin/env python3
"""Disasters at random, under load from both protocols: nothing acknowledged is lost, doubled or reordered.

    chaos.py [--rounds 50] [--seed N] [--load traffic|mover|keeper] [--only kill,power,...]
             [--broker pabal|kafka|rabbitmq|rabbitmq-quorum] [--set KEY=VALUE]...

Exit code 0: no violation. A seed repeats the choices of a run, not its timing. The real Kafka and RabbitMQ
show that the checkers are fair. --lie lets each sync do nothing, and --set durability=os leaves them out:
with --only forget or --only power-at-once that has to be found.
"""
import argparse
import collections
import sys
import time

import world
import brokers
import campaign
import checkers
import keeper
import mover
import traffic
from disasters import DISASTERS, WHY_NOT

LOADS = {"traffic": traffic.Campaign, "mover": mover.Campaign, "keeper": keeper.Campaign}
# Queues that work by the clock know nothing of time when it jumps: what is early or late then, nobody can tell.
EXEMPT_OF_CLOCK = {"early"}


def why_not(name, kind, load):
    """Why this disaster cannot be had in this run, or None."""
    one = DISASTERS[name]
    if kind != "pabal" and not one.peers:
        return "is for Pabal"
    if one.needs == "copy":
        return None if hasattr(LOADS[load], "look_at_copy") else "this load does not judge copies"
    return WHY_NOT[one.needs]() if one.needs else None


def choose(only, kind, load, progress):
    """The names of what can happen."""
    wanted = only or [name for name, one in DISASTERS.items() if one.is_drawn]
    names = [name for name in wanted if not why_not(name, kind, load)]
    for name in wanted:
        if name not in names:
            progress(f"left out: {name}: {why_not(name, kind, load)}")
    return names


def run(rounds, seed, only=(), load="traffic", kind="pabal", settings=None, lie=False, strict=False, program=None,
        progress=print, **how):
    """Returns the violations. `how` goes to the load."""
    names = choose(only, kind, load, progress)
    if not names:
        return ["nothing can happen here"]
    exempt = set() if strict else set(checkers.EXEMPT[kind])
    if "clock" in names:
        exempt |= EXEMPT_OF_CLOCK
    happened = collections.Counter()
    with world.World(kind, seed, settings, {DISASTERS[name].needs for name in names}, lie, program) as one:
        try:
            whole = LOADS[load](one.broker, seed, exempt=exempt, **how)
        except brokers.Failed as failed:
            return [f"it does not start: {failed}"]

        def disaster(whole):
            name = one.random.choice(names)
            happened[name] += 1
            lines = DISASTERS[name].strike(one, whole) or []
            if not one.broker.is_alive():
                lines.append(f"the broker ended: {one.broker.log()[-500:]}")
            return [f"{name}: {line}" for line in lines]

        def tell(line):
            progress(f"{' '.join(f'{name}={count}' for name, count in happened.items())}; {line}")
        return campaign.run(whole, rounds, disaster, tell)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--load", default="traffic", choices=LOADS)
    parser.add_argument("--only", default="", help=f"some of {', '.join(DISASTERS)}")
    parser.add_argument("--broker", default="pabal", choices=brokers.KINDS)
    parser.add_argument("--lie", action="store_true", help="a sync does nothing")
    parser.add_argument("--strict", action="store_true", help="also what is not promised: redelivered marks")
    parser.add_argument("--set", action="append", default=[], help="an option of pabal, KEY=VALUE")
    options = parser.parse_args()
    only = options.only.split(",") if options.only else []
    for name in set(only) - set(DISASTERS):
        parser.error(f"there is no {name}; there are {', '.join(DISASTERS)}")
    settings = dict(pair.split("=", 1) for pair in options.set)
    lines = run(options.rounds, options.seed, only, options.load, options.broker, settings, options.lie,
                options.strict)
    print("\n".join(lines or [f"no violation; seed {options.seed}"]))
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
