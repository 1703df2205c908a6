"""One worker thread of a flow: what the flow offers, with what the delivery runtime does around it for every flow."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Generic

from connectors.kafka.producer import Producer
from connectors.kafka.records import RecordProducer
from flows.delivery.batch import RawBatch
from flows.delivery.batch_limit import BatchLimit
from flows.delivery.expiry import record_expired
from flows.delivery.fenced_writer import Batch, FencedWriter
from flows.delivery.flow import Flow, WorkerContext
from marketplace.flows import FlowSpec
from runtime.sections import Settings


class DeliveryWorker(Generic[Batch]):
    """A flow's worker with what all flows have: retries, adaptive batch size, and the writer that keeps the promise.

    Args:
        flow: The flow.
        context: What the flow's own worker gets.
        producer: Where dead letters go; see :func:`producer_of`.
        limit: How many records a batch may hold; follows what batches take.
    """

    def __init__(
        self, flow: Flow[Batch], context: WorkerContext, producer: RecordProducer | None, limit: BatchLimit
    ) -> None:
        self.context, self.limit = context, limit
        self._flow, self._own = flow, flow.open_worker(context)
        self.writer = FencedWriter[Batch](
            flow.spec,
            context.clickhouse,
            producer,
            self._own.rows_of,
            context.generation,
            context.fences,
            context.retry,
            self._own.follower,
        )

    def process(self, batch: RawBatch) -> Batch:
        """What follows from a batch; while a part is unavailable, wait for it."""

        def attempt() -> Batch:
            began = time.monotonic()
            processed = self._own.process(batch)
            self.limit.observe(len(batch.values), time.monotonic() - began)
            return processed

        processed = self.context.retry(attempt)
        self.context.report.decided(len(batch.values))
        return processed

    def end_epoch(self, *, leaving: bool) -> None:
        """See :meth:`FlowWorker.end_epoch`."""
        self._own.end_epoch(leaving=leaving)

    def record_missing_head(self, topic: str, partition: int, low: int) -> None:
        """Note that counting of a partition begins at an offset: what was before is gone from the log."""
        clickhouse, condition = self.context.clickhouse, self.writer.condition
        row = self._flow.expired_row(topic, partition, 0, low, datetime.now(UTC))
        self.context.retry(lambda: record_expired(clickhouse, self._flow.spec, row, 0, condition))
        checkpoint = self._flow.spec.checkpoint.name
        self.context.fences.setdefault(topic, {}).setdefault(partition, {})[checkpoint] = low - 1


def producer_of(flow: FlowSpec, settings: Settings) -> Producer | None:
    """A producer for the flow's dead letters; None where it declares no topic for them."""
    if flow.dead_topic is None:
        return None
    return Producer(settings.kafka, client_id=flow.group, max_record_bytes=flow.dead_topic.max_record_bytes)
