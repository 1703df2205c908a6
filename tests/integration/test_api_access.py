"""Every route as every kind of caller: what is answered is what docs/reference/access.md says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from ops.reference.access import COLUMNS, OK, TARGET, Column, cell, reference, rules
from ops.stack import Stack
from tests.kits.api_requests import credential_of, good_request, ready_for, send_good, settle
from tests.kits.tenancy import Work, World, worlds_with_identity

ROUTES = sorted(rules().items(), key=lambda item: (item[0][1], item[0][0]))
AS_PARAMETERS = [pytest.param(*key, id=" ".join(key)) for key, _ in ROUTES]
IN_STORE = [pytest.param(*key, id=" ".join(key)) for key, _ in ROUTES if "{store}" in key[1]]


def missing_headers(world: World, method: str, path: str, answer: httpx.Response) -> list[str]:
    """Headers that the document says of an answer, and it has not."""
    operation = world.openapi["paths"].get(path, {}).get(method.lower())
    if operation is None:
        return []
    declared = operation["responses"][str(answer.status_code)]["headers"]
    return [name for name, header in declared.items() if header["required"] and name not in answer.headers]


@pytest.fixture(scope="module")
def run(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Work], None]]:
    with worlds_with_identity(stack, tmp_path_factory.mktemp("access")) as running:
        yield running


def test_the_page_says_what_the_routes_demand() -> None:
    assert TARGET.read_text() == reference(), "make reference"


@pytest.mark.parametrize("committed", [False, True])
def test_a_document_that_something_has_changed_would_be_seen(run: Callable[[Work], None], committed: bool) -> None:
    async def work(world: World) -> None:
        await settle(world)
        before = await world.everything()
        assert await world.everything() == before
        stores = world.client[world.database]["stores"]
        if committed:
            async with world.client.start_session() as session, await session.start_transaction():
                await stores.update_one({"_id": "shop"}, {"$set": {"name": "Other"}}, session=session)
                assert await world.everything() == before, "nobody sees it yet"
        else:
            await stores.update_one({"_id": "shop"}, {"$set": {"name": "Other"}})
        assert await world.everything() != before
        await settle(world)
        assert await world.everything() == before

    run(work)


@pytest.mark.parametrize(("method", "path"), AS_PARAMETERS)
def test_every_caller_gets_what_the_page_says(run: Callable[[Work], None], method: str, path: str) -> None:
    rule = rules()[method, path]

    async def work(world: World) -> None:
        good = good_request(world, method, path).status or rule.status
        await settle(world)
        before = await ready_for(world, method, path)

        async def asked(column: Column, status: int) -> httpx.Response:
            answer = await send_good(world, method, path, credential_of(column))
            assert answer.status_code == status, (column.title, answer.text)
            assert missing_headers(world, method, path, answer) == [], column.title
            return answer

        refused = [column for column in COLUMNS if cell(rule, column) != OK]
        for column in refused:
            answer = await asked(column, int(cell(rule, column)))
            assert answer.headers["content-type"] == "application/problem+json"
        # Whatever they asked for did not happen: nobody else has asked for anything yet.
        assert await world.everything() == before
        for column in COLUMNS:
            if column not in refused:
                await asked(column, good)
                if method != "GET":
                    await settle(world)
                    await ready_for(world, method, path)

    run(work)


@pytest.mark.parametrize(("method", "path"), IN_STORE)
def test_in_a_frozen_store_a_route_works_as_the_page_says(run: Callable[[Work], None], method: str, path: str) -> None:
    rule = rules()[method, path]

    async def work(world: World) -> None:
        await settle(world, frozen=True)
        before = await ready_for(world, method, path)
        answer = await send_good(world, method, path, "ann")
        if rule.works_frozen:
            assert answer.status_code == rule.status, answer.text
        else:
            assert (answer.status_code, answer.json()["type"]) == (403, "/problems/limit")
            assert await world.everything() == before

    run(work)
