"""Carts in Mongo: what happens at one time happens one after the other, and a guest's cart is merged once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from api.carts.service import CartService, CartView
from connectors.mongo.carts import Carts, Holder
from marketplace.carts.cart import (
    EMPTY_GUEST_DAYS,
    GUEST_DAYS,
    POLICY,
    Cart,
    CartError,
    CartFull,
    NoSuchCart,
    NotForSale,
    OutOfStock,
    TooMany,
    put,
)
from marketplace.catalog.products import Availability, Product, ProductState
from marketplace.collections import CARTS, PRODUCTS, STORES, USERS
from marketplace.identity.accounts import Mail
from marketplace.identity.tenancy import NoSuchUser, TenancyError
from tests.kits.products import product, put_products
from tests.kits.tenancy import NOW, Run, World

ANN = Holder.account("ann")


async def shop(world: World, count: int = 1, **fields: Any) -> list[Product]:
    """A store with products, and two buyers."""
    await world.store("shop", {"olga": "owner"})
    for name in ("ann", "bob"):
        await world.user(name)
    products = [product(f"Product {number}", **fields) for number in range(count)]
    await put_products(world.client, world.database, products)
    return products


async def add(world: World, holder: Holder, sold: Product, quantity: int = 1) -> CartView:
    return await world.shopping.carts.add(holder, sold.id, sold.variants[0].id, quantity)


async def fill(world: World, products: Sequence[Product]) -> None:
    """Put one of each into Ann's cart at once."""

    def all_of_them(cart: Cart) -> Cart:
        for sold in products:
            cart = put(cart, sold, sold.variants[0].id, 1, 0)
        return cart

    await Carts(world.client, world.database).change(ANN, all_of_them, NOW)


async def guest(world: World, products: Sequence[Product], quantity: int = 1) -> str:
    secret, _ = await world.shopping.carts.create_guest()
    for sold in products:
        await add(world, Holder.guest(secret), sold, quantity)
    return secret


def another(world: World) -> CartService:
    """Carts as another process has them, which knows nothing of those who are at it here."""
    return CartService.on_mongo(world.client, world.database, lambda: world.now)


async def outcomes(calls: list[Awaitable[object]]) -> Counter[str]:
    """How many calls were refused why, or were "done"."""
    found = await asyncio.gather(*calls, return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException) and not isinstance(each, (CartError, TenancyError)):
            raise each
    return Counter(type(each).__name__ if isinstance(each, BaseException) else "done" for each in found)


def pieces(view: CartView) -> list[int]:
    return [line.quantity for line in view.cart.lines]


@pytest.mark.parametrize("who", ["account", "guest"])
def test_of_thirty_that_put_one_in_at_one_time_each_counts_up_to_the_limit(run: Run, who: str) -> None:
    async def work(world: World) -> None:
        (sold,) = await shop(world)
        holder = ANN if who == "account" else Holder.guest(await guest(world, []))
        await add(world, holder, sold, POLICY.max_quantity - 20)
        assert await outcomes([add(world, holder, sold) for _ in range(30)]) == {"done": 20, "TooMany": 10}
        assert pieces(await world.shopping.carts.get(holder)) == [POLICY.max_quantity]

    run(work)


def test_a_guests_cart_that_is_asked_for_twice_with_one_secret_is_one_and_keeps_what_is_in_it(run: Run) -> None:
    async def work(world: World) -> None:
        products = await shop(world)
        secret = await guest(world, products)
        carts = [world.shopping.carts.create_guest(secret), another(world).create_guest(secret)]
        assert [pieces(view) for _, view in await asyncio.gather(*carts)] == [[1], [1]]
        assert await world.shopping.carts.pieces(Holder.guest(secret)) == 1

    run(work)


def test_five_logins_at_one_time_merge_a_guests_cart_once(run: Run) -> None:
    async def work(world: World) -> None:
        both, own, guests = await shop(world, 3)
        await add(world, ANN, both, 2)
        await add(world, ANN, own, 1)
        secret = await guest(world, [both, guests], 3)
        merges = await asyncio.gather(*(another(world).merge("ann", secret) for _ in range(5)))
        assert sorted(each.merged for each in merges) == [False, False, False, False, True]
        assert pieces(await world.shopping.carts.get(ANN)) == [5, 1, 3]
        with pytest.raises(NoSuchCart):
            await world.shopping.carts.get(Holder.guest(secret))

    run(work)


def test_two_people_who_merge_one_guests_cart_do_not_both_get_it(run: Run) -> None:
    async def work(world: World) -> None:
        (sold,) = await shop(world)
        secret = await guest(world, [sold])
        found = await asyncio.gather(*(another(world).merge(user, secret) for user in ("ann", "bob")))
        assert sorted(len(each.view.cart.lines) for each in found) == [0, 1]

    run(work)


