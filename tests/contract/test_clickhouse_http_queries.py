"""The ClickHouse-HTTP process: queries, settings and errors, driven by clickhouse-connect as the services drive it."""

import urllib.error
import urllib.request
from datetime import UTC, datetime

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.external import ExternalData

from ops.stack import Stack
from tests.kits.clickhouse_rows import COLUMNS, ROWS


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


def test_external_data_is_refused_with_a_clear_error(client: Client) -> None:
    external = ExternalData(file_name="people.csv", data=b"1,Ann\n", fmt="CSV", structure="id UInt8, name String")
    with pytest.raises(DatabaseError, match="External tables are not taken here"):
        client.query("SELECT name FROM people WHERE id = 2", external_data=external)


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
