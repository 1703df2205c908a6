"""Rollup deltas: what batches that are written together add to each bucket of each dimension.

The only state of a rollup is in ClickHouse, where sums add up and visitor sets merge. Whatever the batch boundaries,
the sum over all deltas is the same; that is the law which ``tests/property`` holds every dimension to.

A delta stands for all batches together. Only those of the dimension ``all``, which are few, are made for each
batch by itself: they carry every partition's fence (ADR 14).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from flows.arrays.hashing import dense_rank, distinct
from flows.arrays.types import I32, I64, U8, U64, Bools
from flows.clicks.encoding.enrichment_encoder import EncodedAnswers
from flows.clicks.model.encoded_column import EncodedColumn
from marketplace.rollups import DIMENSIONS, QUARTER_MS, SPARSE

MEASURES: Final = ("clicks", "refires", "sessions", "bounces", "duration_ms")
_OF_EVENTS: Final = 2
"""Measures that events add to; changes of sessions add to the others."""

_STORED_GRAINS: Final = ("quarter", "day")
_GRAIN_SECONDS: Final = (QUARTER_MS // 1000, 86_400)


@dataclass(frozen=True)
class Contributions:
    """What events, and after them changes of sessions, contribute.

    Attributes:
        source: The batch that each comes from, by its position.
        store: Store codes.
        when_ms: The time that names the bucket: of the event, or of the session's start.
        is_bot: 0 or 1.
        codes: Codes, one column per enrichment.
        visitor: Visitor ids of the events.
        refire: Which events repeat a click instead of being one.
        changes: What each change adds to sessions, bounces and duration (ms), a row each.
    """

    source: I64
    store: I32
    when_ms: I64
    is_bot: U8
    codes: I32
    visitor: U64
    refire: Bools
    changes: I64


@dataclass(frozen=True)
class Deltas:
    """Rollup rows as columns; ``visitors_upto[i]`` is where row i's visitor ids end.

    ``source`` is the batch that a row stands under: its own in the dimension ``all``, and the first one in others.
    """

    source: I64
    store: I64
    grain: EncodedColumn
    dimension: EncodedColumn
    bucket_seconds: I64
    value: EncodedColumn
    is_bot: I64
    measures: I64
    visitor_ids: U64
    visitors_upto: I64

    def __len__(self) -> int:
        return len(self.store)


@dataclass(frozen=True)
class _Bases:
    """Distinct buckets of one grain: an owner and a time each, in quarters or days since 1970."""

    owner: I64
    time: I64


@dataclass(frozen=True)
class _Grid:
    """The buckets that rows fall into.

    Attributes:
        stores: Owners are packed of a source, a store below this, and 0 or 1 for bots.
        grains: Distinct quarters, and days.
        of_row: Each row's quarter, as a position among them.
        of_quarter: Each quarter's day, likewise.
    """

    stores: int
    grains: tuple[_Bases, _Bases]
    of_row: I64
    of_quarter: I64

    def owned(self, owner: I64) -> tuple[I64, I64, I64]:
        """Source, store and whether of bots."""
        return owner // (2 * self.stores), owner // 2 % self.stores, owner % 2


@dataclass(frozen=True)
class _Groups:
    """Rows of one grain and dimension: the bucket and value of each, its sums, and pairs of a row and a visitor."""

    base: I64
    value: I64
    sums: npt.NDArray[np.float64]
    pair_group: I64
    pair_visitor: I64


@dataclass(frozen=True)
class _Split:
    """How one dimension splits the rows: values, each row's value, and which rows take part (None: all)."""

    dimension: int
    values: list[str]
    code: I64
    keep: Bools | None


def rollup(rows: Contributions, encoders: Sequence[EncodedAnswers], day_of: Callable[[int, int], int]) -> Deltas:
    """Group contributions by every registered dimension and both stored grains.

    Days are made from quarters, of which there are far fewer than events.

    Args:
        rows: The contributions.
        encoders: What the rows' codes stand for.
        day_of: From a store code and a UTC quarter (number since 1970) to the store's own date (days since 1970).
    """
    together = _grid(rows, np.zeros_like(rows.source), day_of)
    apart = _grid(rows, rows.source, day_of) if rows.source.any() else together
    visitors, visitor = np.unique(rows.visitor, return_inverse=True)
    parts = []
    for split in _splits(rows.codes, encoders):
        grid = apart if DIMENSIONS[split.dimension].column is None else together
        quarters = _group(rows, grid.of_row, split, visitor, len(visitors))
        days = _regroup(quarters, grid.of_quarter, len(split.values), len(visitors))
        parts += [_Part(grain, split, grid, groups) for grain, groups in enumerate((quarters, days))]
    return _concat(parts, visitors)


