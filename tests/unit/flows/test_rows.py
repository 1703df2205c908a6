"""Rows as they leave the flow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from connectors.clickhouse.insert_shape import structure_of
from flows.clicks.output.arrow_rows import rows_of
from flows.clicks.processor import PartitionProcessor
from marketplace.tables import CLICK_TABLES, Table, insertable
from ops.oracle import LogRecord
from tests.kits.clicks import CHROME, STORES, FixedStores, as_batch, as_log, encoding_of, event, ms, run
from tests.kits.clicks_pages import MemoryPages, plain_rows, read_rollups

NOON = ms("2025-03-12T12:00:00")
# One browser in two versions: two answers that agree in a column.
AGENTS = [CHROME, CHROME.replace("120.0", "121.0"), CHROME.replace("Windows NT 10.0", "Windows NT 6.1")]
VALUES = [event(NOON + step, event_id=str(step), user_agent=AGENTS[step % 3], target=str(step)) for step in range(6)]
LOG = as_log(VALUES)


TABLES = pytest.mark.parametrize("table", [table.name for table in CLICK_TABLES])


@TABLES
def test_a_dictionary_holds_each_text_once_in_a_batch_and_in_batches_written_together(table: str) -> None:
    results = run(LOG, (2,)).results
    for rows in (rows_of(table, results[:1]), rows_of(table, results).combine_chunks()):
        for name in rows.column_names:
            for chunk in rows[name].chunks if pa.types.is_dictionary(rows[name].type) else ():
                texts = chunk.dictionary.to_pylist()
                assert len(set(texts)) == len(texts), name


@pytest.mark.parametrize("table", CLICK_TABLES, ids=lambda table: table.name)
def test_rows_have_every_column_that_an_insert_gives(table: Table) -> None:
    assert set(rows_of(table.name, run(LOG).results).column_names) == set(insertable(table))
    assert [name for name, _ in structure_of(table)] == list(insertable(table))


ARROW_TYPES = {
    "String": pa.string(),
    "Int8": pa.int8(),
    "UInt8": pa.uint8(),
    "UInt16": pa.uint16(),
    "UInt32": pa.uint32(),
    "UInt64": pa.uint64(),
    "Int64": pa.int64(),
    "Float32": pa.float32(),
    "DateTime('UTC')": pa.timestamp("s", "UTC"),
    "DateTime64(3, 'UTC')": pa.timestamp("ms", "UTC"),
}


def arrow_type(declared: str) -> pa.DataType:
    """The type of a table's column in the rows that are sent."""
    plain = declared.removeprefix("LowCardinality(").removesuffix(")") if "Card" in declared else declared
    if declared.startswith("Map("):
        return pa.map_(pa.string(), pa.string())
    if plain.startswith("SimpleAggregateFunction(groupUniqArrayArray, "):
        return arrow_type(plain[len("SimpleAggregateFunction(groupUniqArrayArray, ") : -1])
    if plain.startswith("Array("):
        return pa.list_(arrow_type(plain[len("Array(") : -1]))
    return ARROW_TYPES[plain]


@pytest.mark.parametrize("table", CLICK_TABLES, ids=lambda table: table.name)
def test_a_column_has_the_type_that_its_table_declares(table: Table) -> None:
    rows = rows_of(table.name, run(LOG).results)
    for name, declared in structure_of(table):
        found = rows.schema.field(name).type
        assert (found.value_type if pa.types.is_dictionary(found) else found) == arrow_type(declared), name


@TABLES
def test_every_row_carries_an_offset_of_its_batch(table: str) -> None:
    for result in run(LOG, (2,)).results:
        offsets = set(rows_of(table, [result])["source_offset"].to_pylist())
        assert offsets == ({result.first_offset, result.last_offset} if table == "clicks" else {result.last_offset})


def everywhere(values: Sequence[Any]) -> list[LogRecord]:
    """The same events in three partitions."""
    return [record for partition in range(3) for record in as_log(values, partition)]


@TABLES
def test_rows_of_batches_written_together_carry_every_partitions_fence(table: str) -> None:
    # The last record of each partition leads to no fact.
    done = run(everywhere([*VALUES, b"{"]), (7,), epoch=3)
    rows = plain_rows(rows_of(table, done.results))
    fences = {result.partition: result.fence(table) for result in done.results}
    assert len(fences) == 3
    assert {
        part: max(row["source_offset"] for row in rows if row["source_partition"] == part) for part in fences
    } == fences
    assert set(fences.values()) == {5 if table == "clicks" else 6}


