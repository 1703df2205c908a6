"""Rollup deltas: what batches that are written together add to each bucket of each dimension.

The only state of a rollup is in ClickHouse, where sums add up and visitor sets merge. Whatever the batch boundaries,
the sum over all deltas is the same; that is the law which ``tests/property`` holds every dimension to.

A delta stands for all batches together. Only those of the dimension ``all``, which are few, are made for each
batch by itself: they carry every partition's fence (ADR 14).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from flows.arrays.hashing import dense_rank, distinct
from flows.arrays.types import I64, U64, Bools
from flows.clicks.encoding.enrichment_encoder import EncodedAnswers
from flows.clicks.model.encoded_column import EncodedColumn
from flows.clicks.output.contributions import Contributions
from marketplace.rollups import QUARTER_MS, SPARSE, STORED

MEASURES: Final = ("views", "actions", "refires", "sessions", "bounces", "duration_ms")
_OF_EVENTS: Final = 3
"""Measures that events and moves add to; changes of sessions add to the others."""

_STORED_GRAINS: Final = ("quarter", "day")
_GRAIN_SECONDS: Final = (QUARTER_MS // 1000, 86_400)


@dataclass(frozen=True)
class Deltas:
    """Rollup rows as columns; ``visitors_upto[i]`` is where row i's visitor ids end, as ``moved_upto`` of those moved.

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
    moved_ids: U64
    moved_upto: I64

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
class _Pairs:
    """Pairs of a row and a visitor, by ascending row."""

    group: I64
    visitor: I64

    @staticmethod
    def of(group: I64, visitor: I64, visitors: int) -> _Pairs:
        """Each pair once."""
        return _Pairs(*np.divmod(distinct(group * max(visitors, 1) + visitor), max(visitors, 1)))

    def sizes(self, groups: int) -> I64:
        """How many visitors each row has."""
        return np.bincount(self.group, minlength=groups)


@dataclass(frozen=True)
class _Groups:
    """Rows of one grain and dimension: the bucket and value of each, its sums, who is in it and who moved out of it."""

    base: I64
    value: I64
    sums: npt.NDArray[np.float64]
    visitors: _Pairs
    moved: _Pairs


@dataclass(frozen=True)
class _Split:
    """How one dimension splits the rows: values, each row's value, and which rows take part (None: all)."""

    dimension: int
    values: list[str]
    code: I64
    keep: Bools | None


def rollup(rows: Contributions, encoders: Sequence[EncodedAnswers], day_of: Callable[[int, int], int]) -> Deltas:
    """Group contributions by every stored dimension and both stored grains.

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
    for split in _splits(rows, encoders):
        grid = apart if STORED[split.dimension].column is None else together
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


def _splits(rows: Contributions, encoders: Sequence[EncodedAnswers]) -> Iterator[_Split]:
    """How each stored dimension splits the rows."""
    home = {column: (at, place) for at, f in enumerate(encoders) for place, column in enumerate(f.columns)}
    used: dict[tuple[str, int], tuple[I64, I64]] = {}
    for position, dimension in enumerate(STORED):
        if dimension.column is None:
            yield _Split(position, [""], np.zeros(len(rows.codes), dtype=np.int64), _without_moves(rows))
            continue
        at, place = home[dimension.column]
        if (dimension.scope, at) not in used:
            codes = rows.visit_codes if dimension.scope == "visit" else rows.codes
            used[dimension.scope, at] = dense_rank(codes[:, at], len(encoders[at].rows))
        answers, row = used[dimension.scope, at]
        # Different answers can agree in one column: a browser in two versions.
        index: dict[str, int] = {}
        texts = [encoders[at].rows[answer][place] for answer in answers.tolist()]
        local = np.array([index.setdefault(text, len(index)) for text in texts], dtype=np.int64)
        code = local[row]
        keep = _without_idle_moves(rows, code) if dimension.scope == "visit" else _without_moves(rows)
        if dimension.name in SPARSE and "" in index:
            filled = code != index[""]
            keep = filled if keep is None else keep & filled
        yield _Split(position, list(index), code, keep)


def _without_moves(rows: Contributions) -> Bools | None:
    """All rows but moves, which change nothing of an event's own values."""
    if not len(rows.moves):
        return None
    keep = np.ones(len(rows.codes), dtype=np.bool_)
    keep[rows.events : rows.events + len(rows.moves)] = False
    return keep


def _without_idle_moves(rows: Contributions, code: I64) -> Bools | None:
    """All rows but moves between visits that have the same value."""
    if not len(rows.moves):
        return None
    keep = np.ones(len(rows.codes), dtype=np.bool_)
    out, into = np.split(code[rows.events : rows.events + len(rows.moves)], 2)
    keep[rows.events : rows.events + len(rows.moves)] = np.tile(out != into, 2)
    return keep


