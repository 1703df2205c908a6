"""``python -m bench``: runs every contender over the same records, and prints one table."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench import results
from bench.contender import CONTENDERS
from bench.corpus import Corpus
from bench.environment import python_of
from bench.gate import Gate
from bench.stand import RunResult, Stand, open_stand


def main() -> int:
    """Run all; print and write the table. Returns 1 if the oracle disagrees with a run, or a run failed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--clicks", type=int, default=2_000_000, help="records [%(default)s]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contender, in turn [%(default)s]")
    parser.add_argument("--only", choices=CONTENDERS, action="append", help="this contender; can be repeated [all]")
    parser.add_argument("--json", type=Path, help="where to write the results")
    options = parser.parse_args()
    if options.clicks < 1 or options.rounds < 1:
        parser.error("give at least one record and one round")
    corpus, names = Corpus(options.clicks, options.seed), options.only or list(CONTENDERS)
    for environment in {CONTENDERS[name].environment for name in names} - {""}:
        python_of(environment)
    began = time.monotonic()
    with open_stand(corpus) as stand:
        say(f"{corpus.clicks:,} records are in the topic ({time.monotonic() - began:.0f} s)")
        asked = time.monotonic()
        gate = Gate(stand, names)
        say(f"the oracle is done ({time.monotonic() - asked:.0f} s)")
        runs, broken = race(stand, names, options.rounds, gate)
    sys.stdout.write(results.render(runs))
    for name in broken:
        say(f"a run of {name} failed; it is in no figure")
    say(f"{time.monotonic() - began:.0f} s in all")
    if options.json is not None:
        asked_for = {"clicks": corpus.clicks, "seed": corpus.seed, "rounds": options.rounds}
        options.json.write_text(json.dumps({**asked_for, **results.plain(runs)}, indent=1))
    return 1 if broken or results.failed(runs) else 0


def race(stand: Stand, names: Sequence[str], rounds: int, gate: Gate) -> tuple[list[RunResult], list[str]]:
    """All contenders in turn, in every second round in reverse: other load on the machine then affects all of them.

    Returns:
        The runs, and the names of contenders with a run that failed; the others' figures are still valid.
    """
    runs, broken = [], []
    # The first run would find the broker and its caches cold.
    stand.drop(stand.run("consume"))
    for at in range(1, rounds + 1):
        for name in names if at % 2 else reversed(names):
            try:
                run = stand.run(name, at)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                say(f"round {at}  {error}")
                broken.append(name)
                continue
            say(f"round {at}  {name:10} {run.us_per_event:8.2f} us/event  {run.took.wall_seconds:6.1f} s")
            runs.append(judge(gate, run))
    return runs, broken


def judge(gate: Gate, run: RunResult) -> RunResult:
    """Compare a run with the oracle, and print the result."""
    began = time.monotonic()
    judged, agreement = gate.judge(run)
    if judged.compared:
        seconds = time.monotonic() - began
        say(f"         {judged.compared:,} numbers compared, {judged.differ:,} differ ({seconds:.0f} s)")
    for line in agreement.differences[:5]:
        say(f"         {line}")
    return judged


def say(text: str) -> None:
    """Print progress on stderr."""
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