def test_what_a_guest_puts_in_while_the_cart_is_merged_is_merged_or_refused(run: Run) -> None:
    async def work(world: World) -> None:
        products = await shop(world, 6)
        secret = await guest(world, products[:1])
        service, holder = world.shopping.carts, Holder.guest(secret)
        calls: list[Awaitable[object]] = [add(world, holder, each) for each in products[1:]]
        calls.insert(2, another(world).merge("ann", secret))
        done = await outcomes(calls)
        assert done["done"] + done["NoSuchCart"] == 6
        assert len((await service.get(ANN)).cart.lines) == done["done"]

    run(work)


def test_a_merge_over_the_limit_of_pieces_says_so_and_one_over_that_of_lines_loses_none(run: Run) -> None:
    async def work(world: World) -> None:
        products = await shop(world, 3)
        full = [product(f"Filler {number}") for number in range(POLICY.max_lines)]
        await put_products(world.client, world.database, full)
        service = world.shopping.carts
        await add(world, ANN, products[0], 90)
        merged = await service.merge("ann", await guest(world, products[:2], 20))
        assert [(each.wanted, each.kept) for each in merged.capped] == [(110, 99)]

        await fill(world, full[: POLICY.max_lines - 2])
        with pytest.raises(CartFull):
            await add(world, ANN, products[2])
        view = (await service.merge("ann", await guest(world, [products[2]]))).view
        assert len(view.cart.lines) == POLICY.max_lines + 1

        further = await guest(world, full[-1:])
        with pytest.raises(CartFull):
            await service.merge("ann", further)
        assert len((await service.get(Holder.guest(further))).cart.lines) == 1
        assert (await service.get(ANN)).cart == view.cart

    run(work)


def test_a_guests_cart_that_has_expired_is_none_while_its_document_is_there(run: Run) -> None:
    async def work(world: World) -> None:
        (sold,) = await shop(world)
        secret = await guest(world, [sold])
        holder, service = Holder.guest(secret), world.shopping.carts
        world.now = NOW + timedelta(days=GUEST_DAYS, seconds=-1)
        assert pieces(await service.set_quantity(holder, sold.variants[0].id, 2)) == [2]
        world.now += timedelta(days=GUEST_DAYS, seconds=-1)
        assert pieces(await service.get(holder)) == [2]
        world.now += timedelta(seconds=1)
        assert await world.client[world.database][CARTS.name].count_documents({}) == 1
        for call in (service.get(holder), add(world, holder, sold), service.delete(holder)):
            with pytest.raises(NoSuchCart):
                await call
        assert not (await service.merge("ann", secret)).merged

    run(work)


def test_a_guests_cart_into_which_nothing_was_put_is_kept_for_a_day(run: Run) -> None:
    async def work(world: World) -> None:
        (sold,) = await shop(world)
        empty, filled = await guest(world, []), await guest(world, [sold])
        world.now = NOW + timedelta(days=EMPTY_GUEST_DAYS)
        with pytest.raises(NoSuchCart):
            await world.shopping.carts.get(Holder.guest(empty))
        assert pieces(await world.shopping.carts.get(Holder.guest(filled))) == [1]

    run(work)


def test_the_secret_of_a_guests_cart_is_kept_nowhere(run: Run) -> None:
    async def work(world: World) -> None:
        secret = await guest(world, await shop(world))
        assert secret not in str(await world.client[world.database][CARTS.name].find().to_list())
        other = secret[:-1] + ("A" if secret[-1] != "A" else "B")
        with pytest.raises(NoSuchCart):
            await world.shopping.carts.get(Holder.guest(other))

    run(work)


def test_who_is_banned_or_deleted_changes_no_cart_and_a_deleted_account_leaves_none(run: Run) -> None:
    async def work(world: World) -> None:
        (sold,) = await shop(world)
        secret = await guest(world, [sold])
        await add(world, ANN, sold)
        before = await world.everything()
        await world.tenancy.accounts.set_banned("ann", banned=True)
        service, variant = world.shopping.carts, sold.variants[0].id
        for call in (
            add(world, ANN, sold), service.put(ANN, sold.id, variant, 4), service.set_quantity(ANN, variant, 3),
            service.remove(ANN, variant), service.delete(ANN), service.accept(ANN, ""), service.merge("ann", secret),
        ):  # fmt: skip
            with pytest.raises(NoSuchUser):
                await call
        assert (await world.everything())[CARTS.name] == before[CARTS.name]
        account = await world.tenancy.accounts.set_banned("ann", banned=False)
        assert account is not None
        mail = Mail("ann@shop.example", "deleted", {})
        assert await world.tenancy.accounts.delete("ann", account.security_stamp, mail, NOW)
        assert await world.client[world.database][CARTS.name].find_one({"_id": ANN.id}) is None
        with pytest.raises(NoSuchUser):
            await add(world, ANN, sold)

    run(work)


