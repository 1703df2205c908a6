"""Where the dashboard's numbers come from; one set of connections for all its viewers."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Concatenate, Final, Generic, Literal, ParamSpec, TypeVar

import streamlit as st

from connectors.clickhouse.client import ClickHouse
from connectors.errors import Unavailable
from connectors.insights import Breakdown, Course, Insights, LiveEvent, LiveMinute, Outcomes, Row, Scope, VisitShape
from connectors.insights.freshness import Completeness, Freshness
from connectors.insights.report import Analytics
from connectors.kafka.log_times import LogTimes
from connectors.mongo.stores import MongoStores, connect
from connectors.mongo.turned_away import MongoTurnedAway, sums
from connectors.redis.live_tile import LiveTile
from dashboards.data.answers import Answers
from marketplace.stores import Store
from marketplace.topics import CLICKS_COLLECTED
from runtime.sections import Settings

_QUERY_SECONDS: Final = 20
_PATIENCE_SECONDS: Final = 8.0
Part = Literal["mongo", "clickhouse", "redis", "kafka"]
PARTS: Final[tuple[Part, ...]] = ("mongo", "clickhouse", "redis", "kafka")
_LIVE: Final = 1.0
_MOMENT: Final = 2.0
_WHILE: Final = 5.0
_MINUTE: Final = 60.0

Orders = tuple[tuple[str, str], ...]
"""Dimensions, and what the values of each are ordered by."""

_Asked = ParamSpec("_Asked")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Backend:
    """The connections, and the answers that were got of late."""

    stores: MongoStores
    turned_away: MongoTurnedAway
    insights: Insights
    tile: LiveTile
    freshness: Freshness
    answers: dict[Part, Answers]


@st.cache_resource(show_spinner=False)
def backend() -> Backend:
    """Connect on first use; every part may be away, and is asked again when it is needed."""
    settings = Settings.load(os.environ)
    clickhouse = ClickHouse(settings.urls.clickhouse, settings.database, timeout_seconds=_QUERY_SECONDS)
    analytics = Analytics(clickhouse)
    mongo = connect(settings.urls.mongo)
    log = LogTimes(settings.kafka, CLICKS_COLLECTED.name)
    return Backend(
        stores=MongoStores(mongo, settings.database),
        turned_away=MongoTurnedAway(mongo, settings.database),
        insights=Insights(clickhouse),
        tile=LiveTile(settings.urls.redis),
        freshness=Freshness(log, lambda: {part: offset for part, (offset, _) in analytics.applied().items()}),
        # One for each part, so that one that hangs does not keep the others from being asked.
        answers={part: Answers() for part in PARTS},
    )


class Question(Generic[_Asked, _Answer]):
    """Something that can be asked of the backend: call it for the answer, or ``begin`` it and call it later.

    Args:
        part: Who answers.
        seconds: How long an answer is shared.
        ask: The backend's way to answer; all that it is given can be hashed.
    """

    def __init__(self, part: Part, seconds: float, ask: Callable[Concatenate[Backend, _Asked], _Answer]) -> None:
        self._part, self._seconds, self._ask = part, seconds, ask

    def begin(self, *arguments: _Asked.args, **named: _Asked.kwargs) -> Future[_Answer]:
        """Ask without waiting, so that several questions are answered side by side."""
        found = backend()
        key = (self._ask, arguments, tuple(named.items()))
        return found.answers[self._part].begin(key, self._seconds, partial(self._ask, found, *arguments, **named))

    def __call__(self, *arguments: _Asked.args, **named: _Asked.kwargs) -> _Answer:
        """The answer.

        Raises:
            Unavailable: A part that is needed is away, or takes so long that it is better to say so: its answer is
                waited for on, and there for who asks again.
            BadQuestion: There is no answer.
        """
        try:
            return self.begin(*arguments, **named).result(_PATIENCE_SECONDS)
        except TimeoutError as error:
            raise Unavailable(f"{self._part} takes longer than {_PATIENCE_SECONDS:g} s to answer") from error


def _stores(found: Backend) -> list[Store]:
    return sorted(found.stores.list_stores(), key=lambda store: store.title.casefold())


def _course(found: Backend, scope: Scope, grain: str) -> Course:
    return found.insights.course(scope, grain)


def _breakdowns(found: Backend, scope: Scope, orders: Orders, limit: int) -> dict[str, Breakdown]:
    return found.insights.breakdowns(scope, [split for split, _ in orders], limit, dict(orders))


def _heatmap(found: Backend, scope: Scope) -> list[Row]:
    return found.insights.heatmap(scope)


def _visits(found: Backend, scope: Scope) -> VisitShape:
    return found.insights.visits(scope)


def _first_day(found: Backend, scope: Scope) -> datetime | None:
    return found.insights.first_day(scope)


def _live_minutes(found: Backend, scope: Scope) -> list[LiveMinute]:
    return found.insights.live_minutes(scope, datetime.now(UTC))


def _latest(found: Backend, scope: Scope) -> list[LiveEvent]:
    return found.insights.latest(scope, datetime.now(UTC))


def _clicks_of_seconds(found: Backend, scope: Scope, seconds: int) -> int:
    return found.insights.clicks_since(scope, datetime.now(UTC) - timedelta(seconds=seconds))


def _live_visitors(found: Backend, store: str) -> int:
    return int(found.tile.read(store, int(datetime.now(UTC).timestamp() * 1000))["live_visitors"])


def _completeness(found: Backend) -> Completeness:
    return found.freshness.look(datetime.now(UTC))


def _outcomes(found: Backend, scope: Scope) -> Outcomes:
    return found.insights.outcomes(scope)


def _turned_away(found: Backend, scope: Scope) -> dict[str, tuple[int, int]]:
    since, until = scope.labels()
    first = "" if since is None else f"{since:%Y-%m-%d}"
    last = "9" if until is None else f"{until - timedelta(seconds=1):%Y-%m-%d}"
    return sums(found.turned_away.of(scope.store, first, last))


stores = Question("mongo", _WHILE, _stores)
course = Question("clickhouse", _MOMENT, _course)
breakdowns = Question("clickhouse", _MOMENT, _breakdowns)
heatmap = Question("clickhouse", _MOMENT, _heatmap)
visits = Question("clickhouse", _MOMENT, _visits)
first_day = Question("clickhouse", _MINUTE, _first_day)
live_minutes = Question("clickhouse", _LIVE, _live_minutes)
latest = Question("clickhouse", _LIVE, _latest)
clicks_of_seconds = Question("clickhouse", _LIVE, _clicks_of_seconds)
live_visitors = Question("redis", _LIVE, _live_visitors)
completeness = Question("kafka", _LIVE, _completeness)
outcomes = Question("clickhouse", _MOMENT, _outcomes)
turned_away = Question("mongo", _WHILE, _turned_away)
