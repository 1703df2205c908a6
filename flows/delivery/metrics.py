"""What every flow reports to Prometheus: its processes, and how far its tables are behind its topics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from connectors.clickhouse import ClickHouse
from connectors.kafka.reader import PartitionReader
from flows.delivery.fencing import Fences, read_fences
from flows.delivery.process_set import FlowProcessSet
from marketplace.settings import Settings
from runtime.shared_answer import SharedAnswer

_TIMEOUT_SECONDS: Final = 3.0
_SECONDS: Final = 5.0

Ranges = dict[int, tuple[int, int]]
"""For each partition, the first offset that the broker has, and the one that the next record will get."""


class FlowMetrics(Collector):
    """A flow's processes, lag and losses; the numbers are the tables' and the topics' own, so they cannot drift.

    Args:
        settings: Where everything is.
        processes: The set that runs the flow.
    """

    def __init__(self, settings: Settings, processes: FlowProcessSet) -> None:
        self._processes, self._flow = processes, processes.flow
        clickhouse = ClickHouse(settings.urls.clickhouse, settings.database, timeout_seconds=_TIMEOUT_SECONDS)
        self._fences = SharedAnswer(lambda: read_fences(clickhouse, self._flow, [self._flow.checkpoint]), _SECONDS)
        self._logs = {
            topic.name: SharedAnswer(_ranges_of(settings.urls.kafka, topic.name), _SECONDS)
            for topic in self._flow.reads
        }

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment, seconds old at most; those of a part that does not answer are absent."""
        processes = self._processes
        yield self._one(CounterMetricFamily, "restarts", "Restarts of a flow's processes.", processes.restarts)
        yield self._one(GaugeMetricFamily, "processes", "Running processes.", len(processes.pids))
        hangs = "Restarts because a process gave no sign of life."
        yield self._one(CounterMetricFamily, "hangs", hangs, processes.hangs)
        ready = int(not processes.problem())
        yield self._one(GaugeMetricFamily, "ready", "Whether epochs end in every process.", ready)
        fences = self._fences.get()
        if fences is not None:
            yield from self._distances(fences)

    def _one(self, family: type[CounterMetricFamily | GaugeMetricFamily], name: str, text: str, value: float) -> Metric:
        metric = family(f"marketplace_flow_{name}", text, labels=["flow"])
        metric.add_metric([self._flow.name], value)
        return metric

    def _distances(self, fences: dict[str, Fences]) -> Iterator[Metric]:
        labels = ["flow", "topic", "partition"]
        lag = GaugeMetricFamily("marketplace_flow_lag_records", "Records not yet in every table.", labels=labels)
        gone = GaugeMetricFamily(
            "marketplace_flow_unreachable_records",
            "Records that retention deleted before they were counted; not written off yet.",
            labels=labels,
        )
        for topic, log in self._logs.items():
            for partition, (low, high) in (log.get() or {}).items():
                done = fences.get(topic, {}).get(partition, {}).get(self._flow.checkpoint.name, low - 1)
                lag.add_metric([self._flow.name, topic, str(partition)], max(0, high - max(done + 1, low)))
                gone.add_metric([self._flow.name, topic, str(partition)], max(0, low - done - 1))
        yield lag
        yield gone


def _ranges_of(bootstrap: str, topic: str) -> Callable[[], Ranges]:
    """Asks for a topic's ranges, by one client for all times."""
    reader = PartitionReader(bootstrap, topic, "ops.metrics", timeout_seconds=_TIMEOUT_SECONDS)

    def ask() -> Ranges:
        return {partition: reader.range_of(partition) for partition in reader.partitions()}

    return ask
