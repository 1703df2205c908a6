"""Dead letters in ClickHouse: a record counts once, however often its letter was written, and merged or not."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner, Result

from connectors.clickhouse.client import ClickHouse
from connectors.clickhouse.dead_letters import DeadLetterQueries
from connectors.clickhouse.insert_shape import structure_of
from flows.dead_letters.letters import as_table, read_batch
from flows.delivery.batch import RawBatch
from marketplace.dead_letters import DeadLetter, headers
from marketplace.tables import DEAD_LETTERS
from ops.cli import make_app
from ops.stack import Stack

NOON_MS = 1_750_068_000_000
LETTERS = "clicks.collected.v1.dlq"


@pytest.fixture
def clickhouse_database(stack: Stack) -> Iterator[ClickHouse]:
    name = f"letters_{uuid.uuid4().hex}"
    client = ClickHouse(stack.urls.clickhouse, name)
    client.command(f"CREATE DATABASE {name}")
    client.command(DEAD_LETTERS.create(name))
    yield client
    client.command(f"DROP DATABASE {name}")
    client.close()


def insert(clickhouse: ClickHouse, letters: list[tuple[DeadLetter, bytes]], first: int = 0) -> None:
    batch = RawBatch(
        0,
        range(first, first + len(letters)),
        [NOON_MS] * len(letters),
        [value for _, value in letters],
        [headers(letter) for letter, _ in letters],
        topic=LETTERS,
    )
    rows = as_table(read_batch(batch).rows)
    clickhouse.insert_where(DEAD_LETTERS.name, structure_of(DEAD_LETTERS), rows, "1", uuid.uuid4().hex)


def letter(offset: int, reason: str = "undecodable", partition: int = 3) -> DeadLetter:
    return DeadLetter("flows.clicks", reason, "why", "shop", "clicks.collected.v1", partition, offset)


@pytest.mark.parametrize("merged", [False, True])
def test_a_record_is_known_by_its_place_and_its_bytes(clickhouse_database: ClickHouse, merged: bool) -> None:
    insert(clickhouse_database, [(letter(17), b"old log"), (letter(17), b"old log"), (letter(18), b"other")])
    # The topic was made again: another record stands where the first one stood.
    insert(clickhouse_database, [(letter(17), b"new log"), (letter(17), b"old log")], first=3)
    if merged:
        clickhouse_database.command(f"OPTIMIZE TABLE {clickhouse_database.database}.{DEAD_LETTERS.name} FINAL")
    (group,) = DeadLetterQueries(clickhouse_database).by_reason()
    assert (group.records, group.reason, group.topic) == (3, "undecodable", "clicks.collected.v1")
    rows = clickhouse_database.rows(
        f"SELECT fingerprint, max(source_offset) FROM {clickhouse_database.database}.{DEAD_LETTERS.name} "
        "GROUP BY fingerprint ORDER BY 2"
    )
    assert [int(offset) for _, offset in rows] == [2, 3, 4], "a fingerprint stands beside an offset that it has"


@pytest.mark.parametrize("merged", [False, True])
def test_records_whose_place_nobody_knows_count_each(clickhouse_database: ClickHouse, merged: bool) -> None:
    nowhere = DeadLetter("flows.clicks", "undecodable", topic="clicks.collected.v1")
    insert(clickhouse_database, [(nowhere, b"same bytes")] * 5)
    if merged:
        clickhouse_database.command(f"OPTIMIZE TABLE {clickhouse_database.database}.{DEAD_LETTERS.name} FINAL")
    assert [group.records for group in DeadLetterQueries(clickhouse_database).by_reason()] == [5]


def test_a_reason_that_is_called_expired_is_counted_like_any_other(clickhouse_database: ClickHouse) -> None:
    insert(clickhouse_database, [(letter(1, "expired"), b"x"), (letter(1, "expired"), b"x")])
    assert [group.records for group in DeadLetterQueries(clickhouse_database).by_reason()] == [1]


def test_a_time_that_no_calendar_has_breaks_no_list(clickhouse_database: ClickHouse) -> None:
    late = DeadLetter("flows.clicks", "undecodable", first_seen_ms=999_999_999_999_999_999)
    insert(clickhouse_database, [(late, b"x")])
    (group,) = DeadLetterQueries(clickhouse_database).by_reason()
    assert group.first_seen == group.last_seen


def test_letters_of_a_store_that_there_is_not_are_listed_and_no_letters_of_it_are_an_error(
    stack: Stack, clickhouse_database: ClickHouse
) -> None:
    insert(clickhouse_database, [(letter(1), b"a")])

    def listed(store: str) -> Result:
        names: dict[str, str | None] = {each: None for each in os.environ if each.startswith("MARKETPLACE_")}
        parts = ("kafka", "mongo", "clickhouse")
        own = {f"MARKETPLACE_{part.upper()}_URL": getattr(stack.urls, part) for part in parts}
        whole = ["dlq", "list", "--store", store]
        return CliRunner().invoke(
            make_app(whole), whole, env={**names, **own, "MARKETPLACE_DATABASE": clickhouse_database.database}
        )

    assert "undecodable" in listed("shop").stdout
    refused = listed("shpo")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert str(refused.exception) == "no store 'shpo'; there are: none yet"
