"""Buyers, a seller and a moderator at one time, on a real Mongo: counters, slugs, limits and pages hold.

What several do at one moment can come in any order, so nothing here says which of them wins: the invariants hold for
each order, and what was answered as done is counted once.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from connectors.mongo.async_client import Documents, connect_async
from connectors.mongo.carts import Carts, Holder
from connectors.mongo.review_documents import key_of
from connectors.mongo.review_queries import Place, ReviewOrder, ReviewQueries
from connectors.mongo.reviews import Reviews
from marketplace.carts.cart import POLICY, CartError, add, put, remove
from marketplace.catalog.products import Product
from marketplace.collections import CARTS, MEMBERSHIPS, PRODUCTS, REVIEW_VOTES, REVIEWS, STORES, USERS
from marketplace.identity.tenancy import TenancyError, hash_of_secret
from marketplace.reviews.reviews import Decision, ReportReason, ReviewError
from ops.stack import Stack
from tests.kits.depth import CHAOS_SEEDS
from tests.kits.products import product, put_products
from tests.kits.shop_seller import Seller
from tests.kits.stack import polled
from tests.kits.tenancy import NOW, World, tenancy_database

EXAMPLES: Final = 150 if CHAOS_SEEDS < 3 else 100 * CHAOS_SEEDS
STEPS: Final = 4
BUYERS: Final = ("ann", "bob", "cem", "dua")

_numbers = itertools.count()


@dataclass
class Parts:
    """What does it, as of one process, on the database of all."""

    reviews: Reviews
    queries: ReviewQueries
    carts: Carts
    documents: AsyncCollection[dict[str, Any]]
    mongo: AsyncDatabase[dict[str, Any]]

    @staticmethod
    def on(world: World) -> Parts:
        client, database = world.client, world.database
        parts = Reviews(client, database), ReviewQueries(client, database), Carts(client, database)
        return Parts(*parts, client[database][REVIEWS.name], client[database])


@dataclass
class Shop:
    """A store that no other example has, with its people, on the database of all.

    Attributes:
        processes: What does it: of two, which know nothing of each other.
        name: What the names of all begin with.
        products: Two.
        added: Pieces of the second product that were put in, by answers.
        capped: Pieces that merges left out, by answers.
    """

    processes: tuple[Parts, Parts]
    name: str
    products: list[Product]
    added: int = 0
    capped: int = 0

    @property
    def parts(self) -> Parts:
        """Those of one process after the other."""
        return self.processes[next(_numbers) % 2]

    @property
    def guest(self) -> str:
        return f"guest of {self.name}".ljust(43, "-")

    @property
    def seller(self) -> Seller:
        """Of one process after the other."""
        mongo = self.parts.mongo
        return Seller(mongo.client, mongo.name, self.name)

    def user(self, who: str) -> str:
        return f"{self.name}-{who}"

    async def do(self, what: str, who: str, number: int, of: str) -> None:
        """Something that somebody does; a refusal is an answer, too."""
        with contextlib.suppress(CartError, ReviewError, TenancyError):
            await ACTIONS[what](self, who, number, of)

    async def documents(self) -> dict[str, list[dict[str, Any]]]:
        mongo = self.parts.mongo
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
        key = key_of(self.products[number % 2].id, self.user(author))
        found = await self.parts.documents.find_one({"_id": key}, {"id": 1})
        return found["id"] if found else "0" * 32

    def holder(self, who: str) -> Holder:
        return Holder.guest(self.guest) if who in ("cem", "dua") else Holder.account(self.user(who))


async def write(shop: Shop, who: str, number: int, of: str) -> None:
    await shop.parts.reviews.write(shop.user(who), shop.products[number % 2].id, 1 + number, f"Text of {of}", NOW)


async def delete(shop: Shop, who: str, number: int, of: str) -> None:
    await shop.parts.reviews.delete(shop.user(who), shop.products[number % 2].id)


async def vote(shop: Shop, who: str, number: int, of: str) -> None:
    await shop.parts.reviews.vote(shop.user(who), await shop.review_of(of, number), helpful=number > 1)


async def report(shop: Shop, who: str, number: int, of: str) -> None:
    review = await shop.review_of(of, number)
    await shop.parts.reviews.report(shop.user(who), review, ReportReason.SPAM, "", NOW)


async def decide(shop: Shop, who: str, number: int, of: str) -> None:
    decision = list(Decision)[number % 3]
    await shop.parts.reviews.decide(shop.user("root"), await shop.review_of(of, number), decision, NOW)


async def reply(shop: Shop, who: str, number: int, of: str) -> None:
    review = await shop.review_of(of, number)
    await shop.parts.reviews.reply(shop.name, "olga", review, f"Thanks {number}", NOW)


async def more(shop: Shop, who: str, number: int, of: str) -> None:
    sold, pieces = shop.products[1], 10 * (number + 1)
    await shop.parts.carts.change(
        shop.holder(who), lambda cart: add(cart, sold, sold.variants[0].id, pieces, number), NOW
    )
    shop.added += pieces


async def exactly(shop: Shop, who: str, number: int, of: str) -> None:
    sold, pieces = shop.products[0], 20 * (number + 1)
    await shop.parts.carts.change(
        shop.holder(who), lambda cart: put(cart, sold, sold.variants[0].id, pieces, number), NOW
    )


async def none_of(shop: Shop, who: str, number: int, of: str) -> None:
    await shop.parts.carts.change(shop.holder(who), lambda cart: remove(cart, shop.products[0].variants[0].id), NOW)


async def merge(shop: Shop, who: str, number: int, of: str) -> None:
    _, capped = await shop.parts.carts.merge(shop.user(who), shop.guest, NOW)
    counted = shop.products[1].variants[0].id
    shop.capped += sum(each.wanted - each.kept for each in capped or () if each.variant == counted)


async def put_up(shop: Shop, who: str, number: int, of: str) -> None:
    await shop.seller.put_up(number)


async def rename(shop: Shop, who: str, number: int, of: str) -> None:
    await shop.seller.rename(shop.products[number % 2].id, number)


async def change_state(shop: Shop, who: str, number: int, of: str) -> None:
    await shop.seller.change_state(shop.products[number % 2].id, number)


async def reprice(shop: Shop, who: str, number: int, of: str) -> None:
    await shop.seller.reprice(shop.products[number % 2].id, number)


async def withdraw(shop: Shop, who: str, number: int, of: str) -> None:
    await shop.seller.withdraw([each.id for each in shop.products])


Action = Callable[[Shop, str, int, str], Awaitable[None]]
ACTIONS: Final[dict[str, Action]] = {
    action.__name__: action
    for action in (
        *(write, delete, vote, report, decide, reply, more, exactly, none_of, merge),
        *(put_up, rename, change_state, reprice, withdraw),
    )
}


async def opened(*processes: Parts) -> list[Shop]:
    """Fifty stores, written at once."""
    shops, documents = list[Shop](), defaultdict[str, list[dict[str, Any]]](list)
    for number in itertools.islice(_numbers, 50):
        shop = Shop(
            (processes[0], processes[1]),
            f"shop-{number}",
            [product(f"Product {each}", store=f"shop-{number}") for each in (1, 2)],
        )
        shops.append(shop)
        documents[USERS.name] += [
            {
                "_id": shop.user(who), "email": who, "email_key": shop.user(who), "name": who, "password_hash": "",
                "created_at": 0, "admin": who == "root", "banned": False, "security_stamp": 1, "grants": [],
            }
            for who in (*BUYERS, "root")
        ]  # fmt: skip
        documents[MEMBERSHIPS.name].append(
            {
                "_id": f"{shop.name}:olga", "store": shop.name, "user": "olga",
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
        await processes[0].mongo[name].insert_many(several)
    await put_products(
        processes[0].mongo.client, processes[0].mongo.name, [each for shop in shops for each in shop.products]
    )
    return shops


class ShopMachine(RuleBasedStateMachine):
    """Several do something at one moment."""

    runner: ClassVar[asyncio.Runner]
    processes: ClassVar[tuple[Parts, Parts]]
    shops: ClassVar[list[Shop]] = []

    @initialize()
    def open(self) -> None:
        if not self.shops:
            self.shops.extend(self.runner.run(opened(*self.processes)))
        self.shop = self.shops.pop()

    @rule(
        actions=st.lists(
            st.tuples(
                st.sampled_from(["write", "more", "merge", "put_up", "rename", *ACTIONS]), st.sampled_from(BUYERS),
                st.integers(0, 4), st.sampled_from(BUYERS),
            ),
            min_size=1, max_size=3,
        )
    )  # fmt: skip
    def at_one_moment(self, actions: list[tuple[str, str, int, str]]) -> None:
        async def together() -> None:
            await asyncio.gather(*(self.shop.do(*action) for action in actions))

        self.runner.run(together())

    def everything_adds_up(self, found: Mapping[str, list[dict[str, Any]]]) -> None:
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
            found = self.runner.run(self.shop.documents())
            self.everything_adds_up(found)
            self.runner.run(self.shop.seller.everything_adds_up())
            # Most examples leave no review of it, and so no page.
            if any(each["product"] == self.shop.products[0].id for each in found["reviews"]):
                self.runner.run(self._pages_hold())

    async def _pages_hold(self) -> None:
        about, queries = self.shop.products[0].id, self.shop.parts.queries
        for order in ReviewOrder:
            whole = [each.id for each in await queries.of_product(about, order, None, None, 50)]
            walked, place = list[str](), None
            while page := await queries.of_product(about, order, None, place, 1):
                walked.append(page[0].id)
                place = Place(page[0].written_at if order is ReviewOrder.NEWEST else page[0].helpful, page[0].id)
            assert walked == whole


@pytest.fixture(scope="module")
def machine(stack: Stack) -> Iterator[type[ShopMachine]]:
    with tenancy_database(stack, drop=False) as database, asyncio.Runner() as runner:

        async def connected() -> Documents:
            return connect_async(polled(stack.urls.mongo))

        client = runner.run(connected())
        world = World(client, database)
        ShopMachine.runner, ShopMachine.processes = runner, (Parts.on(world), Parts.on(world))
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
            # What happened at one moment need not happen again, so nothing can be made smaller.
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )
