"""Measures how far the relay is behind: writes canaries into the outbox, and reads them from their topic."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from itertools import count
from typing import Final

from connectors.errors import Unavailable
from connectors.kafka.client_config import KafkaConnection
from connectors.kafka.reader import PartitionReader
from connectors.mongo.canaries import CanaryRows
from marketplace.relay import Lag, canary_of
from marketplace.topics import RELAY_EVENTS

_READ_SECONDS: Final = 0.2
_READ_RECORDS: Final = 100
_PARTITION: Final = 0


class CanaryWatch:
    """The way of canaries, for one thread; :meth:`lag_seconds` may be asked by any.

    Args:
        kafka: Where Kafka is and how to connect.
        rows: The outbox.
        clock: Seconds of a monotonic clock.
    """

    def __init__(self, kafka: KafkaConnection, rows: CanaryRows, clock: Callable[[], float] = time.monotonic) -> None:
        self._kafka, self._rows, self._clock = kafka, rows, clock
        self._lag, self._lock = Lag.begun(clock()), threading.Lock()
        # Other processes that measure at the same time have canaries of their own.
        self._names = (f"canary:{os.urandom(8).hex()}:{number}" for number in count(1))

    def lag_seconds(self) -> float:
        """How far the relay is behind at this moment."""
        with self._lock:
            return self._lag.seconds(self._clock())

    def run(self, stop: Callable[[], bool], beat: Callable[[], None]) -> None:
        """Measure until ``stop`` says so.

        Args:
            stop: Whether to return.
            beat: Called with every step.

        Raises:
            Unavailable: Kafka or Mongo does not answer; to be called again, and meanwhile the lag grows.
            Refused: The topic is missing, or was made again while it was read.
        """
        reader = PartitionReader(self._kafka, RELAY_EVENTS.name, "ops.relay")
        with closing(reader):
            _, end = reader.range_of(_PARTITION)
            reader.add(_PARTITION, end)
            while not stop():
                beat()
                self._step(reader)

    def _step(self, reader: PartitionReader) -> None:
        if self._lag.is_due(self._clock()):
            name = next(self._names)
            # Noted first: whether it was written is not known where Mongo does not answer.
            self._note(self._lag.written(name, self._clock()))
            self._rows.write(name, datetime.now(UTC))
        for message in reader.consume(_READ_RECORDS, _READ_SECONDS):
            canary = canary_of(message.value())
            if canary is None:
                continue
            known = any(name == canary.id for name, _ in self._lag.waiting)
            self._note(self._lag.arrived(canary.id, self._clock()))
            if known:
                with suppress(Unavailable):
                    self._rows.remove(canary.id)

    def _note(self, lag: Lag) -> None:
        with self._lock:
            self._lag = lag
