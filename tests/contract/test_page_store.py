"""The contract of the page store, held by ClickHouse and by its twin in memory: and both hold the same numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from flows.clicks.processor import PartitionProcessor
from flows.clicks.state.page_cache import MANY_HOURS
from marketplace.tables import CLICK_TABLES
from ops.stack import Stack
from tests.kits.clicks import (
    GOOGLEBOT,
    STORES,
    FixedStores,
    as_batch,
    as_log,
    cut,
    differences,
    encoding_of,
    event,
    expected_ledger,
    machine_on,
    oracle,
    visitor_of,
)
from tests.kits.clicks_pages import MemoryPages
from tests.kits.clicks_tables import HOUR, MINUTE, NOON, InMemory, Tables, clickhouse_tables, of_days, send, some_log


@pytest.fixture(params=["memory", "clickhouse"])
def tables(request: pytest.FixtureRequest) -> Iterator[Tables]:
    if request.param == "memory":
        yield InMemory(MemoryPages())
        return
    with clickhouse_tables(request.getfixturevalue("clickhouse")) as made:
        yield made


def test_empty_tables_answer_with_nothing(tables: Tables) -> None:
    pages = tables.pages
    assert {hour: keys.tolist() for hour, keys in pages.dedupe_keys(0, [HOUR], 10).items()} == {HOUR: []}
    assert [column.tolist() for column in pages.clicks(0, [HOUR], 10)] == [[], []]
    assert len(pages.minutes(0, [HOUR], 10)) == 0
    assert len(pages.sessions(0, [HOUR])) == 0
    assert pages.applied(0) == -1
    assert len(pages.verdicts(0, 0, 10)) == 0
    assert tables.fences(0) == {}


def test_dedupe_keys_come_by_hour_and_only_from_before(tables: Tables) -> None:
    send(tables, some_log())
    held = tables.pages.dedupe_keys(0, [HOUR, HOUR + 1, HOUR + 9], 6)
    assert {hour: len(keys) for hour, keys in held.items()} == {HOUR: 3, HOUR + 1: 1, HOUR + 9: 0}
    assert str(held[HOUR].dtype) == "uint64"


def test_clicks_are_those_that_are_no_refires(tables: Tables) -> None:
    send(tables, some_log())
    pairs, times = tables.pages.clicks(0, [HOUR, HOUR + 2], 100)
    assert sorted(times.tolist()) == [NOON, NOON + 59 * MINUTE, NOON + 150 * MINUTE]
    assert len(set(pairs.tolist())) == 3
    assert tables.pages.clicks(0, [HOUR], 0)[1].tolist() == []


def test_minutes_count_every_event_of_a_visitor(tables: Tables) -> None:
    send(tables, some_log())
    found = tables.pages.minutes(0, [HOUR], 100)
    alice, bob = (int(visitor_of("alpha", number), 16) for number in (1, 2))
    rows = sorted(zip(found.minute.tolist(), found.visitor.tolist(), found.counts.tolist(), strict=True))
    assert rows == [(NOON // MINUTE, alice, [1, 0, 1]), (NOON // MINUTE + 59, bob, [1, 0, 0])]
    assert found.is_bot.tolist() == [0, 0]


def test_minutes_tell_views_from_actions_and_people_from_bots(tables: Tables) -> None:
    kinds = [{"type": "view"}, {"type": "click"}, {"type": "event", "name": "paid"}]
    send(
        tables,
        as_log(
            [event(NOON + at, event_id=str(at), target=str(at), **kind) for at, kind in enumerate(kinds)]
            + [event(NOON, event_id="bot", user_agent=GOOGLEBOT)]
        ),
    )
    found = tables.pages.minutes(0, [HOUR], 100)
    assert sorted(zip(found.is_bot.tolist(), found.counts.tolist(), strict=True)) == [(0, [1, 2, 0]), (1, [1, 0, 0])]


def test_minutes_leave_out_what_came_later_than_asked(tables: Tables) -> None:
    send(tables, some_log())
    assert tables.pages.minutes(0, [HOUR], 1).counts.tolist() == [[1, 0, 0]]


def test_sessions_are_those_that_overlap_as_they_stand(tables: Tables) -> None:
    send(tables, some_log(), size=1)
    held = tables.pages.sessions(0, [HOUR])
    rows = sorted(zip(held.start_ms.tolist(), held.end_ms.tolist(), held.views.tolist(), held.store, strict=True))
    assert rows == [(NOON, NOON + 500, 1, "alpha"), (NOON + 59 * MINUTE, NOON + 61 * MINUTE, 2, "alpha")]
    at = held.start_ms.tolist().index(NOON + 59 * MINUTE)
    assert {name: held.entry[name][at] for name in ("page", "product", "campaign")} == {
        "page": "/caf\u00e9",
        "product": "p1",
        "campaign": "spring",
    }
    assert held.is_bot.tolist() == [0, 0]
    assert held.exit_page[at] == "/"


def test_a_session_is_found_by_each_hour_that_it_overlaps(tables: Tables) -> None:
    send(tables, some_log())
    assert {hour: len(tables.pages.sessions(0, [hour])) for hour in range(HOUR - 1, HOUR + 4)} == {
        HOUR - 1: 0,
        HOUR: 2,
        HOUR + 1: 2,
        HOUR + 2: 1,
        HOUR + 3: 0,
    }


def test_hours_far_apart_come_without_what_lies_between(tables: Tables) -> None:
    moments = [NOON - 400 * 60 * MINUTE, NOON, NOON + 60 * MINUTE, NOON + 90 * 60 * MINUTE]
    log = [event(moment, event_id=str(moment), target=str(moment), origin="import") for moment in moments]
    send(tables, as_log(log))
    pages, asked = tables.pages, [HOUR + 90, HOUR - 400, HOUR + 1]
    far = sorted(moment for moment in moments if moment != NOON)
    assert sorted(pages.clicks(0, asked, 10)[1].tolist()) == far
    assert sorted(pages.minutes(0, asked, 10).minute.tolist()) == [moment // MINUTE for moment in far]
    assert sorted(pages.sessions(0, asked).start_ms.tolist()) == far


def test_as_many_hours_as_are_asked_for_at_once_make_a_query_that_is_taken(tables: Tables) -> None:
    send(tables, some_log())
    hours = list(range(HOUR - 2 * MANY_HOURS + 2, HOUR + 2, 2))
    assert len(hours) == MANY_HOURS
    assert len(tables.pages.clicks(0, hours, 100)[0]) == 2
    assert len(tables.pages.sessions(0, hours)) == 2
    assert len(tables.pages.dedupe_keys(0, hours, 100)[HOUR]) == 3


def test_what_is_asked_for_by_key_comes_alone(tables: Tables) -> None:
    send(tables, some_log())
    pages, hours = tables.pages, [HOUR, HOUR + 1, HOUR + 2]
    (key,) = pages.dedupe_keys(0, [HOUR + 1], 100)[HOUR + 1][:1].tolist()
    pair, bob = int(pages.clicks(0, hours, 100)[0][0]), int(visitor_of("alpha", 2), 16)
    nobody = np.arange(5, dtype=np.uint64)
    only = {name: np.array([value], dtype=np.uint64) for name, value in (("key", key), ("pair", pair), ("bob", bob))}
    keys = pages.dedupe_keys(0, hours, 100, only=only["key"])
    assert {hour: found.tolist() for hour, found in keys.items()} == {HOUR: [], HOUR + 1: [key], HOUR + 2: []}
    assert set(pages.clicks(0, hours, 100, only=only["pair"])[0].tolist()) == {pair}
    assert set(pages.minutes(0, hours, 100, only=only["bob"]).visitor.tolist()) == {bob}
    assert set(pages.sessions(0, hours, only=only["bob"]).visitor.tolist()) == {bob}
    assert [len(pages.clicks(0, hours, 100, only=nobody)[0]), len(pages.sessions(0, hours, only=nobody))] == [0, 0]
    assert len(pages.clicks(0, hours, 100, only=nobody[:0])[0]) == 0


def test_as_many_keys_as_a_batch_can_hold_make_a_query_that_is_taken(tables: Tables) -> None:
    send(tables, some_log())
    pairs, _ = tables.pages.clicks(0, [HOUR], 100)
    many = np.concatenate((np.arange(1 << 63, (1 << 63) + 60_000, dtype=np.uint64), pairs))
    assert sorted(tables.pages.clicks(0, [HOUR], 100, only=many)[0].tolist()) == sorted(pairs.tolist())


def test_partitions_do_not_see_each_other(tables: Tables) -> None:
    send(tables, some_log(partition=1))
    assert len(tables.pages.verdicts(0, 0, 10)) == 0
    assert len(tables.pages.sessions(0, [HOUR])) == 0
    assert (tables.pages.applied(0), tables.pages.applied(1)) == (-1, 7)


@pytest.mark.parametrize("written", range(len(CLICK_TABLES) + 1))
def test_the_fences_tell_which_tables_were_written(tables: Tables, written: int) -> None:
    send(tables, some_log(), written)
    last = {"clicks": 6, "rollups": 7, "sessions": 7, "click_ledger": 7}
    assert tables.fences(0) == {table.name: last[table.name] for table in CLICK_TABLES[:written]}
    assert tables.pages.applied(0) == (7 if written == len(CLICK_TABLES) else -1)


def test_machines_that_know_only_what_they_read_back_end_with_the_oracles_numbers(tables: Tables) -> None:
    values = [record.value for record in some_log()]
    bridge = event(NOON + 30 * MINUTE, event_id="7", received_at_ms=NOON + 90 * MINUTE)
    log = as_log([*values, bridge, *values[:4]], timestamp_ms=NOON)
    for batch in cut(log, (3,)):
        machine = PartitionProcessor(0, tables.pages, FixedStores(STORES), encoding_of(), tables.fences(0))
        tables.write([machine.process(batch)])
    expected = oracle(log)
    assert differences(expected_ledger(expected), tables.ledger()) == {}
    assert differences(of_days(expected.rollups), of_days(tables.numbers())) == {}


def test_what_an_epoch_leads_to_is_one_part_however_large_and_of_however_many_partitions(clickhouse: Stack) -> None:
    events = [event(NOON + at * 200, event_id=str(at), url=f"https://alpha.example/{at}") for at in range(40_000)]
    results = [machine_on(MemoryPages(), p).process(as_batch(as_log(events, p, NOON))) for p in (0, 1, 2)]
    with clickhouse_tables(clickhouse) as tables:
        tables.write(results)
        parts = dict(
            tables.clickhouse.rows(
                "SELECT table, max(max_block_number) FROM system.parts WHERE database = {name:String} GROUP BY table",
                {"name": tables.clickhouse.database},
            )
        )
    assert parts == {table.name: 1 for table in CLICK_TABLES}
