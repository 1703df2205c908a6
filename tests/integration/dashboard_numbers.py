"""Prints what the dashboard's backend answers, as one JSON document: run as a process, as the dashboard is one."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from connectors.insights import Row, Scope
from dashboards.data import backend, current
from marketplace.rollups import DIMENSIONS, GRAINS

MARCH, APRIL = datetime(2025, 3, 1), datetime(2025, 4, 1)  # noqa: DTZ001  # by the store's own clock

OF_SENDERS = tuple((name, "sessions") for name in ("source", "medium", "campaign", "channel", "referrer"))
"""What attribution can change, and how the page of sources orders it."""


def plain(row: Row) -> list[Any]:
    """A row as JSON has it."""
    return [None if row.bucket is None else str(row.bucket), row.value, asdict(row.numbers)]


def main() -> None:
    """For every store: its totals and its trend by every grain, and every dimension by value."""
    # Outside of its server, Streamlit says on each call that nothing is cached.
    logging.disable(logging.WARNING)
    found = {}
    viewer = current.viewers().now("", local=True)
    # Outside of a page nobody has opened it.
    vars(current)["viewer"] = lambda: viewer
    for store in viewer.stores.values():
        for bots in ("exclude", "include", "only"):
            scope = Scope(store.slug, ZoneInfo(store.timezone), bots=bots)
            names = tuple(d.name for d in DIMENSIONS if d.column is not None)
            broken_down = backend.breakdowns(scope, tuple((name, "visitors") for name in names), 10_000)
            found[f"{store.slug} {bots}"] = {
                "totals": {grain: asdict(backend.trend_with_totals(scope, grain).totals) for grain in GRAINS},
                "trend": {
                    grain: [plain(row) for row in backend.trend_with_totals(scope, grain).rows] for grain in GRAINS
                },
                "compared": {
                    name: {value: asdict(numbers) for value, numbers in rows.items()}
                    for name, rows in backend.numbers_of(
                        replace(scope, since=MARCH, until=APRIL),
                        tuple((name, tuple(row.value for row in broken_down[name].rows)) for name in names),
                    ).items()
                },
                "breakdowns": {name: [plain(row) for row in broken_down[name].rows] for name in names},
                "attributed": {
                    name: [plain(row) for row in found_for.rows]
                    for name, found_for in backend.breakdowns(
                        replace(scope, attribution="last_non_direct"), OF_SENDERS, 10_000
                    ).items()
                },
            }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
