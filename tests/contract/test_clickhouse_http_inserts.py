"""Inserts through the ClickHouse-HTTP process: conditional, deduplicated, and whole after a kill."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import clickhouse_connect
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, Error
from clickhouse_connect.driver.summary import QuerySummary

from ops.stack import Stack


@pytest.fixture(scope="module")
def client(clickhouse: Stack) -> Iterator[Client]:
    with clickhouse_connect.get_client(dsn=clickhouse.urls.clickhouse) as client:
        yield client


@pytest.fixture
def deltas(client: Client) -> Iterator[str]:
    """A table of merged rows: its visitor sketch is made from ids that are not stored."""
    client.command(
        """CREATE TABLE deltas (
            bucket UInt32, partition UInt32, last_offset SimpleAggregateFunction(max, Int64),
            clicks SimpleAggregateFunction(sum, Int64),
            ids Array(UInt64) EPHEMERAL,
            visitors AggregateFunction(uniqCombined64(17), UInt64)
                DEFAULT arrayReduce('uniqCombined64State(17)', ids)
        ) ENGINE = AggregatingMergeTree ORDER BY (bucket, partition)
        SETTINGS non_replicated_deduplication_window = 100"""
    )
    yield "deltas"
    client.command("DROP TABLE deltas")


def _arrow(first_offset: int, rows: int = 4) -> bytes:
    table = pa.table(
        {
            "bucket": pa.array([number % 2 for number in range(rows)], pa.uint32()),
            "partition": pa.array([0] * rows, pa.uint32()),
            "last_offset": pa.array(range(first_offset, first_offset + rows), pa.int64()),
            "clicks": pa.array([10] * rows, pa.int64()),
            "ids": pa.array([[number, number + 1] for number in range(rows)], pa.list_(pa.uint64())),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


COLUMNS = "bucket, partition, last_offset, clicks, ids"
STRUCTURE = "bucket UInt32, partition UInt32, last_offset Int64, clicks Int64, ids Array(UInt64)"
BEYOND_THE_FENCE = (
    f"INSERT INTO deltas ({COLUMNS}) SELECT {COLUMNS} FROM input('{STRUCTURE}') AS batch"
    " WHERE last_offset > (SELECT max(last_offset) FROM deltas WHERE partition = 0) OR"
    " (SELECT count() FROM deltas) = 0 FORMAT Arrow"
)
TOTALS = "SELECT sum(clicks), max(last_offset), uniqCombined64Merge(17)(visitors) FROM deltas"


def written(answer: object) -> int:
    assert isinstance(answer, QuerySummary)
    return answer.written_rows


def test_an_ephemeral_column_feeds_the_default_of_a_state_column(client: Client, deltas: str) -> None:
    client.raw_insert(f"{deltas} ({COLUMNS})", insert_block=_arrow(0), fmt="Arrow")
    assert client.query(TOTALS).result_rows == [(40, 3, 5)]


def test_an_insert_selects_from_its_own_data_by_a_condition_on_the_table(client: Client, deltas: str) -> None:
    first = client.command(BEYOND_THE_FENCE, data=_arrow(0))
    again = client.command(BEYOND_THE_FENCE, data=_arrow(2))
    assert (written(first), written(again)) == (4, 2)
    assert client.query(TOTALS).result_rows == [(60, 5, 5)]


def test_the_statement_and_its_data_may_share_the_body(client: Client, deltas: str) -> None:
    body = BEYOND_THE_FENCE.encode() + b"\n" + _arrow(0)
    assert client.raw_insert("", insert_block=body).written_rows == 4


def test_a_parameter_reaches_a_conditional_insert(client: Client, deltas: str) -> None:
    query = f"INSERT INTO {deltas} ({COLUMNS}) SELECT {COLUMNS} FROM input('{STRUCTURE}')"
    query += " WHERE last_offset >= {low:Int64} FORMAT Arrow"
    assert written(client.command(query, data=_arrow(0), parameters={"low": 3})) == 1


def test_damaged_data_leaves_a_conditional_insert_without_effect(client: Client, deltas: str) -> None:
    with pytest.raises(DatabaseError):
        client.command(BEYOND_THE_FENCE, data=_arrow(0)[:-100])
    assert client.command(f"SELECT count() FROM {deltas}") == 0
    assert written(client.command(BEYOND_THE_FENCE, data=_arrow(0))) == 4


@pytest.mark.parametrize("conditional", [False, True])
def test_a_repeated_deduplication_token_inserts_once(client: Client, deltas: str, conditional: bool) -> None:
    source = f" SELECT {COLUMNS} FROM input('{STRUCTURE}')" if conditional else ""
    query = f"INSERT INTO {deltas} ({COLUMNS}){source} FORMAT Arrow"
    for token, block in (("a", _arrow(0)), ("a", _arrow(100)), ("b", _arrow(200))):
        client.command(query, data=block, settings={"insert_deduplication_token": token})
    assert client.query(TOTALS).result_rows == [(80, 203, 5)]


def test_a_token_holds_for_its_own_insert_only(client: Client, deltas: str) -> None:
    query = f"INSERT INTO {deltas} ({COLUMNS}) FORMAT Arrow"
    client.command(query, data=_arrow(0), settings={"insert_deduplication_token": "a"})
    for first_offset in (100, 200):
        client.command(query, data=_arrow(first_offset))
    assert client.query(TOTALS).result_rows == [(120, 203, 5)]


def test_one_insert_is_one_block(client: Client, deltas: str) -> None:
    client.raw_insert(f"{deltas} ({COLUMNS})", insert_block=_arrow(0, rows=50_000), fmt="Arrow")
    parts = "SELECT count() FROM system.parts WHERE database = 'default' AND table = 'deltas' AND active"
    assert client.command(parts) == 1


def test_small_parts_are_merged_in_the_background(client: Client, deltas: str) -> None:
    for first_offset in range(0, 80, 4):
        client.raw_insert(f"{deltas} ({COLUMNS})", insert_block=_arrow(first_offset), fmt="Arrow")
    parts = "SELECT count() FROM system.parts WHERE database = 'default' AND table = 'deltas' AND active"
    deadline = time.monotonic() + 30
    while client.command(parts) == 20 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert int(str(client.command(parts))) < 20
    assert client.query(TOTALS).result_rows == [(800, 79, 5)]


def test_a_kill_in_the_middle_of_inserts_loses_no_acknowledged_row(clickhouse: Stack, client: Client) -> None:
    client.command("CREATE TABLE survivors (id UInt64, text String) ENGINE = MergeTree ORDER BY id")
    acknowledged: set[int] = set()
    stop = threading.Event()

    def insert(first: int) -> None:
        number = first
        with clickhouse_connect.get_client(dsn=clickhouse.urls.clickhouse) as writer:
            while not stop.is_set():
                table = pa.table({"id": pa.array(range(number, number + 1000), pa.uint64()), "text": ["x" * 50] * 1000})
                try:
                    writer.insert_arrow("survivors", table)
                except (Error, OSError):
                    return
                acknowledged.update(range(number, number + 1000))
                number += 1000

    for round_number in range(3):
        before = len(acknowledged)
        firsts = [(round_number * 2 + place) * 10_000_000 for place in range(2)]
        writers = [threading.Thread(target=insert, args=(first,)) for first in firsts]
        for writer in writers:
            writer.start()
        while len(acknowledged) < before + 10_000 and any(writer.is_alive() for writer in writers):
            stop.wait(0.01)
        clickhouse.kill("clickhouse")
        for writer in writers:
            writer.join()
        clickhouse.wait_healthy("clickhouse")

    with clickhouse_connect.get_client(dsn=clickhouse.urls.clickhouse) as reader:
        stored = reader.query("SELECT id FROM survivors").result_columns[0]
    assert len(stored) == len(set(stored))
    assert len(acknowledged) >= 30_000
    assert acknowledged - set(stored) == set()


def test_a_second_process_on_the_same_folder_is_refused(clickhouse: Stack) -> None:
    folder = clickhouse.data_dir / "clickhouse"
    command = [sys.executable, "-m", "ops.stack.clickhouse_http", "--data", str(folder), "--port", "0"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert "belongs to another process" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize("end", ["restart", "kill"])
def test_databases_and_tables_are_there_after_it_starts_again(clickhouse: Stack, end: str) -> None:
    with clickhouse_connect.get_client(dsn=clickhouse.urls.clickhouse) as client:
        client.command("CREATE DATABASE IF NOT EXISTS shop")
        client.command("CREATE OR REPLACE TABLE shop.kept (a Int8) ENGINE = MergeTree ORDER BY a")
        client.command("CREATE OR REPLACE TABLE kept (a Int8) ENGINE = MergeTree ORDER BY a")
        client.command("CREATE OR REPLACE VIEW seen AS SELECT a FROM shop.kept")
        client.command("INSERT INTO shop.kept VALUES (1), (2)")
        client.command("INSERT INTO kept VALUES (3)")
    getattr(clickhouse, end)("clickhouse")
    clickhouse.wait_healthy("clickhouse")
    with clickhouse_connect.get_client(dsn=clickhouse.urls.clickhouse) as client:
        counts = client.query("SELECT (SELECT sum(a) FROM seen), (SELECT sum(a) FROM kept)").result_rows
    assert counts == [(3, 3)]


def test_a_crash_of_the_engine_ends_the_process_and_it_comes_back(clickhouse: Stack) -> None:
    clickhouse.kill("clickhouse", signal.SIGABRT)
    clickhouse.wait_healthy("clickhouse")
    assert clickhouse.process("clickhouse").last_exit == -signal.SIGABRT
