"""Which pages of other origins a browser lets ask the API: the table of routes and origins."""

from __future__ import annotations

from typing import Final

import httpx
import pytest

from marketplace.collections import STORES
from ops.reference.access import rules
from tests.kits.api_requests import filled, ready_for, send_good, settle
from tests.kits.tenancy import Run, World

PATHS: Final = sorted({path for _, path in rules()})
IN_STORE: Final = [path for path in PATHS if "{store}" in path]
ORIGINS: Final = {
    "own": ("https://shop.example", True),
    "own, without TLS and on another port": ("http://shop.example:8080", True),
    "subdomain": ("https://www.de.shop.example", True),
    "other store's": ("https://other.example", False),
    "parent": ("https://example", False),
    "an end of it": ("https://evilshop.example", False),
    "a beginning of it": ("https://shop.example.evil.example", False),
    "own as a user": ("https://shop.example@evil.example", False),
    "own and another one": ("https://shop.example https://evil.example", False),
    "own in a path": ("https://evil.example/shop.example", False),
    "an extension": ("moz-extension://shop.example", False),
    "null": ("null", False),
    "any": ("*", False),
    "empty": ("", False),
    "absent": (None, False),
}


async def settled(world: World) -> None:
    await settle(world)
    stores = world.client[world.database][STORES.name]
    await stores.update_one({"_id": "other"}, {"$set": {"domains": ["other.example"]}})


async def preflight(world: World, path: str, origin: str | None, **values: str) -> httpx.Response:
    headers = {"access-control-request-method": "GET"} | ({} if origin is None else {"origin": origin})
    return await world.ask("OPTIONS", filled(path, **values), headers=headers)


def said(response: httpx.Response) -> dict[str, str]:
    """What an answer says to browsers about other origins."""
    return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("name", ORIGINS)
def test_a_preflight_is_answered_to_pages_of_the_store_in_the_path_alone(run: Run, name: str) -> None:
    origin, own = ORIGINS[name]

    async def work(world: World) -> None:
        await settled(world)
        for path in PATHS:
            response = await preflight(world, path, origin)
            if not own or path not in IN_STORE:
                assert (response.status_code, said(response)) == (405, {}), path
                continue
            assert origin is not None
            assert (response.status_code, response.headers["vary"]) == (204, "origin"), path
            # Neither credentials nor headers of a page's choice, among them Authorization.
            assert said(response) == {
                "access-control-allow-origin": origin,
                "access-control-allow-methods": "GET",
                "access-control-max-age": "600",
            }

    run(work)


def test_no_answer_of_a_route_is_for_pages_of_another_origin(run: Run) -> None:
    async def work(world: World) -> None:
        await settled(world)
        for method, path in rules():
            response = await world.ask(method, filled(path), headers={"origin": "https://shop.example"})
            assert said(response) == {}, (method, path)
        signed_in = await send_good(world, "GET", "/v1/stores/{store}", "ann")
        assert (signed_in.status_code, said(signed_in)) == (200, {})

    run(work)


def test_a_store_that_is_not_there_is_answered_like_one_of_other_domains(run: Run) -> None:
    async def work(world: World) -> None:
        await settled(world)
        answers = [
            await preflight(world, "/v1/stores/{store}", "https://shop.example", store=store)
            for store in ("other", "nowhere")
        ]
        texts = {answer.text.replace(answer.headers["x-request-id"], "") for answer in answers}
        assert ([answer.status_code for answer in answers], len(texts)) == ([405, 405], 1)
        await ready_for(world, "DELETE", "/v1/stores/{store}")
        assert (await world.ask("DELETE", "/v1/stores/shop", "ann")).status_code == 204
        deleted = await preflight(world, "/v1/stores/{store}", "https://shop.example")
        assert (deleted.status_code, said(deleted)) == (405, {})

    run(work)


def test_preflights_take_from_the_bucket_of_their_address(run: Run) -> None:
    async def work(world: World) -> None:
        await settled(world)
        world.buckets.taken.clear()
        await preflight(world, "/v1/stores/{store}", "https://shop.example")
        await preflight(world, "/v1/stores/{store}", "https://evil.example")
        assert [name.partition(":")[0] for name, _ in world.buckets.taken] == ["address", "address"]

    run(work)
