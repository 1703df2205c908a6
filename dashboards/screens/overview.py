"""The page Overview: key numbers, the trend, and the largest values of each dimension."""

from __future__ import annotations

from dashboards.ui import panels, shell

GROUPS = (
    ("Where they come from", ("channel", "source", "campaign"), "sessions"),
    ("What they look at", ("product", "page"), "visitors"),
    ("Where they are", ("country", "city"), "visitors"),
    ("What they use", ("device", "browser", "os"), "visitors"),
)


def show() -> None:
    """Draw the page."""
    frame = shell.current_frame()
    panels.prefetch(frame, GROUPS)
    totals = panels.key_numbers(frame)
    panels.freshness(frame, f"Dotted lines are still growing. {panels.comparison(frame)}")
    panels.trend(frame, totals)
    panels.top_lists(frame, GROUPS)
