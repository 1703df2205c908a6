"""The limiter of all processes: what it grants, how long it asks to wait, and what it leaves behind."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.errors import Unavailable
from connectors.redis.sessions import connect_async
from connectors.redis.token_buckets import RedisTokenBuckets
from marketplace.entitlements import ENTITLEMENTS, Tier
from marketplace.token_bucket import BucketPolicy
from ops.stack import Stack
from runtime.ports import free_ports
from tests.kits.demo import ROOT
from tests.kits.shared_buckets import SharedBuckets

T = TypeVar("T")

POUNDER = """
import asyncio, sys, time
from connectors.redis.sessions import connect_async
from connectors.redis.token_buckets import RedisTokenBuckets
from marketplace.token_bucket import BucketPolicy

async def main(url, name, rate, burst, seconds):
    client = connect_async(url)
    buckets, granted, until = RedisTokenBuckets(client), 0, time.monotonic() + seconds
    while time.monotonic() < until:
        taken = await asyncio.gather(*(buckets.take(name, BucketPolicy(rate, burst)) for _ in range(20)))
        granted += sum(each.granted for each in taken)
    await client.aclose()
    print(granted)

asyncio.run(main(sys.argv[1], sys.argv[2], *map(float, sys.argv[3:])))
"""


LIMITED = """
import asyncio, sys, time
from api.limits import Limiter
from api.web.problems import Problem
from connectors.redis.sessions import connect_async
from connectors.redis.token_buckets import RedisTokenBuckets
from marketplace.entitlements import Tier

async def main(url, account, seconds):
    client = connect_async(url)
    limiter, granted, until = Limiter(RedisTokenBuckets(client)), 0, time.monotonic() + seconds

    async def ask():
        try:
            await limiter.request(account, Tier.FREE, "", 1.0)
        except Problem:
            return 0
        return 1

    while time.monotonic() < until:
        granted += sum(await asyncio.gather(*(ask() for _ in range(5))))
        await asyncio.sleep(0.02)
    assert not limiter.degraded
    await client.aclose()
    print(granted)

asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
"""


def run(url: str, work: Callable[[RedisTokenBuckets], Awaitable[T]]) -> T:
    async def whole() -> T:
        client = connect_async(url)
        try:
            return await work(RedisTokenBuckets(client))
        finally:
            await client.aclose()

    return asyncio.run(whole())


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


def test_a_bucket_starts_full_and_is_empty_after_its_burst(stack: Stack, name: str) -> None:
    async def work(buckets: RedisTokenBuckets) -> None:
        policy = BucketPolicy(rate_per_second=0.01, burst=5)
        assert [(await buckets.take(name, policy)).granted for _ in range(7)] == [True] * 5 + [False] * 2
        assert (await buckets.take(f"{name} of somebody else", policy)).granted

    run(stack.urls.redis, work)


def test_a_request_that_costs_more_takes_all_of_it_or_nothing(stack: Stack, name: str) -> None:
    async def work(buckets: RedisTokenBuckets) -> None:
        policy = BucketPolicy(rate_per_second=0.01, burst=10)
        assert (await buckets.take(name, policy, 7)).granted
        refused = await buckets.take(name, policy, 7)
        assert (refused.granted, round(refused.left), refused.retry_seconds) == (False, 3, 400)
        assert (await buckets.take(name, policy, 3)).granted

    run(stack.urls.redis, work)


def test_who_waits_as_long_as_was_asked_is_let_in(stack: Stack, name: str) -> None:
    async def work(buckets: RedisTokenBuckets) -> None:
        policy = BucketPolicy(rate_per_second=1.5, burst=2)
        for _ in range(2):
            while (taken := await buckets.take(name, policy)).granted:
                pass
            assert taken.retry_seconds == 1
            await asyncio.sleep(taken.retry_seconds)
            assert (await buckets.take(name, policy)).granted

    run(stack.urls.redis, work)


def test_processes_together_are_granted_no_more_than_one_bucket(stack: Stack, name: str) -> None:
    rate, burst, seconds = 40.0, 100.0, 1.5
    began = time.monotonic()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", POUNDER, stack.urls.redis, name, str(rate), str(burst), str(seconds)],
            stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )
        for _ in range(2)
    ]  # fmt: skip
    granted = sum(int(process.communicate(timeout=60)[0]) for process in processes)
    took = time.monotonic() - began
    assert burst + rate * seconds * 0.5 < granted <= burst + rate * took + 1


def test_processes_that_take_tokens_for_later_are_granted_no_more_than_one_bucket_together(
    stack: Stack, name: str
) -> None:
    policy, began = ENTITLEMENTS[Tier.FREE].requests, time.monotonic()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LIMITED, stack.urls.redis, name, "2"], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        for _ in range(2)
    ]
    granted = sum(int(process.communicate(timeout=60)[0]) for process in processes)
    took = time.monotonic() - began
    assert policy.burst * 3 / 4 < granted <= policy.burst + policy.rate_per_second * took + 1


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.sampled_from([1.0, 2.5, 9.0]), st.sampled_from([0.0, 1.0, 7.0, 50.0]), st.floats(0, 30)),
        min_size=1,
        max_size=12,
    )
)
def test_the_buckets_that_other_tests_use_answer_as_redis_does(
    stack: Stack, asked: list[tuple[float, float, float]]
) -> None:
    # So slow that no token comes back meanwhile.
    policy, twin, name = BucketPolicy(1e-7, 40), SharedBuckets(), uuid.uuid4().hex

    async def work(buckets: RedisTokenBuckets) -> None:
        for cost, ahead, back in asked:
            real = await buckets.take(name, policy, cost, ahead, back)
            ours = await twin.take(name, policy, cost, ahead, back)
            assert (real.granted, real.ahead) == (ours.granted, ours.ahead)
            assert real.left == pytest.approx(ours.left, abs=1e-4)
            await buckets.give_back(name, policy, back)
            await twin.give_back(name, policy, back)

    run(stack.urls.redis, work)


def test_a_bucket_whose_policy_was_lowered_has_no_more_than_the_new_burst(stack: Stack, name: str) -> None:
    async def work(buckets: RedisTokenBuckets) -> None:
        assert (await buckets.take(name, BucketPolicy(0.01, 100))).granted
        assert (await buckets.take(name, BucketPolicy(0.01, 5))).left <= 4.1

    run(stack.urls.redis, work)


def test_no_bucket_is_kept_for_longer_than_it_takes_to_fill(stack: Stack, name: str) -> None:
    async def work(buckets: RedisTokenBuckets) -> None:
        await buckets.take(name, BucketPolicy(2, 10), 10)
        client = connect_async(stack.urls.redis)
        assert 0 < await client.pttl(f"limit:{name}") <= 6_000
        await client.aclose()

    run(stack.urls.redis, work)


@pytest.mark.parametrize(
    ("policy", "cost"), [(BucketPolicy(1, 5), 6.0), (BucketPolicy(1, 5), 0.0), (BucketPolicy(0, 5), 1.0)]
)
def test_what_could_never_be_granted_is_an_error_and_no_endless_wait(
    stack: Stack, name: str, policy: BucketPolicy, cost: float
) -> None:
    async def work(buckets: RedisTokenBuckets) -> None:
        with pytest.raises(ValueError, match="can never be taken"):
            await buckets.take(name, policy, cost)

    run(stack.urls.redis, work)


def test_without_redis_it_is_unavailable(name: str) -> None:
    async def work(buckets: RedisTokenBuckets) -> None:
        with pytest.raises(Unavailable, match="Redis does not answer"):
            await buckets.take(name, BucketPolicy(1, 5))

    run(f"redis://127.0.0.1:{free_ports(1)[0]}/0", work)