def _group(rows: Contributions, base: I64, split: _Split, visitor: I64, visitors: int) -> _Groups:
    """Add up what falls into each bucket and value."""
    values, events, moves = max(len(split.values), 1), rows.events, len(rows.moves)
    key = base * values + split.code
    view, refire, moved, changes = rows.is_view, rows.refire, rows.moves, rows.changes
    out: Bools = np.arange(moves) < moves // 2
    if split.keep is not None:
        of_events, of_moves, of_changes = np.split(split.keep, (events, events + moves))
        key, view, refire, moved = key[split.keep], view[of_events], refire[of_events], moved[of_moves]
        changes, visitor = changes[of_changes], visitor[split.keep[: events + moves]]
        out = np.asarray(out[of_moves], dtype=np.bool_)
        events, moves = len(view), len(moved)
    groups, at = dense_rank(key, (int(base.max(initial=0)) + 1) * values)
    sums = np.zeros((len(groups), len(MEASURES)))
    sums[:, 0] = np.bincount(at[:events][view], minlength=len(groups))
    sums[:, 2] = np.bincount(at[:events][refire], minlength=len(groups))
    sums[:, 1] = np.bincount(at[:events], minlength=len(groups)) - sums[:, 0] - sums[:, 2]
    places = at[events : events + moves]
    if moves:
        for measure, column in enumerate(moved.T):
            sums[:, measure] += np.bincount(places, column, len(groups))
    for measure, column in enumerate(changes.T, _OF_EVENTS):
        sums[:, measure] = np.bincount(at[events + moves :], column, len(groups))
    left = _Pairs.of(places[out], visitor[events:][out], visitors)
    if moves:
        stays = np.concatenate((np.ones(events, dtype=np.bool_), ~out))
        at, visitor = at[: events + moves][stays], visitor[stays]
    inside = _Pairs.of(at[: len(visitor)], visitor, visitors)
    return _Groups(groups // values, groups % values, sums, inside, left)


def _regroup(groups: _Groups, day_base: I64, values: int, visitors: int) -> _Groups:
    """The same by day."""
    values = max(values, 1)
    key = day_base[groups.base] * values + groups.value
    found, at = dense_rank(key, (int(day_base.max(initial=0)) + 1) * values)
    sums = np.stack([np.bincount(at, column, len(found)) for column in groups.sums.T], axis=1).astype(np.float64)
    inside, moved = (_Pairs.of(at[pairs.group], pairs.visitor, visitors) for pairs in (groups.visitors, groups.moved))
    return _Groups(found // values, found % values, sums, inside, moved)


@dataclass(frozen=True)
class _Part:
    """Rows of one grain and dimension."""

    grain: int
    split: _Split
    grid: _Grid
    groups: _Groups


def _concat(parts: list[_Part], visitors: U64) -> Deltas:
    texts: list[str] = []
    bases, rows, value = [], [], []
    inside, moved = _Sets(visitors), _Sets(visitors)
    for part in parts:
        groups = part.groups
        # A session that grew without changing its bucket retracts and adds the same: nothing is left to say.
        says: Bools = np.asarray(groups.sums.any(axis=1))
        says[groups.visitors.group] = says[groups.moved.group] = True
        base = groups.base[says]
        buckets = part.grid.grains[part.grain]
        bases.append((*part.grid.owned(buckets.owner[base]), buckets.time[base] * _GRAIN_SECONDS[part.grain]))
        rows.append(groups.sums[says])
        value.append(groups.value[says] + len(texts))
        texts += part.split.values if part.grain else []
        inside.add(groups.visitors, says)
        moved.add(groups.moved, says)
    sizes = [len(sums) for sums in rows]
    source, store, is_bot, seconds = map(np.concatenate, zip(*bases, strict=True))
    return Deltas(
        source=source,
        store=store,
        grain=EncodedColumn(np.repeat([part.grain for part in parts], sizes).astype(np.int32), _STORED_GRAINS),
        dimension=EncodedColumn(
            np.repeat([part.split.dimension for part in parts], sizes).astype(np.int32), [d.name for d in STORED]
        ),
        bucket_seconds=seconds,
        value=EncodedColumn(np.concatenate(value).astype(np.int32), texts),
        is_bot=is_bot,
        # Sums are whole numbers far below 2**53.
        measures=np.concatenate(rows).astype(np.int64),
        visitor_ids=inside.ids,
        visitors_upto=inside.upto,
        moved_ids=moved.ids,
        moved_upto=moved.upto,
    )


class _Sets:
    """Sets of visitors, one for each row."""

    def __init__(self, visitors: U64) -> None:
        self._visitors = visitors
        self._ids: list[U64] = []
        self._sizes: list[I64] = []

    def add(self, pairs: _Pairs, says: Bools) -> None:
        """Add those of the rows that say something; others have none."""
        self._ids.append(self._visitors[pairs.visitor])
        self._sizes.append(pairs.sizes(len(says))[says])

    @property
    def ids(self) -> U64:
        """All visitors, row after row."""
        return np.concatenate(self._ids)

    @property
    def upto(self) -> I64:
        """Where each row's visitors end."""
        return np.cumsum(np.concatenate(self._sizes))
