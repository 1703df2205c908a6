"""The laws that every registered dimension keeps: deltas of parts merge to the deltas of the whole, in any order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.arrays.types import I32, I64, U64
from flows.clicks.encoding.dictionary import Dictionary, make_dictionaries
from flows.clicks.encoding.enrichment_encoder import make_encoders
from flows.clicks.output.contributions import Contributions
from flows.clicks.output.rollup_deltas import MEASURES, Deltas, rollup
from marketplace.rollups import SPARSE, STORED, Dimension
from tests.kits.clicks import LOOKUPS, ms
from tests.kits.clicks_logs import examples

FAMILIES: Final = make_encoders({**make_dictionaries(), "store_rules": Dictionary()}, LOOKUPS)
VALUES: Final = ("", "x", "y")
for encoder in FAMILIES:
    for text in VALUES:
        encoder.intern((text,) * len(encoder.columns))

START: Final = ms("2025-03-09T06:00:00")

Row = tuple[int, int, int, int, int, int, int]
"""Store, minutes after the start, is_bot, value's code, visitor, kind (view, action, re-fire), code of the visit."""

REFIRE: Final = 2

ROWS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.integers(0, 3 * 24 * 60),
        st.integers(0, 1),
        st.integers(0, len(VALUES) - 1),
        st.integers(1, 3),
        st.integers(0, 2),
        st.integers(0, len(VALUES) - 1),
    ),
    max_size=15,
)
SOURCES = st.lists(st.integers(0, 2), min_size=1, max_size=5)
each_dimension = pytest.mark.parametrize("dimension", STORED, ids=lambda dimension: dimension.name)

Cell = tuple[tuple[int, ...], frozenset[int]]
Cells = dict[tuple[int, str, str, int, str, int], Cell]


def day_of(store: int, quarter: int) -> int:
    """Stores in zones six hours apart."""
    return (quarter - store * 24) // 96


def deltas_of(rows: list[Row], sources: Sequence[int] = (0,)) -> Deltas:
    """What rows lead to: each is an event and, where it is no re-fire, a session too that begins with the visit's code.

    ``sources`` are the batches that they come from, over and over.
    """
    columns = np.array(rows, dtype=np.int64).reshape(-1, 7)
    store, minute, is_bot, code, visitor, kind, visit = columns.T
    begun = kind != REFIRE
    ones = np.ones_like(store)
    both = np.concatenate((np.arange(len(rows)), np.flatnonzero(begun)))
    return rollup(
        Contributions(
            source=np.resize(np.array(sources), len(rows))[both],
            store=store[both].astype(np.int32),
            when_ms=START + minute[both] * 60_000,
            is_bot=is_bot[both].astype(np.uint8),
            codes=_all_families(np.concatenate((code, visit[begun]))),
            visit_codes=_all_families(visit[both]),
            visitor=visitor.astype(np.uint64),
            is_view=kind == 0,
            refire=kind == REFIRE,
            moves=np.empty((0, 3), np.int64),
            changes=np.stack((ones, ones, minute), axis=1)[begun],
        ),
        [encoder.answers for encoder in FAMILIES],
        day_of,
    )


def _all_families(codes: I64) -> I32:
    return np.repeat(codes.reshape(-1, 1), len(FAMILIES), axis=1).astype(np.int32)


def moved_from_to(pieces: Sequence[tuple[int, int, int, int]]) -> Deltas:
    """What visits with other beginnings lead to: minute, visitor, code before and after, a view each."""
    minute, visitor, before, after = np.array(pieces, dtype=np.int64).reshape(-1, 4).T
    views = np.array([[1, 0, 0]] * len(pieces), dtype=np.int64).reshape(-1, 3)
    both = np.concatenate((before, after))
    nothing = np.zeros(0, dtype=np.bool_)
    return rollup(
        Contributions(
            source=np.zeros(2 * len(pieces), np.int64),
            store=np.zeros(2 * len(pieces), np.int32),
            when_ms=START + np.tile(minute, 2) * 60_000,
            is_bot=np.zeros(2 * len(pieces), np.uint8),
            codes=_all_families(both),
            visit_codes=_all_families(both),
            visitor=np.tile(visitor, 2).astype(np.uint64),
            is_view=nothing,
            refire=nothing,
            moves=np.concatenate((-views, views)),
            changes=np.empty((0, 3), np.int64),
        ),
        [encoder.answers for encoder in FAMILIES],
        day_of,
    )


def sets_of(ids: U64, upto: I64) -> list[frozenset[int]]:
    """One set of visitors for each row."""
    return [frozenset(part.tolist()) for part in np.split(ids, upto[:-1])] if len(upto) else []


def cells_of(deltas: Deltas, dimension: Dimension, source: int | None = None) -> Cells:
    """The deltas of one dimension, each key once; all of them or those under one source."""
    cells: Cells = {}
    start = 0
    grains, dimensions, values = deltas.grain.tolist(), deltas.dimension.tolist(), deltas.value.tolist()
    for at in range(len(deltas)):
        visitors = frozenset(deltas.visitor_ids[start : deltas.visitors_upto[at]].tolist())
        start = int(deltas.visitors_upto[at])
        bucket = int(deltas.bucket_seconds[at])
        key = (
            int(deltas.store[at]),
            grains[at],
            dimensions[at],
            bucket,
            values[at],
            int(deltas.is_bot[at]),
        )
        if dimensions[at] == dimension.name and source in (None, int(deltas.source[at])):
            assert key not in cells, "of a bucket, batches that are written together speak once"
            cells[key] = tuple(deltas.measures[at].tolist()), visitors
    return cells


