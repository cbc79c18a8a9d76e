#!/usr/bin/env python3
"""The power fails under load, again and again: what was acknowledged is there when it is back.

    powercut.py [--rounds 20] [--seed N] [--broker pabal|kafka|rabbitmq] [--set KEY=VALUE]...

The data lie on an ext4 file system of its own on a loop device; its shutdown call stops it as a cut
does: what was written and not synced is lost. Each of the call's three kinds is used in turn. With
--set durability=os, or with Kafka as it comes, violations are expected: that shows that they are seen.
"""
import argparse
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "clients"))

import brokers
import campaign
import checkers
import killer
import loop_fs


def make_broker(kind, dir, settings):
    if kind == "pabal":
        return brokers.Pabal(dir=dir, settings={**killer.SETTINGS, **settings})
    return brokers.make(kind, dir=dir)


def disaster(fs, kinds):
    """Each call takes the next kind of cut."""
    def cut(broker):
        how = kinds[cut.count % len(kinds)]
        cut.count += 1
        # The machine stops as a whole. A broker that runs on beside a file system that shuts down may be
        # told of a sync that the shutdown has undone, and tell a client: jbd2_complete_transaction() finds
        # no transaction any more when it comes late, and takes that for done.
        broker.halt()
        fs.cut_power(how)
        broker.kill()
        fs.unmount()
        fs.mount()
        broker.start()
    cut.count = 0
    return cut


def run(rounds, seed, kind="pabal", settings=None, strict=False, kinds=(2, 1, 0), progress=print):
    exempt = checkers.RABBITMQ_EXEMPT if kind == "rabbitmq" else checkers.PABAL_EXEMPT
    with loop_fs.LoopFs() as fs:
        dir = os.path.join(fs.path, "broker")
        os.mkdir(dir)
        broker = make_broker(kind, dir, settings or {})
        broker.log_path = os.path.join(fs.base, "broker.log")
        with broker:
            one = campaign.Campaign(broker, seed, exempt=() if strict else exempt)
            try:
                return campaign.run(one, rounds, disaster(fs, kinds), judge_every=5, progress=progress)
            except brokers.Failed as failed:
                return [f"it does not start again: {failed}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--broker", default="pabal", choices=["pabal", "kafka", "rabbitmq"])
    parser.add_argument("--strict", action="store_true", help="also what is not promised: redelivered marks")
    parser.add_argument("--set", action="append", default=[], help="an option of pabal, KEY=VALUE")
    options = parser.parse_args()
    why_not = loop_fs.why_not()
    if why_not:
        print(f"skipped: {why_not}")
        sys.exit(77)
    settings = dict(pair.split("=", 1) for pair in options.set)
    lines = run(options.rounds, options.seed, options.broker, settings, options.strict)
    print("\n".join(lines))
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
