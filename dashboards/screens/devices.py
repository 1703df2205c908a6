"""The page of devices, browsers and systems."""

from __future__ import annotations

from dashboards.ui import panels, shell, tables

DIMENSIONS = ("device", "browser", "os")


def show() -> None:
    """Draw the page."""
    frame = shell.current_frame()
    panels.prefetch(frame)
    tables.prefetch(frame, DIMENSIONS)
    panels.trend(frame, panels.key_numbers(frame))
    tables.show_tables(frame, DIMENSIONS)
