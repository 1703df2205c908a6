"""The ClickHouse-HTTP process: data in and out, driven by clickhouse-connect as the services drive it."""

import threading
import urllib.error
import urllib.request
import zlib

import clickhouse_connect
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from ops.stack import Stack
from ops.stack.clickhouse_http.compression import decode
from ops.stack.clickhouse_http.errors import QueryError
from tests.kits.clickhouse_rows import COLUMNS, ROWS


def test_rows_inserted_in_native_format_come_back_the_same(client: Client, events: str) -> None:
    summary = client.insert(events, ROWS, column_names=COLUMNS)
    result = client.query(f"SELECT * FROM {events} ORDER BY id")
    assert summary.written_rows == 2
    assert [list(row) for row in result.result_rows] == ROWS
    assert result.column_names == tuple(COLUMNS)


@pytest.mark.parametrize("compress", ["lz4", "zstd", "gzip", False])
def test_every_compression_of_the_client_works_both_ways(clickhouse: Stack, events: str, compress: str | bool) -> None:
    rows = [[number, f"row {number}" * 20, ROWS[0][2], None] for number in range(5000)]
    with clickhouse_connect.get_client(dsn=clickhouse.urls.clickhouse, compress=compress) as client:
        client.insert(events, rows, column_names=COLUMNS)
        back = client.query(f"SELECT id, name FROM {events} ORDER BY id").result_rows
    assert back == [(row[0], row[1]) for row in rows]


@pytest.mark.parametrize(("accepted", "encoding"), [("br, gzip", "gzip"), ("deflate;q=0.5", "deflate"), ("br", None)])
def test_a_large_answer_has_the_first_encoding_that_is_known(
    clickhouse: Stack, accepted: str, encoding: str | None
) -> None:
    url = f"{clickhouse.urls.clickhouse}/?enable_http_compression=1&query=SELECT+repeat('x',100000)"
    request = urllib.request.Request(url, headers={"Accept-Encoding": accepted})
    with urllib.request.urlopen(request) as response:
        body = response.read()
        assert response.headers["Content-Encoding"] == encoding
    text = zlib.decompress(body, wbits=47) if encoding else body
    assert text == b"x" * 100_000 + b"\n"


def test_an_arrow_table_goes_in_and_out(client: Client, events: str) -> None:
    table = pa.table({"id": pa.array([7, 8], pa.uint64()), "name": ["a", "b"]})
    assert client.insert_arrow(events, table).written_rows == 2
    assert client.query_arrow(f"SELECT id, name FROM {events} ORDER BY id").to_pydict() == table.to_pydict()


def test_a_data_frame_goes_in_and_out(client: Client, events: str) -> None:
    frame = client.query_df("SELECT toUInt64(number) AS id, toString(number) AS name FROM numbers(10)")
    client.insert_df(events, frame)
    assert client.query_df(f"SELECT id, name FROM {events} ORDER BY id").equals(frame)


def test_raw_inserts_of_text_are_read_in_their_format(client: Client, events: str) -> None:
    client.raw_insert(events, ["id", "name"], insert_block='5,"five, quoted"\n6,six\n', fmt="CSV")
    client.raw_insert(events, ["id", "name"], insert_block=b'{"id": 7, "name": "\\u00fc"}\n', fmt="JSONEachRow")
    assert client.query(f"SELECT id, name FROM {events} ORDER BY id").result_rows == [
        (5, "five, quoted"),
        (6, "six"),
        (7, "ü"),
    ]


def test_values_in_the_statement_are_inserted(client: Client, events: str) -> None:
    client.command(f"INSERT INTO {events} (id, name) VALUES (1, 'it''s; FORMAT'), (2, concat('a', 'b'))")
    assert client.query(f"SELECT name FROM {events} ORDER BY id").result_columns == [["it's; FORMAT", "ab"]]


