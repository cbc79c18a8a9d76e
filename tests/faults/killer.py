#!/usr/bin/env python3
"""kill -9 under load, again and again: nothing acknowledged is lost, changed, doubled or reordered.

    killer.py [--rounds 50] [--seed N] [--broker pabal|kafka|rabbitmq] [--set KEY=VALUE]...

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

# Small files, so that journals are recycled and segments rolled while it runs.
SETTINGS = {"journal.max.bytes": "16MiB", "segment.bytes": "8MiB"}


def kill_and_start(broker):
    broker.kill()
    broker.start()


def make_broker(kind, settings):
    return brokers.Pabal(settings={**SETTINGS, **settings}) if kind == "pabal" else brokers.make(kind)


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
    parser.add_argument("--strict", action="store_true", help="also what is not promised: redelivered marks")
    parser.add_argument("--set", action="append", default=[], help="an option of pabal, KEY=VALUE")
    options = parser.parse_args()
    settings = dict(pair.split("=", 1) for pair in options.set)
    lines = run(options.rounds, options.seed, options.broker, settings, options.idempotent,
                options.strict)
    print("\n".join(lines))
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
