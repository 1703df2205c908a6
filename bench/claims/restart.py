"""``python -m bench.claims.restart``: how long a killed flow takes to count again, after a short and a long history.

Distinct events go through the real flow; its process is killed with SIGKILL; a few new records are written to the
topic; and the time is measured from the start of the supervised flow until the first of them is in the ledger. One more
start at each size traces the flow's own steps, to show where the time goes.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from bench.claims.distinct import Distinct, produce
from bench.claims.lag import Lag
from bench.claims.numbers import Row, median, report, say, spread
from bench.claims.processes import environment, flow, traced_flow, wait_until
from bench.claims.traced_flow import Step, read_trace
from bench.corpus import Corpus
from bench.corpus_cache import ROOT
from bench.stand import Stand, open_stand
from flows.delivery.process_set import FlowOptions, FlowProcessSet
from marketplace.flows import CLICKS_FLOW
from runtime.sections import Settings

TARGET_SECONDS: Final = 5.0
TARGET_RATIO: Final = 1.5
_NEW_RECORDS: Final = 16
_RESTART_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.01


@dataclass
class Size:
    """Results after a history of one size.

    Attributes:
        ids: Distinct ids in the tables.
        seconds: From the start of the supervised flow to the first new row of the ledger, for each restart.
        phases: Seconds of a traced start, by phase.
    """

    ids: int
    seconds: list[float] = field(default_factory=list)
    phases: dict[str, float] = field(default_factory=dict)


class History:
    """Grows the history and restarts the flow.

    Args:
        stand: The parts.
        settings: The URLs and the database.
        options: The command line's.
    """

    def __init__(self, stand: Stand, settings: Settings, options: argparse.Namespace) -> None:
        self._stand, self._settings, self._options = stand, settings, options
        hours = options.large / options.per_hour
        begins_ms = int((time.time() - 3_600 * (hours + 1)) * 1_000)
        self._log = Distinct(next(iter(stand.corpus.stores())), begins_ms, options.per_hour)
        self._made = 0
        self._lag = Lag(settings)

    def grow(self, ids: int) -> None:
        """Let the flow process events until there are this many ids."""
        began = time.monotonic()
        with flow(self._settings, self._stand.folder) as runner:
            self._produce(ids - self._made)
            wait_until(lambda: self._lag.behind() == 0, self._options.patience, "the flow does not catch up", 0.5)
            say(f"{ids:,} ids are in the tables ({time.monotonic() - began:.0f} s)")
            _kill(runner)

    def restart(self) -> float:
        """Seconds until the first of a few new records is in the ledger; the flow is killed again then."""
        before = self._lag.applied()
        self._produce(_NEW_RECORDS)
        with environment(PYTHONPATH=str(ROOT)):
            runner = FlowProcessSet(
                CLICKS_FLOW, self._settings, FlowOptions(), self._stand.folder / "logs" / "flow.log"
            )
            began = time.monotonic()
            runner.start()
            try:
                wait_until(lambda: self._lag.applied() > before, _RESTART_SECONDS, "no new row", _LOOK_SECONDS)
                seconds = time.monotonic() - began
                self._lag.catch_up()
                _kill(runner)
            finally:
                runner.stop()
        return seconds

    def phases(self) -> dict[str, float]:
        """Seconds of a traced start, by phase."""
        before = self._lag.applied()
        self._produce(_NEW_RECORDS)
        with traced_flow(self._settings, self._stand.folder) as trace:
            wait_until(lambda: self._lag.applied() > before, _RESTART_SECONDS, "no new row", _LOOK_SECONDS)
            self._lag.catch_up()
            time.sleep(1.0)
            return phases_of(read_trace(trace))

    def _produce(self, count: int) -> None:
        self._made += produce(self._stand.urls.kafka, self._log.records(self._made, self._made + count))

    def close(self) -> None:
        """Disconnect."""
        self._lag.close()


def _kill(runner: FlowProcessSet) -> None:
    for pid in runner.pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not runner.pids, 10, "the flow does not die", 0.01)


def phases_of(steps: Sequence[Step]) -> dict[str, float]:
    """Seconds of each phase up to the first row in the ledger; the rest is Bytewax and waiting."""
    begins = steps[0].at
    ledger = next(step for step in steps if step.what == "insert click_ledger")
    until = [step for step in steps if step.end <= ledger.end]
    decides = [step for step in until if step.what == "decide"]
    first_take = min(step.at for step in decides)

    def total(*names: str, inside: bool | None = None) -> float:
        return sum(
            step.seconds
            for step in until
            if step.what.startswith(names) and (inside is None or _within(step, decides) == inside)
        )

    found = {
        "interpreter": total("interpreter"),
        "imports": total("imports"),
        "Kafka: offsets, newest records": total("ask offsets", "read newest"),
        "tables: fences, days behind": sum(
            step.seconds for step in until if step.what.startswith(("ask ", "save")) and step.end <= first_take
        )
        - total("ask offsets"),
        "load GeoIP": total("load GeoIP"),
        "load user agents": total("load UserAgents"),
        "load crawlers": total("load CrawlerList"),
        "create processors": total("make processor"),
        "first batches: pages read back": total("read back", inside=True),
        "first batches: decided": total("decide") - total("read back", inside=True),
        "inserts": total("insert"),
    }
    found["rest: engine, Kafka's first records, epoch"] = ledger.end - begins - sum(found.values())
    return {"whole": ledger.end - begins, **found}


def _within(step: Step, around: Sequence[Step]) -> bool:
    return any(outer.at <= step.at and step.end <= outer.end for outer in around)


def table(small: Size, large: Size) -> list[Row]:
    """Targets, results, and where the time goes."""
    rows = []
    for size in (small, large):
        seconds, claimed = median(size.seconds), size is large
        rows.append(
            Row(
                f"restart to first new row after {size.ids:,} ids",
                f"{seconds:.2f} s",
                f"<= {TARGET_SECONDS:g} s" if claimed else "",
                seconds <= TARGET_SECONDS if claimed else None,
                f"({spread(size.seconds, 2)})",
            )
        )
    ratio = median(large.seconds) / median(small.seconds)
    note = f"of {len(large.seconds)} restarts each"
    rows.append(
        Row("  next to the shorter history", f"{ratio:.2f} x", f"<= {TARGET_RATIO} x", ratio <= TARGET_RATIO, note)
    )
    for phase in large.phases:
        rows.append(
            Row(f"  {phase}", f"{large.phases[phase]:.3f} s", note=f"{small.phases[phase]:.3f} s after the shorter")
        )
    return rows


def main() -> int:
    """Run the claim; print and write its table."""
    parser = argparse.ArgumentParser(prog="python -m bench.claims.restart", description=__doc__)
    parser.add_argument("--small", type=int, default=1_000_000, help="distinct ids of the short history [%(default)s]")
    parser.add_argument("--large", type=int, default=10_000_000, help="of the long one [%(default)s]")
    parser.add_argument("--per-hour", type=int, default=500_000, help="events in an hour of event time [%(default)s]")
    parser.add_argument("--repeats", type=int, default=5, help="restarts at each size [%(default)s]")
    parser.add_argument("--patience", type=float, default=1_800, help="seconds to catch up in [%(default)s]")
    parser.add_argument("--json", type=Path, help="where to write everything")
    options = parser.parse_args()
    sizes = []
    with open_stand(Corpus(1)) as stand:
        history = History(stand, stand.fresh(), options)
        for ids in (options.small, options.large):
            history.grow(ids)
            size = Size(ids, [history.restart() for _ in range(options.repeats)])
            say(f"restarts after {ids:,}: {', '.join(f'{seconds:.2f}' for seconds in size.seconds)} s")
            size.phases = history.phases()
            sizes.append(size)
        history.close()
    return report(table(*sizes), {"sizes": [asdict(size) for size in sizes]}, options.json)


if __name__ == "__main__":
    sys.exit(main())
