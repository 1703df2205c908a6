"""What every flow reports to Prometheus: its processes, and how far its tables are behind its topics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from connectors.clickhouse.client import ClickHouse
from connectors.kafka.client_config import KafkaConnection
from connectors.kafka.reader import PartitionReader
from flows.delivery.fencing import Fences, read_fences
from flows.delivery.lag import Ranges, lag, ranges_of
from flows.delivery.process_set import FlowProcessSet
from marketplace import metrics as catalogue
from runtime.metrics import family
from runtime.sections import Settings
from runtime.shared_answer import SharedAnswer

_TIMEOUT_SECONDS: Final = 3.0
_SECONDS: Final = 5.0


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
            topic.name: SharedAnswer(_ranges_of(settings.kafka, topic.name), _SECONDS) for topic in self._flow.reads
        }

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment, seconds old at most; those of a part that does not answer are absent."""
        name, processes = [self._flow.name], self._processes
        yield family(catalogue.FLOW_RESTARTS, [(name, processes.restarts)])
        yield family(catalogue.FLOW_PROCESSES, [(name, len(processes.pids))])
        yield family(catalogue.FLOW_HANGS, [(name, processes.hangs)])
        yield family(catalogue.FLOW_READY, [(name, int(not processes.problem()))])
        fences = self._fences.get()
        if fences is not None:
            yield from self._distances(fences)

    def _distances(self, fences: dict[str, Fences]) -> Iterator[Metric]:
        found = lag(self._flow, fences, {topic: log.get() or {} for topic, log in self._logs.items()})
        by_labels = [
            ([self._flow.name, topic, str(partition)], each)
            for topic, partitions in found.items()
            for partition, each in partitions.items()
        ]
        yield family(catalogue.FLOW_LAG, [(labels, each.unread) for labels, each in by_labels])
        yield family(catalogue.FLOW_UNREACHABLE, [(labels, each.unreachable) for labels, each in by_labels])


def _ranges_of(kafka: KafkaConnection, topic: str) -> Callable[[], Ranges]:
    """Asks for a topic's ranges, by one client for all times."""
    reader = PartitionReader(kafka, topic, "ops.metrics", timeout_seconds=_TIMEOUT_SECONDS)
    return lambda: ranges_of(reader)
