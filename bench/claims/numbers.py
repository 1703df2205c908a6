"""Percentiles, medians, spread, and the table that every claim prints."""

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
        value: The result as text, with its unit.
        target: The claim; empty for a result without one.
        met: Whether the result meets the target; None without one.
        note: Spread and conditions.
    """

    what: str
    value: str
    target: str = ""
    met: bool | None = None
    note: str = ""


def quantile(values: Sequence[float], share: float) -> float:
    """The quantile of a share from 0 to 1; NaN without a sample."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """The median; NaN without values."""
    return statistics.median(values) if values else float("nan")


def spread(values: Sequence[float], digits: int = 1) -> str:
    """The smallest and the largest value, as text."""
    return f"{min(values):,.{digits}f}-{max(values):,.{digits}f}" if values else ""


def say(text: str) -> None:
    """Print progress on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def report(rows: Sequence[Row], details: dict[str, Any], file: Path | None) -> int:
    """Print the table, and write it with all measurements to a file if there is one.

    Returns:
        0: a claim that is not met is a result, not a failure.
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
