"""Every way in which ClickHouse fails a caller has one of two types: come back later, or this will never do."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from connectors.clickhouse.client import STATEMENT_DOES_NOT_HOLD, ClickHouse
from connectors.errors import Refused, Unavailable
from ops.stack import Stack


class Cutter(ThreadingHTTPServer):
    """Stands before a real server and cuts answers in half while it is set to."""

    cutting = False
    target = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Cutter
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {k: v for k, v in self.headers.items() if k not in ("Host", "Content-Length", "Accept-Encoding")}
        request = urllib.request.Request(self.server.target + self.path, body, headers)
        try:
            with urllib.request.urlopen(request) as answer:
                status, content, kind = answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                status, content, kind = error.code, error.read(), dict(error.headers)
        if self.server.cutting:
            content = content[: len(content) // 2]
        self.send_response(status)
        for name, value in kind.items():
            if name.startswith(("X-ClickHouse", "Content-Type")):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def cutter(clickhouse: Stack) -> Iterator[Cutter]:
    with Cutter(("127.0.0.1", 0), Handler) as server:
        server.target = clickhouse.urls.clickhouse
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_an_arrow_answer_that_ends_too_soon_is_unavailable_and_the_next_one_is_read(cutter: Cutter) -> None:
    client = ClickHouse(cutter.url, "default")
    assert client.arrow("SELECT number FROM numbers(3)").to_pydict() == {"number": [0, 1, 2]}

    cutter.cutting = True
    with pytest.raises(Unavailable, match="broken answer"):
        client.arrow("SELECT number FROM numbers(1000)")
    cutter.cutting = False

    assert client.arrow("SELECT number FROM numbers(3)").num_rows == 3
    client.close()


def test_rows_that_end_too_soon_are_unavailable(cutter: Cutter) -> None:
    client = ClickHouse(cutter.url, "default")
    client.ping()

    cutter.cutting = True
    with pytest.raises(Unavailable):
        client.rows("SELECT number FROM numbers(1000)")
    client.close()


def test_a_statement_that_does_not_hold_is_refused(clickhouse: Stack) -> None:
    client = ClickHouse(clickhouse.urls.clickhouse, "default")

    with pytest.raises(Refused, match="no_such_table"):
        client.rows("SELECT * FROM no_such_table")
    client.close()


def test_rows_without_a_column_of_the_table_are_refused_before_they_are_sent(clickhouse: Stack) -> None:
    client = ClickHouse(clickhouse.urls.clickhouse, "default")

    with pytest.raises(Refused, match="cannot be sent"):
        client.insert_where("anything", [("missing", "String")], pa.table({"other": ["x"]}), "1", "token")


def test_nobody_there_is_unavailable_and_so_after_a_disconnection(clickhouse: Stack) -> None:
    client = ClickHouse(clickhouse.urls.clickhouse, "default")
    client.ping()
    client.close()
    client.ping()
    client.close()

    with pytest.raises(Unavailable, match="is unavailable"):
        ClickHouse("http://127.0.0.1:1", "default").ping()


def thrown(code: int) -> str:
    return f"SELECT throwIf(1, 'no', toInt16({code})) SETTINGS allow_custom_error_code_in_throwif = 1"


@given(code=st.integers(1, 1_000).filter(lambda code: code not in STATEMENT_DOES_NOT_HOLD))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(code=241)  # memory
@example(code=243)  # a full disk
@example(code=75)  # a file that cannot be written
@example(code=252)  # too many parts
@example(code=999)  # Keeper
def test_whatever_a_server_refuses_for_its_own_sake_is_waited_for(clickhouse: Stack, code: int) -> None:
    client = ClickHouse(clickhouse.urls.clickhouse, "default")
    with pytest.raises(Unavailable, match="is busy"):
        client.command(thrown(code))
    client.close()


@pytest.mark.parametrize("code", [47, 53, 60, 62, 81, 497, 516])
def test_a_statement_or_right_that_does_not_hold_is_refused_at_once(clickhouse: Stack, code: int) -> None:
    client = ClickHouse(clickhouse.urls.clickhouse, "default")
    with pytest.raises(Refused, match=str(code)):
        client.command(thrown(code))
    client.close()
