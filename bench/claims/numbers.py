"""Percentiles, medians, spread, and the small table that every claim ends with."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One line of a claim's table.

    Attributes:
        what: What was measured.
        value: The result as it is read, with its unit.
        target: What was claimed; empty where the line is only told.
        met: Whether the result keeps it; None where nothing was claimed.
        note: Spread, conditions.
    """

    what: str
    value: str
    target: str = ""
    met: bool | None = None
    note: str = ""


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of the sample did not exceed; NaN without a sample."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def middle(values: Sequence[float]) -> float:
    """The median; NaN without values."""
    return statistics.median(values) if values else float("nan")


def spread(values: Sequence[float], digits: int = 1) -> str:
    """The smallest and the largest value."""
    return f"{min(values):,.{digits}f}-{max(values):,.{digits}f}" if values else ""


def say(text: str) -> None:
    """How far it is, on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def report(rows: Sequence[Row], details: dict[str, Any], file: Path | None) -> int:
    """Print the table; write it, with everything that was measured, where it was asked for.

    Returns:
        0: a claim that is not met is a result and no failure.
    """
    verdicts = {None: "", True: "met", False: "NOT MET"}
    lines = [("", "measured", "target", "", ""), *((r.what, r.value, r.target, verdicts[r.met], r.note) for r in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(4)]
    for line in lines:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:4], widths[1:], strict=True)),
        ]
        sys.stdout.write("  ".join([*cells, line[4]]).rstrip() + "\n")
    if file is not None:
        file.write_text(json.dumps({"table": [asdict(row) for row in rows], "details": details}, indent=1) + "\n")
    return 0