def _grid(rows: Contributions, source: I64, day_of: Callable[[int, int], int]) -> _Grid:
    stores = int(rows.store.max(initial=0)) + 1
    owner = (source * stores + rows.store) * 2 + rows.is_bot
    quarters, of_row = _bases(owner, rows.when_ms // QUARTER_MS)
    store = quarters.owner // 2 % stores
    days = [day_of(store, at) for store, at in zip(store.tolist(), quarters.time.tolist(), strict=True)]
    by_day, of_quarter = _bases(quarters.owner, np.array(days, dtype=np.int64))
    return _Grid(stores, (quarters, by_day), of_row, of_quarter)


def _bases(owner: I64, time: I64) -> tuple[_Bases, I64]:
    """Distinct buckets, and the position of each row's among them."""
    first = int(time.min()) if len(time) else 0
    span = int(time.max(initial=first)) - first + 1
    packed, position = dense_rank(owner * span + (time - first), (int(owner.max(initial=0)) + 1) * span)
    return _Bases(packed // span, packed % span + first), position


def _splits(codes: I32, encoders: Sequence[EncodedAnswers]) -> list[_Split]:
    """How each registered dimension splits the rows."""
    used = [dense_rank(codes[:, at], len(encoder.rows)) for at, encoder in enumerate(encoders)]
    home = {column: (at, place) for at, f in enumerate(encoders) for place, column in enumerate(f.columns)}
    splits = []
    for position, dimension in enumerate(DIMENSIONS):
        if dimension.column is None:
            splits.append(_Split(position, [""], np.zeros(len(codes), dtype=np.int64), None))
            continue
        at, place = home[dimension.column]
        answers, row = used[at]
        # Different answers can agree in one column: a browser in two versions.
        index: dict[str, int] = {}
        texts = [encoders[at].rows[answer][place] for answer in answers.tolist()]
        local = np.array([index.setdefault(text, len(index)) for text in texts], dtype=np.int64)
        code = local[row]
        keep = code != index[""] if dimension.name in SPARSE and "" in index else None
        splits.append(_Split(position, list(index), code, keep))
    return splits


def _group(rows: Contributions, base: I64, split: _Split, visitor: I64, visitors: int) -> _Groups:
    """Add up what falls into each bucket and value."""
    events, values = len(rows.visitor), max(len(split.values), 1)
    key, refire, changes = base * values + split.code, rows.refire, rows.changes
    if split.keep is not None:
        of_events, of_changes = split.keep[:events], split.keep[events:]
        key, refire, changes, visitor = key[split.keep], refire[of_events], changes[of_changes], visitor[of_events]
        events = len(visitor)
    groups, at = dense_rank(key, (int(base.max(initial=0)) + 1) * values)
    sums = np.zeros((len(groups), len(MEASURES)))
    sums[:, 1] = np.bincount(at[:events][refire], minlength=len(groups))
    sums[:, 0] = np.bincount(at[:events], minlength=len(groups)) - sums[:, 1]
    for measure, column in enumerate(changes.T, _OF_EVENTS):
        sums[:, measure] = np.bincount(at[events:], column, len(groups))
    pairs = distinct(at[:events] * max(visitors, 1) + visitor)
    return _Groups(groups // values, groups % values, sums, *np.divmod(pairs, max(visitors, 1)))


def _regroup(groups: _Groups, day_base: I64, values: int, visitors: int) -> _Groups:
    """The same by day."""
    values = max(values, 1)
    key = day_base[groups.base] * values + groups.value
    found, at = dense_rank(key, (int(day_base.max(initial=0)) + 1) * values)
    sums = np.stack([np.bincount(at, column, len(found)) for column in groups.sums.T], axis=1).astype(np.float64)
    pairs = distinct(at[groups.pair_group] * max(visitors, 1) + groups.pair_visitor)
    return _Groups(found // values, found % values, sums, *np.divmod(pairs, max(visitors, 1)))


@dataclass(frozen=True)
class _Part:
    """Rows of one grain and dimension."""

    grain: int
    split: _Split
    grid: _Grid
    groups: _Groups


def _concat(parts: list[_Part], visitors: U64) -> Deltas:
    texts: list[str] = []
    bases, rows, counts, value, ids = [], [], [], [], []
    for part in parts:
        groups = part.groups
        count = np.bincount(groups.pair_group, minlength=len(groups.base))
        # A session that grew without changing its bucket retracts and adds the same: nothing is left to say.
        says = groups.sums.any(axis=1)
        base = groups.base[says]
        buckets = part.grid.grains[part.grain]
        bases.append((*part.grid.owned(buckets.owner[base]), buckets.time[base] * _GRAIN_SECONDS[part.grain]))
        rows.append(groups.sums[says])
        counts.append(count[says])
        value.append(groups.value[says] + len(texts))
        texts += part.split.values if part.grain else []
        ids.append(visitors[groups.pair_visitor])
    sizes = [len(count) for count in counts]
    source, store, is_bot, seconds = map(np.concatenate, zip(*bases, strict=True))
    return Deltas(
        source=source,
        store=store,
        grain=EncodedColumn(np.repeat([part.grain for part in parts], sizes).astype(np.int32), _STORED_GRAINS),
        dimension=EncodedColumn(
            np.repeat([part.split.dimension for part in parts], sizes).astype(np.int32), [d.name for d in DIMENSIONS]
        ),
        bucket_seconds=seconds,
        value=EncodedColumn(np.concatenate(value).astype(np.int32), texts),
        is_bot=is_bot,
        # Sums are whole numbers far below 2**53.
        measures=np.concatenate(rows).astype(np.int64),
        visitor_ids=np.concatenate(ids),
        visitors_upto=np.cumsum(np.concatenate(counts)),
    )
