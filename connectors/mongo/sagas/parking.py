"""Events that a consumer has rejected, and the later ones of the same key, which are not to overtake them.

Rows of one key are handled again in the order of the log. An event is parked behind the first one only while that is
there: who handles parked events again deletes the row, and of the two writes one comes second and sees the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError, PyMongoError

from connectors.kafka.records import ConsumerRecord, TopicPartition
from connectors.mongo.client import Client, unavailable
from connectors.mongo.transactions import in_transaction
from marketplace.collections import PARKED_EVENTS

BEHIND: Final = "behind"
"""The reason of an event that was not looked at, because an earlier one of its key is parked."""

_PLACE: Final = [("partition", 1), ("offset", 1)]

T = TypeVar("T")


@dataclass(frozen=True)
class Parked:
    """A parked event.

    Attributes:
        consumer: The service that has not handled it.
        key: The id of the order.
        record: Exactly as it was read.
        reason: Why, as a code; :data:`BEHIND` for one that only waits.
        detail: The same as a sentence.
        at_ms: When it was parked.
        attempts: How often it was handled again since.
    """

    consumer: str
    key: str
    record: ConsumerRecord
    reason: str
    detail: str
    at_ms: int
    attempts: int = 0

    @property
    def id(self) -> str:
        """The id of its row: its place, and its time, because a topic that is made once more begins at 0."""
        record = self.record
        return f"{self.consumer}:{record.topic}:{record.partition}:{record.offset}:{record.timestamp_ms}"

    @property
    def rejected(self) -> bool:
        """Whether it was looked at and rejected."""
        return self.reason != BEHIND


@dataclass(frozen=True)
class ParkedKey:
    """The parked events of one key.

    Attributes:
        key: The id of the order.
        events: How many there are.
        first: The one that the others wait for.
    """

    key: str
    events: int
    first: Parked


class ParkedEvents:
    """The rows of one consumer in the collection ``parked_events``. Safe to share between threads.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
        consumer: The consumer's service.
    """

    def __init__(self, client: Client, database: str, consumer: str) -> None:
        self._client, self.consumer = client, consumer
        self._rows = client[database][PARKED_EVENTS.name]

    def first(self, key: str) -> Parked | None:
        """The first parked event of a key; None where nothing is parked.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return next(iter(self.of_key(key, 1)), None)

    def of_key(self, key: str, limit: int) -> list[Parked]:
        """The first parked events of a key, in the order of the log.

        Raises:
            Unavailable: Mongo does not answer.
        """
        wanted = {"consumer": self.consumer, "key": key}
        found = _answered(lambda: self._rows.find(wanted).sort(_PLACE).limit(limit).to_list())
        return [_parked_of(each) for each in found]

    def park(self, parked: Parked) -> None:
        """Write a row for an event that was rejected; one that is there already stays as it is.

        Raises:
            Unavailable: Mongo does not answer; it may be there.
        """
        try:
            _answered(lambda: self._rows.insert_one(_document(parked)))
        except DuplicateKeyError:
            return

    def park_behind(self, first: Parked, parked: Parked) -> bool:
        """Write a row for an event whose key has an earlier one.

        Returns:
            Whether it is parked: not where the earlier one was handled or discarded at this moment.

        Raises:
            Unavailable: Mongo does not answer; it may be there.
        """

        def work(session: ClientSession) -> bool:
            touched = self._rows.update_one({"_id": first.id}, {"$inc": {"followers": 1}}, session=session)
            if not touched.matched_count:
                return False
            self._rows.insert_one(_document(parked), session=session)
            return True

        try:
            return in_transaction(self._client, work)
        except DuplicateKeyError:
            return True

    def failed_again(self, parked: Parked, reason: str, detail: str) -> None:
        """Note why an event was rejected once more.

        Raises:
            Unavailable: Mongo does not answer.
        """
        change = {"$set": {"reason": reason, "detail": detail}, "$inc": {"attempts": 1}}
        _answered(lambda: self._rows.update_one({"_id": parked.id}, change))

    def remove(self, parked: Parked) -> None:
        """Delete a row: its event was handled, or is not to be.

        Raises:
            Unavailable: Mongo does not answer; it may be deleted.
        """
        # In a transaction, so that it conflicts with the one that parks an event behind this one.
        in_transaction(self._client, lambda session: self._rows.delete_one({"_id": parked.id}, session=session))

    def keys(self, limit: int) -> list[ParkedKey]:
        """Keys that have parked events, in their own order.

        Raises:
            Unavailable: Mongo does not answer.
        """
        found = self._by_key(limit)
        keys = [(each["_id"], each["events"], self.first(each["_id"])) for each in found]
        return [ParkedKey(key, events, first) for key, events, first in keys if first is not None]

    def some_keys(self, limit: int) -> list[str]:
        """Keys that have parked events, in their own order.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return [each["_id"] for each in self._by_key(limit)]

    def count(self) -> int:
        """How many events are parked.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return _answered(lambda: self._rows.count_documents({"consumer": self.consumer}))

    def _by_key(self, limit: int) -> list[dict[str, Any]]:
        pipeline: list[dict[str, Any]] = [
            {"$match": {"consumer": self.consumer}},
            {"$group": {"_id": "$key", "events": {"$sum": 1}}},
            {"$sort": {"_id": 1}},
            {"$limit": limit},
        ]
        return _answered(lambda: self._rows.aggregate(pipeline).to_list())


def _answered(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except DuplicateKeyError:
        raise
    except PyMongoError as error:
        raise unavailable(error) from error


def _document(parked: Parked) -> dict[str, Any]:
    record = parked.record
    return {
        "_id": parked.id,
        "consumer": parked.consumer,
        "key": parked.key,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "value": record.value,
        "headers": [[name, value] for name, value in record.headers],
        "timestamp_ms": record.timestamp_ms,
        "reason": parked.reason,
        "detail": parked.detail,
        "at_ms": parked.at_ms,
        "attempts": parked.attempts,
        "followers": 0,
    }


def _parked_of(document: dict[str, Any]) -> Parked:
    source = TopicPartition(document["topic"], document["partition"])
    record = ConsumerRecord(
        source.topic,
        source.partition,
        document["offset"],
        document["value"],
        document["key"].encode(),
        tuple((name, value) for name, value in document["headers"]),
        document["timestamp_ms"],
    )
    return Parked(
        document["consumer"],
        document["key"],
        record,
        document["reason"],
        document["detail"],
        document["at_ms"],
        document["attempts"],
    )
