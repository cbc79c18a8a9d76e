#!/usr/bin/env python3
"""kill -9 under load, again and again: nothing acknowledged is lost, changed, doubled or reordered.

    killer.py [--rounds 50] [--seed N] [--broker pabal|kafka|rabbitmq] [--forget] [--set KEY=VALUE]...

With --forget the writes that no sync had covered are taken back before the restart, by a preloaded shim
(shim.c): a power cut that needs no root. --lie lets each sync do nothing: that has to be found.

Exit code 0: no violation. The real Kafka and RabbitMQ show that the checkers are fair: they survive it
too, since what they wrote stays in the operating system when their process dies.
"""
import argparse
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "clients"))

import brokers
import campaign
import checkers
import shim

# Small files, so that journals are recycled and segments rolled while it runs.
SETTINGS = {"journal.max.bytes": "16MiB", "segment.bytes": "8MiB"}


def kill_and_start(broker):
    broker.kill()
    broker.start()


def forget_and_start(one):
    def disaster(broker):
        broker.kill()
        one.lose_unsynced()
        broker.start()
    return disaster


def make_broker(kind, settings):
    return brokers.Pabal(settings={**SETTINGS, **settings}) if kind == "pabal" else brokers.make(kind)


def run_forgetting(rounds, seed, lie=False, settings=None, progress=print):
    """As run(), with Pabal, and a disk that keeps only what was synced."""
    broker = make_broker("pabal", settings or {})
    one = shim.Shim(broker.data_dir, lie=lie, undo=True)
    broker.extra_env.update(one.env)
    try:
        with broker:
            whole = campaign.Campaign(broker, seed, rate=600, exempt=checkers.PABAL_EXEMPT)
            try:
                return campaign.run(whole, rounds, forget_and_start(one), judge_every=5, progress=progress)
            except brokers.Failed as failed:
                return [f"it does not start again: {failed}"]
    finally:
        one.close()


def run(rounds, seed, kind="pabal", settings=None, idempotent=False, strict=False, progress=print):
    exempt = checkers.RABBITMQ_EXEMPT if kind == "rabbitmq" else checkers.PABAL_EXEMPT
    exempt = () if strict else exempt
    with make_broker(kind, settings or {}) as broker:
        one = campaign.Campaign(broker, seed, idempotent=idempotent, exempt=exempt)
        return campaign.run(one, rounds, kill_and_start, progress=progress)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--broker", default="pabal", choices=["pabal", "kafka", "rabbitmq"])
    parser.add_argument("--idempotent", action="store_true", help="also producers that retry, idempotently")
    parser.add_argument("--forget", action="store_true", help="lose what was not synced")
    parser.add_argument("--lie", action="store_true", help="with --forget: a sync does nothing")
    parser.add_argument("--strict", action="store_true", help="also what is not promised: redelivered marks")
    parser.add_argument("--set", action="append", default=[], help="an option of pabal, KEY=VALUE")
    options = parser.parse_args()
    settings = dict(pair.split("=", 1) for pair in options.set)
    if options.forget:
        lines = run_forgetting(options.rounds, options.seed, options.lie, settings)
    else:
        lines = run(options.rounds, options.seed, options.broker, settings, options.idempotent,
                    options.strict)
    print("\n".join(lines))
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
