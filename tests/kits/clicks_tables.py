"""The click path's tables, in memory and in ClickHouse, to be held to the same contract."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from connectors.clickhouse.client import ClickHouse
from connectors.clickhouse.insert_shape import structure_of
from flows.clicks.processed_batch import ProcessedBatch
from flows.clicks.state.clickhouse_pages import ClickHousePages
from flows.clicks.state.page_cache import PageStore
from flows.delivery.fencing import read_fences
from marketplace.flows import CLICKS_FLOW
from marketplace.tables import CLICK_TABLES, CLICKS, SESSIONS, TABLES, insertable
from marketplace.topics import CLICKS_COLLECTED
from ops.oracle import LogRecord, Numbers, RollupKey
from ops.stack import Stack
from tests.kits.clicks import GOOGLEBOT, STORES, as_log, cut, event, machine_on, ms, visitor_of
from tests.kits.clicks_pages import MemoryPages, Row, open_rows, plain_rows, read_rollups

NOON = ms("2025-03-12T12:00:00")
HOUR = NOON // 3_600_000
MINUTE = 60_000


class Tables(Protocol):
    """Tables that can be written and read."""

    @property
    def pages(self) -> PageStore: ...

    def write(self, results: Sequence[ProcessedBatch], tables: int = len(CLICK_TABLES)) -> None: ...

    def fences(self, partition: int) -> dict[str, int]: ...

    def ledger(self) -> dict[tuple[str, int, str, str], int]: ...

    def numbers(self) -> dict[RollupKey, Numbers]: ...

    def clicks(self) -> list[Row]: ...


@dataclass
class InMemory:
    pages: MemoryPages

    def write(self, results: Sequence[ProcessedBatch], tables: int = len(CLICK_TABLES)) -> None:
        self.pages.write(results, tables)

    def fences(self, partition: int) -> dict[str, int]:
        return self.pages.fences(partition)

    def ledger(self) -> dict[tuple[str, int, str, str], int]:
        return self.pages.ledger()

    def numbers(self) -> dict[RollupKey, Numbers]:
        return self.pages.rollups(STORES)

    def clicks(self) -> list[Row]:
        return self.pages.tables["clicks"]


@dataclass
class InClickHouse:
    clickhouse: ClickHouse

    @property
    def pages(self) -> ClickHousePages:
        return ClickHousePages(self.clickhouse)

    def write(self, results: Sequence[ProcessedBatch], tables: int = len(CLICK_TABLES)) -> None:
        for table in CLICK_TABLES[:tables]:
            rows = open_rows(table.name, results, self.fences)
            if rows is not None:
                self.clickhouse.insert_where(table.name, structure_of(table), rows, "1", uuid.uuid4().hex)

    def fences(self, partition: int) -> dict[str, int]:
        return read_fences(self.clickhouse, CLICKS_FLOW)[CLICKS_COLLECTED.name].get(partition, {})

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
            "sum(views) AS views, sum(actions) AS actions, sum(refires) AS refires, "
            "sum(sessions) AS sessions, sum(bounces) AS bounces, "
            "sum(duration_ms) AS duration_ms, uniqCombined64Merge(17)(visitors) AS visitors, "
            "groupUniqArrayArray(moved) AS moved "
            f"FROM {self.clickhouse.database}.rollups WHERE grain = 'day' "
            "GROUP BY store, grain, bucket, dimension, value, is_bot"
        )
        rows = [{**row, "visitor_ids": range(row["visitors"])} for row in plain_rows(table)]
        return read_rollups(rows, STORES, self.clicks(), self.standing())

    def standing(self) -> list[Row]:
        """Sessions as they are."""
        kept = ", ".join(name for name in insertable(SESSIONS) if name not in ("sign", "source_offset"))
        return plain_rows(
            self.clickhouse.arrow(
                f"SELECT {kept} FROM {self.clickhouse.database}.sessions GROUP BY {kept} HAVING sum(sign) > 0"
            )
        )

    def clicks(self) -> list[Row]:
        names = ", ".join(insertable(CLICKS))
        return plain_rows(self.clickhouse.arrow(f"SELECT {names} FROM {self.clickhouse.database}.clicks"))


@contextmanager
def clickhouse_tables(stack: Stack) -> Iterator[InClickHouse]:
    """Empty tables in a database of their own."""
    database = f"pages_{uuid.uuid4().hex}"
    clickhouse = ClickHouse(stack.urls.clickhouse, database)
    clickhouse.command(f"CREATE DATABASE {database}")
    for table in TABLES:
        clickhouse.command(table.create(database))
    yield InClickHouse(clickhouse)
    clickhouse.command(f"DROP DATABASE {database}")


def send(tables: Tables, log: Sequence[LogRecord], written: int = len(CLICK_TABLES), size: int = 100) -> None:
    """Send records through a machine whose memory starts empty."""
    machine = machine_on(MemoryPages(), log[0].partition)
    for batch in cut(log, (size,)):
        tables.write([machine.process(batch)], written)


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


def of_days(numbers: Mapping[RollupKey, Numbers]) -> dict[RollupKey, Numbers]:
    return {key: held for key, held in numbers.items() if key.grain == "day" and key.bots != "include"}
