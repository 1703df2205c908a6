"""Reviews in Mongo: what happens at one time, who may, and counters that are a count of what can be seen."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from api.reviews.service import ReviewService
from connectors.mongo.ratings import Ratings
from connectors.mongo.review_queries import Place, ReviewOrder
from marketplace.catalog.products import Product, ProductState
from marketplace.collections import MEMBERSHIPS, PRODUCTS, REVIEW_REPORTS, REVIEW_VOTES, REVIEWS, STORES, USERS
from marketplace.identity.accounts import Mail
from marketplace.identity.tenancy import NoSuchUser, NotAllowed, TenancyError
from marketplace.reviews.reviews import (
    Decision,
    NoSuchProduct,
    NoSuchReview,
    OwnReview,
    OwnStore,
    OwnStoreVote,
    RemovedForGood,
    ReportReason,
    ReviewError,
    ReviewState,
)
from tests.kits.products import product, put_products
from tests.kits.shopping import put_reviews, review
from tests.kits.tenancy import NOW, Run, World

BUYERS = ("ann", "bob", "cem", "dua", "eli")


async def shop(world: World) -> Product:
    """A store with an owner and a product, five buyers and an admin."""
    await world.store("shop", {"olga": "owner"})
    await world.store("other", {"mia": "owner"})
    for name in BUYERS:
        await world.user(name)
    await world.user("root", admin=True)
    sold = product()
    await put_products(world.client, world.database, [sold])
    return sold


async def counters(world: World, sold: Product) -> list[int]:
    found = await world.client[world.database][PRODUCTS.name].find_one({"_id": sold.id})
    assert found is not None
    return [found["stars"][str(stars)] for stars in range(1, 6)]


async def seen(world: World, sold: Product) -> list[str]:
    """The texts that everybody can read, the newest first."""
    return [each.review.text for each in (await world.shopping.reviews.of_product(sold)).reviews]


async def outcomes(calls: Sequence[Awaitable[Any]]) -> Counter[str]:
    found = await asyncio.gather(*calls, return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException) and not isinstance(each, (ReviewError, TenancyError)):
            raise each
    return Counter(type(each).__name__ if isinstance(each, BaseException) else "done" for each in found)


def test_of_twenty_reviews_that_one_account_sends_at_one_time_there_is_one_and_it_counts_once(run: Run) -> None:
    async def work(world: World) -> None:
        sold = await shop(world)
        # Of three processes, which know nothing of each other.
        services = [ReviewService.on_mongo(world.client, world.database, lambda: NOW) for _ in range(3)]
        written = await asyncio.gather(
            *(services[n % 3].write("ann", sold.id, 1 + n % 5, f"Text {n}") for n in range(20))
        )
        assert len({each.review.id for each in written}) == 1
        documents = await world.client[world.database][REVIEWS.name].find().to_list()
        assert len(documents) == 1
        assert len(documents[0]["history"]) == 19
        assert await counters(world, sold) == [int(documents[0]["stars"] == stars) for stars in range(1, 6)]

    run(work)


def test_what_several_do_to_one_products_reviews_at_one_time_is_counted_as_it_is(run: Run) -> None:
    async def work(world: World) -> None:
        sold = await shop(world)
        service = world.shopping.reviews
        await asyncio.gather(*(service.write(name, sold.id, 4, name) for name in BUYERS))
        assert await counters(world, sold) == [0, 0, 0, 5, 0]
        calls: list[Awaitable[Any]] = [service.write(name, sold.id, 1, "Worse") for name in BUYERS[:3]]
        calls += [service.delete(name, sold.id) for name in BUYERS[2:]]
        assert await outcomes(calls) == {"done": 6}
        documents = await world.client[world.database][REVIEWS.name].find().to_list()
        assert {"ann", "bob"} <= {each["user"] for each in documents} <= {"ann", "bob", "cem"}
        assert await counters(world, sold) == [len(documents), 0, 0, 0, 0]

    run(work)


def test_votes_at_one_time_count_once_for_each_account_and_can_be_taken_back(run: Run) -> None:
    async def work(world: World) -> None:
        sold = await shop(world)
        service = world.shopping.reviews
        target = (await service.write("ann", sold.id, 5, "Good")).review.id
        again = [service.vote(name, target, helpful=True) for name in BUYERS[1:] for _ in range(4)]
        assert await outcomes(again) == {"done": 16}
        (shown,) = (await service.of_product(sold, "bob")).reviews
        assert (shown.review.helpful, shown.voted, shown.mine) == (4, True, False)
        await outcomes([service.vote("bob", target, helpful=False) for _ in range(5)])
        (shown,) = (await service.of_product(sold, "bob")).reviews
        assert (shown.review.helpful, shown.voted) == (3, False)
        with pytest.raises(OwnReview):
            await service.vote("ann", target, helpful=True)
        with pytest.raises(OwnStoreVote):
            await service.vote("olga", target, helpful=True)
        await service.delete("ann", sold.id)
        assert await world.client[world.database][REVIEW_VOTES.name].find().to_list() == []
        with pytest.raises(NoSuchReview):
            await service.vote("bob", target, helpful=True)

    run(work)


def test_three_reports_hide_a_review_until_an_admin_has_looked_and_one_account_reports_once(run: Run) -> None:
    async def work(world: World) -> None:
        sold = await shop(world)
        service = world.shopping.reviews
        target = (await service.write("ann", sold.id, 5, "Buy at evil.example")).review.id
        reporters = [service.report(name, target, ReportReason.SPAM) for name in ("bob", "bob", "bob", "cem", "olga")]
        assert await outcomes(reporters) == {"done": 5}
        assert await seen(world, sold) == ["Buy at evil.example"]
        with pytest.raises(OwnReview):
            await service.report("ann", target, ReportReason.SPAM)
        await service.report("dua", target, ReportReason.FALSE, "I was there")
        assert (await seen(world, sold), await counters(world, sold)) == ([], [0, 0, 0, 0, 0])
        for call in (service.vote("eli", target, helpful=True), service.report("eli", target, ReportReason.SPAM)):
            with pytest.raises(NoSuchReview):
                await call

        (waiting,) = (await service.waiting(ReviewState.PENDING)).reviews
        assert (waiting.review.id, waiting.review.reports) == (target, 3)
        case = await service.decide("root", target, Decision.APPROVE)
        assert sorted((each.reason.value, each.counts) for each in case.reports) == [
            ("false", True), ("spam", False), ("spam", True), ("spam", True),
        ]  # fmt: skip
        assert (await seen(world, sold), await counters(world, sold)) == (["Buy at evil.example"], [0, 0, 0, 0, 1])

        await service.write("ann", sold.id, 1, "Buy at worse.example")
        assert (await seen(world, sold), await counters(world, sold)) == ([], [0, 0, 0, 0, 0])
        await service.decide("root", target, Decision.REMOVE)
        with pytest.raises(RemovedForGood):
            await service.write("ann", sold.id, 5, "Again")
        assert (await service.waiting(None)).reviews == []

    run(work)


def test_reports_and_a_vote_and_an_edit_at_one_time_lose_nothing(run: Run) -> None:
    async def work(world: World) -> None:
        sold = await shop(world)
        service = world.shopping.reviews
        target = (await service.write("ann", sold.id, 5, "Good")).review.id
        calls: list[Awaitable[Any]] = [service.report(name, target, ReportReason.SPAM) for name in ("bob", "cem")]
        calls += [service.vote(name, target, helpful=True) for name in ("dua", "eli")]
        calls += [service.write("ann", sold.id, 2, "Better")]
        calls += [service.reply("shop", "olga", target, "Thanks")]
        assert await outcomes(calls) == {"done": 6}
        found = (await service.case(target)).shown.review
        assert (found.reports, found.helpful, found.stars, found.text) == (2, 2, 2, "Better")
        assert found.reply is not None
        assert await counters(world, sold) == [0, 1, 0, 0, 0]

    run(work)


def test_who_loses_the_right_writes_nothing_afterwards(run: Run) -> None:
    async def work(world: World) -> None:
        sold = await shop(world)
        service = world.shopping.reviews
        target = (await service.write("ann", sold.id, 5, "Good")).review.id
        mine = (await service.write("bob", sold.id, 4, "So so")).review.id
        await world.tenancy.accounts.set_banned("bob", banned=True)
        mongo = world.client[world.database]
        await mongo[MEMBERSHIPS.name].update_one({"_id": "shop:olga"}, {"$set": {"role": "analyst"}})
        await mongo[USERS.name].update_one({"_id": "root"}, {"$set": {"admin": False}})
        before = await world.everything()
        for call in (
            service.write("bob", sold.id, 1, "Bad"), service.delete("bob", sold.id),
            service.vote("bob", target, helpful=True), service.vote("bob", target, helpful=False),
            service.report("bob", target, ReportReason.SPAM),
        ):  # fmt: skip
            with pytest.raises(NoSuchUser):
                await call
        for refused in (
            service.reply("shop", "olga", target, "Thanks"), service.remove_reply("shop", "olga", target),
            service.decide("root", mine, Decision.HIDE),
        ):  # fmt: skip
            with pytest.raises(NotAllowed):
                await refused
        assert await world.everything() == before

    run(work)


def test_who_works_in_the_store_does_not_review_its_products_and_answers_reviews_of_them_alone(run: Run) -> None:
    async def work(world: World) -> None:
        sold = await shop(world)
        service = world.shopping.reviews
        with pytest.raises(OwnStore):
            await service.write("olga", sold.id, 5, "Best")
        target = (await service.write("ann", sold.id, 5, "Good")).review.id
        with pytest.raises(NoSuchReview):
            await service.reply("other", "mia", target, "Not ours")
        await service.reply("shop", "olga", target, "Thanks")
        world.now = NOW + timedelta(minutes=1)
        await service.reply("shop", "olga", target, "Thank you")
        (shown,) = (await service.of_product(sold)).reviews
        assert shown.review.reply is not None
        assert shown.review.reply.text == "Thank you"
        assert shown.review.reply.edited_at == shown.review.reply.written_at + 60_000
        await service.remove_reply("shop", "olga", target)
        (shown,) = (await service.of_product(sold)).reviews
        assert shown.review.reply is None

    run(work)


def test_what_cannot_be_seen_is_not_reviewed_and_an_archived_product_keeps_its_reviews(run: Run) -> None:
    async def work(world: World) -> None:
        sold = await shop(world)
        service, mongo = world.shopping.reviews, world.client[world.database]
        draft = product("Draft", state=ProductState.DRAFT)
        await put_products(world.client, world.database, [draft])
        for nothing in (draft.id, "0" * 32):
            with pytest.raises(NoSuchProduct):
                await service.write("ann", nothing, 5, "Good")
        await service.write("ann", sold.id, 5, "Good")
        await mongo[PRODUCTS.name].update_one({"_id": sold.id}, {"$set": {"state": "archived"}})
        await service.write("ann", sold.id, 4, "Good still")
        with pytest.raises(NoSuchProduct):
            await service.write("bob", sold.id, 4, "Too late")
        assert await counters(world, sold) == [0, 0, 0, 1, 0]
        assert await service.product("shop", sold.slug) is None
        await mongo[STORES.name].update_one({"_id": "shop"}, {"$set": {"deleted_at": NOW}})
        with pytest.raises(NoSuchProduct):
            await service.write("ann", sold.id, 3, "Gone")

    run(work)


def test_a_deleted_account_leaves_its_reviews_without_a_name(run: Run) -> None:
    async def work(world: World) -> None:
        sold = await shop(world)
        await world.shopping.reviews.write("ann", sold.id, 5, "Good")
        assert await world.tenancy.accounts.delete("ann", 1, Mail("ann@shop.example", "deleted", {}), NOW)
        (shown,) = (await world.shopping.reviews.of_product(sold)).reviews
        assert (shown.author, shown.review.text) == (None, "Good")
        assert await counters(world, sold) == [0, 0, 0, 0, 1]

    run(work)


@pytest.mark.parametrize("order", ReviewOrder)
def test_a_walk_in_pages_of_any_size_gives_each_review_once_while_others_come_and_go(
    run: Run, order: ReviewOrder
) -> None:
    async def work(world: World) -> None:
        sold = await shop(world)
        # Many of one moment and of one number of votes.
        there = [
            review(f"buyer-{n}", sold.id, store="shop", written_at=1_000 + n % 3, helpful=n % 4, stars=1 + n % 2)
            for n in range(40)
        ]
        await put_reviews(world, [*there, review("hidden", sold.id, store="shop", state=ReviewState.HIDDEN)])
        service, mongo = world.shopping.reviews, world.client[world.database]
        whole = (await service.of_product(sold, order=order, limit=100)).reviews
        assert {each.review.id for each in whole} == {each.id for each in there}
        for size in (1, 7):
            walked: list[str] = []
            place: Place | None = None
            removed = {each.id for each in there[:3]}
            while True:
                page = await service.of_product(sold, order=order, after=place, limit=size)
                walked += [each.review.id for each in page.reviews]
                place = page.next
                if place is None:
                    break
                if len(walked) == 7:
                    await put_reviews(world, [review(f"new-{size}", sold.id, store="shop", helpful=2, stars=3)])
                    await mongo[REVIEWS.name].delete_many({"id": {"$in": list(removed)}})
            stayed = [each.review.id for each in whole if each.review.id not in removed]
            assert [each for each in walked if each in stayed] == stayed
            assert len(walked) == len(set(walked))
            await mongo[REVIEWS.name].delete_many({"stars": 3})
            await put_reviews(world, there[:3])
        only = (await service.of_product(sold, order=order, stars=2, limit=100)).reviews
        assert {each.review.id for each in only} == {each.id for each in there if each.stars == 2}

    run(work)


def test_counters_that_are_wrong_are_found_and_put_right_and_right_ones_are_left(run: Run) -> None:
    async def work(world: World) -> None:
        sold = await shop(world)
        mongo, service = world.client[world.database], world.shopping.reviews
        other = product("Of another store", store="other")
        await put_products(world.client, world.database, [other])
        await service.write("ann", sold.id, 5, "Good")
        await service.write("bob", sold.id, 2, "Bad")
        ratings = Ratings(world.client, world.database)
        assert [each async for each in ratings.reconcile(repair=False)] == []
        # What a write past the transactions of here leaves behind.
        await mongo[PRODUCTS.name].update_one({"_id": sold.id}, {"$inc": {"stars.5": 3}})
        await mongo[PRODUCTS.name].update_one({"_id": other.id}, {"$inc": {"stars.1": 1}})
        assert [each.product async for each in ratings.reconcile("other", repair=False)] == [other.id]
        (wrong,) = [each async for each in ratings.reconcile("shop", repair=True)]
        assert (wrong.title, wrong.kept, wrong.counted) == (sold.title, (0, 1, 0, 0, 4), (0, 1, 0, 0, 1))
        assert await counters(world, sold) == [0, 1, 0, 0, 1]
        assert [each.product async for each in ratings.reconcile(repair=True)] == [other.id]
        assert [each async for each in ratings.reconcile(repair=False)] == []

    run(work)


def test_a_repair_while_reviews_come_leaves_counters_that_are_right(run: Run) -> None:
    async def work(world: World) -> None:
        sold = await shop(world)
        await world.client[world.database][PRODUCTS.name].update_one({"_id": sold.id}, {"$set": {"stars.3": 7}})
        ratings = Ratings(world.client, world.database)

        async def repair() -> list[str]:
            return [each.product async for each in ratings.reconcile(repair=True)]

        writes = [world.shopping.reviews.write(name, sold.id, 3, "Fine") for name in BUYERS]
        await asyncio.gather(repair(), *writes)
        assert await counters(world, sold) == [0, 0, 5, 0, 0]

    run(work)


def test_a_second_report_of_an_account_is_not_kept_twice(run: Run) -> None:
    async def work(world: World) -> None:
        sold = await shop(world)
        target = (await world.shopping.reviews.write("ann", sold.id, 5, "Good")).review.id
        await outcomes([world.shopping.reviews.report("bob", target, ReportReason.SPAM) for _ in range(6)])
        assert await world.client[world.database][REVIEW_REPORTS.name].count_documents({}) == 1
        assert (await world.shopping.reviews.case(target)).shown.review.reports == 1

    run(work)


def test_who_keeps_stars_hears_of_each_change_that_may_be_one_of_them_before_it_is_answered(run: Run) -> None:
    async def work(world: World) -> None:
        sold = await shop(world)
        heard: list[tuple[str, tuple[int, ...]]] = []

        async def note(changed: Product) -> None:
            heard.append((changed.slug, changed.stars))

        service = ReviewService.on_mongo(world.client, world.database, lambda: NOW, note)
        target = (await service.write("ann", sold.id, 5, "Good")).review.id
        await service.write("ann", sold.id, 2, "Bad")
        await service.decide("root", target, Decision.HIDE)
        await service.decide("root", target, Decision.APPROVE)
        await service.delete("ann", sold.id)
        assert heard == [
            (sold.slug, stars)
            for stars in ((0, 0, 0, 0, 1), (0, 1, 0, 0, 0), (0, 0, 0, 0, 0), (0, 1, 0, 0, 0), (0, 0, 0, 0, 0))
        ]

    run(work)
