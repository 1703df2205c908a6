"""What a store's plan bounds on the dashboard: the same as at the REST API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.analytics.questions import Asked, scope_of
from api.web.problems import Problem
from connectors.insights import Scope
from dashboards.data import backend, current
from dashboards.data.access import Viewer, everybody, member
from dashboards.data.periods import Range
from dashboards.data.query_cache import QueryCache
from dashboards.ui.plans import how_to_lift
from dashboards.ui.shell import history_text
from marketplace.entitlements import BeyondHistory, Tier, earliest_day
from marketplace.identity.roles import StoreRole
from marketplace.identity.tenancy import Standing
from tests.kits.clicks import make_store
from tests.kits.viewers import ANN, STORES, viewer_of

ZONE = ZoneInfo("UTC")
NOW = datetime(2026, 11, 29, 23, 30, tzinfo=UTC)
LONG_AGO, FAR = datetime(2001, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
QUERIES = {
    name: each for name, each in vars(backend).items() if isinstance(each, backend.CachedQuery) and not each.of_platform
}


class Run:
    """Runs queries of the backend for a viewer, without any part; each one gives back what it was asked about."""

    def __init__(self, patch: pytest.MonkeyPatch, cache: QueryCache) -> None:
        self._patch, self.insights = patch, SimpleNamespace()
        caches = dict.fromkeys(backend.PARTS, cache)
        patch.setattr(backend, "backend", lambda: SimpleNamespace(caches=caches, insights=self.insights))

    def look(self, viewer: Viewer) -> None:
        self._patch.setattr(current, "viewer", lambda: viewer)

    def scope_of(self, name: str, scope: Scope) -> Any:
        self._patch.setattr(QUERIES[name], "_query", lambda _, asked: asked)
        return QUERIES[name](scope)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    with closing(QueryCache()) as cache:
        yield Run(monkeypatch, cache)


def earliest(tier: Tier) -> datetime:
    return earliest_day(tier, ZONE, datetime.now(UTC))


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("tier", list(Tier))
@pytest.mark.parametrize("name", sorted(QUERIES))
def test_a_range_without_a_beginning_begins_where_the_history_of_the_plan_does(
    run: Run, name: str, tier: Tier, frozen: bool
) -> None:
    run.look(viewer_of("tea", tier=tier, frozen=frozen, role=StoreRole.OWNER))
    before = earliest(tier)

    found = run.scope_of(name, Scope("tea", ZONE))

    # Midnight may pass meanwhile.
    assert found.since in (before, earliest(tier))


@pytest.mark.parametrize("tier", list(Tier))
@pytest.mark.parametrize("name", sorted(QUERIES))
def test_a_range_that_begins_or_ends_before_the_history_of_the_plan_is_refused(run: Run, name: str, tier: Tier) -> None:
    run.look(viewer_of("tea", tier=tier, role=StoreRole.OWNER))
    old = earliest(tier).replace(tzinfo=None) - timedelta(days=1)

    for scope in (Scope("tea", ZONE, old), Scope("tea", ZONE, None, old), Scope("tea", ZONE, old, FAR)):
        with pytest.raises(BeyondHistory):
            run.scope_of(name, scope)


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_a_range_within_the_history_of_the_plan_is_asked_for_as_it_is(run: Run, name: str) -> None:
    run.look(viewer_of("tea", tier=Tier.FREE, role=StoreRole.OWNER))
    scope = Scope("tea", ZONE, earliest(Tier.FREE).replace(tzinfo=None) + timedelta(days=1))

    assert run.scope_of(name, scope) is scope


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_where_no_account_exists_nothing_is_bounded(run: Run, name: str) -> None:
    run.look(everybody(list(STORES.values())))

    for scope in (Scope("tea", ZONE), Scope("tea", ZONE, LONG_AGO, NOW)):
        assert run.scope_of(name, scope) is scope


def test_nobody_learns_of_a_first_day_before_the_history_of_the_plan(run: Run) -> None:
    run.insights.first_day = lambda scope: LONG_AGO
    run.look(viewer_of("tea", tier=Tier.FREE))
    before = earliest(Tier.FREE)
    assert backend.first_day(Scope("tea", ZONE)) in (before, earliest(Tier.FREE))

    run.look(everybody(list(STORES.values())))
    assert backend.first_day(Scope("tea", ZONE)) == LONG_AGO


ENDS = st.none() | st.integers(-1_200 * 96, 96).map(lambda quarters: NOW + timedelta(minutes=15 * quarters))


@given(
    tier=st.sampled_from(Tier),
    zone=st.sampled_from(["UTC", "Asia/Kathmandu", "America/Havana", "Pacific/Apia"]),
    since=ENDS,
    until=ENDS,
)
def test_the_dashboard_cuts_and_refuses_the_same_ranges_as_the_api(
    tier: Tier, zone: str, since: datetime | None, until: datetime | None
) -> None:
    asked = Asked(since.isoformat() if since else "", until.isoformat() if until else "")
    viewer = member(
        ANN, {"tea": StoreRole.OWNER}, {"tea": make_store("tea", zone)}, {"tea": Standing(tier, frozen=False)}
    )
    scope = Scope("tea", ZoneInfo(zone), since, until)
    try:
        expected = scope_of(asked, "tea", zone, tier, NOW)
    except Problem as problem:
        if problem.type.name == "limit":
            with pytest.raises(BeyondHistory):
                backend.bounded(scope, viewer, NOW)
        return

    found = backend.bounded(scope, viewer, NOW)

    assert isinstance(found, Scope)
    assert found.bounds() == expected.bounds()


def test_days_before_the_history_are_cut_and_days_of_it_stay() -> None:
    first = date(2026, 8, 31)

    assert Range(date(2026, 8, 1), date(2026, 9, 2)).within(first) == Range(first, date(2026, 9, 2))
    assert Range(date(2020, 1, 1), date(2020, 1, 9)).within(first) == Range(first, first)
    for days in (Range(first, first), Range(date(2026, 9, 1), date(2026, 9, 2))):
        assert days.within(first) == days.within(None) == days


def test_a_page_says_in_one_line_how_far_back_the_plan_goes() -> None:
    text = "The free plan includes 90 days of history: from 31 August 2026 on."
    assert history_text(Tier.FREE, date(2026, 8, 31)) == text


def test_whoever_is_bounded_by_a_plan_reads_what_lifts_it() -> None:
    assert "`marketplace accounts grant EMAIL premium`" in how_to_lift(Tier.FREE)
    assert how_to_lift(Tier.PREMIUM) == ""
