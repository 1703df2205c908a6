"""More requests at one time than a process takes: each is answered, and whoever only holds a place loses it."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from api.web.bodies import BODY_SECONDS
from api.web.edge import MAX_REQUESTS
from ops.stack import Stack
from tests.kits.api import Api, own_database, running_api
from tests.kits.stack import eventually

FEW_DESCRIPTORS = 400
"""With which the process is started: fewer than it takes requests."""


@pytest.fixture
def api(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("crowds")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with own_database(stack) as database:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FEW_DESCRIPTORS, hard))
        try:
            running = running_api(stack, folder, database)
            started = running.__enter__()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        try:
            yield started
        finally:
            running.__exit__(None, None, None)
    log = (folder / "api.log").read_text()
    assert "Traceback" not in log
    assert "out of system resource" not in log


def test_of_more_requests_than_there_are_places_each_is_answered_and_none_keeps_its_place_without_a_body(
    api: Api,
) -> None:
    where = urlsplit(api.url)
    head = (
        b"POST /v1/identity/sessions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"content-length: 100\r\n\r\n{"
    )
    extra, began = 100, time.monotonic()

    async def unfinished() -> tuple[float, int, dict[str, str], dict[str, object]]:
        """When the answer came, its status, its headers and its body."""
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        try:
            writer.write(head)
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            return time.monotonic() - began, int(lines[0].split()[1]), headers, body
        finally:
            writer.close()

    async def crowd() -> list[tuple[float, int, dict[str, str], dict[str, object]]]:
        async with asyncio.timeout(BODY_SECONDS + 30):
            waiting = [asyncio.create_task(unfinished()) for _ in range(MAX_REQUESTS + extra)]
            while sum(each.done() for each in waiting) < extra:
                await asyncio.sleep(0.02)
            # Whoever comes now is asked to come again, and the process is well.
            refused = await asyncio.to_thread(httpx.get, f"{api.url}/.well-known/jwks.json", timeout=5)
            assert (refused.status_code, refused.json()["type"]) == (503, "/problems/unavailable")
            alive = await asyncio.to_thread(httpx.get, f"{api.admin_url}/livez", timeout=5)
            assert alive.status_code == 200
            return await asyncio.gather(*waiting)

    answers = asyncio.run(crowd())
    refused = [each for each in answers if each[1] == 503]
    late = [each for each in answers if each[1] == 400]
    assert (len(refused), len(late)) == (extra, MAX_REQUESTS)
    for seconds, _, headers, body in refused:
        assert seconds < BODY_SECONDS
        assert (headers["content-type"], body["type"]) == ("application/problem+json", "/problems/unavailable")
        assert int(headers["retry-after"]) >= 1
    for _, _, headers, body in late:
        assert (headers["connection"], body["type"]) == ("close", "/problems/bad-request")
    assert eventually(lambda: api.ask("GET", "/.well-known/jwks.json").status_code == 200, 5)
