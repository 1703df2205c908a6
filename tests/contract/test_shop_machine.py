"""Buyers, a seller and a moderator at one time, on a real Mongo: counters, limits and pages hold.

What several do at one moment can come in any order, so nothing here says which of them wins: the invariants hold for
each order, and what was answered as done is counted once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from connectors.mongo.async_client import Documents, connect_async
from connectors.mongo.carts import Holder
from connectors.mongo.review_queries import Place, ReviewOrder
from marketplace.carts.cart import POLICY, CartError
from marketplace.catalog.products import Product
from marketplace.collections import CARTS, MEMBERSHIPS, PRODUCTS, REVIEW_VOTES, REVIEWS, STORES, USERS
from marketplace.identity.tenancy import TenancyError, hash_of_secret
from marketplace.reviews.reviews import Decision, ReportReason, ReviewError
from ops.stack import Stack
from tests.kits.depth import CHAOS_SEEDS
from tests.kits.products import product, put_products
from tests.kits.stack import polled
from tests.kits.tenancy import NOW, World, tenancy_database

EXAMPLES: Final = 60 if CHAOS_SEEDS < 3 else 300
STEPS: Final = 4
BUYERS: Final = ("ann", "bob", "cem", "dua")


@dataclass
class Shop:
    """A store that no other example has, with its people, on the database of all.

    Attributes:
        world: The database.
        name: What the names of all begin with.
        products: Two.
        added: Pieces of the second product that were put in, by answers.
        capped: Pieces that merges left out, by answers.
    """

    world: World
    name: str
    products: list[Product]
    added: int = 0
    capped: int = 0

    @property
    def guest(self) -> str:
        return f"guest of {self.name}".ljust(43, "-")

    def user(self, who: str) -> str:
        return f"{self.name}-{who}"

    async def do(self, what: str, who: str, number: int, of: str) -> None:
        """Something that somebody does; a refusal is an answer, too."""
        with contextlib.suppress(CartError, ReviewError, TenancyError):
            await ACTIONS[what](self, who, number, of)

    async def documents(self) -> dict[str, list[dict[str, Any]]]:
        mongo = self.world.client[self.world.database]
        ids = [each.id for each in self.products]
        carts = [f"user:{self.user(who)}" for who in BUYERS] + [f"guest:{hash_of_secret(self.guest)}"]
        products, reviews, kept = await asyncio.gather(
            mongo[PRODUCTS.name].find({"_id": {"$in": ids}}).to_list(),
            mongo[REVIEWS.name].find({"store": self.name}).to_list(),
            mongo[CARTS.name].find({"_id": {"$in": carts}}).to_list(),
        )
        wanted = [f"{each['id']}:{self.user(who)}" for each in reviews for who in BUYERS]
        votes = await mongo[REVIEW_VOTES.name].find({"_id": {"$in": wanted}}).to_list() if wanted else []
        return {"products": products, "reviews": reviews, "carts": kept, "votes": votes}

    async def review_of(self, author: str, number: int) -> str:
        own = await self.world.shopping.reviews.own(self.user(author), self.products[number % 2].id)
        return own.review.id if own else "0" * 32

    def holder(self, who: str) -> Holder:
        return Holder.guest(self.guest) if who == "cem" else Holder.account(self.user(who))


async def write(shop: Shop, who: str, number: int, of: str) -> None:
    about = shop.products[number % 2].id
    await shop.world.shopping.reviews.write(shop.user(who), about, 1 + number % 5, f"Text of {of}")


async def delete(shop: Shop, who: str, number: int, of: str) -> None:
    await shop.world.shopping.reviews.delete(shop.user(who), shop.products[number % 2].id)


async def vote(shop: Shop, who: str, number: int, of: str) -> None:
    review = await shop.review_of(of, number)
    await shop.world.shopping.reviews.vote(shop.user(who), review, helpful=number > 2)


async def report(shop: Shop, who: str, number: int, of: str) -> None:
    await shop.world.shopping.reviews.report(shop.user(who), await shop.review_of(of, number), ReportReason.SPAM)


async def decide(shop: Shop, who: str, number: int, of: str) -> None:
    decision = list(Decision)[number % 3]
    await shop.world.shopping.reviews.decide(shop.user("root"), await shop.review_of(of, number), decision)


async def reply(shop: Shop, who: str, number: int, of: str) -> None:
    review = await shop.review_of(of, number)
    await shop.world.shopping.reviews.reply(shop.name, shop.user("olga"), review, f"Thanks {number}")


async def add(shop: Shop, who: str, number: int, of: str) -> None:
    sold, pieces = shop.products[1], 10 * (number + 1)
    await shop.world.shopping.carts.add(shop.holder(who), sold.id, sold.variants[0].id, pieces)
    shop.added += pieces


async def put(shop: Shop, who: str, number: int, of: str) -> None:
    sold = shop.products[0]
    await shop.world.shopping.carts.put(shop.holder(who), sold.id, sold.variants[0].id, 20 * (number + 1))


async def remove(shop: Shop, who: str, number: int, of: str) -> None:
    await shop.world.shopping.carts.remove(shop.holder(who), shop.products[0].variants[0].id)


async def merge(shop: Shop, who: str, number: int, of: str) -> None:
    merged = await shop.world.shopping.carts.merge(shop.user(who), shop.guest)
    counted = shop.products[1].variants[0].id
    shop.capped += sum(each.wanted - each.kept for each in merged.capped if each.variant == counted)


Action = Callable[[Shop, str, int, str], Awaitable[None]]
ACTIONS: Final[dict[str, Action]] = {
    action.__name__: action for action in (write, delete, vote, report, decide, reply, add, put, remove, merge)
}


async def opened(world: World, count: int) -> list[Shop]:
    """So many stores, written at once."""
    mongo, shops, documents = world.client[world.database], [], defaultdict[str, list[dict[str, Any]]](list)
    for number in range(count):
        shop = Shop(world, f"shop-{number}", [product(f"Product {each}", store=f"shop-{number}") for each in (1, 2)])
        shops.append(shop)
        documents[USERS.name] += [
            {
                "_id": shop.user(who), "email": who, "email_key": shop.user(who), "name": who, "password_hash": "",
                "created_at": 0, "admin": who == "root", "banned": False, "security_stamp": 1, "grants": [],
            }
            for who in (*BUYERS, "root", "olga")
        ]  # fmt: skip
        documents[MEMBERSHIPS.name].append(
            {
                "_id": f"{shop.name}:{shop.user('olga')}", "store": shop.name, "user": shop.user("olga"),
                "role": "owner", "since": 0, "store_created_at": 0,
            }
        )  # fmt: skip
        documents[STORES.name].append(
            {
                "_id": shop.name, "title": "Shop", "timezone": "UTC", "domains": [], "write_key_hash": shop.name,
                "visitor_secret": "0" * 64, "version": 1, "created_at": 0,
            }
        )  # fmt: skip
        documents[CARTS.name].append(
            {
                "_id": f"guest:{hash_of_secret(shop.guest)}", "version": 1, "changed_at": 0, "lines": [],
                "expires_at": NOW + timedelta(days=1),
            }
        )  # fmt: skip
    for name, several in documents.items():
        await mongo[name].insert_many(several)
    await put_products(world.client, world.database, [each for shop in shops for each in shop.products])
    return shops


class ShopMachine(RuleBasedStateMachine):
    """Several do something at one moment."""

    runner: ClassVar[asyncio.Runner]
    shops: ClassVar[list[Shop]]

    @initialize()
    def open(self) -> None:
        self.shop = self.shops.pop()

    @rule(
        actions=st.lists(
            st.tuples(
                st.sampled_from(["write", "write", *ACTIONS]), st.sampled_from(BUYERS), st.integers(0, 4),
                st.sampled_from(BUYERS),
            ),
            min_size=1, max_size=3,
        )
    )  # fmt: skip
    def at_one_moment(self, actions: list[tuple[str, str, int, str]]) -> None:
        async def together() -> None:
            await asyncio.gather(*(self.shop.do(*action) for action in actions))

        self.runner.run(together())

    def everything_adds_up(self) -> None:
        found = self.runner.run(self.shop.documents())
        for each in found["products"]:
            seen = Counter(
                str(review["stars"])
                for review in found["reviews"]
                if review["product"] == each["_id"] and review["state"] == "visible"
            )
            assert {stars: count for stars, count in each["stars"].items() if count} == dict(seen)
        votes = Counter(vote["review"] for vote in found["votes"])
        assert len({(review["product"], review["user"]) for review in found["reviews"]}) == len(found["reviews"])
        for review in found["reviews"]:
            assert review["helpful"] == votes[review["id"]]
            assert (review["state"] == "pending") <= (review["queued_at"] is not None)
            assert review["reports"] < 3 or review["state"] != "visible"
        counted = self.shop.products[1].variants[0].id
        pieces = 0
        for cart in found["carts"]:
            assert len({line["variant"] for line in cart["lines"]}) == len(cart["lines"]) <= POLICY.max_lines
            assert all(1 <= line["quantity"] <= POLICY.max_quantity for line in cart["lines"])
            pieces += sum(line["quantity"] for line in cart["lines"] if line["variant"] == counted)
        assert pieces == self.shop.added - self.shop.capped

    def teardown(self) -> None:
        if hasattr(self, "shop"):
            self.everything_adds_up()
            self.runner.run(self._pages_hold())

    async def _pages_hold(self) -> None:
        about, reviews = self.shop.products[0], self.shop.world.shopping.reviews
        for order in ReviewOrder:
            whole = (await reviews.of_product(about, order=order, limit=50)).reviews
            walked: list[str] = []
            place: Place | None = None
            while not walked or place is not None:
                page = await reviews.of_product(about, order=order, after=place, limit=1)
                walked, place = walked + [each.review.id for each in page.reviews], page.next
                if not page.reviews:
                    break
            assert walked == [each.review.id for each in whole]


@pytest.fixture(scope="module")
def machine(stack: Stack) -> Iterator[type[ShopMachine]]:
    with tenancy_database(stack) as database, asyncio.Runner() as runner:

        async def connected() -> Documents:
            return connect_async(polled(stack.urls.mongo))

        client = runner.run(connected())
        # Hypothesis tries a few more than it counts.
        shops = runner.run(opened(World(client, database), 2 * EXAMPLES))
        ShopMachine.runner, ShopMachine.shops = runner, shops
        yield ShopMachine
        runner.run(client.close())


@pytest.mark.timeout(300)
def test_whatever_buyers_sellers_and_moderators_do_at_one_moment_everything_adds_up(machine: type[ShopMachine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
