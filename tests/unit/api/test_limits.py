from __future__ import annotations

import asyncio
import functools
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from api.limits import ADDRESS, ATTEMPTS_OF_ACCOUNT, ATTEMPTS_OF_ADDRESS, MAILS_TO_ADDRESS, Limiter
from api.web.problems import Problem
from marketplace.entitlements import ENTITLEMENTS, Tier
from marketplace.identity.accounts import LinkKind
from tests.kits.shared_buckets import SharedBuckets


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


Ask = Callable[[], Awaitable[object]]


async def granted(ask: Ask, most: int = 1_000) -> tuple[int, Problem | None]:
    """How many of so many questions are answered until one is refused."""
    for number in range(most):
        try:
            await ask()
        except Problem as problem:
            return number, problem
    return most, None


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shared(clock: Clock) -> SharedBuckets:
    return SharedBuckets(clock)


@pytest.fixture
def limiter(shared: SharedBuckets, clock: Clock) -> Limiter:
    return Limiter(shared, clock)


@pytest.mark.parametrize("tier", Tier)
def test_an_account_has_the_bucket_of_its_tier_and_an_address_a_smaller_one(limiter: Limiter, tier: Tier) -> None:
    async def work() -> None:
        count, problem = await granted(lambda: limiter.request("ann", tier, "203.0.113.1", 1.0))
        assert count == ENTITLEMENTS[tier].requests.burst
        assert problem is not None
        assert problem.type.status == 429
        assert int(problem.headers["retry-after"]) >= 1
        assert re.fullmatch(r'"default";q=\d+;w=\d+', problem.headers["ratelimit-policy"])
        assert (await granted(lambda: limiter.request("bob", tier, "203.0.113.1", 1.0)))[0] == count
        assert (await granted(lambda: limiter.request("", tier, "203.0.113.1", 1.0)))[0] == ADDRESS.burst

    asyncio.run(work())


def test_a_route_that_costs_more_is_asked_less_often_and_none_can_never_be_asked(limiter: Limiter) -> None:
    async def work() -> None:
        assert (await granted(lambda: limiter.request("", Tier.FREE, "a", 10.0)))[0] == ADDRESS.burst / 10
        assert (await granted(lambda: limiter.request("", Tier.FREE, "b", 10_000.0)))[0] == 1

    asyncio.run(work())


def test_attempts_are_counted_for_the_account_whoever_makes_them_and_for_the_address_whatever_they_are_for(
    limiter: Limiter,
) -> None:
    async def work() -> None:
        addresses = iter(f"203.0.113.{number}" for number in range(200))
        assert (await granted(lambda: limiter.attempt("ann@x.example", next(addresses))))[
            0
        ] == ATTEMPTS_OF_ACCOUNT.burst
        accounts = iter(f"user{number}@x.example" for number in range(200))
        assert (await granted(lambda: limiter.attempt(next(accounts), "198.51.100.1")))[0] == ATTEMPTS_OF_ADDRESS.burst

    asyncio.run(work())


@pytest.mark.parametrize("fault", ["none", "refuses"])
def test_an_attempt_that_succeeds_is_not_counted_and_pays_for_none_that_failed(
    limiter: Limiter, shared: SharedBuckets, fault: str
) -> None:
    shared.available = fault == "none"

    async def signs_in() -> None:
        await limiter.attempt("ann@x.example", "203.0.113.1")
        await limiter.succeeded("ann@x.example", "203.0.113.1")

    async def guesses() -> None:
        await signs_in()
        await limiter.attempt("bob@x.example", "203.0.113.1")

    async def work() -> None:
        assert (await granted(signs_in, 200))[0] == 200
        share = 1.0 if shared.available else 0.5
        assert (await granted(guesses))[0] == ATTEMPTS_OF_ACCOUNT.burst * share
        others = iter(f"user{number}@x.example" for number in range(200))
        rest = (ATTEMPTS_OF_ADDRESS.burst - ATTEMPTS_OF_ACCOUNT.burst) * share
        assert rest - 1 <= (await granted(lambda: limiter.attempt(next(others), "203.0.113.1")))[0] <= rest

    asyncio.run(work())


def test_nobody_can_have_many_mails_sent_to_a_stranger_and_mails_of_another_kind_are_sent_still(
    limiter: Limiter, clock: Clock
) -> None:
    async def work() -> None:
        sent, kinds = Counter[LinkKind](), list(LinkKind)
        for minute in range(24 * 60):
            clock.now, kind = 60.0 * minute, kinds[minute % len(kinds)]
            with suppress(Problem):
                await limiter.attempt("ann@x.example", f"203.0.113.{minute % 256}", kind)
                sent[kind] += 1
        assert all(MAILS_TO_ADDRESS.burst < sent[kind] <= MAILS_TO_ADDRESS.burst + 48 for kind in kinds)
        clock.now += 600.0
        assert (await granted(lambda: limiter.attempt("ann@x.example", "198.51.100.1")))[0] >= 1

    asyncio.run(work())


@pytest.mark.parametrize("kind", LinkKind)
def test_mails_of_one_kind_that_are_used_up_keep_no_other_kind_and_no_sign_in(
    limiter: Limiter, clock: Clock, kind: LinkKind
) -> None:
    async def work() -> None:
        count, problem = await granted(lambda: limiter.attempt("ann@x.example", "203.0.113.1", kind))
        assert (count, problem is not None) == (MAILS_TO_ADDRESS.burst, True)
        clock.now += 120.0
        with pytest.raises(Problem) as refused:
            await limiter.attempt("ann@x.example", "203.0.113.1", kind)
        assert 1_000 < int(refused.value.headers["retry-after"]) <= 1_800
        for other in {None, *LinkKind} - {kind}:
            clock.now += 120.0
            await limiter.attempt("ann@x.example", "203.0.113.1", other)
        await limiter.attempt("bob@x.example", "203.0.113.1", kind)

    asyncio.run(work())


