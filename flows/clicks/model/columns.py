"""Readable events of a batch, as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain, compress

import numpy as np

from flows.arrays.types import F32, I64, U64, Bools
from flows.clicks.model.encoded_column import EncodedColumn


@dataclass(frozen=True)
class Columns:
    """Readable events of a batch, one array element or list item per event, in arrival order.

    Attributes:
        event_ids: The clients' ids.
        rows: Positions in the raw batch.
        offsets: Kafka offsets.
        key, visitor: 64-bit hashes.
        received_ms, occurred_ms: Epoch milliseconds; ``occurred_ms`` is -1 where the client gave none.
        sent_ms: Epoch milliseconds, -1 where the client gave none.
        sampling: The fraction of events that the client sends.
        automated, opted_out: What the client declares.
        imported: Which come from an access log.
        is_view: Which are page views.
        texts: The fields that events have in common, by name.
    """

    event_ids: list[str]
    rows: I64
    offsets: I64
    key: U64
    visitor: U64
    received_ms: I64
    occurred_ms: I64
    sent_ms: I64
    sampling: F32
    automated: Bools
    opted_out: Bools
    imported: Bools
    is_view: Bools
    texts: Mapping[str, EncodedColumn]

    def take(self, mask: Bools) -> Columns:
        """The events at which ``mask`` holds."""
        if mask.all():
            return self
        arrays = {name: getattr(self, name)[mask] for name in _array_names()}
        texts = {name: column.take(mask) for name, column in self.texts.items()}
        return Columns(event_ids=list(compress(self.event_ids, mask.tolist())), texts=texts, **arrays)

    @staticmethod
    def concat(parts: Sequence[Columns]) -> Columns:
        """Events of all parts, in order; ``rows`` are positions within each part's own batch."""
        if len(parts) == 1:
            return parts[0]
        return Columns(
            event_ids=list(chain.from_iterable(part.event_ids for part in parts)),
            texts={name: EncodedColumn.concat([part.texts[name] for part in parts]) for name in parts[0].texts},
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _array_names()},
        )

    def __len__(self) -> int:
        return len(self.event_ids)


def _array_names() -> list[str]:
    return [f.name for f in fields(Columns) if f.name not in ("event_ids", "texts")]
