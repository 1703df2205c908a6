from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.token_bucket import BucketPolicy, TokenBuckets


def test_a_full_bucket_grants_its_burst_and_then_says_how_long_to_wait() -> None:
    buckets = TokenBuckets(BucketPolicy(rate_per_second=2, burst=3))

    waits = [buckets.take("a", 1, now=100.0) for _ in range(4)]

    assert waits == [0.0, 0.0, 0.0, 0.5]


def test_tokens_come_back_with_time_up_to_the_burst() -> None:
    buckets = TokenBuckets(BucketPolicy(rate_per_second=2, burst=3))
    buckets.take("a", 3, now=0.0)

    assert buckets.take("a", 1, now=0.4) == pytest.approx(0.1)
    assert buckets.take("a", 1, now=0.5) == 0.0
    assert buckets.take("a", 4, now=1_000.0) == 0.0
    assert buckets.take("a", 1, now=1_000.0) == 1.0


def test_one_name_does_not_use_up_anothers_tokens() -> None:
    buckets = TokenBuckets(BucketPolicy(rate_per_second=1, burst=1))
    buckets.take("a", 1, now=0.0)

    assert buckets.take("b", 1, now=0.0) == 0.0


def test_a_cost_above_the_burst_passes_once_and_is_owed() -> None:
    buckets = TokenBuckets(BucketPolicy(rate_per_second=10, burst=10))

    assert buckets.take("a", 30, now=0.0) == 0.0
    assert buckets.take("a", 1, now=0.0) == pytest.approx(2.1)


def test_tokens_that_are_given_back_fill_a_bucket_and_no_more() -> None:
    buckets = TokenBuckets(BucketPolicy(rate_per_second=1, burst=3))
    buckets.take("a", 3, now=0.0)

    buckets.give_back("a", 1, now=0.0)
    assert buckets.take("a", 2, now=0.0) == 1.0
    buckets.give_back("a", 9, now=0.5)
    assert buckets.take("a", 4, now=0.5) == 0.0
    assert buckets.take("a", 1, now=0.5) == 2.0


def test_a_clock_that_goes_back_gives_nothing() -> None:
    buckets = TokenBuckets(BucketPolicy(rate_per_second=1, burst=1))
    buckets.take("a", 1, now=100.0)

    assert buckets.take("a", 1, now=50.0) == 1.0


def test_a_rate_of_zero_switches_the_limit_off() -> None:
    buckets = TokenBuckets(BucketPolicy(rate_per_second=0, burst=1))

    assert [buckets.take("a", 100, now=0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert len(buckets) == 0


def test_the_number_of_buckets_is_bounded_and_the_least_recently_used_is_forgotten() -> None:
    buckets = TokenBuckets(BucketPolicy(rate_per_second=0.001, burst=1), max_buckets=2)
    for name in ("a", "b", "a", "c"):
        buckets.take(name, 1, now=0.0)

    assert len(buckets) == 2
    assert buckets.take("a", 1, now=0.0) > 0
    assert buckets.take("b", 1, now=0.0) == 0.0


def test_to_ask_how_long_takes_nothing() -> None:
    buckets = TokenBuckets(BucketPolicy(rate_per_second=2, burst=3))

    assert [buckets.wait("a", 3, now=0.0) for _ in range(3)] == [0.0] * 3
    buckets.take("a", 3, now=0.0)
    assert buckets.wait("a", 1, now=0.0) == 0.5
    assert buckets.wait("a", 1, now=0.25) == 0.25
    assert buckets.take("a", 1, now=0.5) == 0.0


@given(
    st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    st.integers(1, 5),
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3)), max_size=12),
)
def test_to_ask_is_answered_as_taking_would_be(rate: float, burst: int, takes: list[tuple[int, int]]) -> None:
    buckets = TokenBuckets(BucketPolicy(rate_per_second=rate, burst=burst))
    now = 100.0
    for cost, seconds_later in takes:
        now += seconds_later
        said = buckets.wait("a", cost, now)
        assert said == pytest.approx(buckets.take("a", cost, now))


def test_fifty_thousand_buckets_are_remembered_where_nobody_says_otherwise() -> None:
    buckets = TokenBuckets(BucketPolicy(rate_per_second=1, burst=1))
    for number in range(50_001):
        buckets.take(str(number), 1, now=0.0)

    assert len(buckets) == 50_000
