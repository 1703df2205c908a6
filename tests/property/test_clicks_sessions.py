"""Sessions depend on the set of events, not on how they arrived."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.clicks.model.sessions import SessionRows, merge, owners
from flows.clicks.state.session_state import Sessions
from marketplace.clicks.outcomes import SESSION_GAP_MS
from tests.kits.clicks import CHROME, GOOGLEBOT, STORES, as_log, event, ms, oracle, run, visitor_of
from tests.kits.clicks_logs import examples

MOMENTS = st.integers(0, 40).map(lambda step: step * (SESSION_GAP_MS // 4)) | st.integers(0, 10 * SESSION_GAP_MS)
# One click per (visitor, kind, moment): of two at the same moment the earlier arrival names the entry, by rule.
POINTS = st.lists(st.tuples(st.integers(1, 2), st.integers(0, 1), MOMENTS), min_size=1, max_size=25, unique=True)


def rows_of(points: list[tuple[int, int, int]]) -> SessionRows:
    """Events as intervals of no length; an event's entry and exit codes are its moment."""
    visitor, is_bot, moment = (np.array(column, dtype=np.int64) for column in zip(*points, strict=True))
    return SessionRows(
        visitor.astype(np.uint64),
        is_bot.astype(np.uint8),
        np.zeros(len(points), np.int32),
        moment,
        moment,
        np.ones(len(points), np.int64),
        np.zeros(len(points), np.int64),
        moment.astype(np.int32).reshape(-1, 1),
        moment.astype(np.int32),
    )


def as_set(rows: SessionRows) -> list[tuple[int, ...]]:
    columns = (rows.visitor, rows.is_bot, rows.start_ms, rows.end_ms, rows.views, rows.entry[:, 0], rows.exit)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def by_hand(points: list[tuple[int, int, int]]) -> list[tuple[int, ...]]:
    found: list[list[int]] = []
    for visitor, is_bot, moment in sorted(points):
        last = found[-1] if found else None
        if last is not None and last[:2] == [visitor, is_bot] and moment - last[3] <= SESSION_GAP_MS:
            last[3] = last[6] = moment
            last[4] += 1
        else:
            found.append([visitor, is_bot, moment, moment, 1, moment, moment])
    return sorted(tuple(row) for row in found)


@examples(100)
@given(points=POINTS, sizes=st.lists(st.integers(1, 8), min_size=1), seed=st.integers(0, 9))
def test_any_order_and_any_batches_give_the_same_sessions(
    points: list[tuple[int, int, int]], sizes: list[int], seed: int
) -> None:
    shuffled = random.Random(seed).sample(points, len(points))
    sessions, start, turn = Sessions(1, 0, [0]), 0, 0
    while start < len(shuffled):
        size = sizes[turn % len(sizes)]
        sessions.apply(sessions.merge(rows_of(shuffled[start : start + size])))
        start, turn = start + size, turn + 1
    assert as_set(sessions.rows) == by_hand(points)


@examples(100)
@given(points=POINTS, at=st.integers(0, 25))
def test_retractions_and_additions_lead_from_what_was_to_what_is(points: list[tuple[int, int, int]], at: int) -> None:
    sessions = Sessions(1, 0, [0])
    table: list[tuple[int, ...]] = []
    for part in (points[:at], points[at:]):
        if part:
            merged = sessions.merge(rows_of(part))
            sessions.apply(merged)
            for row in as_set(merged.retracted):
                table.remove(row)
            table += as_set(merged.added)
    assert sorted(table) == by_hand(points)


@examples(100)
@given(points=POINTS, at=st.integers(0, 25))
def test_what_a_merge_says_of_beginnings_is_where_sessions_begin(points: list[tuple[int, int, int]], at: int) -> None:
    sessions = Sessions(1, 0, [0])
    for until in (at, len(points)):
        part = points[min(at, len(points) - 1) if until > at else 0 : until]
        if not part:
            continue
        merged = sessions.merge(rows_of(part))
        begins = {
            (visitor, is_bot, moment): next(
                start
                for v, b, start, end, *_ in as_set(merged.added)
                if (v, b) == (visitor, is_bot) and start <= moment <= end
            )
            for visitor, is_bot, moment in part
        }
        assert merged.entry[:, 0].tolist() == [begins[point] for point in part]
        inside = [
            next(start for v, b, start, end, *_ in as_set(merged.added) if (v, b) == was[:2] and start <= was[2] <= end)
            for was in zip(
                merged.retracted.visitor.tolist(),
                merged.retracted.is_bot.tolist(),
                merged.retracted.start_ms.tolist(),
                strict=True,
            )
        ]
        before = merged.retracted.start_ms.tolist()
        assert merged.moved.tolist() == [now != was for now, was in zip(inside, before, strict=True)]
        assert merged.moved_entry[:, 0].tolist() == [now for now, was in zip(inside, before, strict=True) if now != was]
        sessions.apply(merged)


