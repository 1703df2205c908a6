"""What visitors look at."""

from __future__ import annotations

from dashboards.ui import panels, shell, tables

DIMENSIONS = ("product", "page")


def show() -> None:
    """Draw it."""
    frame = shell.current()
    panels.begin(frame)
    tables.begin(frame, DIMENSIONS)
    panels.trend(frame, panels.key_numbers(frame))
    tables.show_tables(frame, DIMENSIONS)
