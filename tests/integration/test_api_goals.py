"""A store's goals by HTTP on a real Mongo."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from connectors.mongo.client import connect
from connectors.mongo.stores import MongoStores
from marketplace.goals import FIRST_GOALS, MAX_GOALS, Goal
from ops.stack import Stack
from tests.kits.tenancy import Run, Work, World, run_in_world

GOALS = "/v1/stores/shop/goals"


@pytest.fixture
def run(stack: Stack, database: str) -> Run:
    async def prepared(world: World, work: Work) -> None:
        await world.store("shop", ann="owner", max="manager", eve="analyst")
        await work(world)

    return lambda work: run_in_world(stack.urls.mongo, database, lambda world: prepared(world, work))


async def put(world: World, name: str, body: Any, version: int | None = 1, who: str = "ann") -> tuple[int, Any]:
    """Put a goal; gives the status and the answer."""
    headers = {} if version is None else {"if-match": f'"{version}"'}
    answer = await world.ask("PUT", f"{GOALS}/{name}", who, json=body, headers=headers)
    return answer.status_code, answer.json()


async def names(world: World) -> list[str]:
    """The names of the goals that are there."""
    return [goal["name"] for goal in (await world.ask("GET", GOALS, "eve")).json()["goals"]]


def test_goals_are_made_changed_in_their_place_and_taken_off_and_the_click_path_reads_them(
    run: Run, stack: Stack, database: str
) -> None:
    async def work(world: World) -> None:
        first = await world.ask("GET", GOALS, "eve")
        assert (first.headers["etag"], await names(world)) == ('"1"', [goal.name for goal in FIRST_GOALS])
        large = {"kind": "event", "pattern": "add_to_cart", "properties": {"size": "L"}}
        assert await put(world, "Large cart", large) == (200, {"name": "Large cart", **large})
        seen = {"kind": "page", "pattern": "/paid/**", "properties": {}}
        assert await put(world, "Paid", seen, 2, "max") == (200, {"name": "Paid", **seen})
        assert await names(world) == ["Put into the cart", "Began a checkout", "Paid", "Large cart"]
        gone = await world.ask("DELETE", f"{GOALS}/Began a checkout", "ann", headers={"if-match": '"3"'})
        assert gone.status_code == 204
        with connect(stack.urls.mongo) as client:
            found = MongoStores(client, database).get("shop")
        assert found is not None
        assert found.goals == (
            FIRST_GOALS[0],
            Goal("Paid", "page", "/paid/**"),
            Goal("Large cart", "event", "add_to_cart", (("size", "L"),)),
        )
        assert (await world.ask("GET", "/v1/stores/shop", "ann")).headers["etag"] == '"4"'

    run(work)


def test_of_parallel_changes_of_one_version_one_succeeds_and_a_goal_that_is_not_there_is_404(run: Run) -> None:
    async def work(world: World) -> None:
        page = {"kind": "page", "pattern": "/a"}
        assert (await put(world, "A", page, None))[0] == 428
        answers = await asyncio.gather(*(put(world, f"Goal {number}", page) for number in range(8)))
        assert sorted(status for status, _ in answers) == [200] + [412] * 7
        for version in ('"1"', '"2"'):
            missing = await world.ask("DELETE", f"{GOALS}/Nowhere", "ann", headers={"if-match": version})
            assert missing.status_code == 404
        assert len(await names(world)) == len(FIRST_GOALS) + 1

    run(work)


@pytest.mark.parametrize(
    ("name", "body", "why"),
    [
        ("Paid", {"kind": "page", "pattern": "checkout"}, "begins with / or *"),
        ("Paid", {"kind": "page", "pattern": "/", "properties": {"a": "b"}}, "only named events"),
        ("Paid", {"kind": "event", "pattern": "x" * 65}, "a pattern has 1 to 64"),
        ("Paid", {"kind": "event", "pattern": "sign\u200dup"}, "printable characters alone"),
        (" Paid", {"kind": "page", "pattern": "/"}, "a name has 1 to"),
        ("...", {"kind": "page", "pattern": "/"}, "not dots alone"),
        ("x" * 61, {"kind": "page", "pattern": "/"}, "at most 60"),
        ("a%0Ab", {"kind": "page", "pattern": "/"}, "does not have the form"),
    ],
)
def test_a_goal_that_is_not_valid_is_refused_with_the_rule_and_changes_nothing(
    run: Run, name: str, body: Any, why: str
) -> None:
    async def work(world: World) -> None:
        before = await world.everything()
        status, answer = await put(world, name, body)
        assert (status, answer["type"]) == (422, "/problems/invalid")
        assert why in answer["errors"][0]["message"]
        assert await world.everything() == before

    run(work)


def test_a_store_has_no_more_goals_than_are_counted_in_one_query(run: Run) -> None:
    async def work(world: World) -> None:
        goals = [{"name": str(at), "kind": "page", "pattern": "/", "properties": []} for at in range(MAX_GOALS)]
        await world.client[world.database]["stores"].update_one({"_id": "shop"}, {"$set": {"goals": goals}})
        status, answer = await put(world, "One more", {"kind": "page", "pattern": "/"})
        assert (status, f"at most {MAX_GOALS} goals" in answer["errors"][0]["message"]) == (422, True)
        assert (await put(world, "7", {"kind": "page", "pattern": "/x"}))[0] == 200

    run(work)
