"""Who loses the right to a change while it is under way changes nothing, whatever route that is."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from api.access import Demand
from api.callers import Access, Caller
from api.known import Known
from marketplace.collections import MEMBERSHIPS, USERS
from marketplace.identity.roles import API_KEY_SCOPES, Permission
from marketplace.identity.tenancy import hash_of_secret
from ops.reference.access import rules
from ops.stack import Stack
from tests.kits.api_requests import good_request, key_id_of, ready_for, send_good, settle
from tests.kits.tenancy import Run, World, tenancy_database, without_counters, worlds_in_turn

Loss = Callable[[World], Awaitable[None]]

CHANGES = [
    pytest.param(method, path, rule, credential, id=f"{method} {path} as {credential}")
    for (method, path), rule in sorted(rules().items())
    for credential in ("person", "key")
    # What changes an account asks for its security stamp in the transaction: tests/contract/test_identity_service.py.
    if method != "GET" and rule.demand is not Demand.NOTHING and not path.startswith("/v1/identity")
    if credential == "person" or rule.demand in API_KEY_SCOPES
]

REFUSALS = ("/problems/unauthenticated", "/problems/forbidden", "/problems/not-found")


@pytest.fixture(scope="module")
def run(stack: Stack) -> Iterator[Run]:
    with tenancy_database(stack) as database, worlds_in_turn(stack.urls.mongo, database) as running:
        yield running


@dataclass
class Interrupted:
    """Says who may do what, and then takes the right away, before the route begins its work."""

    world: World
    lose: Loss
    identities: Any
    after: dict[str, list[Any]] | None = None

    async def caller_of(self, access_token: str) -> Caller | None:
        found: Caller | None = await self.identities.caller_of(access_token)
        return found

    async def caller_of_key(self, key: str) -> Caller | None:
        return await self.world.tenancy.caller_of_key(key)

    async def access(self, caller: Caller, slug: str) -> Access | None:
        found = await self.world.tenancy.access(caller, slug)
        await self._interrupt()
        return found

    async def _interrupt(self) -> None:
        await self.lose(self.world)
        self.after = await self.world.everything()


class InterruptedCaller(Interrupted):
    """The same for routes that demand no permission in a store."""

    async def caller_of(self, access_token: str) -> Caller | None:
        found = await super().caller_of(access_token)
        await self._interrupt()
        return found


async def leave(world: World) -> None:
    """The membership ends."""
    await world.client[world.database][MEMBERSHIPS.name].delete_one({"_id": "shop:ann"})


async def demote(world: World) -> None:
    """The role becomes the lowest one."""
    await world.client[world.database][MEMBERSHIPS.name].update_one({"_id": "shop:ann"}, {"$set": {"role": "analyst"}})


async def ban(world: World) -> None:
    """The account is shut out."""
    await world.client[world.database][USERS.name].update_many(
        {"_id": {"$in": ["ann", "root"]}}, {"$set": {"banned": True}}
    )


async def end_admin(world: World) -> None:
    """The account is no admin any more."""
    await world.client[world.database][USERS.name].update_one({"_id": "root"}, {"$set": {"admin": False}})


async def waiting_invitation(world: World) -> None:
    """The account that asks has an invitation to another store."""
    links = world.client[world.database]["links"]
    there = await links.find_one({"subject": "shop"})
    assert there is not None
    data = {
        **there["data"],
        "id": "4" * 32,
        "store": "other",
        "email": "ann@shop.example",
        "email_key": "ann@shop.example",
        "inviter": "mallory",
    }
    await links.insert_one({**there, "_id": hash_of_secret("x" * 43), "subject": "other", "data": data})


async def begin(world: World) -> None:
    """The documents with which each request finds something to change."""
    if not _BEGIN:
        await settle(world)
        await waiting_invitation(world)
        _BEGIN.update(await world.snapshot())
    await world.restore(_BEGIN)


_BEGIN: Final[dict[str, list[Any]]] = {}


@pytest.mark.parametrize(("method", "path", "rule", "credential"), CHANGES)
def test_who_loses_the_right_while_a_change_is_under_way_changes_nothing(
    run: Run, method: str, path: str, rule: Any, credential: str
) -> None:
    in_store = isinstance(rule.demand, Permission)
    losses: list[Loss]
    if in_store:
        losses = [leave] if rule.demand is Permission.LEAVE_STORE else [leave, demote]
    else:
        losses = [ban, end_admin] if rule.demand is Demand.ADMIN else [ban]

    async def work(world: World) -> None:
        state: Any = world.app.app.state  # type: ignore[attr-defined]  # nothing starts the application here
        who = "root" if rule.demand is Demand.ADMIN else "ann"
        if credential == "key":
            who = f"mk_{key_id_of(rule.demand)}_{'s' * 43}"
        identities, kind = state.identities, Interrupted if in_store else InterruptedCaller
        for lose in losses:
            await begin(world)
            await ready_for(world, method, path)
            interrupted = kind(world, lose, identities)
            state.known = Known(interrupted, interrupted, itertools.count().__next__)
            answer = await send_good(world, method, path, who)
            assert 400 <= answer.status_code < 500, (lose.__name__, answer.status_code, answer.text)
            assert answer.json()["type"] in REFUSALS, answer.text
            assert str(answer.status_code) in world.openapi["paths"][path][method.lower()]["responses"], answer.text
            assert await world.everything() == interrupted.after, lose.__name__

        # Who keeps the right makes the same change.
        await begin(world)
        await ready_for(world, method, path)
        state.known = Known(identities, world.tenancy, itertools.count().__next__)
        good = await send_good(world, method, path, who)
        declared = good_request(world, method, path).status or rule.status
        assert good.status_code in (declared, 201), good.text
        # Nobody has an import key or has voted.
        if method != "DELETE" or not path.endswith(("import-key", "vote")):
            assert await world.everything() != without_counters(_BEGIN)

    run(work)
