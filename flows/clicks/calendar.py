"""Stores by number, and the days of each by its own clock; one for all partitions of a worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from flows.clicks.batch import I32, I64
from flows.clicks.hashing import distinct
from flows.clicks.words import Coded
from marketplace.rollups import QUARTER_MS, local_day
from marketplace.stores import Store

_MAX_DAYS: Final = 20_000


class Calendar:
    """Numbers of stores, which are never given twice, and their days.

    Attributes:
        names: The slug of each number.
        known: The stores as they were seen last.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.known: Mapping[str, Store] = {}
        self._codes: dict[str, int] = {}
        self._days: dict[tuple[str, int], int] = {}

    def code(self, slug: str) -> int:
        """The number of a store."""
        code = self._codes.setdefault(slug, len(self._codes))
        if code == len(self.names):
            self.names.append(slug)
        return code

    def codes(self, slugs: Coded) -> I32:
        """The number of each event's store."""
        used, position = slugs.used()
        return np.array(list(map(self.code, used)), dtype=np.int32)[position]

    def day_of(self, store: int, quarter: int) -> int:
        """The store's own date, in days since 1970, of a UTC quarter since 1970."""
        known = self.known.get(self.names[store])
        # Facts that are read back can be of a store that is gone since; nobody asks for its days any more.
        zone = known.timezone if known is not None else "UTC"
        day = self._days.get((zone, quarter))
        if day is None:
            if len(self._days) > _MAX_DAYS:
                self._days.clear()
            day = int(local_day(quarter * QUARTER_MS, ZoneInfo(zone)).timestamp()) // 86_400
            self._days[zone, quarter] = day
        return day

    def days(self, store: I32, when_ms: I64) -> set[tuple[str, int]]:
        """The days of stores, by slug, in which some moments (epoch ms) fall."""
        quarters = distinct(store * np.int64(1 << 32) + when_ms // QUARTER_MS).tolist()
        return {
            (self.names[code], self.day_of(code, quarter)) for code, quarter in (divmod(q, 1 << 32) for q in quarters)
        }
