from __future__ import annotations

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from marketplace.entitlements import ENTITLEMENTS, Grant, Tier, next_change, tier_of, with_grant_ended

TIMES = st.integers(0, 100)
GRANTS = st.lists(st.builds(Grant, st.sampled_from(Tier), TIMES, st.none() | TIMES), max_size=5)


def test_every_tier_has_entitlements_and_premium_gives_more_of_each() -> None:
    assert set(ENTITLEMENTS) == set(Tier)
    free, premium = ENTITLEMENTS[Tier.FREE], ENTITLEMENTS[Tier.PREMIUM]
    for field in fields(free):
        if field.name != "requests":
            assert getattr(premium, field.name) > getattr(free, field.name), field.name
    assert premium.requests.rate_per_second > free.requests.rate_per_second
    assert premium.requests.burst > free.requests.burst


@given(GRANTS, TIMES)
def test_a_tier_is_had_from_its_first_moment_until_before_its_last(grants: list[Grant], now: int) -> None:
    holds = {grant.tier for grant in grants if grant.since <= now and (grant.until is None or now < grant.until)}
    assert tier_of(grants, now) is (Tier.PREMIUM if Tier.PREMIUM in holds else Tier.FREE)


@given(GRANTS, TIMES, TIMES)
def test_between_now_and_the_next_change_the_tier_stays(grants: list[Grant], now: int, later: int) -> None:
    change = next_change(grants, now)
    if now <= later and (change is None or later < change):
        assert tier_of(grants, later) is tier_of(grants, now)


@given(GRANTS, st.sampled_from(Tier), TIMES, TIMES)
def test_a_tier_that_is_ended_is_had_no_more_and_what_was_is_kept(
    grants: list[Grant], tier: Tier, now: int, other: int
) -> None:
    after = with_grant_ended(grants, tier, now)
    others = [grant for grant in grants if grant.tier is not tier]
    if other >= now:
        assert tier_of(after, other) is tier_of(others, other)
    else:
        assert tier_of(after, other) is tier_of(grants, other)
    assert with_grant_ended(after, tier, now) == after


def test_a_tier_that_is_ended_ends_now_and_what_is_past_or_another_tier_stays_as_it_was() -> None:
    past, current, open_end = Grant(Tier.PREMIUM, 1, 5), Grant(Tier.PREMIUM, 2, 90), Grant(Tier.PREMIUM, 3)
    begins_now, to_come, other = Grant(Tier.PREMIUM, 50), Grant(Tier.PREMIUM, 60), Grant(Tier.FREE, 2)
    grants = (past, current, other, open_end, begins_now, to_come)
    ended = (past, Grant(Tier.PREMIUM, 2, 50), other, Grant(Tier.PREMIUM, 3, 50))
    assert with_grant_ended(grants, Tier.PREMIUM, 50) == ended


def test_the_first_moment_is_included_and_the_last_one_is_not() -> None:
    grant = Grant(Tier.PREMIUM, 10, 20)
    assert [grant.holds(now) for now in (9, 10, 19, 20)] == [False, True, True, False]
    assert [next_change([grant], now) for now in (9, 10, 19, 20)] == [10, 20, 20, None]
