"""Rollup deltas: what a batch adds to each bucket of each dimension.

The only state of a rollup is in ClickHouse, where sums add up and visitor sets merge. Whatever the batch boundaries,
the sum over all deltas is the same; that is the law which ``tests/property`` holds every dimension to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from flows.clicks.batch import I32, I64, U8, U64, Bools
from flows.clicks.families import Family
from flows.clicks.hashing import distinct
from marketplace.rollups import DIMENSIONS, QUARTER_MS, SPARSE, Dimension

_BUCKETS: Final = np.int64(1 << 32)
_SECONDS: Final = np.int64(1 << 36)
"""Factors that pack a store and a bucket into one integer: larger than any quarter, or second, until the year 4000."""

MEASURES: Final = ("clicks", "refires", "sessions", "bounces", "duration_ms")


@dataclass(frozen=True)
class Contributions:
    """What events and session changes contribute; the first ``len(visitor)`` rows are events.

    Attributes:
        store: Store codes.
        when_ms: The time that names the bucket: of the event, or of the session's start.
        is_bot: 0 or 1.
        codes: Family codes, one column per family.
        measures: One column per measure of ``MEASURES``.
        visitor: Visitor ids of the event rows.
    """

    store: I32
    when_ms: I64
    is_bot: U8
    codes: I32
    measures: I64
    visitor: U64


@dataclass(frozen=True)
class Deltas:
    """Rollup rows as columns; ``visitors_upto[i]`` is where row i's visitor ids end."""

    store: I64
    grain: list[str]
    dimension: list[str]
    bucket_seconds: I64
    value: list[str]
    is_bot: I64
    measures: I64
    visitor_ids: U64
    visitors_upto: I64

    def __len__(self) -> int:
        return len(self.store)


def rollup(rows: Contributions, families: tuple[Family, ...], day_of: Callable[[int, int], int]) -> Deltas:
    """Group contributions by every registered dimension and both stored grains.

    Args:
        rows: The contributions.
        families: The families whose codes the rows hold.
        day_of: From a store code and a UTC quarter (number since 1970) to the store's own date (days since 1970).
    """
    quarter = rows.when_ms // QUARTER_MS
    pairs, inverse = np.unique(rows.store * _BUCKETS + quarter, return_inverse=True)
    days = np.array([day_of(*divmod(pair, _BUCKETS)) for pair in pairs.tolist()], dtype=np.int64)[inverse]
    buckets = {"quarter": quarter * (QUARTER_MS // 1000), "day": days * 86_400}
    visitors, visitor_code = np.unique(rows.visitor, return_inverse=True)
    parts = []
    splits = [_values(dimension, rows.codes, families) for dimension in DIMENSIONS]
    for grain, bucket in buckets.items():
        packed, base = np.unique((rows.store * 2 + rows.is_bot) * _SECONDS + bucket, return_inverse=True)
        owner, seconds = np.divmod(packed, _SECONDS)
        bases = np.stack((owner // 2, seconds, owner % 2))
        for dimension, (values, code, keep) in zip(DIMENSIONS, splits, strict=True):
            key = base * len(values) + code
            parts.append(_group(grain, dimension.name, key, keep, values, bases, rows.measures, visitors, visitor_code))
    return _concat(parts)


def _values(dimension: Dimension, codes: I32, families: tuple[Family, ...]) -> tuple[list[str], I64, Bools | None]:
    """Distinct values of a dimension in this batch, each row's code among them, and which rows take part."""
    if dimension.column is None:
        return [""], np.zeros(len(codes), dtype=np.int64), None
    at, family = next((i, f) for i, f in enumerate(families) if dimension.column in f.columns)
    position = family.columns.index(dimension.column)
    used, inverse = np.unique(codes[:, at], return_inverse=True)
    texts = [family.rows[code][position] for code in used.tolist()]
    index: dict[str, int] = {}
    local = np.array([index.setdefault(text, len(index)) for text in texts], dtype=np.int64)
    code = local[inverse.reshape(-1)] if len(local) else np.zeros(0, dtype=np.int64)
    keep = code != index[""] if dimension.name in SPARSE and "" in index else None
    return list(index), code, keep


_Part = tuple[str, str, list[str], I64, I64, U64, I64]


def _group(
    grain: str,
    dimension: str,
    key: I64,
    keep: Bools | None,
    values: list[str],
    bases: npt.NDArray[np.int64],
    measures: I64,
    visitors: U64,
    visitor_code: I64,
) -> _Part:
    events = len(visitor_code)
    if keep is not None:
        key, measures, visitor_code = key[keep], measures[keep], visitor_code[keep[:events]]
        events = len(visitor_code)
    groups, inverse = np.unique(key, return_inverse=True)
    sums = np.stack([np.bincount(inverse, column, len(groups)) for column in measures.T], axis=1).astype(np.int64)
    ids = distinct(inverse[:events] * max(len(visitors), 1) + visitor_code)
    id_group, id_code = np.divmod(ids, max(len(visitors), 1))
    counts = np.bincount(id_group, minlength=len(groups))
    # A session that grew without changing its bucket retracts and adds the same: nothing is left to say.
    says = sums.any(axis=1) | (counts > 0)
    texts = [values[code] for code in (groups[says] % len(values)).tolist()]
    return grain, dimension, texts, bases[:, groups[says] // len(values)], sums[says], visitors[id_code], counts[says]


def _concat(parts: list[_Part]) -> Deltas:
    bases = np.concatenate([part[3] for part in parts], axis=1)
    return Deltas(
        store=bases[0],
        grain=[part[0] for part in parts for _ in part[2]],
        dimension=[part[1] for part in parts for _ in part[2]],
        bucket_seconds=bases[1],
        value=[text for part in parts for text in part[2]],
        is_bot=bases[2],
        measures=np.concatenate([part[4] for part in parts]),
        visitor_ids=np.concatenate([part[5] for part in parts]),
        visitors_upto=np.cumsum(np.concatenate([part[6] for part in parts])),
    )