def test_a_deletion_of_the_account_and_a_change_of_its_cart_leave_no_cart_behind(run: Run) -> None:
    async def work(world: World) -> None:
        (sold,) = await shop(world)
        mail = Mail("ann@shop.example", "deleted", {})
        calls: list[Awaitable[object]] = [add(world, ANN, sold) for _ in range(8)]
        calls.insert(4, world.tenancy.accounts.delete("ann", 1, mail, NOW))
        done = await outcomes(calls)
        assert done["done"] + done["NoSuchUser"] == 9
        mongo = world.client[world.database]
        assert await mongo[USERS.name].find_one({"_id": "ann"}) is None
        assert await mongo[CARTS.name].find().to_list() == []

    run(work)


def test_what_is_not_for_sale_is_not_put_in_and_a_line_of_it_can_be_seen_and_taken_out(run: Run) -> None:
    async def work(world: World) -> None:
        (sold,) = await shop(world)
        draft = product("Draft", state=ProductState.DRAFT)
        none = product("None", availability=Availability.NONE)
        foreign = product("Of a store that was deleted", store="closed")
        await put_products(world.client, world.database, [draft, none, foreign])
        service = world.shopping.carts
        for each in (draft, foreign, product("Unknown")):
            with pytest.raises(NotForSale):
                await add(world, ANN, each)
        with pytest.raises(NotForSale):
            await service.add(ANN, sold.id, none.variants[0].id, 1)
        with pytest.raises(OutOfStock):
            await add(world, ANN, none)
        with pytest.raises(TooMany):
            await add(world, ANN, sold, 99 + 1)
        assert (await service.get(ANN)).cart.lines == ()

        await add(world, ANN, sold)
        await world.client[world.database][STORES.name].update_one({"_id": "shop"}, {"$set": {"deleted_at": NOW}})
        view = await service.get(ANN)
        assert [(each.kind, each.variant) for each in view.changes] == [("gone", sold.variants[0].id)]
        assert view.totals == ()
        assert (await service.remove(ANN, sold.variants[0].id)).cart.lines == ()

    run(work)


def test_a_new_price_is_shown_until_its_buyer_accepts_that_very_price(run: Run) -> None:
    async def work(world: World) -> None:
        (sold,) = await shop(world)
        products, service = world.client[world.database][PRODUCTS.name], world.shopping.carts
        await add(world, ANN, sold, 2)

        async def reprice(minor: int) -> CartView:
            await products.update_one(
                {"_id": sold.id}, {"$set": {"variants.0.price_minor": minor}, "$inc": {"version": 1}}
            )
            return await service.get(ANN)

        shown = await reprice(1000)
        assert [(each.kind, each.before, each.after) for each in shown.changes] == [("price", 1250, 1000)]
        assert shown.totals[0].total_minor == 2500
        # One more piece is no consent to another price.
        assert (await add(world, ANN, sold)).changes == shown.changes
        await reprice(9_999)
        with pytest.raises(CartError, match="by now"):
            await service.accept(ANN, shown.changes_id or "")
        again = await service.get(ANN)
        accepted = await service.accept(ANN, again.changes_id or "")
        assert (accepted.changes, accepted.totals[0].total_minor) == ((), 3 * 9_999)
        assert await service.get(ANN) == accepted

    run(work)


def test_an_answer_to_a_change_is_what_the_next_read_gives(run: Run) -> None:
    async def work(world: World) -> None:
        products = await shop(world, 2)
        service, variant = world.shopping.carts, products[0].variants[0].id
        for change in (
            add(world, ANN, products[0]), add(world, ANN, products[1], 3), service.set_quantity(ANN, variant, 9),
            service.put(ANN, products[0].id, variant, 4), service.remove(ANN, variant),
        ):  # fmt: skip
            answer = await change
            assert await service.get(ANN) == answer

    run(work)


def test_carts_keep_no_more_than_their_limit_whatever_comes_at_one_time(run: Run) -> None:
    async def work(world: World) -> None:
        products = await shop(world, POLICY.max_lines + 10)
        await fill(world, products[: POLICY.max_lines - 5])
        last = products[POLICY.max_lines - 5 :]
        assert await outcomes([add(world, ANN, each) for each in last]) == {"done": 5, "CartFull": 10}
        assert len((await world.shopping.carts.get(ANN)).cart.lines) == POLICY.max_lines

    run(work)
