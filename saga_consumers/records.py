"""From a record to what a consumer makes of it: decoded, parked behind its key's earlier ones, handled or rejected."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NoReturn, Protocol

from connectors.errors import Fenced, Refused, Unavailable
from connectors.kafka.records import ConsumerRecord, TopicPartition
from connectors.mongo.sagas.parking import BEHIND, Parked
from connectors.mongo.times import milliseconds
from marketplace.dead_letters import MAX_DETAIL_CHARS
from marketplace.errors import Action, Reject, Retry, Stop
from marketplace.sagas.declaration import heard_by
from marketplace.sagas.events import UnknownEvent
from marketplace.sagas.wire import event_of, trace_parent_of
from saga_consumers.consumer import Absent, SagaConsumer
from saga_consumers.parked_keys import ParkedKeys

_log = logging.getLogger(__name__)

ABSENT_SECONDS: Final = 5.0
"""How long an event waits for what it is about."""

BUG_ATTEMPTS: Final = 3
"""How often an event is tried at which a handler fails with an error that nobody foresaw."""

MOST_BUGS: Final = 10
"""So many events rejected for that in a row, with none handled in between, are no fault of the events."""

_BUG_PAUSE_SECONDS: Final = 0.2
_MAX_KEY_CHARS: Final = 200

UNEXPECTED: Final = "unexpected"
"""The reason of an event at which a handler failed with an error that nobody foresaw."""


class ParkedRows(Protocol):
    """What a handler needs of its consumer's parked events; see ``connectors.mongo.sagas.parking.ParkedEvents``."""

    consumer: str

    def first(self, key: str) -> Parked | None:
        """The first parked event of a key; None where nothing is parked."""

    def park(self, parked: Parked) -> None:
        """Write a row for an event that was rejected."""

    def park_behind(self, first: Parked, parked: Parked) -> bool:
        """Write a row for an event whose key has an earlier one; returns False where that one is gone."""

    def some_keys(self, limit: int) -> list[str]:
        """Keys that have parked events."""


@dataclass
class RecordCounts:
    """Since the start.

    Attributes:
        handled: Events that were handled for the first time.
        duplicates: Events that had been handled before.
        rejected: Records that went to the dead letters.
        parked: Events that were parked behind an earlier one of their key.
        retried: Attempts after which an event is tried again.
    """

    handled: int = 0
    duplicates: int = 0
    rejected: int = 0
    parked: int = 0
    retried: int = 0


@dataclass
class _Trouble:
    """The record of a partition that is tried again and again."""

    offset: int
    since: float
    bugs: int = 0


class BugStreak:
    """Events in a row that were rejected because of errors that nobody foresaw. Safe to share between threads.

    It outlives the starts of a consumer: one that has stopped and is begun again parks no further order before it has
    handled an event.
    """

    def __init__(self) -> None:
        self._lock, self._count = threading.Lock(), 0

    def add(self) -> bool:
        """Count one more; returns whether they are no fault of the events."""
        with self._lock:
            self._count += 1
            return self._count >= MOST_BUGS

    def end(self) -> None:
        """An event was handled."""
        with self._lock:
            self._count = 0


class RecordHandler:
    """The handler of a group consumer's records. Safe to share between threads.

    In this order: an event that is rejected is parked, then it becomes a dead letter, then its offset is committed.

    Args:
        consumer: What is done with an event.
        parked: Its parked events.
        clock: The time that events are handled at.
        monotonic: Seconds of a monotonic clock.
        bugs: Shared by all starts of a consumer.
    """

    def __init__(
        self,
        consumer: SagaConsumer,
        parked: ParkedRows,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        bugs: BugStreak | None = None,
    ) -> None:
        self._consumer, self._parked, self._keys = consumer, parked, ParkedKeys(parked.some_keys)
        self._hears, self._bugs = heard_by(consumer.service), bugs or BugStreak()
        self._clock, self._monotonic = clock, monotonic
        self._lock = threading.Lock()
        self._troubles: dict[TopicPartition, _Trouble] = {}
        self.counts = RecordCounts()

    def assigned(self, partitions: Collection[TopicPartition]) -> None:
        """Note that partitions are this process's from now on, before any of their records is handled."""
        self._keys.assigned(partitions)

    def __call__(self, record: ConsumerRecord) -> None:
        """Handle a record.

        Raises:
            Action: What happens to it; see :mod:`marketplace.errors`.
            Unavailable: Kafka or Mongo does not answer.
        """
        key = usable_key(record)
        if key is not None and self._stays_behind(record, key):
            return
        try:
            event = event_of(record.key, record.headers, record.value)
        except UnknownEvent as error:
            self._reject(record, key, Reject(error.reason, str(error)), error)
        except Exception as error:
            self._unexpected(record, key, error)
        try:
            done = self._consumer.handle(event, self._clock(), trace_parent_of(record.headers))
        except Absent as absent:
            if self._trouble(record).since + ABSENT_SECONDS > self._monotonic():
                self._count("retried")
                raise
            self._reject(record, key, Reject(absent.code, absent.reason), absent)
        except (Retry, Unavailable):
            self._count("retried")
            raise
        except Reject as rejection:
            self._reject(record, key, rejection, rejection)
        except (Action, Refused, Fenced):
            raise
        except Exception as error:
            self._unexpected(record, key, error)
        else:
            if done and event.type in self._hears:
                # One that is known, or that nobody here listens to, has met none of the code that may have a bug.
                self._bugs.end()
            self._forget(record)
            self._count("handled" if done else "duplicates")

    def _stays_behind(self, record: ConsumerRecord, key: str) -> bool:
        """Whether a record is parked, because an earlier one of its key is.

        Raises:
            Reject: It is that one, and comes again: its dead letter may not be written yet.
        """
        mark = self._keys.mark(record.source, key)
        if mark is None:
            return False
        while (first := self._parked.first(key)) is not None:
            # A topic that was made once more has the same places at other times.
            if record.source == first.record.source and record.timestamp_ms <= first.record.timestamp_ms:
                if record.offset < first.record.offset:
                    # It comes once more, such as after a reset of the group: nothing waits for it.
                    return False
                if record.offset == first.record.offset:
                    if first.rejected:
                        self._count("rejected")
                        raise Reject(first.reason, first.detail)
                    return True
            if self._parked.park_behind(first, self._row(record, key, BEHIND, f"after {first.id}")):
                self._count("parked")
                return True
        self._keys.forget(key, mark)
        return False

    def _unexpected(self, record: ConsumerRecord, key: str | None, error: Exception) -> NoReturn:
        trouble = self._trouble(record)
        trouble.bugs += 1
        if trouble.bugs < BUG_ATTEMPTS:
            self._count("retried")
            _log.warning("%s at offset %d: %r; it is tried again", record.source, record.offset, error)
            raise Retry(_BUG_PAUSE_SECONDS * trouble.bugs, f"{type(error).__name__}: {error}") from error
        if self._bugs.add():
            raise Stop(
                f"{MOST_BUGS} events in a row could not be handled, the last one because of {error!r}"
            ) from error
        _log.error("%s at offset %d is rejected", record.source, record.offset, exc_info=error)
        self._reject(record, key, Reject(UNEXPECTED, f"{type(error).__name__}: {error}"), error)

    def _reject(self, record: ConsumerRecord, key: str | None, rejection: Reject, cause: Exception) -> NoReturn:
        # A record without a key is nobody's: no other one can overtake it.
        if key is not None:
            self._keys.add(key)
            self._parked.park(self._row(record, key, rejection.reason, rejection.detail))
        self._forget(record)
        self._count("rejected")
        if cause is rejection:
            raise rejection
        raise rejection from cause

    def _row(self, record: ConsumerRecord, key: str, reason: str, detail: str) -> Parked:
        now_ms = milliseconds(self._clock())
        return Parked(self._parked.consumer, key, record, reason, detail[:MAX_DETAIL_CHARS], now_ms)

    def _trouble(self, record: ConsumerRecord) -> _Trouble:
        with self._lock:
            found = self._troubles.get(record.source)
            if found is None or found.offset != record.offset:
                found = self._troubles[record.source] = _Trouble(record.offset, self._monotonic())
            return found

    def _forget(self, record: ConsumerRecord) -> None:
        with self._lock:
            self._troubles.pop(record.source, None)

    def _count(self, name: str) -> None:
        with self._lock:
            setattr(self.counts, name, getattr(self.counts, name) + 1)


def usable_key(record: ConsumerRecord) -> str | None:
    """The key of a record by which later ones can be recognised; None where it has none."""
    try:
        key = (record.key or b"").decode()
    except UnicodeDecodeError:
        return None
    return key if 0 < len(key) <= _MAX_KEY_CHARS else None
