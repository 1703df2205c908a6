"""``python -m bench.faults.hangs``: every process is frozen in turn, under 200 events a second over 100 stores.

For each it prints the share of events that were accepted while it was frozen, the latency, the output of ``marketplace
status`` after 5, 30 and 60 seconds, the time until all events were accepted and counted again, and whether everything
acknowledged is counted exactly once.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.claims.numbers import say
from bench.faults.drill import FROZEN, HEADINGS, DrillResult, drill, frozen, product


def main() -> int:
    """Run the drills; returns 1 if an acknowledged event is not counted exactly once."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults.hangs", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long each process is frozen (120)")
    parser.add_argument("--stores", type=int, default=100, help="how many stores send (100)")
    parser.add_argument("--rate", type=float, default=200.0, help="events a second (200)")
    parser.add_argument("--only", nargs="*", choices=FROZEN, default=list(FROZEN), help="what to freeze (all in turn)")
    asked = parser.parse_args()
    found = []
    for name in asked.only:
        # Each drill has its own stack, so that effects of one are not attributed to the next.
        with tempfile.TemporaryDirectory(prefix="hangs-") as folder, product(Path(folder), asked.stores) as running:
            found.append(drill(running, name, frozen(running, name), asked.seconds, asked.rate, say=say))
    show(found)
    return int(any(seen.missing or seen.twice for seen in found))


def show(found: list[DrillResult]) -> None:
    """Print the table."""
    table = Table(*HEADINGS, box=None)
    for seen in found:
        table.add_row(*seen.row())
    Console(width=240).print(table)


if __name__ == "__main__":
    sys.exit(main())
