"""The ClickHouse-HTTP process, driven by clickhouse-connect as the services drive it."""

import threading
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import clickhouse_connect
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.external import ExternalData

from ops.stack import Stack
from ops.stack.clickhouse_http.compression import decode
from ops.stack.clickhouse_http.errors import QueryError


@pytest.fixture(scope="module")
def client(clickhouse: Stack) -> Iterator[Client]:
    dsn = clickhouse.urls.clickhouse
    with clickhouse_connect.get_client(dsn=dsn, username="someone", password="anything", tz_mode="aware") as client:
        yield client


@pytest.fixture
def events(client: Client) -> Iterator[str]:
    client.command(
        "CREATE TABLE events (id UInt64, name String, at DateTime64(3, 'UTC'), price Nullable(Decimal(18, 2)))"
        " ENGINE = MergeTree ORDER BY id"
    )
    yield "events"
    client.command("DROP TABLE events")


ROWS = [
    [1, "naïve ' quote \\ tab\t", datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC), Decimal("12.34")],
    [2, "", datetime(1999, 12, 31, tzinfo=UTC), None],
]
COLUMNS = ["id", "name", "at", "price"]


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


def test_command_gives_a_single_value(client: Client) -> None:
    assert client.command("SELECT count() FROM numbers(42)") == 42


def test_a_raw_query_answers_in_the_format_asked_for(client: Client) -> None:
    assert client.raw_query("SELECT 1 AS one", fmt="JSONEachRow") == b'{"one":1}\n'
    assert client.raw_query("SELECT 1 AS one FORMAT CSVWithNames") == b'"one"\n1\n'


def test_a_raw_stream_delivers_everything(client: Client) -> None:
    with client.raw_stream("SELECT number FROM numbers(300000)", fmt="TabSeparated") as stream:
        lines = stream.read().splitlines()
    assert len(lines) == 300_000
    assert lines[-1] == b"299999"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("String", "it's a \\ and a\ttab\nline"),
        ("Nullable(String)", None),
        ("Int32", -5),
        ("Array(String)", ["it's", "b\\c", ""]),
        ("Array(UInt64)", [1, 2**60]),
        ("DateTime64(3, 'UTC')", datetime(2026, 5, 6, 7, 8, 9, 123000, tzinfo=UTC)),
    ],
)
def test_parameters_are_bound_by_the_server(client: Client, kind: str, value: object) -> None:
    rows = client.query(f"SELECT {{value:{kind}}}", parameters={"value": value}).result_rows
    assert rows == [(value,)]


def test_a_parameter_may_name_a_table(client: Client, events: str) -> None:
    client.insert(events, ROWS, column_names=COLUMNS)
    counted = client.query("SELECT count() FROM {t:Identifier} WHERE id > {low:UInt64}", {"t": events, "low": 1})
    assert counted.result_rows == [(1,)]


def test_a_long_query_with_parameters_travels_as_a_form(clickhouse: Stack) -> None:
    with clickhouse_connect.get_client(dsn=clickhouse.urls.clickhouse, form_encode_query_params=True) as client:
        rows = client.query("SELECT {a:String}, {b:Int8}", parameters={"a": "ä\r\n--x", "b": 3}).result_rows
    assert rows == [("ä\r\n--x", 3)]


def test_settings_hold_for_one_query_only(client: Client) -> None:
    ask = "SELECT getSetting('max_block_size'), getSetting('max_execution_time')"
    before = client.query(ask).result_rows
    changed = client.query(ask, settings={"max_block_size": 77, "max_execution_time": 9})
    assert [tuple(map(int, row)) for row in changed.result_rows] == [(77, 9)]
    assert client.query(ask).result_rows == before


def test_external_data_is_a_table_of_the_query(client: Client) -> None:
    external = ExternalData(
        file_name="people.csv", data=b"1,Ann\n2,Bob\n", fmt="CSV", structure="id UInt8, name String"
    )
    rows = client.query("SELECT name FROM people WHERE id = 2", external_data=external).result_rows
    assert rows == [("Bob",)]


def test_a_session_keeps_its_temporary_tables_to_itself(clickhouse: Stack) -> None:
    with (
        clickhouse_connect.get_client(dsn=clickhouse.urls.clickhouse, session_id="one") as one,
        clickhouse_connect.get_client(dsn=clickhouse.urls.clickhouse, session_id="two") as two,
    ):
        one.command("CREATE TEMPORARY TABLE scratch (a Int8)")
        one.command("INSERT INTO scratch VALUES (4)")
        assert one.command("SELECT sum(a) FROM scratch") == 4
        with pytest.raises(DatabaseError, match="code: 60"):
            two.command("SELECT sum(a) FROM scratch")


def test_the_database_of_the_client_is_the_database_of_the_query(client: Client, clickhouse: Stack) -> None:
    client.command("CREATE DATABASE IF NOT EXISTS elsewhere")
    with clickhouse_connect.get_client(dsn=clickhouse.urls.clickhouse, database="elsewhere") as other:
        assert other.command("SELECT currentDatabase()") == "elsewhere"
    assert client.command("SELECT currentDatabase()") == "default"


def test_the_query_id_comes_back(client: Client) -> None:
    assert client.query("SELECT 1", settings={"query_id": "mine-1"}).query_id == "mine-1"
    assert client.query("SELECT 1").query_id


def test_an_empty_result_is_no_error(client: Client) -> None:
    assert client.query("SELECT number FROM numbers(3) WHERE number > 5").result_rows == []
    assert client.query("SELECT number AS n FROM numbers(3) LIMIT 0").column_names == ("n",)
    assert client.query_arrow("SELECT number AS n FROM numbers(3) WHERE number > 5").column_names == ["n"]


@pytest.mark.parametrize(
    ("query", "code", "status"),
    [
        ("SELECT * FROM no_such_table", 60, 404),
        ("SELEKT 1 FROM", 62, 400),
        ("SELECT no_such_column FROM system.one", 47, 404),
        ("SELECT no_such_function(1)", 46, 404),
        ("SELECT 1 + toDate('2026-01-01') + 'x'", 43, 500),
        ("SELECT 'x' = 1", 53, 400),
        ("SELECT toInt32('x')", 6, 400),
        ("SELECT throwIf(1)", 395, 500),
        ("SELECT 1 SETTINGS no_such_setting = 1", 115, 404),
        ("SELECT 1 FORMAT NoSuchFormat", 73, 404),
        ("USE no_such_database", 81, 404),
        ("SELECT sleep(3) SETTINGS max_execution_time = 1, function_sleep_max_microseconds_per_block = 0", 159, 408),
        ("SELECT {missing:String}", 456, 500),
    ],
)
def test_a_failed_query_answers_as_clickhouse_does(clickhouse: Stack, query: str, code: int, status: int) -> None:
    request = urllib.request.Request(clickhouse.urls.clickhouse, data=query.encode())
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request)
    with raised.value as answer:
        body = answer.read().decode()
        given = int(answer.headers["X-ClickHouse-Exception-Code"])
    assert body.startswith(f"Code: {given}. DB::Exception: ")
    assert (given, answer.code) == (code, status)


def test_the_client_sees_the_code_and_the_name_of_an_error(client: Client) -> None:
    with pytest.raises(DatabaseError) as raised:
        client.query("SELECT * FROM no_such_table")
    assert raised.value.code == 60
    assert raised.value.name == "UNKNOWN_TABLE"


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