def test_damaged_data_inserts_nothing(client: Client, events: str) -> None:
    with pytest.raises(DatabaseError):
        client.raw_insert(events, ["id", "name"], insert_block="1,a\nnot a number,b\n", fmt="CSV")
    with pytest.raises(DatabaseError):
        client.raw_insert(events, ["id", "name"], insert_block=b"no arrow at all", fmt="Arrow")
    assert client.command(f"SELECT count() FROM {events}") == 0


def test_an_empty_table_inserts_nothing_and_is_no_error(client: Client, events: str) -> None:
    empty = pa.table({"id": pa.array([], pa.uint64()), "name": pa.array([], pa.string())})
    assert client.insert_arrow(events, empty).written_rows == 0
    assert client.command(f"SELECT count() FROM {events}") == 0


def test_two_clients_work_at_once(clickhouse: Stack, events: str) -> None:
    problems: list[BaseException] = []

    def work(first: int) -> None:
        try:
            with clickhouse_connect.get_client(dsn=clickhouse.urls.clickhouse) as client:
                for number in range(first, first + 50):
                    client.insert(events, [[number, "x"]], column_names=["id", "name"])
                    assert client.command(f"SELECT count() FROM {events} WHERE id = {number}") == 1
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_it_answers_pings_while_a_query_runs(clickhouse: Stack, client: Client) -> None:
    slow = threading.Thread(target=lambda: client.command("SELECT sleepEachRow(0.5) FROM numbers(3)"))
    slow.start()
    for path, expected in (("/ping", b"Ok.\n"), ("/replicas_status", b"Ok.\n"), ("/", b"Ok.\n")):
        with urllib.request.urlopen(clickhouse.urls.clickhouse + path, timeout=1) as response:
            assert response.read() == expected
    assert slow.is_alive()
    slow.join()


def test_ten_megabytes_arrive_in_one_insert(client: Client, events: str) -> None:
    rows = 100_000
    table = pa.table({"id": pa.array(range(rows), pa.uint64()), "name": [f"{number:0100d}" for number in range(rows)]})
    assert table.nbytes > 10_000_000
    assert client.insert_arrow(events, table).written_rows == rows
    assert client.query(f"SELECT count(), uniqExact(name) FROM {events}").result_rows == [(rows, rows)]


def test_a_body_beyond_the_limit_is_refused_when_it_is_unpacked() -> None:
    bomb = zlib.compress(bytes(10_000_000))
    with pytest.raises(QueryError) as raised:
        decode(bomb, "deflate", max_bytes=1_000_000)
    assert raised.value.status == 413


def test_a_get_request_cannot_write(clickhouse: Stack, client: Client, events: str) -> None:
    url = f"{clickhouse.urls.clickhouse}/?query=INSERT+INTO+{events}+(id)+VALUES+(1)"
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(url)
    with raised.value as answer:
        assert answer.headers["X-ClickHouse-Exception-Code"] == "164"
    assert client.command(f"SELECT count() FROM {events}") == 0


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "SELECT file('/etc/hostname')",
        "SELECT `file`('/etc/hostname')",
        "SELECT file/**/('/etc/hostname')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "SELECT 1 INTO OUTFILE '/tmp/written-by-a-query'",
        "INSERT INTO FUNCTION file('/tmp/written-by-a-query', 'TSV', 'a Int8') VALUES (1)",
        "CREATE TABLE f (a String) ENGINE = File(LineAsString, '/etc/hostname')",
        "CREATE DICTIONARY d (k UInt64) PRIMARY KEY k SOURCE(EXECUTABLE(COMMAND 'id' FORMAT 'TSV'))"
        " LAYOUT(FLAT()) LIFETIME(1)",
        "SELECT * FROM Python(engine)",
        "SELECT 1 FROM remote('127.0.0.1:1', system.one)",
    ],
)
def test_a_query_cannot_reach_the_machine(client: Client, query: str) -> None:
    with pytest.raises(DatabaseError) as raised:
        client.command(query)
    assert raised.value.code == 497
