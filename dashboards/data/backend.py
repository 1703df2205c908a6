"""The dashboard's queries; all its viewers share one set of connections and a cache for each part."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Concatenate, Final, Generic, Literal, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

import streamlit as st

from connectors.clickhouse.client import ClickHouse
from connectors.errors import Unavailable
from connectors.insights import (
    Breakdown,
    Conversion,
    Insights,
    LiveEvent,
    LiveMinute,
    Numbers,
    Outcomes,
    Row,
    Scope,
    SessionDistribution,
    Target,
    TrendWithTotals,
)
from connectors.insights.freshness import Completeness, Freshness
from connectors.insights.report import Analytics
from connectors.kafka.log_times import LogTimes
from connectors.mongo.client import connect
from connectors.mongo.newest_pages import NewestPage, NewestPlace
from connectors.mongo.notifications import Notification
from connectors.mongo.sagas.sold_orders import Group, Only, OrderPage, WholeOrder
from connectors.mongo.sagas.store_notices import StoreNotices
from connectors.mongo.sagas.store_orders import StoreOrders
from connectors.mongo.sagas.store_stock import Moved, StoreStock
from connectors.mongo.store_products import StoreProducts
from connectors.mongo.turned_away import MongoTurnedAway, sums
from connectors.redis.live_tile import LiveTile
from dashboards.data import current
from dashboards.data.access import NotPermitted, Viewer
from dashboards.data.query_cache import QueryCache
from dashboards.data.store_api import StoreApi, api_url
from marketplace.catalog.products import Product
from marketplace.entitlements import begin_of_range
from marketplace.goals import Goal
from marketplace.identity.roles import Permission
from marketplace.inventory.levels import Level
from marketplace.sagas.inventory import Reservation
from marketplace.topics import CLICKS_COLLECTED
from runtime.sections import Settings
from runtime.settings import load

_QUERY_SECONDS: Final = 20
_TIMEOUT_SECONDS: Final = 8.0
Part = Literal["mongo", "clickhouse", "redis", "kafka"]
PARTS: Final[tuple[Part, ...]] = ("mongo", "clickhouse", "redis", "kafka")
_LIVE_SECONDS: Final = 1.0
_NUMBERS_SECONDS: Final = 2.0
_GOALS_SECONDS: Final = 15.0
"""They read single events."""
_TURNED_AWAY_SECONDS: Final = 5.0
_PRODUCTS_SECONDS: Final = 5.0
_ORDER_SECONDS: Final = 1.0
_ORDERS_SECONDS: Final = 3.0
_SUMS_SECONDS: Final = 10.0
_SOLD_SECONDS: Final = 30.0
_FIRST_DAY_SECONDS: Final = 60.0

Orders = tuple[tuple[str, str], ...]
"""Pairs of a dimension and the number that its values are ordered by."""

Values = tuple[tuple[str, tuple[str, ...]], ...]
"""Pairs of a dimension and some of its values."""

_Params = ParamSpec("_Params")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Backend:
    """Connections and cached results."""

    turned_away: MongoTurnedAway
    products: StoreProducts
    orders: StoreOrders
    notices: StoreNotices
    stock: StoreStock
    api: StoreApi
    insights: Insights
    tile: LiveTile
    freshness: Freshness
    caches: dict[Part, QueryCache]


@st.cache_resource(show_spinner=False)
def backend() -> Backend:
    """Connects on first use. Parts may be unavailable: each query tries again."""
    settings = Settings.load(os.environ)
    clickhouse = ClickHouse(settings.urls.clickhouse, settings.database, timeout_seconds=_QUERY_SECONDS)
    analytics = Analytics(clickhouse)
    mongo = connect(settings.urls.mongo)
    log = LogTimes(settings.kafka, CLICKS_COLLECTED.name)
    return Backend(
        turned_away=MongoTurnedAway(mongo, settings.database),
        products=StoreProducts(mongo, settings.database),
        orders=StoreOrders(mongo, settings.database),
        notices=StoreNotices(mongo, settings.database),
        stock=StoreStock(mongo, settings.database),
        api=StoreApi(load(os.environ, api_url)),
        insights=Insights(clickhouse),
        tile=LiveTile(settings.urls.redis),
        freshness=Freshness(log, lambda: {part: offset for part, (offset, _) in analytics.applied().items()}),
        # One for each part, so that a part that hangs does not use up the threads of the others.
        caches={part: QueryCache() for part in PARTS},
    )


class CachedQuery(Generic[_Params, _Result]):
    """A query of the backend: call it for the result, or ``submit`` it first and call it later.

    A result is shared by all who may see its store. Whether the page that asks is one of them is checked each time, and
    so is the range, by what the store's plan includes; a query that names no store where it has to is not run.

    Args:
        part: The part that is queried.
        seconds: How long a result is shared.
        query: Runs it; all its arguments are hashable. The first one is a scope or a store's slug.
        of_platform: The result is the same for all stores: the query names none.
        permission: What the viewer has to have in the store.
    """

    def __init__(
        self,
        part: Part,
        seconds: float,
        query: Callable[Concatenate[Backend, _Params], _Result],
        *,
        of_platform: bool = False,
        permission: Permission = Permission.READ_NUMBERS,
    ) -> None:
        self._part, self._seconds, self._query, self.of_platform = part, seconds, query, of_platform
        self._permission = permission

    def submit(self, *arguments: _Params.args, **named: _Params.kwargs) -> Future[_Result]:
        """Start without waiting, so that several queries run at the same time.

        Raises:
            NotAllowed: The page that asks may not show the store.
            BeyondHistory: The range begins before the history of the store's plan.
            Unavailable: Nobody can say now whether it may.
        """
        within: tuple[object, ...] = arguments
        if not self.of_platform:
            viewer = current.viewer()
            if not viewer.may(store_of(arguments[0]), self._permission):
                raise NotPermitted(self._permission)
            within = bounded(arguments[0], viewer, datetime.now(UTC)), *arguments[1:]
        found = backend()
        key = (self._query, within, tuple(named.items()))
        query: Callable[..., _Result] = self._query
        return found.caches[self._part].submit(key, self._seconds, partial(query, found, *within, **named))

    def forget(self, *arguments: _Params.args, **named: _Params.kwargs) -> None:
        """Let the next such query run: what it reads has been changed."""
        backend().caches[self._part].forget((self._query, arguments, tuple(named.items())))

    def __call__(self, *arguments: _Params.args, **named: _Params.kwargs) -> _Result:
        """Run the query, or take its cached result.

        Raises:
            NotAllowed: The page that asks may not show the store.
            BeyondHistory: The range begins before the history of the store's plan.
            Unavailable: The part is unavailable, or slower than the timeout: the query then runs on, and a later call
                gets its result.
            InvalidQuery: The arguments make no valid query.
        """
        try:
            return self.submit(*arguments, **named).result(_TIMEOUT_SECONDS)
        except TimeoutError as error:
            raise Unavailable(f"{self._part} takes longer than {_TIMEOUT_SECONDS:g} s to answer") from error


def bounded(argument: object, viewer: Viewer, now: datetime) -> object:
    """What a query is about, within what a viewer may see: a scope without a beginning gets that of the plan's history.

    Raises:
        NotAllowed: The viewer may not see the store.
        BeyondHistory: The range begins or ends before the history of the store's plan.
        TypeError: There is no store in it.
    """
    store = viewer.store(store_of(argument))
    tier = viewer.tier(store.slug)
    if tier is None or not isinstance(argument, Scope):
        return argument
    begin = begin_of_range(tier, ZoneInfo(store.timezone), now, *argument.bounds())
    return argument if argument.since is not None else replace(argument, since=begin)


def store_of(argument: object) -> str:
    """The store that a query is about: that of its scope, or the slug itself.

    Raises:
        TypeError: It is neither.
    """
    if isinstance(argument, Scope):
        return argument.store
    if isinstance(argument, str):
        return argument
    raise TypeError("a query of numbers names its store first")


def _trend_with_totals(found: Backend, scope: Scope, grain: str) -> TrendWithTotals:
    return found.insights.trend_with_totals(scope, grain)


def _breakdowns(found: Backend, scope: Scope, orders: Orders, limit: int) -> dict[str, Breakdown]:
    return found.insights.breakdowns(scope, [split for split, _ in orders], limit, dict(orders))


def _numbers_of(found: Backend, scope: Scope, values: Values) -> dict[str, dict[str, Numbers]]:
    return found.insights.numbers_of(scope, dict(values))


def _conversions(
    found: Backend, scope: Scope, goals: tuple[Goal, ...], split: str, limit: int
) -> dict[str, list[Conversion]]:
    return found.insights.conversions(scope, goals, split, limit)


def _heatmap(found: Backend, scope: Scope) -> list[Row]:
    return found.insights.heatmap(scope)


def _session_distribution(found: Backend, scope: Scope) -> SessionDistribution:
    return found.insights.session_distribution(scope)


def _first_day(found: Backend, scope: Scope) -> datetime | None:
    first, begin = found.insights.first_day(scope), scope.labels()[0]
    # The query gives the first day of all, whatever the range; nobody learns of one before the plan's history.
    return first if first is None or begin is None else max(first, begin)


def _live_minutes(found: Backend, scope: Scope) -> list[LiveMinute]:
    return found.insights.live_minutes(scope, datetime.now(UTC))


def _latest(found: Backend, scope: Scope) -> list[LiveEvent]:
    return found.insights.latest(scope, datetime.now(UTC))


def _events_of_seconds(found: Backend, scope: Scope, seconds: int) -> int:
    return found.insights.events_since(scope, datetime.now(UTC) - timedelta(seconds=seconds))


def _live_visitors(found: Backend, store: str) -> int:
    return int(found.tile.read(store, int(datetime.now(UTC).timestamp() * 1000))["live_visitors"])


def _targets_of_products(found: Backend, scope: Scope, target: str) -> dict[str, Target]:
    return found.insights.targets_of_products(scope, target)


def _products(found: Backend, store: str) -> list[Product]:
    return found.products.listed(store)


def _product_titles(found: Backend, store: str, values: tuple[str, ...]) -> dict[str, str]:
    return found.products.titles(store, values)


def _completeness(found: Backend) -> Completeness:
    return found.freshness.look(datetime.now(UTC))


def _outcomes(found: Backend, scope: Scope) -> Outcomes:
    return found.insights.outcomes(scope)


def _turned_away(found: Backend, scope: Scope) -> dict[str, tuple[int, int]]:
    since, until = scope.labels()
    first = "" if since is None else f"{since:%Y-%m-%d}"
    last = "9" if until is None else f"{until - timedelta(seconds=1):%Y-%m-%d}"
    return sums(found.turned_away.of(scope.store, first, last))


def _orders_page(found: Backend, store: str, only: Only, after: NewestPlace | None) -> OrderPage:
    return found.orders.page(store, only, after)


def _order_groups(found: Backend, store: str, since_ms: int, until_ms: int) -> tuple[Group, ...]:
    return found.orders.groups(store, since_ms, until_ms)


def _stuck_orders(found: Backend, store: str) -> tuple[str, ...]:
    return found.orders.stuck(store, int(datetime.now(UTC).timestamp() * 1000))


def _order(found: Backend, store: str, order: str) -> WholeOrder | None:
    return found.orders.one(store, order)


def _notices(found: Backend, store: str, after: NewestPlace | None) -> NewestPage[Notification]:
    return found.notices.page(store, after)


def _stock_levels(found: Backend, store: str) -> dict[str, Level]:
    return found.stock.levels(store)


def _sold(found: Backend, store: str, since_ms: int) -> dict[str, int]:
    return found.stock.sold(store, since_ms)


def _reservations(found: Backend, store: str, variant: str) -> tuple[Reservation, ...]:
    return found.stock.reservations(store, variant)


def _movements(found: Backend, store: str, variant: str, after: NewestPlace | None) -> NewestPage[Moved]:
    return found.stock.movements(store, variant, after)


trend_with_totals = CachedQuery("clickhouse", _NUMBERS_SECONDS, _trend_with_totals)
breakdowns = CachedQuery("clickhouse", _NUMBERS_SECONDS, _breakdowns)
numbers_of = CachedQuery("clickhouse", _NUMBERS_SECONDS, _numbers_of)
conversions = CachedQuery("clickhouse", _GOALS_SECONDS, _conversions)
heatmap = CachedQuery("clickhouse", _NUMBERS_SECONDS, _heatmap)
session_distribution = CachedQuery("clickhouse", _NUMBERS_SECONDS, _session_distribution)
first_day = CachedQuery("clickhouse", _FIRST_DAY_SECONDS, _first_day)
live_minutes = CachedQuery("clickhouse", _LIVE_SECONDS, _live_minutes)
latest = CachedQuery("clickhouse", _LIVE_SECONDS, _latest)
events_of_seconds = CachedQuery("clickhouse", _LIVE_SECONDS, _events_of_seconds)
live_visitors = CachedQuery("redis", _LIVE_SECONDS, _live_visitors)
targets_of_products = CachedQuery("clickhouse", _NUMBERS_SECONDS, _targets_of_products)
products = CachedQuery("mongo", _PRODUCTS_SECONDS, _products)
product_titles = CachedQuery("mongo", _PRODUCTS_SECONDS, _product_titles)
completeness = CachedQuery("kafka", _LIVE_SECONDS, _completeness, of_platform=True)
outcomes = CachedQuery("clickhouse", _NUMBERS_SECONDS, _outcomes)
turned_away = CachedQuery("mongo", _TURNED_AWAY_SECONDS, _turned_away)
orders_page = CachedQuery("mongo", _ORDERS_SECONDS, _orders_page, permission=Permission.READ_ORDERS)
order_groups = CachedQuery("mongo", _SUMS_SECONDS, _order_groups, permission=Permission.READ_ORDERS)
stuck_orders = CachedQuery("mongo", _SUMS_SECONDS, _stuck_orders, permission=Permission.READ_ORDERS)
order = CachedQuery("mongo", _ORDER_SECONDS, _order, permission=Permission.READ_ORDERS)
notices = CachedQuery("mongo", _ORDERS_SECONDS, _notices, permission=Permission.READ_ORDERS)
stock_levels = CachedQuery("mongo", _ORDER_SECONDS, _stock_levels, permission=Permission.READ_STOCK)
sold = CachedQuery("mongo", _SOLD_SECONDS, _sold, permission=Permission.READ_STOCK)
reservations = CachedQuery("mongo", _ORDER_SECONDS, _reservations, permission=Permission.READ_STOCK)
movements = CachedQuery("mongo", _ORDER_SECONDS, _movements, permission=Permission.READ_STOCK)