def test_a_number_of_several_partitions_is_one_row_when_they_are_written_together() -> None:
    done = run(everywhere(VALUES), (6,), epoch=3)
    (row,) = (
        row
        for row in plain_rows(rows_of("rollups", done.results))
        if (row["grain"], row["dimension"], row["value"]) == ("day", "browser", "Chrome")
    )
    assert (row["views"], row["source_partition"]) == (18, 0)


@TABLES
@pytest.mark.parametrize("page_bytes", [1, 1 << 20])
def test_batches_between_which_answers_were_forgotten_can_be_written_together(table: str, page_bytes: int) -> None:
    # With no room at all, every batch finds its answers forgotten, and their codes mean something else.
    apart = run(LOG, (1,), page_bytes=page_bytes).results
    books = {id(result.book) for result in apart}
    assert len(books) == (len(apart) if page_bytes == 1 else 1)
    rows = [row for result in apart for row in plain_rows(rows_of(table, [result]))]
    together = plain_rows(rows_of(table, apart))
    if table == "rollups":
        pages = run(LOG, (1,)).pages
        past = pages.tables["clicks"], pages.standing(0)
        assert read_rollups(together, STORES, *past) == read_rollups(rows, STORES, *past)
    else:
        assert sorted(map(repr, together)) == sorted(map(repr, rows))


def test_a_visit_that_stays_the_same_in_a_bucket_leaves_no_row_there() -> None:
    pages = ["/first", "/second", "/first"]
    values = [
        event(
            NOON + at, event_id=str(at), received_at_ms=NOON + 20_000, url=f"https://alpha.example{page}", target=page
        )
        for at, page in zip((0, 5_000, 10_000), pages, strict=True)
    ]
    # The one in the middle comes last: the visit has its beginning, its end and its page already.
    _, last = run(as_log([values[0], values[2], values[1]]), (2,)).results
    rows = plain_rows(rows_of("rollups", [last]))
    assert {row["value"] for row in rows if row["dimension"] == "page"} == {"/second"}


def test_a_visit_that_one_batch_adds_and_the_next_retracts_collapses_when_both_are_written_together() -> None:
    values = [event(NOON + step * 60_000, event_id=str(step), target=str(step)) for step in range(4)]
    done = run(everywhere(values), (1,), epoch=12)
    rows = plain_rows(rows_of("sessions", done.results))
    key = [name for name in rows[0] if name not in ("sign", "source_offset")]
    standing: Counter[str] = Counter()
    for row in rows:
        visit = repr([row[name] for name in key])
        standing[visit] += row["sign"]
        assert standing[visit] in (0, 1), "ClickHouse keeps a row that is retracted before it was added"
    assert (len(rows), sum(standing.values())) == (3 * 7, 3)


def test_a_zone_that_changes_before_the_round_is_written_changes_no_day_of_the_batches_before_it() -> None:
    late = ms("2025-03-12T23:30:00")
    stores, encoding = FixedStores({"beta": replace(STORES["beta"], timezone="UTC")}), encoding_of()
    results = []
    for partition, zone in enumerate(("UTC", "Pacific/Auckland")):
        stores.stores = {"beta": replace(STORES["beta"], timezone=zone)}
        machine = PartitionProcessor(partition, MemoryPages(), stores, encoding, {})
        results.append(machine.process(as_batch(as_log([event(late, store="beta")], partition))))
    days = [
        (row["source_partition"], row["bucket"] // 86_400)
        for row in plain_rows(rows_of("rollups", results))
        if (row["grain"], row["dimension"]) == ("day", "all")
    ]
    assert days == [(part, day) for part, result in enumerate(results) for _, day in result.store_days]
    assert days[1][1] == days[0][1] + 1


def test_a_batch_of_nothing_but_broken_records_leads_to_ledger_rows_only() -> None:
    (result,) = run(as_log([b"", b"{"])).results
    fences = [result.fence(table.name) for table in CLICK_TABLES]
    assert fences == [None, None, None, 1]
    assert (result.events, len(result.rejects), result.store_days, result.live) == (2, 2, set(), {})