def merged(parts: Iterable[Cells]) -> Cells:
    """What ClickHouse makes of deltas: sums add, visitor sets unite."""
    whole: Cells = {}
    for part in parts:
        for key, (sums, visitors) in part.items():
            held_sums, held_visitors = whole.get(key, ((0,) * len(MEASURES), frozenset()))
            whole[key] = tuple(a + b for a, b in zip(held_sums, sums, strict=True)), held_visitors | visitors
    return whole


@each_dimension
@examples(30)
@given(left=ROWS, right=ROWS)
def test_deltas_of_a_whole_are_the_merged_deltas_of_its_parts(
    dimension: Dimension, left: list[Row], right: list[Row]
) -> None:
    parts = [cells_of(deltas_of(left), dimension), cells_of(deltas_of(right), dimension)]
    assert cells_of(deltas_of(left + right), dimension) == merged(parts)


@each_dimension
@examples(30)
@given(rows=ROWS, sources=SOURCES)
def test_deltas_of_batches_written_together_merge_to_those_of_one_batch(
    dimension: Dimension, rows: list[Row], sources: list[int]
) -> None:
    together = deltas_of(rows, sources)
    parts = [cells_of(together, dimension, source) for source in range(3)]
    assert merged(parts) == cells_of(deltas_of(rows), dimension)


@each_dimension
@examples(20)
@given(rows=ROWS, sources=SOURCES)
def test_each_batch_stands_for_itself_in_the_dimension_of_everything_and_the_first_for_all_in_others(
    dimension: Dimension, rows: list[Row], sources: list[int]
) -> None:
    together = deltas_of(rows, sources)
    for source in range(3):
        own = [row for at, row in enumerate(rows) if sources[at % len(sources)] == source]
        stands_for = own if dimension.column is None else rows if source == 0 else []
        assert cells_of(together, dimension, source) == cells_of(deltas_of(stands_for), dimension)


@each_dimension
@examples(20)
@given(one=ROWS, two=ROWS, three=ROWS)
def test_merging_is_associative_and_commutative(
    dimension: Dimension, one: list[Row], two: list[Row], three: list[Row]
) -> None:
    a, b, c = (cells_of(deltas_of(rows), dimension) for rows in (one, two, three))
    assert merged([merged([a, b]), c]) == merged([a, merged([b, c])]) == merged([c, b, a])


@each_dimension
@examples(30)
@given(rows=ROWS)
def test_every_event_is_in_one_value_of_each_dimension_and_empty_ones_only_where_unknown_counts(
    dimension: Dimension, rows: list[Row]
) -> None:
    for grain in ("quarter", "day"):
        counted = 0
        for (_, its_grain, _, _, value, _), (sums, _) in cells_of(deltas_of(rows), dimension).items():
            counted += (sums[0] + sums[1] + sums[2]) * (its_grain == grain)
            assert value or dimension.name not in SPARSE
        of = 6 if dimension.scope == "visit" else 3
        taking_part = [row for row in rows if VALUES[row[of]] or dimension.name not in SPARSE]
        assert counted == len(taking_part)


@each_dimension
@examples(20)
@given(rows=ROWS)
def test_a_retraction_takes_back_exactly_what_was_said_of_a_session(dimension: Dimension, rows: list[Row]) -> None:
    said = cells_of(deltas_of(rows), dimension)
    taken_back = {key: (tuple(-number for number in sums), visitors) for key, (sums, visitors) in said.items()}
    assert all(not any(sums) for sums, _ in merged([said, taken_back]).values())


PIECES = st.lists(
    st.tuples(st.integers(0, 300), st.integers(1, 3), st.integers(0, len(VALUES) - 1), st.integers(0, len(VALUES) - 1)),
    max_size=8,
)


@each_dimension
@examples(30)
@given(pieces=PIECES)
def test_what_moves_leaves_one_value_of_visits_and_comes_to_another_and_changes_nothing_else(
    dimension: Dimension, pieces: list[tuple[int, int, int, int]]
) -> None:
    deltas = moved_from_to(pieces)
    rows = zip(
        deltas.dimension.tolist(),
        deltas.value.tolist(),
        deltas.measures.tolist(),
        sets_of(deltas.visitor_ids, deltas.visitors_upto),
        sets_of(deltas.moved_ids, deltas.moved_upto),
        deltas.grain.tolist(),
        strict=True,
    )
    views = Counter[str]()
    came, left = defaultdict[str, set[int]](set), defaultdict[str, set[int]](set)
    for name, value, measures, inside, moved, grain in rows:
        if name == dimension.name and grain == "day":
            views[value] += measures[0]
            came[value] |= inside
            left[value] |= moved
    wanted_views = Counter[str]()
    wanted_came, wanted_left = defaultdict[str, set[int]](set), defaultdict[str, set[int]](set)
    for _, visitor, before, after in pieces:
        if dimension.scope != "visit" or before == after:
            continue
        if VALUES[before] or dimension.name not in SPARSE:
            wanted_views[VALUES[before]] -= 1
            wanted_left[VALUES[before]].add(visitor)
        if VALUES[after] or dimension.name not in SPARSE:
            wanted_views[VALUES[after]] += 1
            wanted_came[VALUES[after]].add(visitor)
    assert {value: number for value, number in views.items() if number} == {
        value: number for value, number in wanted_views.items() if number
    }
    assert {value: ids for value, ids in came.items() if ids} == dict(wanted_came)
    assert {value: ids for value, ids in left.items() if ids} == dict(wanted_left)


def test_no_rows_say_nothing() -> None:
    assert len(deltas_of([])) == 0