@pytest.mark.parametrize("fault", ["refuses", "hangs"])
def test_without_redis_something_is_granted_and_nothing_is_unlimited(
    limiter: Limiter, shared: SharedBuckets, clock: Clock, fault: str
) -> None:
    async def work() -> None:
        shared.available, shared.hangs = fault != "refuses", fault == "hangs"
        count, problem = await granted(lambda: limiter.attempt("ann@x.example", "203.0.113.1"))
        assert 1 <= count < ATTEMPTS_OF_ACCOUNT.burst
        assert problem is not None
        assert int(problem.headers["retry-after"]) >= 1
        assert limiter.degraded
        assert shared.asked == 1, "only the first one waits"
        assert 1 <= (await granted(lambda: limiter.request("bob", Tier.FREE, "203.0.113.1", 1.0)))[0] < 60

        clock.now += float(problem.headers["retry-after"])
        shared.available, shared.hangs = True, False
        await limiter.attempt("ann@x.example", "203.0.113.1")
        assert not limiter.degraded

    asyncio.run(work())


def test_who_asks_often_is_granted_some_at_once_and_in_all_no_more_than_the_bucket(
    limiter: Limiter, shared: SharedBuckets, clock: Clock
) -> None:
    async def work() -> None:
        count, _ = await granted(lambda: limiter.request("ann", Tier.PREMIUM, "203.0.113.1", 1.0))
        assert count == ENTITLEMENTS[Tier.PREMIUM].requests.burst
        assert shared.asked < count / 10
        clock.now += 2.0
        assert (await granted(lambda: limiter.request("ann", Tier.PREMIUM, "203.0.113.1", 1.0)))[0] == 100

    asyncio.run(work())


def test_who_asks_once_takes_nothing_from_others_and_what_was_not_needed_is_given_back(
    shared: SharedBuckets, clock: Clock
) -> None:
    async def work() -> None:
        here, there = Limiter(shared, clock), Limiter(shared, clock)
        await here.request("ann", Tier.FREE, "203.0.113.1", 1.0)
        free = ENTITLEMENTS[Tier.FREE].requests
        assert (await shared.take("account:ann", free, 1.0)).left == free.burst - 2
        for _ in range(3):
            await here.request("ann", Tier.FREE, "203.0.113.1", 1.0)
        clock.now += 0.5
        await here.request("ann", Tier.FREE, "203.0.113.1", 1.0)
        left = (await granted(lambda: there.request("ann", Tier.FREE, "203.0.113.1", 1.0)))[0]
        # Six were taken, 2.5 have come back by now, and this process holds a few for the next half second.
        assert free.burst - 6 + 2 - free.burst / 8 <= left <= free.burst - 6 + 2

    asyncio.run(work())


def test_callers_of_one_bucket_who_come_at_one_time_share_a_question(
    limiter: Limiter, shared: SharedBuckets, clock: Clock
) -> None:
    async def work() -> None:
        burst = int(ENTITLEMENTS[Tier.PREMIUM].requests.burst)

        async def at_once(count: int) -> list[object]:
            asks = (limiter.request("ann", Tier.PREMIUM, "203.0.113.1", 1.0) for _ in range(count))
            return await asyncio.gather(*asks, return_exceptions=True)

        await at_once(16)
        before = shared.asked
        for _ in range(4):
            clock.now += 0.6
            await at_once(16)
        assert shared.asked - before == 4
        found = await at_once(2 * burst)
        assert sum(not isinstance(each, Problem) for each in found) <= burst

    asyncio.run(work())


@pytest.mark.parametrize("fault", ["refuses", "hangs"])
def test_who_waits_for_the_question_of_another_is_answered_as_soon_as_it_fails(
    limiter: Limiter, shared: SharedBuckets, clock: Clock, fault: str
) -> None:
    async def work() -> None:
        ask = functools.partial(limiter.request, "ann", Tier.PREMIUM, "203.0.113.1", 1.0)
        await asyncio.gather(*[ask() for _ in range(4)])
        clock.now += 0.6
        shared.available, shared.hangs = fault != "refuses", fault == "hangs"
        began = time.monotonic()
        await asyncio.gather(*[ask() for _ in range(4)])
        assert time.monotonic() - began < 1.0

    asyncio.run(work())


def test_what_the_answer_says_is_left_is_what_can_be_asked_still(limiter: Limiter) -> None:
    async def work() -> None:
        said: list[int] = []

        async def ask() -> None:
            limited = await limiter.request("ann", Tier.FREE, "203.0.113.1", 1.0)
            said.append(int(limited.headers()["ratelimit"].partition("r=")[2].partition(";")[0]))

        await granted(ask)
        assert said == list(range(59, -1, -1))

    asyncio.run(work())


def test_attempts_ask_the_shared_bucket_each_time(limiter: Limiter, shared: SharedBuckets) -> None:
    async def work() -> None:
        for number in range(1, 6):
            await limiter.attempt("ann@x.example", "203.0.113.1")
            assert shared.asked == 2 * number

    asyncio.run(work())
