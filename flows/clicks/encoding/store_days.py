"""Stores by number, and the days of each by its own clock; one for all partitions of a worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from flows.arrays.hashing import distinct
from flows.arrays.types import I32, I64
from flows.clicks.model.encoded_column import EncodedColumn
from marketplace.rollups import QUARTER_MS, local_day
from marketplace.stores import Store

_MAX_DAYS: Final = 20_000


class Calendar:
    """Numbers of stores, which are never given twice, and their days.

    Attributes:
        names: The slug of each number.
        zones: The time zone of each; another list once one of them has changed.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.zones: list[str] = []
        self._known: Mapping[str, Store] = {}
        self._codes: dict[str, int] = {}
        self._days: dict[tuple[str, int], int] = {}

    def code(self, slug: str) -> int:
        """The number of a store."""
        code = self._codes.setdefault(slug, len(self._codes))
        if code == len(self.names):
            self.names.append(slug)
            self.zones.append(self._zone(slug))
        return code

    def codes(self, slugs: EncodedColumn) -> I32:
        """The number of each event's store."""
        used, position = slugs.used()
        return np.array(list(map(self.code, used)), dtype=np.int32)[position]

    def learn(self, known: Mapping[str, Store]) -> bool:
        """Take the stores as they are now; returns whether a zone has changed."""
        if known is self._known:
            return False
        self._known = known
        zones = list(map(self._zone, self.names))
        if zones == self.zones:
            return False
        self.zones = zones
        return True

    def _zone(self, slug: str) -> str:
        store = self._known.get(slug)
        # Facts that are read back can be of a store that was deleted since; its days are not queried any more.
        return store.timezone if store is not None else "UTC"

    def day(self, zone: str, quarter: int) -> int:
        """The date in a zone, in days since 1970, of a UTC quarter since 1970."""
        day = self._days.get((zone, quarter))
        if day is None:
            if len(self._days) > _MAX_DAYS:
                self._days.clear()
            day = int(local_day(quarter * QUARTER_MS, ZoneInfo(zone)).timestamp()) // 86_400
            self._days[zone, quarter] = day
        return day

    def days(self, store: I32, when_ms: I64) -> set[tuple[str, int]]:
        """The days of stores, by slug, in which some moments (epoch ms) fall."""
        packed = distinct(store * np.int64(1 << 32) + when_ms // QUARTER_MS).tolist()
        found = (divmod(both, 1 << 32) for both in packed)
        return {(self.names[code], self.day(self.zones[code], quarter)) for code, quarter in found}
