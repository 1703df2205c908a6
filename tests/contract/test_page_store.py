"""The contract of the page store, held by ClickHouse and by its twin in memory: and both hold the same numbers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pytest

from connectors.clickhouse import ClickHouse
from flows.clicks.machine import Machine
from flows.clicks.page_store import ClickHousePages, read_fences
from flows.clicks.pages import PageStore
from flows.clicks.rows import BatchResult
from flows.clicks.structure import structure_of
from marketplace.tables import FENCED_TABLES, TABLES
from ops.oracle import LogRecord, Numbers, RollupKey
from tests.clicks_kit import (
    AGENTS,
    GOOGLEBOT,
    LOOKUPS,
    STORES,
    FixedStores,
    as_log,
    cut,
    differences,
    event,
    expected_ledger,
    machine_on,
    ms,
    oracle,
    visitor_of,
)
from tests.clicks_kit_pages import MemoryPages, plain_rows, read_rollups

NOON = ms("2025-03-12T12:00:00")
HOUR = NOON // 3_600_000
MINUTE = 60_000


class Tables(Protocol):
    """Tables that can be written and read."""

    @property
    def pages(self) -> PageStore: ...

    def write(self, results: Sequence[BatchResult], tables: int = len(FENCED_TABLES)) -> None: ...

    def fences(self, partition: int) -> dict[str, int]: ...

    def ledger(self) -> dict[tuple[str, int, str, str], int]: ...

    def numbers(self) -> dict[RollupKey, Numbers]: ...


@dataclass
class InMemory:
    pages: MemoryPages

    def write(self, results: Sequence[BatchResult], tables: int = len(FENCED_TABLES)) -> None:
        self.pages.write(results, tables)

    def fences(self, partition: int) -> dict[str, int]:
        return self.pages.fences(partition)

    def ledger(self) -> dict[tuple[str, int, str, str], int]:
        return self.pages.ledger()

    def numbers(self) -> dict[RollupKey, Numbers]:
        return self.pages.rollups(STORES)


@dataclass
class InClickHouse:
    clickhouse: ClickHouse

    @property
    def pages(self) -> ClickHousePages:
        return ClickHousePages(self.clickhouse)

    def write(self, results: Sequence[BatchResult], tables: int = len(FENCED_TABLES)) -> None:
        for table in FENCED_TABLES[:tables]:
            parts = [result.tables[table.name] for result in results if table.name in result.tables]
            if parts:
                rows = pa.concat_tables(parts)
                self.clickhouse.insert_where(table.name, structure_of(table), rows, "1", uuid.uuid4().hex)

    def fences(self, partition: int) -> dict[str, int]:
        return read_fences(self.clickhouse).get(partition, {})

    def ledger(self) -> dict[tuple[str, int, str, str], int]:
        rows = self.clickhouse.rows(
            f"SELECT store, intDiv(toUnixTimestamp(hour), 3600), toString(kind), name, sum(events) "
            f"FROM {self.clickhouse.database}.click_ledger GROUP BY 1, 2, 3, 4"
        )
        return {(store, int(hour), kind, name): int(events) for store, hour, kind, name, events in rows}

    def numbers(self) -> dict[RollupKey, Numbers]:
        """The merged numbers of each bucket; visitors of one kind only, as ids cannot be had back from a sketch."""
        table = self.clickhouse.arrow(
            "SELECT store, toString(grain) AS grain, toUnixTimestamp(bucket) AS bucket, dimension, value, is_bot, "
            "sum(clicks) AS clicks, sum(refires) AS refires, sum(sessions) AS sessions, sum(bounces) AS bounces, "
            "sum(duration_ms) AS duration_ms, uniqCombined64Merge(17)(visitors) AS visitors "
            f"FROM {self.clickhouse.database}.rollups WHERE grain = 'day' "
            "GROUP BY store, grain, bucket, dimension, value, is_bot"
        )
        rows = [{**row, "visitor_ids": range(row["visitors"])} for row in plain_rows(table)]
        return read_rollups(rows, STORES)


@pytest.fixture(params=["memory", "clickhouse"])
def tables(request: pytest.FixtureRequest) -> Iterator[Tables]:
    if request.param == "memory":
        yield InMemory(MemoryPages())
        return
    database = f"pages_{uuid.uuid4().hex}"
    clickhouse = ClickHouse(request.getfixturevalue("clickhouse").urls.clickhouse, database)
    clickhouse.command(f"CREATE DATABASE {database}")
    for table in TABLES:
        clickhouse.command(table.create(database))
    yield InClickHouse(clickhouse)
    clickhouse.command(f"DROP DATABASE {database}")


def send(tables: Tables, log: Sequence[LogRecord], written: int = len(FENCED_TABLES), size: int = 100) -> None:
    """Send records through a machine whose memory starts empty."""
    machine = machine_on(MemoryPages(), log[0].partition)
    for batch in cut(log, (size,)):
        tables.write([machine.step(batch)], written)


def some_log(partition: int = 0) -> list[LogRecord]:
    """Two people and a bot over three hours, a re-fire and a copy among them."""
    bob = visitor_of("alpha", 2)
    link = "https://alpha.example/caf%C3%A9?utm_campaign=spring"
    return as_log(
        [
            event(NOON, event_id="1"),
            event(NOON + 500, event_id="2"),
            event(NOON + 500, event_id="2"),
            event(NOON + 59 * MINUTE, event_id="3", visitor=bob, url=link, product="p1"),
            event(NOON + 61 * MINUTE, event_id="4", visitor=bob),
            event(NOON + 150 * MINUTE, event_id="5", visitor=bob, user_agent=GOOGLEBOT),
            event(event_id="6", received_at_ms=NOON + 70 * MINUTE),
            b"broken",
        ],
        partition=partition,
        timestamp_ms=NOON,
    )


def test_empty_tables_answer_with_nothing(tables: Tables) -> None:
    pages = tables.pages
    assert pages.hours(0) == (set(), set())
    assert {hour: keys.tolist() for hour, keys in pages.dedupe_keys(0, [HOUR], 10).items()} == {HOUR: []}
    assert [column.tolist() for column in pages.clicks(0, [HOUR], 10)] == [[], []]
    assert [column.tolist() for column in pages.minutes(0, [HOUR], 10)] == [[], [], []]
    assert len(pages.sessions(0, [HOUR])) == 0
    assert pages.applied(0) == -1
    assert tables.fences(0) == {}


def test_hours_are_those_of_filing_and_of_happening(tables: Tables) -> None:
    skewed = event(NOON + 86_400_000, sent_at_ms=NOON + 86_400_000, received_at_ms=NOON)
    send(tables, as_log([skewed]))
    assert tables.pages.hours(0) == ({HOUR + 24}, {HOUR})


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
    visitors, minutes, events = tables.pages.minutes(0, [HOUR], 100)
    alice, bob = (int(visitor_of("alpha", number), 16) for number in (1, 2))
    rows = sorted(zip(minutes.tolist(), visitors.tolist(), events.tolist(), strict=True))
    assert rows == [(NOON // MINUTE, alice, 2), (NOON // MINUTE + 59, bob, 1)]


def test_minutes_leave_out_what_came_later_than_asked(tables: Tables) -> None:
    send(tables, some_log())
    assert tables.pages.minutes(0, [HOUR], 1)[2].tolist() == [1]


def test_sessions_are_those_that_overlap_as_they_stand(tables: Tables) -> None:
    send(tables, some_log(), size=1)
    held = tables.pages.sessions(0, [HOUR])
    rows = sorted(zip(held.start_ms.tolist(), held.end_ms.tolist(), held.clicks.tolist(), held.store, strict=True))
    assert rows == [(NOON, NOON + 500, 1, "alpha"), (NOON + 59 * MINUTE, NOON + 61 * MINUTE, 2, "alpha")]
    at = held.start_ms.tolist().index(NOON + 59 * MINUTE)
    assert {name: held.entry[name][at] for name in ("page", "product", "campaign")} == {
        "page": "/caf\u00e9",
        "product": "p1",
        "campaign": "spring",
    }
    assert held.is_bot.tolist() == [0, 0]


def test_a_session_is_found_by_each_hour_that_it_overlaps(tables: Tables) -> None:
    send(tables, some_log())
    assert {hour: len(tables.pages.sessions(0, [hour])) for hour in range(HOUR - 1, HOUR + 4)} == {
        HOUR - 1: 0,
        HOUR: 2,
        HOUR + 1: 2,
        HOUR + 2: 1,
        HOUR + 3: 0,
    }


def test_partitions_do_not_see_each_other(tables: Tables) -> None:
    send(tables, some_log(partition=1))
    assert tables.pages.hours(0) == (set(), set())
    assert len(tables.pages.sessions(0, [HOUR])) == 0
    assert (tables.pages.applied(0), tables.pages.applied(1)) == (-1, 7)


@pytest.mark.parametrize("written", range(len(FENCED_TABLES) + 1))
def test_the_fences_tell_which_tables_were_written(tables: Tables, written: int) -> None:
    send(tables, some_log(), written)
    last = {"clicks": 6, "rollups": 7, "sessions": 7, "click_ledger": 7}
    assert tables.fences(0) == {table.name: last[table.name] for table in FENCED_TABLES[:written]}
    assert tables.pages.applied(0) == (7 if written == len(FENCED_TABLES) else -1)


def test_machines_that_know_only_what_they_read_back_end_with_the_oracles_numbers(tables: Tables) -> None:
    values = [record.value for record in some_log()]
    bridge = event(NOON + 30 * MINUTE, event_id="7", received_at_ms=NOON + 90 * MINUTE)
    log = as_log([*values, bridge, *values[:4]], timestamp_ms=NOON)
    for batch in cut(log, (3,)):
        machine = Machine(0, tables.pages, FixedStores(STORES), lambda: LOOKUPS, AGENTS, tables.fences(0))
        tables.write([machine.step(batch)])
    expected = oracle(log)
    assert differences(expected_ledger(expected), tables.ledger()) == {}
    assert differences(of_days(expected.rollups), of_days(tables.numbers())) == {}


def of_days(numbers: Mapping[RollupKey, Numbers]) -> dict[RollupKey, Numbers]:
    return {key: held for key, held in numbers.items() if key.grain == "day" and key.bots != "include"}
