"""The table of a bench's runs, and the targets.

A ratio is the median over all rounds of the ratios within a round, between runs close in time: other load on the
machine changes from minute to minute and affects both of a pair.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from bench.contender import CONTENDERS
from bench.stand import RunResult


@dataclass(frozen=True)
class Target:
    """A target for a ratio of two contenders.

    Attributes:
        title: Its text in the table.
        one, other: The two contenders.
        of: The measure whose ratio it is.
        bound: The promised value; None if nothing is promised.
        least: Whether the bound is a minimum or a maximum.
    """

    title: str
    one: str
    other: str
    bound: float | None
    least: bool = True
    of: Callable[[RunResult], float] = lambda run: run.us_per_event


TARGETS: Final = (
    Target("times as fast as the loop", "loop", "flow", 3.0),
    Target("times as fast as items", "items", "flow", 6.0),
    Target("times as fast as quix", "quix", "flow", 40.0),
    Target("times the speed of reading and decoding", "decode", "flow", 0.35),
    Target("times the price of at least once", "flow", "sinks", 1.12, least=False),
    Target("times as many events/s with two workers", "flow2", "flow", None, of=lambda run: run.events_per_second),
)


@dataclass(frozen=True)
class Line:
    """A contender's numbers.

    Attributes:
        us, us_least, us_most: Microseconds of CPU per record: median, minimum, maximum.
        next_to_flow: The ratio to the flow's.
        broker_us, clickhouse_us: Microseconds of CPU of Kafka and ClickHouse per record.
    """

    name: str
    kind: str
    events: int
    us: float
    us_least: float
    us_most: float
    events_per_second: float
    next_to_flow: float | None
    broker_us: float
    clickhouse_us: float
    verdict: str


@dataclass(frozen=True)
class Finding:
    """The result for a target; ``met`` is None if nothing is promised or one of the two did not run."""

    title: str
    found: float | None
    bound: float | None
    least: bool
    met: bool | None


def lines(runs: Sequence[RunResult]) -> list[Line]:
    """The table, in the order of the contenders."""
    names = [name for name in CONTENDERS if any(run.name == name for run in runs)]
    return [_line(name, runs) for name in names]


def _line(name: str, runs: Sequence[RunResult]) -> Line:
    mine = [run for run in runs if run.name == name]
    costs = [run.us_per_event for run in mine]
    return Line(
        name=name,
        kind=CONTENDERS[name].kind,
        events=mine[0].events,
        us=statistics.median(costs),
        us_least=min(costs),
        us_most=max(costs),
        events_per_second=statistics.median(run.events_per_second for run in mine),
        next_to_flow=ratio(runs, name, "flow", lambda run: run.us_per_event),
        broker_us=statistics.median(1e6 * run.took.broker_seconds / run.events for run in mine),
        clickhouse_us=statistics.median(1e6 * run.took.clickhouse_seconds / run.events for run in mine),
        verdict=_verdict(mine),
    )


def _verdict(runs: Sequence[RunResult]) -> str:
    if not any(run.compared for run in runs):
        return ""
    differ = sum(run.differ for run in runs)
    if differ:
        return f"FAILED: {differ:,} differ"
    return "counts agree" if CONTENDERS[runs[0].name].compares == "counts" else "agrees"


def ratio(runs: Sequence[RunResult], one: str, other: str, of: Callable[[RunResult], float]) -> float | None:
    """The median over all rounds with both contenders; None if there are none."""
    by_round = {(run.name, run.round): of(run) for run in runs}
    found = [
        by_round[one, at] / by_round[other, at]
        for at in sorted({run.round for run in runs})
        if (one, at) in by_round and by_round.get((other, at))
    ]
    return statistics.median(found) if found else None


def findings(runs: Sequence[RunResult]) -> list[Finding]:
    """The results for all targets."""
    answers = []
    for target in TARGETS:
        found = ratio(runs, target.one, target.other, target.of)
        met = None
        if found is not None and target.bound is not None:
            met = found >= target.bound if target.least else found <= target.bound
        answers.append(Finding(target.title, found, target.bound, target.least, met))
    return answers


def failed(runs: Sequence[RunResult]) -> bool:
    """Whether the oracle disagreed with any run."""
    return any(run.differ for run in runs)


def render(runs: Sequence[RunResult]) -> str:
    """The table as text."""
    columns = ("us/event", "spread", "next to flow", "events", "events/s", "broker", "clickhouse", "oracle")
    widths = (10, 16, 14, 12, 10, 9, 12, 22)
    out = [" " * 16 + "".join(f"{title:>{width}}" for title, width in zip(columns, widths, strict=True))]
    for line in lines(runs):
        cells = (
            f"{line.us:.2f}",
            f"{line.us_least:.2f}-{line.us_most:.2f}",
            "" if line.next_to_flow is None else f"{line.next_to_flow:.2f} x",
            f"{line.events:,}",
            f"{line.events_per_second:,.0f}",
            f"{line.broker_us:.2f}",
            f"{line.clickhouse_us:.2f}",
            line.verdict,
        )
        label = f"{line.name:8}{line.kind:8}"
        out.append(label + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)))
    out += ["", "us/event: CPU of the contender; broker, clickhouse: their CPU meanwhile, for each event.", ""]
    return "\n".join([*out, *(_describe(finding) for finding in findings(runs) if finding.found is not None)]) + "\n"


def _describe(finding: Finding) -> str:
    found = f"{finding.found:10.2f}"
    bound = "" if finding.bound is None else f"at {'least' if finding.least else 'most'} {finding.bound:g}"
    verdict = {True: "met", False: "NOT MET", None: ""}[finding.met]
    return f"{found} {finding.title:42}{bound:16}{verdict}".rstrip()


def plain(runs: Sequence[RunResult]) -> dict[str, object]:
    """The table as types that JSON has."""
    return {
        "contenders": [asdict(line) for line in lines(runs)],
        "targets": [asdict(finding) for finding in findings(runs)],
        "runs": [run.plain() for run in runs],
    }
