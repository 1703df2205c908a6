"""The engine gives each record to the sink's partition of its own key, whatever the order of the flow's topics."""

from __future__ import annotations

from typing import Any, cast

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSource, run_main

from flows.delivery.bytewax_adapter import FencedSink, SinkPartition
from flows.delivery.fenced_writer import FencedWriter
from runtime.progress import ProgressReport

KEYS = ["b/000", "a/000", "a.dlq/000"]


class Collected:
    """A writer that remembers what it was given."""

    def __init__(self) -> None:
        self.items: list[str] = []

    def add(self, items: list[str]) -> None:
        self.items += items

    def flush(self) -> None:
        """Nothing to write."""


class CollectingSink(FencedSink):
    """The sink, with a writer of its own for each partition."""

    def __init__(self, keys: list[str]) -> None:
        super().__init__(keys, lambda: cast("FencedWriter[Any]", Collected()), ProgressReport())
        self.by_partition = {key: Collected() for key in keys}

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> SinkPartition:
        return SinkPartition(cast("FencedWriter[Any]", self.by_partition[for_part]), ProgressReport())


def test_each_key_is_written_by_its_own_partition_where_the_topics_are_not_in_order() -> None:
    sink, dataflow = CollectingSink(KEYS), Dataflow("unsorted")
    items = op.input("read", dataflow, TestingSource([(key, key) for key in KEYS]))
    op.output("write", items, sink)

    run_main(dataflow)  # type: ignore[no-untyped-call]  # the engine ships no types

    assert {key: writer.items for key, writer in sink.by_partition.items()} == {key: [key] for key in KEYS}
