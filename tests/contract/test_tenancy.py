"""Memberships, stores and invitations in Mongo: what happens at one time, and while Mongo hangs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from contextlib import closing
from datetime import timedelta

import pytest
from pymongo.asynchronous.client_session import AsyncClientSession

from connectors.errors import Unavailable
from connectors.mongo.accounts import Accounts, SoleOwner
from connectors.mongo.api_keys import ApiKeys
from connectors.mongo.async_client import connect_async, in_transaction
from connectors.mongo.grants import Grants
from connectors.mongo.invitations import Invitations, Offer
from connectors.mongo.memberships import Memberships
from connectors.mongo.tenant_stores import TenantStores
from connectors.mongo.tenants import lock_store, roles_in
from marketplace.entitlements import Grant, Tier
from marketplace.identity.accounts import Mail
from marketplace.identity.roles import Permission, StoreRole
from marketplace.identity.tenancy import (
    ApiKey,
    InviterGone,
    LastOwner,
    LimitReached,
    NoSuchMember,
    NoSuchStore,
    NoSuchThing,
    NoSuchUser,
    NotAllowed,
    SlugTaken,
    Stale,
    TenancyError,
)
from marketplace.stores import Store, hash_write_key
from ops.stack import Stack
from tests.kits.tcp_proxy import TcpProxy
from tests.kits.tenancy import NOW, Run, World

MAIL = Mail("new@shop.example", "invitation", {"link": "https://market.example/invitation#secret"})


def memberships(world: World) -> Memberships:
    return Memberships(world.client, world.database, TenantStores(world.client, world.database))


async def outcome(call: Awaitable[object]) -> str:
    """The name of the refusal, or "done"."""
    try:
        await call
    except TenancyError as error:
        return type(error).__name__
    return "done"


def test_a_transaction_that_meets_another_one_is_repeated_and_sees_what_that_one_did(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", bob="owner")
        mongo = world.client[world.database]
        locked, tried, seen = asyncio.Event(), asyncio.Event(), []

        async def first(session: AsyncClientSession) -> None:
            await lock_store(mongo["stores"], "shop", session)
            locked.set()
            await tried.wait()
            await mongo["memberships"].delete_one({"_id": "shop:ann"}, session=session)

        async def second(session: AsyncClientSession) -> None:
            await locked.wait()
            seen.append("attempt")
            if len(seen) > 1:
                tried.set()
            await lock_store(mongo["stores"], "shop", session)
            seen.append(",".join(await roles_in(mongo["memberships"], "shop", session)))

        await asyncio.gather(in_transaction(world.client, first), in_transaction(world.client, second))
        assert seen[:2] == ["attempt", "attempt"]
        assert seen[-1] == "bob"

    run(work)


def test_twenty_transactions_on_one_document_all_get_their_turn(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        stores = world.client[world.database]["stores"]

        async def add(session: AsyncClientSession) -> None:
            found = await stores.find_one({"_id": "shop"}, session=session)
            assert found is not None
            await stores.update_one({"_id": "shop"}, {"$set": {"count": found.get("count", 0) + 1}}, session=session)

        await asyncio.gather(*(in_transaction(world.client, add) for _ in range(20)))
        found = await stores.find_one({"_id": "shop"})
        assert found is not None
        assert found["count"] == 20

    run(work)


@pytest.mark.parametrize("owners", [2, 5])
def test_of_all_owners_who_leave_at_one_time_one_stays(run: Run, owners: int) -> None:
    async def work(world: World) -> None:
        names = [f"user{number}" for number in range(owners)]
        for round_number in range(5):
            slug = f"shop-{round_number}"
            await world.store(slug, dict.fromkeys(names, "owner"))
            barrier = asyncio.Barrier(owners)

            async def leave(user: str, slug: str = slug, barrier: asyncio.Barrier = barrier) -> str:
                await barrier.wait()
                return await outcome(memberships(world).remove(slug, user, user))

            done = await asyncio.gather(*map(leave, names))
            assert sorted(done) == ["LastOwner"] + ["done"] * (owners - 1)
            assert list((await world.roles(slug)).values()) == ["owner"]

    run(work)


def test_whose_role_changed_meanwhile_changes_nothing(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", max="manager", eve="analyst")
        book = memberships(world)
        for actor in ("max", "eve", "nobody"):
            with pytest.raises(NotAllowed):
                await book.change_role("shop", actor, "eve", StoreRole.MANAGER, NOW)
            with pytest.raises(NotAllowed):
                await book.remove("shop", actor, "ann")
            with pytest.raises(NotAllowed):
                await TenantStores(world.client, world.database).delete("shop", actor, NOW)
        stores, keys = TenantStores(world.client, world.database), ApiKeys(world.client, world.database)
        await world.key("shop", "ann", Permission.READ_STORE, key_id="id")
        for actor in ("eve", "nobody"):
            with pytest.raises(NotAllowed):
                await stores.edit_as("shop", actor, Permission.EDIT_STORE, lambda _: {"title": "x"})
            with pytest.raises(NotAllowed):
                await keys.revoke("shop", actor, "id")
        with pytest.raises(NoSuchThing):
            await keys.revoke("shop", "max", "another")
        with pytest.raises(NoSuchStore):
            await stores.edit_as("nowhere", "ann", Permission.EDIT_STORE, lambda _: {"title": "x"})
        with pytest.raises(NotAllowed):
            await Grants(world.client, world.database).grant("ann", "ann", Grant(Tier.PREMIUM, 0))
        assert await keys.get("id") is not None
        with pytest.raises(NoSuchMember):
            await book.remove("shop", "ann", "nobody")
        with pytest.raises(NoSuchStore):
            await book.remove("nowhere", "ann", "ann")
        with pytest.raises(LastOwner):
            await book.change_role("shop", "ann", "ann", StoreRole.ANALYST, NOW)
        assert await world.roles("shop") == {"ann": "owner", "max": "manager", "eve": "analyst"}

    run(work)


async def delete(world: World, user: str) -> list[str]:
    """Delete an account; the stores that keep it from that."""
    accounts = Accounts(world.client, world.database, memberships(world).leave_all)
    found = await accounts.get(user)
    assert found is not None
    try:
        assert not await accounts.delete(user, found.security_stamp + 1, MAIL, NOW)
        assert await accounts.delete(user, found.security_stamp, MAIL, NOW)
    except SoleOwner as error:
        return str(error).partition(": ")[2].split(", ")
    return []


def test_an_account_that_is_deleted_leaves_all_stores_or_none(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("alone", ann="owner", bob="manager")
        await world.store("another", ann="owner")
        await world.store("shared", ann="owner", bob="owner")
        await world.store("helped", bob="owner", ann="analyst")
        book = memberships(world)
        assert await delete(world, "ann") == ["alone", "another"]
        assert len(await book.of_user("ann")) == 4
        for slug in ("alone", "another"):
            await TenantStores(world.client, world.database).delete(slug, "ann", NOW)
        assert await delete(world, "ann") == []
        assert await book.of_user("ann") == []
        assert await world.roles("shared") == {"bob": "owner"}

    run(work)


def test_a_store_whose_document_somebody_removed_keeps_no_account_from_being_deleted(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("removed", ann="owner")
        await world.store("shop", ann="owner", bob="manager")
        await world.client[world.database]["stores"].delete_one({"_id": "removed"})
        assert await delete(world, "ann") == ["shop"]
        await TenantStores(world.client, world.database).delete("shop", "ann", NOW)
        assert await delete(world, "ann") == []
        assert await memberships(world).of_user("ann") == []

    run(work)


@pytest.mark.parametrize("how", ["banned", "gone"])
def test_an_owner_who_cannot_act_is_none_for_those_who_leave(run: Run, how: str) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", bob="owner", eve="analyst")
        users = world.client[world.database]["users"]
        if how == "banned":
            await users.update_one({"_id": "bob"}, {"$set": {"banned": True}})
        else:
            await users.delete_one({"_id": "bob"})
        book = memberships(world)
        with pytest.raises(LastOwner):
            await book.remove("shop", "ann", "ann")
        with pytest.raises(LastOwner):
            await book.change_role("shop", "ann", "ann", StoreRole.MANAGER, NOW)
        assert await delete(world, "ann") == ["shop"]
        await book.remove("shop", "eve", "eve")
        await book.remove("shop", "ann", "bob")
        assert await world.roles("shop") == {"ann": "owner"}

    run(work)


def test_a_transaction_whose_time_is_over_keeps_nobody_from_writing_what_it_wrote(stack: Stack, run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        own = TenantStores(world.client, world.database)
        with closing(TcpProxy(stack.urls.mongo)) as proxy:
            proxy.open()
            slow = connect_async(proxy.url)
            stores = TenantStores(slow, world.database)
            for cancelled in (False, True):
                await stores.get("shop")
                # Each question is answered in time, and all of them are not.
                proxy.delay_seconds = 0.45
                call = stores.edit_as("shop", "ann", Permission.EDIT_STORE, lambda _: {"title": "x"})
                with pytest.raises((Unavailable, TimeoutError)):
                    await asyncio.wait_for(call, 1.0 if cancelled else 10.0)
                proxy.delay_seconds = 0.0
                deadline = time.monotonic() + 5
                while True:
                    try:
                        await own.edit_as("shop", "ann", Permission.EDIT_STORE, lambda _: {"title": "y"})
                        break
                    except Unavailable:
                        assert time.monotonic() < deadline
                assert (await own.edit("shop", lambda _: {"title": "z"})).store.title == "z"
            await slow.close()

    run(work)


def test_of_two_accounts_that_are_deleted_at_one_time_one_stays_the_owner(run: Run) -> None:
    async def work(world: World) -> None:
        for round_number in range(5):
            slug = f"shop-{round_number}"
            await world.store(slug, {f"ann{round_number}": "owner", f"bob{round_number}": "owner"})
            left = await asyncio.gather(*(delete(world, f"{name}{round_number}") for name in ("ann", "bob")))
            assert sorted(left) == [[], [slug]]
            assert list((await world.roles(slug)).values()) == ["owner"]

    run(work)


def test_the_same_range_of_ids_has_no_member_of_a_store_with_a_longer_slug(run: Run) -> None:
    async def work(world: World) -> None:
        for slug, user in (("1", "ann"), ("10", "bob"), ("1-0", "max")):
            await world.store(slug, {user: "owner"})
        book = memberships(world)
        assert list(await book.members("1")) == ["ann"]
        await TenantStores(world.client, world.database).delete("1", "ann", NOW)
        assert (await world.roles("10"), await world.roles("1-0")) == ({"bob": "owner"}, {"max": "owner"})

    run(work)


def test_a_store_and_its_owner_are_made_together_or_not_at_all(run: Run) -> None:
    async def work(world: World) -> None:
        await world.user("ann")
        await world.store("taken", bob="owner")
        stores = TenantStores(world.client, world.database)
        before = await world.everything()
        new = Store("taken", "New", "UTC", (), hash_write_key("new"), "0" * 64)
        with pytest.raises(SlugTaken):
            await stores.create(new, "ann", NOW)
        with pytest.raises(NoSuchUser):
            await stores.create(Store("new", "New", "UTC", (), hash_write_key("new"), "0" * 64), "nobody", NOW)
        await world.client[world.database]["users"].update_one({"_id": "ann"}, {"$set": {"banned": True}})
        with pytest.raises(NoSuchUser):
            await stores.create(Store("new", "New", "UTC", (), hash_write_key("new"), "0" * 64), "ann", NOW)
        await world.client[world.database]["users"].update_one({"_id": "ann"}, {"$set": {"banned": False}})
        assert await world.everything() == before

    run(work)


def test_edits_by_people_at_one_time_are_all_done_once_or_stale(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", max="manager")
        stores = TenantStores(world.client, world.database)

        async def add(number: int, version: int | None = None) -> str:
            who = ("ann", "max")[number % 2]
            change = lambda store: {"domains": (*store.domains, f"{number}.example")}  # noqa: E731  # it is handed on, and has the type that is asked for
            return await outcome(stores.edit_as("shop", who, Permission.EDIT_STORE, change, version))

        assert await asyncio.gather(*map(add, range(8))) == ["done"] * 8
        assert sorted(await asyncio.gather(*(add(number, 9) for number in range(8)))) == ["Stale"] * 7 + ["done"]
        found = await stores.get("shop")
        assert found is not None
        assert (len(found.store.domains), found.version) == (10, 10)
        assert (await stores.edit_as("shop", "ann", Permission.EDIT_STORE, lambda _: {})).version == 10

    run(work)


def test_an_account_that_is_deleted_while_it_accepts_an_invitation_is_no_member(run: Run) -> None:
    async def work(world: World) -> None:
        for number in range(5):
            slug, name = f"shop-{number}", f"new{number}"
            await world.store(slug, ann="owner")
            user = await world.user(name)
            invitations = Invitations(world.client, world.database)
            offer = Offer(f"id{number}", slug, user.email, StoreRole.ANALYST, "ann")
            await invitations.invite(offer, f"hash{number}", MAIL, 9, NOW)
            accepted, alone = await asyncio.gather(
                outcome(invitations.accept(f"hash{number}", user, 9, NOW)), delete(world, name)
            )
            assert (accepted in ("done", NoSuchUser.__name__), alone) == (True, [])
            assert await world.roles(slug) == {"ann": "owner"}

    run(work)


def test_an_edit_of_a_version_that_is_gone_is_stale_and_one_without_a_version_is_computed_again(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        stores = TenantStores(world.client, world.database)
        await world.client[world.database]["stores"].update_one({"_id": "shop"}, {"$unset": {"version": ""}})
        assert (await stores.edit("shop", lambda _: {"title": "A"}, 0)).version == 1
        with pytest.raises(Stale):
            await stores.edit("shop", lambda _: {"title": "B"}, 0)

        async def add(number: int) -> None:
            await stores.edit("shop", lambda store: {"domains": (*store.domains, f"{number}.example")})

        await asyncio.gather(*map(add, range(8)))
        found = await stores.get("shop")
        assert found is not None
        assert (len(found.store.domains), found.version) == (9, 9)

    run(work)


def test_an_owner_is_named_once_and_only_within_the_plan(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="analyst")
        await world.store("second")
        book = memberships(world)
        await book.make_owner("shop", "ann", NOW)
        await book.make_owner("shop", "ann", NOW)
        assert await world.roles("shop") == {"ann": "owner"}
        with pytest.raises(LimitReached):
            await book.make_owner("second", "ann", NOW)
        with pytest.raises(NoSuchUser):
            await book.make_owner("second", "nobody", NOW)
        with pytest.raises(NoSuchStore):
            await book.make_owner("nowhere", "ann", NOW)
        assert await world.roles("second") == {}

    run(work)


def test_a_promotion_and_a_new_store_at_one_time_give_no_more_stores_than_the_plan_includes(run: Run) -> None:
    async def work(world: World) -> None:
        for number in range(5):
            name = f"user{number}"
            await world.store(f"shop-{number}", {f"boss{number}": "owner", name: "manager"})
            new = Store(f"new-{number}", "New", "UTC", (), hash_write_key(f"new-{number}"), "0" * 64)
            done = await asyncio.gather(
                outcome(memberships(world).change_role(f"shop-{number}", f"boss{number}", name, StoreRole.OWNER, NOW)),
                outcome(TenantStores(world.client, world.database).create(new, name, NOW)),
            )
            assert sorted(done) == ["LimitReached", "done"]

    run(work)


def test_an_inviter_who_is_demoted_while_the_invitation_is_accepted_gives_nothing_after_that(run: Run) -> None:
    async def work(world: World) -> None:
        for number in range(5):
            slug, name = f"shop-{number}", f"new{number}"
            await world.store(slug, ann="owner", max="manager")
            user = await world.user(name)
            invitations = Invitations(world.client, world.database)
            offer = Offer(f"id{number}", slug, user.email, StoreRole.MANAGER, "max")
            await invitations.invite(offer, f"hash{number}", MAIL, 9, NOW)
            accepted, _ = await asyncio.gather(
                outcome(invitations.accept(f"hash{number}", user, 9, NOW)),
                memberships(world).change_role(slug, "ann", "max", StoreRole.ANALYST, NOW),
            )
            # Both orders are possible, and nothing between them.
            assert accepted in ("done", InviterGone.__name__)
            assert (name in await world.roles(slug)) == (accepted == "done")

    run(work)


def test_the_use_of_a_key_is_written_once_however_many_use_it_at_one_time(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        keys = ApiKeys(world.client, world.database)
        await keys.create(ApiKey("id", "shop", "ann", "Key", frozenset({Permission.READ_STORE}), "hash", 1))
        key = await keys.get("id")
        assert key is not None
        written = await asyncio.gather(*(keys.note_use(key, NOW) for _ in range(10)))
        assert written.count(True) == 1
        later = await asyncio.gather(*(keys.note_use(key, NOW + timedelta(seconds=59.999)) for _ in range(3)))
        assert later.count(True) == 0

    run(work)


def test_a_scope_that_this_version_does_not_know_is_worth_nothing(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        await world.key("shop", "ann", Permission.READ_STORE, key_id="id")
        await world.client[world.database]["api_keys"].update_one(
            {"_id": "id"}, {"$set": {"scopes": ["store:read", "moon:read"]}}
        )
        key = await ApiKeys(world.client, world.database).get("id")
        assert key is not None
        assert key.scopes == {Permission.READ_STORE}

    run(work)


def test_grants_at_one_time_are_all_kept(run: Run) -> None:
    async def work(world: World) -> None:
        await world.user("ann")
        await world.user("root", admin=True)
        grants = Grants(world.client, world.database)
        await asyncio.gather(*(grants.grant("ann", "root", Grant(Tier.PREMIUM, number)) for number in range(8)))
        users = await memberships(world).users(["ann"])
        assert {grant.since for grant in users["ann"].grants} == set(range(8))
        with pytest.raises(NoSuchUser):
            await grants.grant("nobody", "root", Grant(Tier.PREMIUM, 0))

    run(work)


def test_while_mongo_hangs_every_question_is_unavailable_within_seconds(stack: Stack) -> None:
    async def seconds_of(call: Awaitable[object]) -> float:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="Mongo"):
            await call
        return time.monotonic() - began

    async def work(url: str) -> None:
        client = connect_async(url)
        stores = TenantStores(client, "nowhere")
        book = Memberships(client, "nowhere", stores)
        invitations, keys = Invitations(client, "nowhere"), ApiKeys(client, "nowhere")
        store = Store("shop", "Shop", "UTC", (), "hash", "0" * 64)
        offer = Offer("id", "shop", "new@shop.example", StoreRole.ANALYST, "ann")
        taken = await asyncio.gather(
            seconds_of(stores.get("shop")),
            seconds_of(stores.several(["shop"])),
            seconds_of(stores.create(store, None, NOW)),
            seconds_of(stores.create(store, "ann", NOW)),
            seconds_of(stores.edit("shop", lambda _: {"title": "x"})),
            seconds_of(book.view("shop", NOW)),
            seconds_of(book.of_user("ann")),
            seconds_of(book.remove("shop", "ann", "ann")),
            seconds_of(Accounts(client, "nowhere", book.leave_all).delete("ann", 0, MAIL, NOW)),
            seconds_of(invitations.invite(offer, "hash", MAIL, 9, NOW)),
            seconds_of(invitations.find("hash", NOW)),
            seconds_of(keys.get("id")),
            seconds_of(keys.revoke("shop", "ann", "id")),
            seconds_of(stores.edit_as("shop", "ann", Permission.EDIT_STORE, lambda _: {"title": "x"})),
            seconds_of(Grants(client, "nowhere").end("ann", "root", Tier.PREMIUM, NOW)),
        )
        await client.close()
        assert max(taken) < 4, taken

    with closing(TcpProxy(stack.urls.mongo)) as proxy:
        proxy.open()
        proxy.freeze()
        asyncio.run(work(proxy.url))
