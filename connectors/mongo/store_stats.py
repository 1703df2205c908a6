"""The hot read model of a store's day, in Mongo."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from pymongo import MongoClient, UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from connectors.errors import Refused, Unavailable
from connectors.mongo.client import unavailable
from marketplace.collections import STORE_STATS

_DUPLICATE_KEY = 11000
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class DayStats:
    """A store's day, without bots, whose events are counted apart.

    Attributes:
        store: The slug.
        day: The store's own date, ``YYYY-MM-DD``.
        revision: Sum over the Kafka partitions of how far they have changed that day; it only grows, so an older
            answer never replaces a newer one.
        views, actions, refires, sessions, bounces: Sums over people.
        visitors: Distinct people (estimated beyond a few thousand).
        bot_events: Page views and actions flagged as automated.
        processed_at: When this was computed.
        lineage: Which tables it comes from: the identity of the rollups table, another one once it was made again.
            Revisions of two lineages cannot be compared.
    """

    store: str
    day: str
    revision: int
    views: int
    actions: int
    refires: int
    visitors: int
    sessions: int
    bounces: int
    bot_events: int
    processed_at: datetime
    lineage: str = ""

    @property
    def id(self) -> str:
        """The id of its document."""
        return f"{self.store}:{self.day}"

    @property
    def key(self) -> tuple[str, int]:
        """The slug and the date as days since 1970."""
        return self.store, date.fromisoformat(self.day).toordinal() - _EPOCH_ORDINAL


class StoreStats:
    """Absolute numbers under deterministic ids: writing them twice, or late, changes nothing."""

    def __init__(self, client: MongoClient[dict[str, Any]], database: str) -> None:
        self._collection = client[database][STORE_STATS.name]

    def save(self, days: Iterable[DayStats]) -> None:
        """Write each day unless a newer revision of the same lineage is there.

        Raises:
            Unavailable: Mongo does not answer; write again.
            Refused: Mongo refuses a document.
        """
        # Two conditions that find a document by its id, and not one with "or", for which a server may look at them all.
        updates = [
            update
            for day in days
            for update in (
                UpdateOne({"_id": day.id, "lineage": {"$ne": day.lineage}}, {"$set": asdict(day)}),
                UpdateOne({"_id": day.id, "revision": {"$lt": day.revision}}, {"$set": asdict(day)}, upsert=True),
            )
        ]
        if not updates:
            return
        try:
            self._collection.bulk_write(updates, ordered=False)
        except BulkWriteError as error:
            # The filter leaves out a document with the same or a newer revision, and the upsert then meets its id.
            failures = [e for e in error.details["writeErrors"] if e["code"] != _DUPLICATE_KEY]
            if error.details.get("writeConcernErrors"):
                raise Unavailable("Mongo has not kept store_stats on enough members yet") from error
            if failures:
                raise Refused(f"Mongo refuses store_stats: {failures[0]['errmsg']}") from error
        except PyMongoError as error:
            raise unavailable(error) from error

    def of(self, store: str) -> list[dict[str, Any]]:
        """All days of a store, newest first.

        Raises:
            Unavailable: Mongo does not answer.
        """
        try:
            return list(self._collection.find({"store": store}).sort("day", -1))
        except PyMongoError as error:
            raise unavailable(error) from error
