"""What the partitions of a worker share at the end of an epoch, and how they leave."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

import pytest
from bytewax.inputs import AbortExecution

from flows.delivery.batch import RawBatch
from flows.delivery.bytewax_adapter import KafkaSource
from flows.delivery.topic_consumer import TopicConsumer
from runtime.progress import ProgressReport
from runtime.signals import StopRequest

PARTITIONS = {"log/000": ("log", 0), "log/001": ("log", 1), "more/000": ("more", 0)}
MOST_STEPS = 100


class EmptyLog:
    """A consumer that has nothing to read."""

    def open(self, partition: int) -> int:
        return 0

    def round(self, now: float) -> int:
        return 1

    def take(self, partition: int) -> RawBatch | None:
        return None

    def publish(self, partition: int, offset: int) -> None:
        """Nothing was applied."""


class Worker:
    """One worker thread of the engine with all partitions, which it serves in the order of their keys."""

    def __init__(self) -> None:
        self.stop = StopRequest()
        self.ended_epochs: list[bool] = []
        """For each call, whether the process was said to be leaving."""
        source = KafkaSource(
            PARTITIONS,
            lambda _topic: cast("TopicConsumer", EmptyLog()),
            self.stop,
            self.ended_epochs.append,
            ProgressReport(),
        )
        self._parts = [source.build_part("read", key, None) for key in sorted(source.list_parts())]

    @property
    def awake(self) -> list[datetime | None]:
        """When the engine is to ask each partition."""
        return [part.next_awake() for part in self._parts]

    def run(self, epochs: int) -> None:
        """End so many epochs."""
        for _ in range(epochs):
            for part in self._parts:
                part.next_batch()
                part.snapshot()

    def run_until_it_leaves(self, stop_at_step: int) -> None:
        """Serve partitions, with a stop request before one of the steps, until the engine is ended."""
        for step in range(MOST_STEPS):
            if step == stop_at_step:
                self.stop.ask()
            part = self._parts[step // 2 % len(self._parts)]
            try:
                part.snapshot() if step % 2 else part.next_batch()
            except AbortExecution:
                return
        raise AssertionError("it does not leave")


def test_a_partition_is_asked_at_once_when_it_is_open_and_then_every_few_milliseconds() -> None:
    worker = Worker()
    assert worker.awake == [None] * len(PARTITIONS)

    worker.run(1)

    now = datetime.now(UTC)
    assert [awake is not None and 0 <= (awake - now).total_seconds() < 0.1 for awake in worker.awake] == [True] * len(
        PARTITIONS
    )


def test_an_epoch_of_several_partitions_ends_once() -> None:
    worker = Worker()
    worker.run(epochs=4)
    assert worker.ended_epochs == [False] * 4


@pytest.mark.parametrize("step", range(2 * len(PARTITIONS)))
def test_whenever_the_stop_request_comes_the_last_epoch_that_ends_is_the_only_one_that_leaves(step: int) -> None:
    worker = Worker()
    worker.run_until_it_leaves(stop_at_step=step)
    assert worker.ended_epochs[-1:] == [True]
    assert True not in worker.ended_epochs[:-1]
