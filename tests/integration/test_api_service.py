"""The REST API as a service of the stack: it starts with what it needs, says how it is, and counts what it does."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.config import NEEDS
from connectors.mongo.async_client import connect_async
from marketplace.collections import STORES
from ops.stack import Stack, running_urls
from runtime.sections import DATABASE_NAME
from tests.kits.api import PASSWORD, any_address
from tests.kits.depth import LONG
from tests.kits.products import product, put_products
from tests.kits.stack import command, eventually, polled

TIMEOUT_SECONDS = 10.0


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A data folder on which the API runs with its parts, and the URLs of both its ports."""
    folder = tmp_path_factory.mktemp("up") / "data"
    code, said = command(folder, "up", "--only", "api", "--ports", "auto", "--json")
    try:
        assert code == 0, said
        document = json.loads(said)
        assert [info["name"] for info in document["processes"]] == ["mongo", "clickhouse", "redis", "api"]
        assert all(info["healthy"] for info in document["processes"])
        ports = document["ports"]
        yield folder, {name: f"http://127.0.0.1:{ports[name]}" for name in ("api", "api-admin")}
    finally:
        Stack(folder, external={}).stop()


def samples(admin_url: str) -> dict[str, float]:
    text = httpx.get(f"{admin_url}/metrics", timeout=TIMEOUT_SECONDS).text
    found = re.findall(r"^(marketplace_\S+(?:\{.*\})?) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


def test_up_starts_it_with_its_needs_and_status_shows_it(up: tuple[Path, dict[str, str]]) -> None:
    folder, urls = up
    code, said = command(folder, "status")
    assert code == 0, said
    assert ["api", "healthy"] in [line.split()[:2] for line in said.splitlines()]
    assert urls["api"] in said


def test_it_says_on_its_admin_port_alone_that_it_lives_and_is_ready(up: tuple[Path, dict[str, str]]) -> None:
    _, urls = up
    for path in ("/livez", "/readyz", "/metrics"):
        assert httpx.get(f"{urls['api-admin']}{path}", timeout=TIMEOUT_SECONDS).status_code == 200
        assert httpx.get(f"{urls['api']}{path}", timeout=TIMEOUT_SECONDS).status_code == 404


def test_a_product_is_found_soon_after_it_is_written_and_counted(
    up: tuple[Path, dict[str, str]],
) -> None:
    folder, urls = up
    parts, store = running_urls(folder), {"_id": "shop", "title": "Shop", "write_key_hash": "x"}
    assert parts is not None
    mongo_url = polled(parts.mongo)

    async def write() -> None:
        client = connect_async(mongo_url)
        await client[DATABASE_NAME.default][STORES.name].insert_one(store)
        await put_products(client, DATABASE_NAME.default, [product("Blue mug")])
        await client.close()

    def found() -> list[str]:
        page = httpx.get(f"{urls['api']}/v1/search", params={"q": "mug"}, timeout=TIMEOUT_SECONDS).json()
        return [hit["title"] for hit in page["hits"]]

    asyncio.run(write())
    assert eventually(lambda: found() == ["Blue mug"])
    read = samples(urls["api-admin"])
    assert (read["marketplace_api_search_products"], read["marketplace_api_search_reads_total"]) == (1, 1)
    assert eventually(lambda: samples(urls["api-admin"])["marketplace_api_search_age_seconds"] < 1)


def test_requests_are_counted_by_route_and_status_and_never_by_path(up: tuple[Path, dict[str, str]]) -> None:
    _, urls = up
    before = samples(urls["api-admin"])
    for path in ("/v1/identity/me", "/v1/identity/me?x=1", "/nothing-of-that-name", "/v1/identity/other"):
        httpx.get(f"{urls['api']}{path}", timeout=TIMEOUT_SECONDS)
    httpx.request("QUERY", f"{urls['api']}/v1/identity/me", timeout=TIMEOUT_SECONDS)
    httpx.get(f"{urls['api']}/v1/identity/me", headers={"host": "a_b"}, timeout=TIMEOUT_SECONDS)
    after = samples(urls["api-admin"])
    grown = {name: value - before.get(name, 0) for name, value in after.items() if "requests_total" in name}
    assert {name: value for name, value in grown.items() if value} == {
        'marketplace_api_requests_total{route="GET /v1/identity/me",status="401"}': 2,
        'marketplace_api_requests_total{route="none",status="404"}': 2,
        'marketplace_api_requests_total{route="none",status="405"}': 1,
        'marketplace_api_requests_total{route="none",status="400"}': 1,
    }
    assert after['marketplace_api_request_seconds_count{route="GET /v1/identity/me"}'] >= 2


def test_gauges_show_what_waits_and_what_is_in_use(up: tuple[Path, dict[str, str]]) -> None:
    folder, urls = up
    found = samples(urls["api-admin"])
    assert found["marketplace_api_limiter_degraded"] == 0
    assert 0 <= found["marketplace_api_mongo_connections"] <= 25
    assert found["marketplace_api_mails_waiting"] == 0
    body = {"email": "ann@shop.example", "name": "Ann", "password": PASSWORD}
    headers = {"x-forwarded-for": any_address()}
    mails = folder / "mails"
    # Where a file lies instead of the folder, no mail can be written.
    mails.write_text("")
    assert httpx.post(f"{urls['api']}/v1/identity/registrations", json=body, headers=headers).status_code == 202
    assert eventually(lambda: samples(urls["api-admin"])["marketplace_api_mails_waiting"] == 1)
    mails.unlink()
    assert eventually(lambda: samples(urls["api-admin"])["marketplace_api_mails_waiting"] == 0, 60)
    assert len(list(mails.glob("*.eml"))) == 1


@LONG
def test_up_says_how_the_first_admin_is_made_until_there_is_one(tmp_path: Path) -> None:
    folder, email = tmp_path / "data", "ann@shop.example"
    hint = "nobody is an admin of the platform yet"

    def marketplace(*arguments: str) -> tuple[int, str]:
        return command(folder, *arguments, cli="from ops.cli import main; main()")

    try:
        code, said = marketplace("up", "--only", "api", "--ports", "auto")
        assert (code, hint in said) == (0, True), said
        code, refused = marketplace("accounts", "admin", email)
        assert (code, refused.count("\n")) == (1, 1)
        assert f"there is no account with the address {email}" in refused
        code, refused = marketplace("accounts", "admin", "no address")
        assert (code, refused.count("\n")) == (1, 1)

        # Step by step as the line says.
        url = re.findall(r"POST (\S+)/v1/identity/registrations", said)[0]
        body = {"email": email, "name": "Ann", "password": PASSWORD}
        assert httpx.post(f"{url}/v1/identity/registrations", json=body, timeout=10).status_code == 202
        assert eventually(lambda: "Confirm your address" in marketplace("mail")[1])
        (token,) = re.findall(r"confirm#(\S+)", marketplace("mail")[1])
        assert httpx.post(f"{url}/v1/identity/confirmations", json={"token": token}, timeout=10).status_code == 201
        assert marketplace("accounts", "admin", email) == (0, f"{email} is an admin of the platform.\n")
        assert marketplace("down")[0] == 0
        code, said = marketplace("up", "--only", "api")
        assert (code, hint in said) == (0, False), said
    finally:
        Stack(folder, external={}).stop()


@LONG
def test_a_process_that_stands_still_is_started_again_and_goes_on_where_it_was(tmp_path: Path) -> None:
    with Stack(tmp_path, ports="auto", parts={*NEEDS, "api"}, external={}, hang_seconds=3.0) as stack:
        keys = httpx.get(f"{stack.process('api').url}/.well-known/jwks.json", timeout=TIMEOUT_SECONDS).json()
        before = stack.pid("api")
        os.kill(before, signal.SIGSTOP)
        assert eventually(lambda: stack.process("api").pid not in (None, before), 60)
        stack.wait_healthy("api", 60)
        again = httpx.get(f"{stack.process('api').url}/.well-known/jwks.json", timeout=TIMEOUT_SECONDS).json()
        assert again == keys
        assert {info.name: info.hangs for info in stack.state().processes} == {**dict.fromkeys(NEEDS, 0), "api": 1}
