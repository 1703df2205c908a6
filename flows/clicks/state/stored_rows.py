"""Sessions and facts as the tables hold them, and their way back to codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import compress
from typing import Final

import numpy as np

from flows.arrays.types import I32, I64, U8, U64, Bools
from flows.clicks.encoding.enrichment_encoder import EnrichmentEncoder
from flows.clicks.model.encoded_column import TextCodes
from flows.clicks.model.facts import Facts, outcome_code
from flows.clicks.model.sessions import SessionRows
from marketplace.enrichments import ENRICHMENTS

FAMILY_COLUMNS: Final = (*(name for enrichment in ENRICHMENTS for name in enrichment.columns), "page", "product")
"""Fact columns that encoders fill."""

_SESSION_BYTES: Final = 100
"""What a session takes in memory, about."""


def _page_encoder(encoders: tuple[EnrichmentEncoder, ...]) -> EnrichmentEncoder:
    return next(encoder for encoder in encoders if encoder.name == "page")


def _codes(texts: Mapping[str, list[str]], count: int, encoders: tuple[EnrichmentEncoder, ...]) -> I32:
    # A column that was not kept comes back empty.
    blank = [""] * count
    codes = np.empty((count, len(encoders)), dtype=np.int32)
    for at, encoder in enumerate(encoders):
        columns = [texts.get(name, blank) for name in encoder.columns]
        codes[:, at] = [encoder.intern(row) for row in zip(*columns, strict=True)]
    return codes


@dataclass(frozen=True)
class StoredSessions:
    """Sessions with texts instead of codes; ``entry`` holds one list per column of the first event that is kept."""

    visitor: U64
    is_bot: U8
    store: list[str]
    start_ms: I64
    end_ms: I64
    views: I64
    actions: I64
    entry: dict[str, list[str]]
    exit_page: list[str]

    def __len__(self) -> int:
        return len(self.visitor)

    @property
    def nbytes(self) -> int:
        """Bytes that they take in memory, about."""
        return _SESSION_BYTES * len(self)

    def take(self, mask: Bools) -> StoredSessions:
        """The sessions at which ``mask`` holds."""
        chosen = mask.tolist()
        return StoredSessions(
            self.visitor[mask],
            self.is_bot[mask],
            list(compress(self.store, chosen)),
            self.start_ms[mask],
            self.end_ms[mask],
            self.views[mask],
            self.actions[mask],
            {name: list(compress(texts, chosen)) for name, texts in self.entry.items()},
            list(compress(self.exit_page, chosen)),
        )

    def coded(self, encoders: tuple[EnrichmentEncoder, ...], store_code: Callable[[str], int]) -> SessionRows:
        """The same sessions with codes.

        Columns of an encoder that are no dimension (a browser's version) are not kept with a session; they come back
        empty, which no rollup sees.
        """
        codes = _codes(self.entry, len(self), encoders)
        store = np.array([store_code(slug) for slug in self.store], dtype=np.int32)
        page = _page_encoder(encoders)
        ends = np.array([page.intern((text,)) for text in self.exit_page], dtype=np.int32)
        return SessionRows(
            self.visitor, self.is_bot, store, self.start_ms, self.end_ms, self.views, self.actions, codes, ends
        )


@dataclass(frozen=True)
class StoredFacts:
    """Facts with texts instead of codes, by ascending offset.

    Attributes:
        offset: Kafka offsets.
        key, dedupe_hour, visitor, pair, received_ms, occurred_ms, is_bot, is_view: As in ``Facts``.
        store, origin, outcome, time_note: One text per fact.
        columns: One list of texts per column that an encoder fills.
    """

    offset: I64
    key: U64
    dedupe_hour: I64
    visitor: U64
    pair: U64
    received_ms: I64
    occurred_ms: I64
    is_bot: U8
    is_view: Bools
    store: list[str]
    origin: list[str]
    outcome: list[str]
    time_note: list[str]
    columns: dict[str, list[str]]

    def __len__(self) -> int:
        return len(self.offset)

    def coded(self, encoders: tuple[EnrichmentEncoder, ...]) -> Facts:
        """The same facts with codes."""
        return Facts(
            stores=TextCodes().column(self.store),
            imported=np.array([origin == "import" for origin in self.origin], dtype=np.bool_),
            key=self.key,
            dedupe_hour=self.dedupe_hour,
            visitor=self.visitor,
            pair=self.pair,
            received_ms=self.received_ms,
            occurred_ms=self.occurred_ms,
            outcome=np.array(list(map(outcome_code, self.outcome)), dtype=np.uint8),
            is_bot=self.is_bot,
            is_view=self.is_view,
            codes=_codes(self.columns, len(self), encoders),
        )
