"""A rival: the same engine in the style of its documentation, one item at a time through many small steps.

It has the engine's Kafka source, a step to parse, a branch for records that cannot be parsed, a key, a stateful step
with a visitor's past, and a sink that aggregates and inserts from time to time. Recovery is off, to its advantage: it
would pickle every visitor that changed at the end of each epoch.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import cluster_main

from bench.contender import Task
from bench.contenders.one_by_one import Past, Rules, TableWriter, Verdict

_FLUSH_EVENTS: Final = 200_000
_AT_ONCE: Final = 20_000


class _Tables(StatelessSinkPartition[Verdict]):
    def __init__(self, task: Task, rules: Rules) -> None:
        self._task, self._writer, self._left = task, TableWriter(task.settings, rules.stores), task.events

    def write_batch(self, items: list[Verdict]) -> None:
        for verdict in items:
            self._writer.add(verdict)
        self._left -= len(items)
        if self._writer.events >= _FLUSH_EVENTS or not self._left:
            self._writer.flush()
            self._task.meter.stop()


class _TableSink(DynamicSink[Verdict]):
    def __init__(self, task: Task, rules: Rules) -> None:
        self._task, self._rules = task, rules

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Tables:
        return _Tables(self._task, self._rules)


def run(task: Task) -> None:
    """Run from the first record to the last insert."""
    rules = Rules(task.settings)

    def read(message: Any) -> tuple[Any, Any]:
        return message, rules.read(message.value or b"")

    def visitor(item: tuple[Any, Any]) -> str:
        return str(item[1].visitor)

    def broken(item: tuple[Any, Any]) -> Verdict:
        return rules.unreadable(item[0].timestamp[1])

    def decide(past: Past | None, item: Any) -> tuple[Past, list[Verdict]]:
        past = past or Past()
        message, event = item
        return past, [rules.decide(message.partition, message.offset, event, past)]

    flow = Dataflow("items")
    source = KafkaSource([task.settings.urls.kafka], [task.topic], tail=False, batch_size=_AT_ONCE)
    messages = op.input("kafka", flow, source)
    parsed = op.map("read", messages, read)
    split = op.branch("readable", parsed, lambda item: item[1] is not None)
    by_visitor = op.key_on("by_visitor", split.trues, visitor)
    decided = op.key_rm("plain", op.stateful_flat_map("decide", by_visitor, decide))
    unreadable = op.map("unreadable", split.falses, broken)
    op.output("tables", op.merge("all", decided, unreadable), _TableSink(task, rules))
    task.meter.start()
    cluster_main(flow, [], 0, epoch_interval=timedelta(seconds=10))  # type: ignore[no-untyped-call]  # the engine ships no types
