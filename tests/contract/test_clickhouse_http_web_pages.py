"""A web page that is open on this machine can neither change nor read what is in the embedded ClickHouse."""

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlsplit

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import given
from hypothesis import strategies as st

from ops.stack import Stack
from ops.stack.clickhouse_http.web_pages import refusal
from ops.stack.health.checks import check
from ops.stack.process_spec import HealthCheck
from ops.stack.state.model import OLDEST_QUERY_HEADER

_LOCAL = ("localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "192.168.1.7")


def ask(
    stack: Stack, method: str, query: str, headers: dict[str, str] | None = None, path: str = "/?query="
) -> tuple[int, str]:
    """A request as a browser sends it, with the headers that it chooses."""
    parts = urlsplit(stack.urls.clickhouse)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        connection.putrequest(method, f"{path}{quote(query)}", skip_host=True)
        for name, value in {"Host": parts.netloc, "Content-Length": "0", **(headers or {})}.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/?query=", "/ping?x="])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:8501", ""])
def test_a_request_with_an_origin_is_refused_with_one_line(clickhouse: Stack, path: str, origin: str) -> None:
    status, text = ask(clickhouse, "POST", "SELECT 1", {"Origin": origin}, path)
    assert (status, text.count("\n")) == (403, 1)
    assert "Origin" in text


_PAGES = [({"Origin": "https://evil.example"}, "POST"), ({"Sec-Fetch-Site": "cross-site"}, "POST")]
_PAGES += [({}, method) for method in ("GET", "HEAD", "PUT", "OPTIONS", "DELETE")]
"""What a page can cause: a browser adds no Origin to images and links, and not all add Sec-Fetch-Site."""


@pytest.mark.parametrize(("headers", "method"), _PAGES)
@pytest.mark.parametrize("path", ["/?query=", "/?readonly=0&query=", "/?readonly=false&query="])
def test_no_request_that_a_page_can_cause_drops_a_table(
    clickhouse: Stack, client: Client, events: str, headers: dict[str, str], method: str, path: str
) -> None:
    status, _ = ask(clickhouse, method, f"DROP TABLE {events}", headers, path)
    assert status >= 400
    assert client.query(f"EXISTS TABLE {events}").result_rows == [(1,)]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:18123", "localhost.evil.example", "", "127.0.0.1.nip.io"]
)
def test_a_name_that_somebody_else_can_let_lead_here_is_refused(clickhouse: Stack, host: str) -> None:
    status, text = ask(clickhouse, "GET", "SELECT 1", {"Host": host})
    assert (status, text.count("\n")) == (403, 1)
    assert "Host" in text


@pytest.mark.parametrize("name", _LOCAL)
def test_local_names_and_addresses_are_served(clickhouse: Stack, name: str) -> None:
    assert ask(clickhouse, "GET", "SELECT 1", {"Host": f"{name}:18123"}) == (200, "1\n")
    assert ask(clickhouse, "GET", "SELECT 1", {"Host": name}) == (200, "1\n")


@given(
    host=st.one_of(st.sampled_from(_LOCAL), st.text(max_size=30)),
    headers=st.dictionaries(st.sampled_from(["origin", "sec-fetch-site", "accept"]), st.text(max_size=20)),
)
def test_whatever_else_is_sent_an_origin_is_refused_and_a_refusal_is_one_line(
    host: str, headers: dict[str, str]
) -> None:
    refused = refusal({"host": host, **headers})
    assert "\n" not in refused
    if "origin" in headers:
        assert refused


@given(st.from_regex(r"[a-z][a-z0-9-]{0,10}(\.[a-z][a-z0-9-]{1,8}){1,3}(:[0-9]{1,5})?", fullmatch=True))
def test_no_name_of_the_internet_is_local(host: str) -> None:
    name = host.partition(":")[0]
    assert bool(refusal({"host": host})) != name.endswith(".localhost")


def test_a_busy_engine_answers_its_health_check_and_says_for_how_long_it_has_been_busy(
    clickhouse: Stack, client: Client
) -> None:
    query = "SELECT count() FROM numbers_mt(1000000000000) WHERE sipHash64(number) = 1 SETTINGS max_execution_time = 4"
    with ThreadPoolExecutor(6) as pool:
        queries = [pool.submit(ask, clickhouse, "POST", query) for _ in range(6)]
        deadline = time.monotonic() + 3
        ages = []
        while time.monotonic() < deadline:
            began = time.monotonic()
            assert check(HealthCheck("clickhouse"), clickhouse.urls.clickhouse, 5.0).outcome == "fine"
            assert time.monotonic() - began < 2.5
            parts = urlsplit(clickhouse.urls.clickhouse)
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
            connection.request("GET", "/ping")
            ages.append(float(connection.getresponse().headers.get(OLDEST_QUERY_HEADER) or 0))
            connection.close()
        assert {status for status, _ in (query.result() for query in queries)} <= {400, 408, 500}
    assert ages == sorted(ages)
    assert ages[-1] > 2
