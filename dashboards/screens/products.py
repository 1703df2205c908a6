"""The page of products, shop pages, where visits begin and end, and what is done."""

from __future__ import annotations

from dashboards.ui import panels, shell, tables

DIMENSIONS = ("product", "page", "entry_page", "exit_page", "target", "event")


def show() -> None:
    """Draw the page."""
    frame = shell.current_frame()
    panels.prefetch(frame)
    tables.prefetch(frame, DIMENSIONS)
    panels.trend(frame, panels.key_numbers(frame))
    tables.show_tables(frame, DIMENSIONS)
