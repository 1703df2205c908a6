"""Moments as people write them, on the store's clock."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def when(at_ms: int, zone: ZoneInfo, now: datetime, *, seconds: bool = False) -> str:
    """``28 Nov, 14:32``, today as well: a page that was open overnight says nothing else then.

    The year is said where it is another one.

    Args:
        at_ms: Epoch milliseconds.
        zone: The store's.
        now: The time.
        seconds: Whether seconds are said.
    """
    wall, today = datetime.fromtimestamp(at_ms / 1_000, UTC).astimezone(zone), now.astimezone(zone)
    clock = f"{wall:%H:%M:%S}" if seconds else f"{wall:%H:%M}"
    year = "" if wall.year == today.year else f" {wall.year}"
    return f"{wall.day} {wall:%b}{year}, {clock}"


def on_whose_clock(timezone: str) -> str:
    """A line under times: which clock they are of."""
    return f"Times are those of the store ({timezone})."


def lasting(milliseconds: int) -> str:
    """``40 ms``, ``1.2 s``, ``3 min``, ``5 h``, ``2 days``."""
    if milliseconds < 1_000:
        return f"{max(0, milliseconds)} ms"
    seconds = milliseconds / 1_000
    if seconds < 60:
        return f"{seconds:.1f} s"
    for unit, size, until in (("min", 60, 3_600), ("h", 3_600, 48 * 3_600)):
        if seconds < until:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"
