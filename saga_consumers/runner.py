"""Runs one consumer: its events by a group consumer, its sweeps beside them, and what can be asked of it meanwhile.

An event is handled in this order: its state, what it says and that it was handled are one transaction; then its offset
is committed. A kill in between means that it comes again, and the inbox knows it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Final, TypeVar

from connectors.kafka.consumer import GroupConsumer
from connectors.kafka.consumer_metrics import ConsumerMetrics
from connectors.kafka.consumer_policy import ConsumerPolicy
from connectors.kafka.dead_letters import DeadLetterWriter
from connectors.kafka.group_client import GroupClient, Membership
from connectors.kafka.records import RecordProducer
from connectors.mongo.sagas.parking import ParkedEvents
from marketplace.sagas.declaration import Service
from marketplace.topics import ORDERS_DEAD, ORDERS_EVENTS
from saga_consumers.consumer import SagaConsumer
from saga_consumers.records import BugStreak, RecordCounts, RecordHandler
from saga_consumers.sweeper import SweepCounts, Sweeper

POLICY: Final = ConsumerPolicy(threads=4, commit_seconds=0.2, revoke_seconds=12.0)
"""A transaction may take ten seconds before it gives up."""

STUCK_SECONDS: Final = 60.0
"""A poll loop that has not come round for so long hangs."""

_CLOSE_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.1


def group_of(service: Service) -> str:
    """The consumer group of a service."""
    return f"saga.{service.value}"


def membership_of(service: Service, session_seconds: float = 10.0) -> Membership:
    """How a consumer belongs to its group: of a process that was killed others take over after the session.

    It has no instance id: who comes back after its session does nothing twice, because of the inbox.
    """
    return Membership(group_of(service), [ORDERS_EVENTS.name], session_seconds=session_seconds, poll_seconds=60.0)


@dataclass(frozen=True)
class RunnerCounts:
    """What a runner has counted since it was made."""

    records: RecordCounts = field(default_factory=RecordCounts)
    sweeps: SweepCounts = field(default_factory=SweepCounts)

    def __add__(self, other: RunnerCounts) -> RunnerCounts:
        """Those of two runners together."""
        return RunnerCounts(_summed(self.records, other.records), _summed(self.sweeps, other.sweeps))


_Counts = TypeVar("_Counts", RecordCounts, SweepCounts)


def _summed(one: _Counts, other: _Counts) -> _Counts:
    return type(one)(**{each.name: getattr(one, each.name) + getattr(other, each.name) for each in fields(one)})


class ConsumerRunner:
    """One consumer of the saga in this process.

    Args:
        consumer: What it does.
        client: Its member of the group.
        producer: Sends its dead letters.
        parked: Its parked events.
        policy: How events are polled.
        clock: The time that is passed to handlers and sweeps.
        dead_topic: Where dead letters go.
        close_seconds: How long it may take to finish, commit and leave.
        bugs: Shared by all starts of a consumer.
    """

    def __init__(
        self,
        consumer: SagaConsumer,
        client: GroupClient,
        producer: RecordProducer,
        parked: ParkedEvents,
        policy: ConsumerPolicy = POLICY,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        dead_topic: str = ORDERS_DEAD.name,
        close_seconds: float = _CLOSE_SECONDS,
        bugs: BugStreak | None = None,
    ) -> None:
        self.consumer = consumer
        self._records = RecordHandler(consumer, parked, clock, bugs=bugs)
        self._sweeper = Sweeper(consumer, clock)
        letters = DeadLetterWriter(producer, dead_topic, group_of(consumer.service))
        self._group = GroupConsumer(client, self._records, letters, policy, assigned=self._records.assigned)
        self._close_seconds = close_seconds
        self._stepped_at: float | None = None
        self._closed = threading.Event()

    def run(self, stop: Callable[[], bool]) -> None:
        """Work until ``stop`` returns True; then finish what is being handled, commit and leave the group.

        Raises:
            OffsetGap: Events are gone that were never handled.
            BaseException: What a handler raised that is no decision about its event.
        """
        self._sweeper.start()
        try:
            while not stop():
                self._stepped_at = time.monotonic()
                self._group.step(_POLL_SECONDS)
        finally:
            deadline = time.monotonic() + self._close_seconds
            try:
                self._group.close(self._close_seconds)
            finally:
                # Whatever the broker does: the next start has sweeps of its own.
                self._sweeper.stop(max(1.0, deadline - time.monotonic()))
                self.consumer.close()
                self._closed.set()

    def counts(self) -> RunnerCounts:
        """What was counted up to now."""
        return RunnerCounts(replace(self._records.counts), replace(self._sweeper.counts))

    def metrics(self) -> ConsumerMetrics:
        """Of its partitions; see :meth:`GroupConsumer.metrics`."""
        return self._group.metrics()

    def stuck_seconds(self) -> float:
        """For how long it gives no sign of life, beyond what it may; 0 where it does."""
        stepped = self._stepped_at
        if stepped is None or self._closed.is_set():
            return 0.0
        return max(0.0, time.monotonic() - stepped - STUCK_SECONDS, self._sweeper.overdue_seconds() - STUCK_SECONDS)

    def problem(self) -> str:
        """Why it is not ready; empty where it is."""
        if self._stepped_at is None:
            return "it has not begun"
        waits = [f"{source}: {each.waits_for}" for source, each in self.metrics().partitions.items() if each.waits_for]
        return waits[0] if waits else self._sweeper.problem()
