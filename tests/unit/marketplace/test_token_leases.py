from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from marketplace.token_bucket import BucketPolicy
from marketplace.token_leases import LEASE_SECONDS, MAX_AHEAD, MAX_SHARE, TokenLeases
from tests.kits.shared_buckets import SharedBuckets

POLICY = BucketPolicy(rate_per_second=10, burst=80)
STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([1.0, 1.0, 2.0, 7.5]),
        st.sampled_from([0.0, 0.001, 0.1, 0.6, 3.0]),
        st.booleans(),
    ),
    max_size=300,
)


@given(STEPS)
def test_processes_together_never_grant_more_than_one_bucket_holds(
    steps: list[tuple[int, float, float, bool]],
) -> None:
    now = [0.0]

    async def work() -> None:
        shared, processes = SharedBuckets(lambda: now[0]), [TokenLeases() for _ in range(3)]
        granted = 0.0
        for process, cost, pause, lost in steps:
            now[0] += pause
            leases = processes[process]
            if leases.spend("a", POLICY, cost, now[0]) is not None:
                granted += cost
                continue
            ahead, back = leases.question("a", POLICY)
            assert 0 <= ahead <= min(POLICY.burst * MAX_SHARE, MAX_AHEAD)
            taken = await shared.take("a", POLICY, cost, ahead, back)
            if lost:
                continue  # the answer: what was granted is gone, and nobody has it twice
            granted += cost * taken.granted
            if taken.granted:
                leases.answered("a", POLICY, cost, taken.ahead, taken.left, now[0])
            assert granted <= POLICY.burst + POLICY.rate_per_second * now[0] + 1e-6

    asyncio.run(work())


def test_tokens_are_spent_for_half_a_second_and_then_the_bucket_is_asked() -> None:
    leases = TokenLeases()
    leases.answered("a", POLICY, 1.0, 5.0, 60.0, now=10.0)

    assert leases.spend("a", POLICY, 1.0, now=10.0) == 64.0
    assert leases.spend("a", POLICY, 1.0, now=10.0 + LEASE_SECONDS - 0.001) == 63.0
    assert leases.spend("a", POLICY, 1.0, now=10.0 + LEASE_SECONDS) is None
    assert leases.question("a", POLICY) == (6.0, 3.0)


def test_a_request_that_costs_more_than_is_held_asks_the_bucket_and_gives_the_rest_back() -> None:
    leases = TokenLeases()
    leases.answered("a", POLICY, 1.0, 5.0, 60.0, now=0.0)

    assert leases.spend("a", POLICY, 6.0, now=0.1) is None
    assert leases.question("a", POLICY) == (2.0, 5.0)
    assert leases.question("a", POLICY) == (0.0, 0.0)


def test_the_tokens_of_another_policy_are_not_spent() -> None:
    leases, other = TokenLeases(), BucketPolicy(1, 5)
    leases.answered("a", POLICY, 1.0, 5.0, 60.0, now=0.0)

    assert leases.spend("a", other, 1.0, now=0.0) is None
    assert leases.question("a", other) == (0.0, 0.0)


def test_what_is_held_is_bounded() -> None:
    leases = TokenLeases(max_leases=2)
    for name in ("a", "b", "a", "c"):
        leases.answered(name, POLICY, 1.0, 5.0, 60.0, now=0.0)

    assert len(leases) == 2
    assert leases.spend("b", POLICY, 1.0, now=0.0) is None
    assert leases.spend("a", POLICY, 1.0, now=0.0) == 69.0
