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
from flows.clicks.hashing import distinct, number
from flows.clicks.words import Coded
from marketplace.rollups import DIMENSIONS, QUARTER_MS, SPARSE

MEASURES: Final = ("clicks", "refires", "sessions", "bounces", "duration_ms")
_OF_EVENTS: Final = 2
"""Measures that events add to; changes of sessions add to the others."""

_STORED_GRAINS: Final = ("quarter", "day")
_DAY_SECONDS: Final = 86_400


@dataclass(frozen=True)
class Contributions:
    """What events, and after them changes of sessions, contribute.

    Attributes:
        store: Store codes.
        when_ms: The time that names the bucket: of the event, or of the session's start.
        is_bot: 0 or 1.
        codes: Family codes, one column per family.
        visitor: Visitor ids of the events.
        refire: Which events repeat a click instead of being one.
        changes: What each change adds to sessions, bounces and duration (ms), a row each.
    """

    store: I32
    when_ms: I64
    is_bot: U8
    codes: I32
    visitor: U64
    refire: Bools
    changes: I64


@dataclass(frozen=True)
class Deltas:
    """Rollup rows as columns; ``visitors_upto[i]`` is where row i's visitor ids end."""

    store: I64
    grain: Coded
    dimension: Coded
    bucket_seconds: I64
    value: Coded
    is_bot: I64
    measures: I64
    visitor_ids: U64
    visitors_upto: I64

    def __len__(self) -> int:
        return len(self.store)


@dataclass(frozen=True)
class _Bases:
    """Distinct buckets of one grain: whose, when, and of whom."""

    store: I64
    is_bot: I64
    seconds: I64


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


def rollup(rows: Contributions, families: tuple[Family, ...], day_of: Callable[[int, int], int]) -> Deltas:
    """Group contributions by every registered dimension and both stored grains.

    Days are made from quarters, of which there are far fewer than events.

    Args:
        rows: The contributions.
        families: The families whose codes the rows hold.
        day_of: From a store code and a UTC quarter (number since 1970) to the store's own date (days since 1970).
    """
    quarters, base = _quarters(rows)
    days, day_base = _days(quarters, day_of)
    visitors, visitor = np.unique(rows.visitor, return_inverse=True)
    parts = []
    for split in _splits(rows.codes, families):
        groups = _group(rows, base, split, visitor.reshape(-1), len(visitors))
        parts.append(_Part(0, split, quarters, groups))
        parts.append(_Part(1, split, days, _regroup(groups, day_base, len(split.values), len(visitors))))
    return _concat(parts, visitors)


def _quarters(rows: Contributions) -> tuple[_Bases, I64]:
    """Distinct quarters, and the position of each row's among them."""
    if not len(rows.store):
        none = np.empty(0, dtype=np.int64)
        return _Bases(none, none, none), none
    quarter = rows.when_ms // QUARTER_MS
    first, owner = int(quarter.min()), rows.store.astype(np.int64) * 2 + rows.is_bot
    span = int(quarter.max()) - first + 1
    packed, base = number(owner * span + (quarter - first), (int(owner.max()) + 1) * span)
    owners, seconds = packed // span, (packed % span + first) * (QUARTER_MS // 1000)
    return _Bases(owners // 2, owners % 2, seconds), base


def _days(quarters: _Bases, day_of: Callable[[int, int], int]) -> tuple[_Bases, I64]:
    """Distinct days of stores, and the position of each quarter's among them."""
    quarter = quarters.seconds // (QUARTER_MS // 1000)
    days = [day_of(store, at) for store, at in zip(quarters.store.tolist(), quarter.tolist(), strict=True)]
    labels = np.stack((quarters.store, quarters.is_bot, np.array(days, dtype=np.int64)))
    found, position = np.unique(labels, axis=1, return_inverse=True)
    return _Bases(found[0], found[1], found[2] * _DAY_SECONDS), position.reshape(-1)


def _splits(codes: I32, families: tuple[Family, ...]) -> list[_Split]:
    """How each registered dimension splits the rows."""
    used = [number(codes[:, at], len(family.rows)) for at, family in enumerate(families)]
    home = {column: (at, place) for at, f in enumerate(families) for place, column in enumerate(f.columns)}
    splits = []
    for position, dimension in enumerate(DIMENSIONS):
        if dimension.column is None:
            splits.append(_Split(position, [""], np.zeros(len(codes), dtype=np.int64), None))
            continue
        at, place = home[dimension.column]
        answers, row = used[at]
        # Different answers can agree in one column: a browser in two versions.
        index: dict[str, int] = {}
        texts = [families[at].rows[answer][place] for answer in answers.tolist()]
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
    groups, at = number(key, (int(base.max(initial=0)) + 1) * values)
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
    found, at = number(key, (int(day_base.max(initial=0)) + 1) * values)
    sums = np.stack([np.bincount(at, column, len(found)) for column in groups.sums.T], axis=1).astype(np.float64)
    pairs = distinct(at[groups.pair_group] * max(visitors, 1) + groups.pair_visitor)
    return _Groups(found // values, found % values, sums, *np.divmod(pairs, max(visitors, 1)))


@dataclass(frozen=True)
class _Part:
    """Rows of one grain and dimension."""

    grain: int
    split: _Split
    bases: _Bases
    groups: _Groups


def _concat(parts: list[_Part], visitors: U64) -> Deltas:
    texts: list[str] = []
    bases, rows, counts, value, ids = [], [], [], [], []
    for part in parts:
        groups = part.groups
        count = np.bincount(groups.pair_group, minlength=len(groups.base))
        # A session that grew without changing its bucket retracts and adds the same: nothing is left to say.
        says = groups.sums.any(axis=1) | (count > 0)
        base = groups.base[says]
        bases.append((part.bases.store[base], part.bases.seconds[base], part.bases.is_bot[base]))
        rows.append(groups.sums[says])
        counts.append(count[says])
        value.append(groups.value[says] + len(texts))
        texts += part.split.values if part.grain else []
        ids.append(visitors[groups.pair_visitor])
    sizes = [len(count) for count in counts]
    store, seconds, is_bot = (np.concatenate([base[at] for base in bases]) for at in range(3))
    return Deltas(
        store=store,
        grain=Coded(np.repeat([part.grain for part in parts], sizes).astype(np.int32), _STORED_GRAINS),
        dimension=Coded(
            np.repeat([part.split.dimension for part in parts], sizes).astype(np.int32), [d.name for d in DIMENSIONS]
        ),
        bucket_seconds=seconds,
        value=Coded(np.concatenate(value).astype(np.int32), texts),
        is_bot=is_bot,
        # Sums are whole numbers far below 2**53.
        measures=np.concatenate(rows).astype(np.int64),
        visitor_ids=np.concatenate(ids),
        visitors_upto=np.cumsum(np.concatenate(counts)),
    )
