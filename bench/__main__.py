"""``python -m bench``: every contender over the same records in one run, and one table."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.contender import CONTENDERS, WRITES
from bench.corpus import Corpus
from bench.gate import Gate
from bench.stand import Ran, Stand, open_stand


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--clicks", type=int, default=2_000_000, help="records [%(default)s]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contender, in turn [%(default)s]")
    parser.add_argument("--only", choices=CONTENDERS, action="append", help="this contender; can be repeated [all]")
    parser.add_argument("--json", type=Path, help="where to write the results")
    options = parser.parse_args()
    corpus = Corpus(options.clicks, options.seed)
    began = time.monotonic()
    with open_stand(corpus) as stand:
        say(f"{corpus.clicks:,} records are in the topic ({time.monotonic() - began:.0f} s)")
        names = options.only or list(CONTENDERS)
        gate = Gate(stand) if set(names) & WRITES else None
        runs = race(stand, names, options.rounds, gate)
    print_table(runs)
    if options.json is not None:
        options.json.write_text(json.dumps([vars(run) for run in runs], indent=1))
    return 0


def race(stand: Stand, names: Sequence[str], rounds: int, gate: Gate | None) -> list[Ran]:
    """All contenders in turn, again and again: what else the machine does hits all of them."""
    runs = []
    for round_number in range(rounds):
        for name in names:
            run = stand.run(name)
            say(f"round {round_number + 1}  {name:10} {run.us_per_event:8.2f} us/event  {run.wall_seconds:6.1f} s")
            if gate is not None and name in WRITES:
                agreement = gate.check(run)
                say(f"         {agreement.compared:,} numbers compared, {len(agreement.differences):,} differ")
                for line in agreement.differences[:5]:
                    say(f"         {line}")
                run = replace(run, compared=agreement.compared, differ=len(agreement.differences))
            runs.append(run)
    return runs


def print_table(runs: Sequence[Ran]) -> None:
    """Medians, spread, and ratios within the run."""
    names = list(dict.fromkeys(run.name for run in runs))
    costs = {name: [run.us_per_event for run in runs if run.name == name] for name in names}
    rates = {name: [run.events / run.wall_seconds for run in runs if run.name == name] for name in names}
    ours = statistics.median(costs["flow"]) if "flow" in costs else None
    sys.stdout.write(f"{'':12}{'us CPU/event':>14}{'spread':>16}{'events/s':>12}{'next to flow':>14}{'oracle':>20}\n")
    for name in names:
        median = statistics.median(costs[name])
        spread = f"{min(costs[name]):.2f}-{max(costs[name]):.2f}"
        rate = statistics.median(rates[name])
        ratio = f"{median / ours:.2f} x" if ours is not None else ""
        sys.stdout.write(f"{name:12}{median:>14.2f}{spread:>16}{rate:>12,.0f}{ratio:>14}{verdict(runs, name):>20}\n")


def verdict(runs: Sequence[Ran], name: str) -> str:
    """Whether the oracle agreed with every run."""
    checked = [run for run in runs if run.name == name and run.compared]
    if not checked:
        return ""
    differ = sum(run.differ for run in checked)
    return f"FAILED: {differ:,} differ" if differ else "agrees"


def say(text: str) -> None:
    """How far it is."""
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
