"""What the ClickHouse-HTTP process does when it is asked for more than it can do."""

import asyncio
from collections.abc import Iterator, MutableMapping
from dataclasses import replace
from typing import Any

import pytest

from ops.stack.clickhouse_http.app import ClickHouseHttp
from ops.stack.clickhouse_http.engine import Engine
from ops.stack.clickhouse_http.request import QueryRequest

pytestmark = pytest.mark.timeout(60)


async def _post(application: ClickHouseHttp, body: bytes) -> tuple[int, bytes]:
    """One request straight into the application; its status and body."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
    await application(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The engine in this very process: it can be opened for one folder only."""
    engine = Engine(tmp_path_factory.mktemp("engine"))
    yield engine
    engine.close()


@pytest.fixture
def application(engine: Engine) -> Iterator[ClickHouseHttp]:
    application = ClickHouseHttp(engine, workers=1, queue=2, max_body_bytes=1000)
    yield application
    application.close()


def test_queries_beyond_the_queue_are_refused_and_the_others_are_answered(application: ClickHouseHttp) -> None:
    async def burst() -> list[tuple[int, bytes]]:
        return list(await asyncio.gather(*(_post(application, b"SELECT sleep(0.2)") for _ in range(6))))

    answers = asyncio.run(burst())
    assert sorted(status for status, _ in answers) == [200, 200, 200, 503, 503, 503]
    assert all(body.startswith(b"Code: 202.") for status, body in answers if status == 503)


def test_a_body_beyond_the_limit_is_refused(application: ClickHouseHttp) -> None:
    status, body = asyncio.run(_post(application, b"SELECT '" + b"x" * 2000 + b"'"))
    assert (status, body[:10]) == (413, b"Code: 229.")


def test_a_setting_of_one_request_is_gone_in_the_next_whatever_connection_that_gets(engine: Engine) -> None:
    def value(*settings: tuple[str, str]) -> bytes:
        query = b"SELECT getSetting('max_block_size'), getSetting('max_execution_time')"
        return engine.run(QueryRequest(query=query, settings=settings)).body

    usual = value()
    assert value(("max_block_size", "5"), ("max_execution_time", "7")) == b"5\t7\n"
    assert value(("max_block_size", "6")).startswith(b"6\t")
    assert value() == usual


def test_more_settings_than_idle_connections_are_all_served(engine: Engine) -> None:
    for size in range(1, 60):
        request = QueryRequest(query=b"SELECT getSetting('max_block_size')", settings=(("max_block_size", str(size)),))
        assert engine.run(replace(request, read_only=size % 2 == 0)).body == f"{size}\n".encode()
