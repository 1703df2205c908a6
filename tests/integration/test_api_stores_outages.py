"""Every route about stores while Mongo hangs or is gone: a problem that says when to come back, and then it works."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.callers import Caller
from connectors.mongo.async_client import connect_async
from marketplace.identity.accounts import User
from marketplace.identity.roles import Permission
from ops.reference.access import rules
from ops.stack import Stack
from tests.kits.api_requests import key_id_of, send_good, settle
from tests.kits.tcp_proxy import TcpProxy
from tests.kits.tenancy import COLLECTIONS, World, tenancy_database

BOUND_SECONDS = 7.0  # two for each of two rounds of questions, and what a busy machine needs
ROUTES = sorted(key for key in rules() if not key[1].startswith("/v1/identity") and key[1].startswith("/v1/"))


class Known:
    """Knows who is asking without Mongo."""

    def __init__(self, user: User) -> None:
        self._user = user

    async def caller_of(self, access_token: str) -> Caller | None:
        return Caller(self._user, "session")


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[str]:
    with tenancy_database(stack) as name:
        yield name


async def timed(world: World, method: str, path: str, who: str) -> tuple[float, httpx.Response]:
    began = time.monotonic()
    answer = await send_good(world, method, path, who)
    return time.monotonic() - began, answer


@pytest.mark.parametrize("how", ["frozen", "cut"])
@pytest.mark.parametrize("credential", ["person", "key"])
def test_without_mongo_every_route_says_when_to_come_back_within_seconds_and_then_works(
    stack: Stack, database: str, how: str, credential: str
) -> None:
    async def work(proxy: TcpProxy) -> None:
        client = connect_async(proxy.url)
        try:
            for collection in COLLECTIONS:
                await client[database][collection.name].delete_many({})
            world = World(client, database)
            await settle(world)
            ann = replace((await world.tenancy.memberships.users(["ann"]))["ann"], admin=True)
            state: Any = world.app.app.state  # type: ignore[attr-defined]
            state.identities = Known(ann)
            key = f"mk_{key_id_of(Permission.READ_STORE)}_{'s' * 43}"
            who = "ann" if credential == "person" else key
            await asyncio.to_thread(proxy.freeze if how == "frozen" else proxy.cut)
            answers = await asyncio.gather(*(timed(world, *route, who) for route in ROUTES))
            for route, (seconds, answer) in zip(ROUTES, answers, strict=True):
                assert answer.status_code == 503, (route, answer.text)
                assert answer.json()["type"] == "/problems/unavailable"
                assert int(answer.headers["retry-after"]) >= 1
                assert seconds < BOUND_SECONDS, route
            await asyncio.to_thread(proxy.thaw if how == "frozen" else proxy.open)
            deadline = time.monotonic() + 10
            while (again := await world.ask("GET", "/v1/stores/shop/members", "ann")).status_code == 503:
                assert time.monotonic() < deadline
            assert again.status_code == 200
        finally:
            await client.close()

    with closing(TcpProxy(stack.urls.mongo)) as proxy:
        proxy.open()
        asyncio.run(work(proxy))
