"""Zones as people call them: a mail says "14:05 (Berlin time)", and not "Europe/Berlin"."""

from __future__ import annotations

import re
from typing import Final

_AREAS: Final = frozenset(
    {
        "Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific",
    }
)  # fmt: skip
"""Parts of the world: what follows one is a place that people know without it. ``US/Eastern`` is none of them."""

_UNIVERSAL: Final = frozenset({"UTC", "UCT", "GMT", "GMT0", "GMT+0", "GMT-0", "Greenwich", "Universal", "Zulu"})
_SHIFTED: Final = re.compile(r"GMT([+-])(\d{1,2})")


def zone_words(zone: str) -> str:
    """A zone of IANA's database in words, such as ``Berlin time`` or ``New York time``.

    Args:
        zone: Its key, such as ``Europe/Berlin``.
    """
    area, _, rest = zone.rpartition("/") if zone.startswith("Etc/") else ("", "", zone)
    if rest in _UNIVERSAL:
        return "UTC"
    shifted = _SHIFTED.fullmatch(rest)
    if area and shifted:
        # POSIX counts to the west: Etc/GMT+5 is five hours behind UTC.
        return f"UTC{'-' if shifted[1] == '+' else '+'}{shifted[2]}"
    *before, place = zone.replace("_", " ").split("/")
    if before and before[0] in _AREAS:
        before = before[1:]
        return f"{', '.join((place, *before))} time"
    return f"{' '.join((*before, place))} time"
