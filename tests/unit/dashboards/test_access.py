"""Who may see which store, without any part."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import Unavailable
from connectors.insights import Scope
from dashboards.data import backend, current
from dashboards.data.access import (
    NoAccountYet,
    NotAllowed,
    NotPermitted,
    SignedOut,
    StoreNotVisible,
    everybody,
    member,
    visible,
)
from dashboards.data.query_cache import QueryCache
from dashboards.data.viewers import SHARED_SECONDS, Viewers
from marketplace.entitlements import Tier
from marketplace.identity.roles import Permission, StoreRole
from marketplace.identity.tenancy import Membership, Standing
from tests.kits.viewers import ANN, STORES, Clock, Known, viewer_of

STANDINGS = dict.fromkeys(STORES, Standing(Tier.FREE, frozen=False))


@given(roles=st.dictionaries(st.sampled_from(sorted(STORES)), st.sampled_from(StoreRole)))
def test_a_viewer_sees_the_stores_of_the_own_memberships_and_no_other(roles: dict[str, StoreRole]) -> None:
    memberships = [Membership(slug, ANN.id, role, 1) for slug, role in roles.items()]
    seen = member(ANN, visible(memberships), STORES, STANDINGS)

    for slug in STORES:
        if slug in roles:
            assert seen.store(slug) is STORES[slug]
        else:
            with pytest.raises(StoreNotVisible):
                seen.store(slug)
    assert set(seen.stores) == set(roles) == set(seen.roles) == set(seen.standings)


def test_a_membership_of_a_store_that_was_deleted_shows_nothing() -> None:
    seen = member(ANN, {"gone": StoreRole.OWNER}, STORES, STANDINGS)

    assert seen.stores == {}
    with pytest.raises(StoreNotVisible):
        seen.store("gone")


def test_stores_are_shown_by_title() -> None:
    assert list(everybody(list(STORES.values())).stores) == ["pots", "tea", "wide"]


def test_somebody_without_an_account_is_not_signed_in() -> None:
    assert not everybody(list(STORES.values())).signed_in
    assert viewer_of("tea").signed_in


def test_without_a_sign_in_nobody_gets_in_once_there_is_an_account_not_even_on_this_machine() -> None:
    for local in (True, False):
        with pytest.raises(SignedOut):
            Viewers(Known(), QueryCache()).now("", local)


def test_without_any_account_this_machine_sees_every_store_and_others_see_none() -> None:
    viewers = Viewers(Known(accounts=False), QueryCache())

    assert set(viewers.now("", local=True).stores) == set(STORES)
    with pytest.raises(NoAccountYet):
        viewers.now("", local=False)


def test_the_first_account_closes_what_was_open_and_its_deletion_does_not_open_it() -> None:
    clock, known = Clock(), Known(accounts=False)
    viewers = Viewers(known, QueryCache(clock), clock)
    viewers.now("", local=True)
    known.accounts = True
    clock.now += SHARED_SECONDS + 0.01

    with pytest.raises(SignedOut):
        viewers.now("", local=True)
    known.accounts = False
    with pytest.raises(SignedOut):
        viewers.now("", local=True)


def test_a_member_who_was_removed_is_out_as_soon_as_the_shared_answer_is_old() -> None:
    clock, known = Clock(), Known({"token": viewer_of("tea", "pots")})
    viewers = Viewers(known, QueryCache(clock), clock)
    viewers.now("token", local=True)
    known.viewers["token"] = viewer_of("tea")

    clock.now += SHARED_SECONDS + 0.01

    assert set(viewers.now("token", local=True).stores) == {"tea"}


def test_answers_are_shared_for_less_than_half_a_second() -> None:
    assert 0 < SHARED_SECONDS < 0.5


def test_one_sign_in_never_gets_the_answer_of_another_one() -> None:
    known = Known({"a": viewer_of("tea", email="a@shop.example"), "b": viewer_of("pots", email="b@shop.example")})
    viewers = Viewers(known, QueryCache())

    for token, email in (("a", "a@shop.example"), ("b", "b@shop.example")) * 5:
        assert viewers.now(token, local=True).email == email


def test_several_pages_of_one_sign_in_ask_once() -> None:
    clock, known = Clock(), Known({"token": viewer_of("tea")})
    viewers = Viewers(known, QueryCache(clock), clock)

    for _ in range(5):
        viewers.now("token", local=True)

    assert known.asked == ["token"]


def test_a_sign_in_that_was_ended_is_worth_nothing() -> None:
    clock, known = Clock(), Known({"token": viewer_of("tea")})
    viewers = Viewers(known, QueryCache(clock), clock)
    viewers.now("token", local=True)

    viewers.end("token").result(5)
    clock.now += SHARED_SECONDS + 0.01

    with pytest.raises(SignedOut):
        viewers.now("token", local=True)


def test_nobody_gets_in_while_nobody_can_say_and_who_was_in_is_in_afterwards() -> None:
    clock, known = Clock(), Known({"token": viewer_of("tea")})
    viewers = Viewers(known, QueryCache(clock), clock)
    known.unavailable = True
    for token in ("token", ""):
        with pytest.raises(Unavailable):
            viewers.now(token, local=True)

    known.unavailable = False

    assert set(viewers.now("token", local=True).stores) == {"tea"}


def queries() -> list[backend.CachedQuery[..., object]]:
    return [each for each in vars(backend).values() if isinstance(each, backend.CachedQuery)]


def test_only_the_freshness_of_all_numbers_is_asked_without_a_store() -> None:
    assert [each for each in queries() if each.of_platform] == [backend.completeness]
    assert len(queries()) > 10


@pytest.mark.parametrize("number", range(len(queries())))
def test_no_query_of_a_store_runs_for_who_may_not_see_it(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = queries()[number]
    if asked.of_platform:
        return

    def connected() -> backend.Backend:
        raise AssertionError("the query was run")

    monkeypatch.setattr(current, "viewer", lambda: viewer_of("tea"))
    monkeypatch.setattr(backend, "backend", connected)
    for argument in ("pots", Scope("pots", ZoneInfo("UTC"))):
        with pytest.raises(NotAllowed):
            asked.submit(argument)
        with pytest.raises(NotAllowed):
            asked(argument)


OF_ORDERS = {"orders_page", "order_groups", "stuck_orders", "order", "notices"}
"""Queries that say who has bought, and where people live."""


@pytest.mark.parametrize("role", StoreRole)
def test_orders_are_read_by_those_alone_whose_role_includes_them(
    role: StoreRole, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asked(Exception):
        pass

    def connected() -> backend.Backend:
        raise Asked

    monkeypatch.setattr(current, "viewer", lambda: viewer_of("tea", role=role))
    monkeypatch.setattr(backend, "backend", connected)
    named = {name: each for name, each in vars(backend).items() if isinstance(each, backend.CachedQuery)}
    assert OF_ORDERS.issubset(named)
    for name, each in named.items():
        refused = role is StoreRole.ANALYST and name in OF_ORDERS
        with pytest.raises(NotPermitted if refused else Asked):
            each.submit("tea")


@pytest.mark.parametrize("permission", Permission)
def test_without_any_account_this_machine_reads_and_changes_nothing(permission: Permission) -> None:
    nobody, owner = everybody(list(STORES.values())), viewer_of("tea", role=StoreRole.OWNER)
    assert nobody.may("tea", permission) == (permission.value.endswith(":read") and permission.value.split(":")[0] in (
        "numbers", "store", "catalog", "orders", "stock"
    ))  # fmt: skip
    assert owner.may("tea", permission)
    with pytest.raises(StoreNotVisible):
        owner.may("pots", permission)


def test_a_query_that_names_no_store_is_refused() -> None:
    with pytest.raises(TypeError, match="names its store first"):
        backend.store_of(5)
