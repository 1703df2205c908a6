"""What consumers of the saga report to Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from marketplace import metrics as catalogue
from runtime.metrics import family
from runtime.shared_answer import SharedAnswer
from saga_consumers.process import ConsumerProcess, Running
from saga_consumers.runner import RunnerCounts

_SECONDS: Final = 5.0
_OUTCOMES: Final = ("handled", "duplicates", "rejected", "parked", "retried")


class ConsumerCollector(Collector):
    """The consumers of a process; numbers of Mongo are seconds old at most, and absent while it does not answer.

    Args:
        process: Whose.
        epoch_ms: Epoch milliseconds.
    """

    def __init__(
        self, process: ConsumerProcess, epoch_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self._process, self._epoch_ms = process, epoch_ms
        self._parked = {each.name: SharedAnswer(each.parked.count, _SECONDS) for each in process.running}
        self._due = {each.name: SharedAnswer(_oldest_due(each), _SECONDS) for each in process.running}

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        running = self._process.running
        counts = {each.name: each.counts() for each in running}
        yield family(
            catalogue.CONSUMER_EVENTS,
            [
                ((name, outcome.removesuffix("s")), sum(getattr(each.records, outcome) for each in several))
                for name, several in counts.items()
                for outcome in _OUTCOMES
            ],
        )
        yield family(catalogue.CONSUMER_SWEPT, _summed(counts, lambda each: each.sweeps.acted))
        yield family(catalogue.CONSUMER_SWEEP_ERRORS, _summed(counts, lambda each: each.sweeps.errors))
        yield family(catalogue.CONSUMER_RESTARTS, [((each.name,), each.restarts) for each in running])
        yield family(catalogue.CONSUMER_READY, [((each.name,), int(not each.problem())) for each in running])
        yield family(catalogue.CONSUMER_LAG, list(self._lags()))
        parked = [((name,), count) for name, answer in self._parked.items() if (count := answer.get()) is not None]
        yield family(catalogue.CONSUMER_PARKED, parked)
        yield family(catalogue.CONSUMER_OLDEST_DUE, list(self._ages()))
        for each in running:
            runner = each.runner
            yield from runner.consumer.metrics() if runner is not None else ()

    def _lags(self) -> Iterator[tuple[tuple[str, str], float]]:
        for each in self._process.running:
            runner = each.runner
            for source, partition in (runner.metrics().partitions if runner is not None else {}).items():
                if partition.lag is not None:
                    yield (each.name, str(source.partition)), partition.lag

    def _ages(self) -> Iterator[tuple[tuple[str], float]]:
        for name, answer in self._due.items():
            due_ms = answer.get()
            if due_ms is not None:
                yield (name,), max(0, self._epoch_ms() - due_ms) / 1_000 if due_ms else 0.0


def _summed(
    counts: dict[str, list[RunnerCounts]], number: Callable[[RunnerCounts], int]
) -> list[tuple[tuple[str], float]]:
    return [((name,), sum(number(each) for each in several)) for name, several in counts.items()]


def _oldest_due(running: Running) -> Callable[[], int]:
    """Asks for the oldest thing that is due; 0 for nothing."""

    def ask() -> int:
        runner = running.runner
        return (runner.consumer.oldest_due_ms() or 0) if runner is not None else 0

    return ask
