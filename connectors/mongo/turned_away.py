"""Counts of what was turned away because a store sent too much, by hour, for the store's owner."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import pymongo
from pymongo import AsyncMongoClient, MongoClient, UpdateOne
from pymongo.errors import PyMongoError

from connectors.errors import Unavailable
from connectors.mongo.client import unavailable
from marketplace.collections import TURNED_AWAY

_SECONDS: Final = 2.0
"""The timeout of a call: these counts are not worth waiting for."""


class TurnedAwayUnavailable(Unavailable):
    """Mongo did not answer; it is not known whether it has counted."""


@dataclass(frozen=True)
class TurnedAway:
    """Counts of one store, hour and reason.

    Attributes:
        store: The slug.
        hour: The store's own hour, ``YYYY-MM-DDTHH``.
        reason: One of ``marketplace.clicks.cost.REASONS``.
        requests: The number of requests.
        events: At least how many events they had: a compressed request counts as one.
    """

    store: str
    hour: str
    reason: str
    requests: int
    events: int

    @property
    def id(self) -> str:
        """Store, hour and reason."""
        return f"{self.store}:{self.hour}:{self.reason}"


class TurnedAwayRepository(Protocol):
    """The repository of the counts; the in-memory twin passes the same contract tests."""

    def add(self, counts: Iterable[TurnedAway], now: datetime) -> None:
        """Add to the counts of the same store, hour and reason."""

    def of(self, store: str, first_day: str, last_day: str) -> list[TurnedAway]:
        """The counts of a store by hour and reason, from one local date to another, both included."""


class MongoTurnedAway:
    """The collection ``turned_away``; documents expire 90 days after they last changed.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: MongoClient[dict[str, Any]], database: str) -> None:
        self._collection = client[database][TURNED_AWAY.name]

    def add(self, counts: Iterable[TurnedAway], now: datetime) -> None:
        """Add to the counts of the same store, hour and reason.

        Raises:
            TurnedAwayUnavailable: Mongo did not answer within two seconds; some may have been added.
        """
        updates = [
            UpdateOne(
                {"_id": count.id},
                {
                    "$inc": {"requests": count.requests, "events": count.events},
                    "$set": {"store": count.store, "hour": count.hour, "reason": count.reason, "changed_at": now},
                },
                upsert=True,
            )
            for count in counts
        ]
        if not updates:
            return
        try:
            with pymongo.timeout(_SECONDS):
                self._collection.bulk_write(updates, ordered=False)
        except PyMongoError as error:
            raise _unavailable(error) from error

    def of(self, store: str, first_day: str, last_day: str) -> list[TurnedAway]:
        """The counts of a store by hour and reason, from one local date to another, both included.

        Raises:
            TurnedAwayUnavailable: Mongo did not answer within two seconds.
        """
        try:
            with pymongo.timeout(_SECONDS):
                found = list(
                    self._collection.find(_between(store, first_day, last_day)).sort([("hour", 1), ("reason", 1)])
                )
        except PyMongoError as error:
            raise _unavailable(error) from error
        return [_count(document) for document in found]


class TurnedAwayQueries:
    """Reads the same collection for asyncio services.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: AsyncMongoClient[dict[str, Any]], database: str) -> None:
        self._collection = client[database][TURNED_AWAY.name]

    async def of(self, store: str, first_day: str, last_day: str) -> list[TurnedAway]:
        """The counts of a store by hour and reason, from one local date to another, both included.

        Raises:
            TurnedAwayUnavailable: Mongo did not answer within two seconds.
        """
        try:
            with pymongo.timeout(_SECONDS):
                found = self._collection.find(_between(store, first_day, last_day)).sort([("hour", 1), ("reason", 1)])
                return [_count(document) for document in await found.to_list()]
        except PyMongoError as error:
            raise _unavailable(error) from error


class MemoryTurnedAway:
    """The in-memory twin.

    Attributes:
        available: Set it to False to behave as if Mongo did not answer.
        answers: Clear it to behave as if Mongo hung: a call waits as long as the real one's and then fails.
    """

    def __init__(self) -> None:
        self.available = True
        self.answers = threading.Event()
        self.answers.set()
        self._counts: dict[str, TurnedAway] = {}

    def add(self, counts: Iterable[TurnedAway], now: datetime) -> None:
        """Add to the counts of the same store, hour and reason."""
        self._ask()
        for count in counts:
            kept = self._counts.get(count.id, replace(count, requests=0, events=0))
            requests, events = kept.requests + count.requests, kept.events + count.events
            self._counts[count.id] = replace(count, requests=requests, events=events)

    def of(self, store: str, first_day: str, last_day: str) -> list[TurnedAway]:
        """The counts of a store by hour and reason, from one local date to another, both included."""
        self._ask()
        kept = [count for count in self._counts.values() if count.store == store]
        within = [count for count in kept if first_day <= count.hour[: len("YYYY-MM-DD")] <= last_day]
        return sorted(within, key=lambda count: (count.hour, count.reason))

    def _ask(self) -> None:
        if not self.answers.wait(_SECONDS) or not self.available:
            raise TurnedAwayUnavailable("Mongo does not answer")


def sums(counts: Iterable[TurnedAway]) -> dict[str, tuple[int, int]]:
    """Requests and events by reason."""
    requests: Counter[str] = Counter()
    events: Counter[str] = Counter()
    for count in counts:
        requests[count.reason] += count.requests
        events[count.reason] += count.events
    return {reason: (requests[reason], events[reason]) for reason in requests}


def _between(store: str, first_day: str, last_day: str) -> dict[str, Any]:
    return {"store": store, "hour": {"$gte": first_day, "$lt": f"{last_day}U"}}


def _count(document: Mapping[str, Any]) -> TurnedAway:
    return TurnedAway(*(document[name] for name in ("store", "hour", "reason", "requests", "events")))


def _unavailable(error: PyMongoError) -> TurnedAwayUnavailable:
    return TurnedAwayUnavailable(str(unavailable(error)))


def utc(epoch_ms: int) -> datetime:
    """An instant as Mongo keeps it."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)
