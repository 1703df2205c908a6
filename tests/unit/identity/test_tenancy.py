from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.entitlements import ENTITLEMENTS, Tier
from marketplace.identity.roles import API_KEY_SCOPES, Permission, StoreRole, permissions_of, scopes_in_effect
from marketplace.identity.tenancy import (
    ApiKey,
    Owner,
    Standing,
    StoreRecord,
    adds_hosts,
    api_key,
    hash_of_secret,
    parts_of_api_key,
    standing_of,
)
from marketplace.stores import Store

SLUGS = st.sampled_from([f"shop-{number}" for number in range(14)])
OWNED = st.dictionaries(SLUGS, st.integers(0, 3), min_size=1)
OWNERS = st.lists(st.builds(Owner, st.sampled_from(Tier), OWNED), max_size=3)


@given(OWNED, st.sampled_from(Tier))
def test_a_tier_covers_so_many_stores_as_it_includes_and_no_younger_one_before_an_older_one(
    owned: dict[str, int], tier: Tier
) -> None:
    owner = Owner(tier, owned)
    covered = {slug for slug in owned if owner.covers(slug)}
    assert len(covered) == min(len(owned), ENTITLEMENTS[tier].stores)
    for inside in covered:
        for outside in owned.keys() - covered:
            assert owned[inside] <= owned[outside]


@given(OWNED, SLUGS)
def test_an_upgrade_freezes_nothing_and_giving_up_a_store_freezes_no_other_one(
    owned: dict[str, int], slug: str
) -> None:
    before = {each for each in owned if Owner(Tier.FREE, owned).covers(each)}
    upgraded = {each for each in owned if Owner(Tier.PREMIUM, owned).covers(each)}
    assert before <= upgraded
    fewer = {each: at for each, at in owned.items() if each != slug}
    assert before - {slug} <= {each for each in fewer if Owner(Tier.FREE, fewer).covers(each)}


@given(OWNERS, SLUGS)
def test_a_store_is_frozen_where_no_owner_covers_it_and_has_the_tier_of_the_best_that_does(
    owners: list[Owner], slug: str
) -> None:
    covering = [owner for owner in owners if owner.covers(slug)]
    found = standing_of(slug, owners)
    assert found.frozen == (bool(owners) and not covering)
    tiers = {owner.tier for owner in covering or owners}
    assert found.tier is (Tier.PREMIUM if Tier.PREMIUM in tiers else Tier.FREE)


def test_a_store_without_an_owner_is_the_operators_and_not_frozen() -> None:
    assert standing_of("shop", []) == Standing(Tier.FREE, frozen=False)


@pytest.mark.parametrize("role", StoreRole)
def test_a_key_may_do_what_its_scopes_and_its_makers_role_have_in_common(role: StoreRole) -> None:
    assert scopes_in_effect(Permission, role) == API_KEY_SCOPES & permissions_of(role)
    assert scopes_in_effect([Permission.READ_STORE], role) == {Permission.READ_STORE}
    assert scopes_in_effect(Permission, None) == frozenset()


def test_a_key_is_taken_apart_as_it_was_put_together() -> None:
    secret = "aZ09_-" * 7 + "a"
    text = api_key("5b1e0c7d9a3f4682", secret)
    assert text == f"mk_5b1e0c7d9a3f4682_{secret}"
    assert parts_of_api_key(text) == ("5b1e0c7d9a3f4682", secret)
    key = ApiKey("5b1e", "shop", "ann", "Key", frozenset(), hash_of_secret(secret), 1)
    assert key.matches(secret)
    assert not key.matches(secret[:-1])


ID, SECRET = "5b1e0c7d9a3f4682", "s" * 43


@pytest.mark.parametrize(
    "text",
    [
        "", "mk_", f"mk_{ID}", f"mk_{ID}_", f"mk__{SECRET}", f"{ID}_{SECRET}", f"MK_{ID}_{SECRET}",
        f"mk_{ID.upper()}_{SECRET}", f"mk_{ID[1:]}_{SECRET}", f"mk_{ID}0_{SECRET}", f"mk_{ID}_{SECRET}s",
        f"mk_{ID}_{SECRET[1:]}", f"mk_{ID}_{SECRET[1:]}\u0661", f"mk_{ID[1:]}ä_{SECRET}", f"mk_{ID}_{SECRET}\n",
        f"mk_{ID}_{SECRET[1:]}.", f"mk_{ID}_{'s' * 100_000}",
    ],
)  # fmt: skip
def test_what_is_no_key_has_no_parts(text: str) -> None:
    assert parts_of_api_key(text) is None


def test_the_tag_of_a_store_is_strong_and_its_version_alone() -> None:
    store = Store("shop", "Shop", "UTC", (), "hash", "0" * 64)
    assert StoreRecord(store, 7).etag == '"7"'


@pytest.mark.parametrize(
    ("before", "after", "free"),
    [
        ((), (), False),
        ((), ("a",), False),
        ((), ("a", "b"), True),
        ((), ("a", "a"), False),
        (("a",), ("b",), False),
        (("a",), ("a", "b"), True),
        (("a", "b", "c"), ("a", "b"), False),
        (("a", "b"), ("b", "a"), False),
        (("a", "b", "c"), ("c",), False),
        (("a", "b"), ("a", "c"), True),
    ],
)
def test_a_plan_bounds_hosts_that_are_added_and_none_that_are_there(
    before: tuple[str, ...], after: tuple[str, ...], free: bool
) -> None:
    assert adds_hosts(before, after, Tier.FREE) == free
    assert not adds_hosts(before, after, Tier.PREMIUM)
