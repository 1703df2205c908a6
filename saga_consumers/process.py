"""Several consumers in one process, each on a thread of its own: one that fails is begun again, and stops no other."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from connectors.kafka.client_config import KafkaConnection
from connectors.kafka.kafka_group_client import KafkaGroupClient
from connectors.kafka.producer import Producer
from connectors.mongo.client import Client
from connectors.mongo.sagas.parking import ParkedEvents
from marketplace.topics import ORDERS_DEAD
from saga_consumers.consumer import ConsumerSpec, Parts
from saga_consumers.records import BugStreak
from saga_consumers.runner import POLICY, ConsumerRunner, RunnerCounts, membership_of

_log = logging.getLogger(__name__)

_RESTART_SECONDS: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
_GOOD_SECONDS: Final = 60.0
"""A consumer that has worked for so long is forgiven what it failed of before."""

_PRODUCER_SECONDS: Final = 2.0
_JOIN_SECONDS: Final = 20.0


@dataclass(frozen=True)
class ProcessSettings:
    """Where the parts are.

    Attributes:
        kafka: The brokers.
        mongo: A connected client; the caller closes it, after :meth:`ConsumerProcess.run`.
        database: The database's name.
        environment: Variables, for consumers that have settings of their own.
        session_seconds: After so long without a sign of life a member's partitions go to others.
    """

    kafka: KafkaConnection
    mongo: Client
    database: str
    environment: Mapping[str, str]
    session_seconds: float = 10.0


class Running:
    """One consumer of the process, through all of its starts.

    Args:
        spec: Which.
        settings: Where the parts are.
        stopping: Set when the process is to end.
    """

    def __init__(self, spec: ConsumerSpec, settings: ProcessSettings, stopping: threading.Event) -> None:
        self.name = spec.service.value
        self._spec, self._settings, self._stopping = spec, settings, stopping
        self.parked = ParkedEvents(settings.mongo, settings.database, self.name)
        self.runner: ConsumerRunner | None = None
        self.restarts = 0
        self._lock = threading.Lock()
        self._ended, self._bugs = RunnerCounts(), BugStreak()
        self._failure = ""

    def run(self) -> None:
        """Work until the process is to end."""
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._run_once()
                return
            except Exception as error:
                failures = 1 if time.monotonic() - began > _GOOD_SECONDS else failures + 1
                self._failure = f"it ended: {error}"
                self.restarts += 1
                _log.exception("consumer %s has ended and is begun again", self.name)
            self._stopping.wait(_RESTART_SECONDS[min(failures, len(_RESTART_SECONDS)) - 1])

    def counts(self) -> RunnerCounts:
        """Of all of its starts."""
        with self._lock:
            return self._ended if self.runner is None else self._ended + self.runner.counts()

    def problem(self) -> str:
        """Why it is not ready; empty where it is."""
        runner = self.runner
        return self._failure or ("it has not begun" if runner is None else runner.problem())

    def stuck_seconds(self) -> float:
        """For how long it gives no sign of life, beyond what it may; 0 where it does."""
        runner = self.runner
        return 0.0 if runner is None else runner.stuck_seconds()

    def _run_once(self) -> None:
        settings, service = self._settings, self._spec.service
        with closing(_Producer(settings.kafka, f"saga.{self.name}")) as sender:
            consumer = self._spec.open(Parts(settings.mongo, settings.database, settings.environment))
            try:
                client = KafkaGroupClient(settings.kafka, membership_of(service, settings.session_seconds))
                runner = ConsumerRunner(consumer, client, sender.producer, self.parked, POLICY, bugs=self._bugs)
            except BaseException:
                # It has threads and connections of its own, and is opened once more with each start.
                consumer.close()
                raise
            self.runner, self._failure = runner, ""
            try:
                runner.run(self._stopping.is_set)
            finally:
                with self._lock:
                    self._ended += runner.counts()
                    self.runner = None


class _Producer:
    """A producer that is closed with a deadline."""

    def __init__(self, kafka: KafkaConnection, client_id: str) -> None:
        self.producer = Producer(kafka, client_id=client_id, linger_ms=1, max_record_bytes=ORDERS_DEAD.max_record_bytes)

    def close(self) -> None:
        self.producer.close(_PRODUCER_SECONDS)


class ConsumerProcess:
    """Consumers side by side.

    Args:
        specs: Which.
        settings: Where the parts are.
    """

    def __init__(self, specs: Sequence[ConsumerSpec], settings: ProcessSettings) -> None:
        self._stopping = threading.Event()
        self.running = [Running(spec, settings, self._stopping) for spec in specs]

    def run(self, stop: Callable[[float], bool]) -> bool:
        """Work until asked to stop; then every consumer finishes what it is at.

        Args:
            stop: Waits for so many seconds at most; returns whether to stop.

        Returns:
            Whether all of them ended in time; what one was at that did not is done again by the next process.
        """
        threads = [threading.Thread(target=each.run, name=f"saga-{each.name}", daemon=True) for each in self.running]
        for thread in threads:
            thread.start()
        while not stop(1.0):
            pass
        self._stopping.set()
        deadline = time.monotonic() + _JOIN_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def stuck(self) -> str:
        """Which consumer gives no sign of life; empty where all do."""
        found = [(each.name, each.stuck_seconds()) for each in self.running if each.stuck_seconds() > 0]
        return "; ".join(f"{name} gives no sign of life: {seconds:.0f} s overdue" for name, seconds in found)

    def problem(self) -> str:
        """Which consumers are not ready, and why; empty where all are."""
        return "; ".join(f"{each.name}: {problem}" for each in self.running if (problem := each.problem()))