def test_a_merge_that_is_not_applied_changes_nothing() -> None:
    sessions = Sessions(1, 0, [0])
    sessions.apply(sessions.merge(rows_of([(1, 0, 0), (2, 0, SESSION_GAP_MS)])))
    before = as_set(sessions.rows)
    sessions.merge(rows_of([(1, 0, 1)]))
    assert as_set(sessions.rows) == before


def test_of_events_at_one_moment_the_last_to_arrive_ends_the_session() -> None:
    sessions = Sessions(1, 0, [0])
    rows = rows_of([(1, 0, 5), (1, 0, 5), (1, 0, 0)])
    rows = replace(rows, exit=np.array([7, 8, 9], dtype=np.int32))
    sessions.apply(sessions.merge(rows))
    assert sessions.rows.exit.tolist() == [8]
    sessions.apply(sessions.merge(replace(rows_of([(1, 0, 5)]), exit=np.array([6], dtype=np.int32))))
    assert sessions.rows.exit.tolist() == [6]


def test_nothing_merges_to_nothing() -> None:
    joined, holder = merge(SessionRows.empty(1))
    assert (len(joined), len(holder)) == (0, 0)


def test_how_far_one_visitor_reaches_has_no_part_in_where_another_ones_sessions_end() -> None:
    points = [(1, 0, 9 * SESSION_GAP_MS), (2, 0, 0), (2, 0, SESSION_GAP_MS + 1)]
    assert as_set(merge(rows_of(points))[0]) == by_hand(points)


@pytest.mark.parametrize("is_bot", [0, 1])
def test_visitors_that_differ_in_any_bit_have_sessions_of_their_own(is_bot: int) -> None:
    visitors = [0, *(1 << bit for bit in range(64))]
    rows = rows_of([(at, is_bot, 0) for at in range(len(visitors))])
    apart = replace(rows, visitor=np.array(visitors, dtype=np.uint64))
    assert len(set(owners(apart.visitor, apart.is_bot).tolist())) == len(visitors)


@examples(100)
@given(points=POINTS)
def test_merging_what_is_merged_changes_nothing(points: list[tuple[int, int, int]]) -> None:
    once, _ = merge(rows_of(points))
    twice, holder = merge(once)
    assert as_set(twice) == as_set(once)
    assert holder.tolist() == list(range(len(once)))


@examples(100)
@given(points=POINTS)
def test_every_event_lies_in_the_session_that_is_said_to_hold_it(points: list[tuple[int, int, int]]) -> None:
    joined, holder = merge(rows_of(points))
    for (visitor, is_bot, moment), at in zip(points, holder.tolist(), strict=True):
        assert (joined.visitor[at], joined.is_bot[at]) == (visitor, is_bot)
        assert joined.start_ms[at] <= moment <= joined.end_ms[at]


@examples(100)
@given(points=POINTS, known=st.integers(0, 25))
def test_sessions_read_back_beside_newer_ones_in_memory_change_nothing(
    points: list[tuple[int, int, int]], known: int
) -> None:
    stored, _ = merge(rows_of(points[: max(1, known)]))
    sessions = Sessions(1, 0, [0])
    sessions.apply(sessions.merge(rows_of(points)))
    sessions.adopt(stored)
    assert as_set(sessions.rows) == by_hand(points)


START = ms("2025-03-09T06:00:00")


@st.composite
def quiet_events(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Events that are no re-fires, no copies and of different moments."""
    moments = draw(st.lists(MOMENTS.map(lambda moment: START + moment), min_size=1, max_size=15, unique=True))
    made = []
    for number, moment in enumerate(moments):
        store = draw(st.sampled_from(sorted(STORES)))
        visitor = visitor_of(store, draw(st.integers(0, 1)))
        agent, campaign = draw(st.sampled_from([CHROME, GOOGLEBOT])), draw(st.sampled_from("xy"))
        link = f"https://{store}.example/?utm_campaign={campaign}"
        given = {"store": store, "visitor": visitor, "user_agent": agent, "url": link, "target": str(number)}
        made.append(event(moment, received_at_ms=START + 86_400_000, **given))
    return made


@examples(25)
@given(events=quiet_events(), seed=st.integers(0, 9))
def test_without_refires_the_order_of_arrival_changes_no_number(events: list[dict[str, Any]], seed: int) -> None:
    shuffled = random.Random(seed).sample(events, len(events))
    straight, mixed = run(as_log(events), (3,)).pages, run(as_log(shuffled), (4,)).pages
    assert straight.rollups(STORES) == mixed.rollups(STORES) == oracle(as_log(events)).rollups
    assert straight.ledger() == mixed.ledger()
