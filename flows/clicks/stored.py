"""Sessions as the table holds them, and their way back to codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flows.clicks.batch import I64, U8, U64
from flows.clicks.families import Family
from flows.clicks.sessions import SessionRows


@dataclass(frozen=True)
class StoredSessions:
    """Sessions with texts instead of codes; ``entry`` holds one list per dimension column."""

    visitor: U64
    is_bot: U8
    store: list[str]
    start_ms: I64
    end_ms: I64
    clicks: I64
    entry: dict[str, list[str]]

    def __len__(self) -> int:
        return len(self.visitor)

    def coded(self, families: tuple[Family, ...], store_code: Callable[[str], int]) -> SessionRows:
        """The same sessions with codes.

        Columns of a family that are no dimension (a browser's version) are not kept with a session; they come back
        empty, which no rollup sees.
        """
        blank = [""] * len(self)
        codes = np.empty((len(self), len(families)), dtype=np.int32)
        for at, family in enumerate(families):
            columns = [self.entry.get(name, blank) for name in family.columns]
            codes[:, at] = [family.intern(row) for row in zip(*columns, strict=True)]
        store = np.array([store_code(slug) for slug in self.store], dtype=np.int32)
        return SessionRows(self.visitor, self.is_bot, store, self.start_ms, self.end_ms, self.clicks, codes)
