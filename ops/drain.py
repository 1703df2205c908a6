"""Waiting until all records of the log are in the tables."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Final

from connectors.clickhouse.client import ClickHouse
from connectors.errors import Unavailable
from connectors.insights.report import Analytics
from connectors.kafka.reader import PartitionReader
from flows.delivery.fencing import read_fences
from marketplace.flows import FlowSpec
from marketplace.topics import CLICKS_COLLECTED
from runtime.sections import Settings

_POLL_SECONDS: Final = 0.1
_ANSWER_SECONDS: Final = 5.0


def end_of_log(settings: Settings) -> dict[int, int]:
    """The end offset of each partition: that of the next record.

    Raises:
        Unavailable: Kafka does not answer.
    """
    reader = PartitionReader(settings.kafka, CLICKS_COLLECTED.name, "ops.drain")
    try:
        return {partition: reader.range_of(partition)[1] for partition in reader.partitions()}
    finally:
        reader.close()


def unread_records(settings: Settings, flow: FlowSpec) -> int:
    """The number of records of a flow's topics that are not in all of its tables yet.

    Raises:
        Unavailable: Kafka or ClickHouse does not answer.
    """
    with closing(
        ClickHouse(settings.urls.clickhouse, settings.database, timeout_seconds=_ANSWER_SECONDS)
    ) as clickhouse:
        fences, unread = read_fences(clickhouse, flow, [flow.checkpoint]), 0
    for topic in flow.reads:
        reader = PartitionReader(settings.kafka, topic.name, "ops.drain", timeout_seconds=_ANSWER_SECONDS)
        try:
            for partition in reader.partitions():
                low, high = reader.range_of(partition)
                done = fences[topic.name].get(partition, {}).get(flow.checkpoint.name, -1)
                unread += max(0, high - max(done + 1, low))
        finally:
            reader.close()
    return unread


def waiting_records(settings: Settings, ends: dict[int, int]) -> int:
    """The number of records below ``ends`` that are not in every table yet.

    Raises:
        Unavailable: ClickHouse does not answer.
    """
    with closing(ClickHouse(settings.urls.clickhouse, settings.database)) as clickhouse:
        applied = Analytics(clickhouse).applied()
    return sum(max(0, end - applied.get(partition, (-1, 0))[0] - 1) for partition, end in ends.items())


def wait_until_counted(
    settings: Settings, stall_seconds: float, progress: Callable[[int], None] = lambda waiting: None
) -> int:
    """Wait until everything that is in the log now is in every table.

    Args:
        settings: The URLs and the database.
        stall_seconds: Give up when nothing was counted for this long: no flow is running, or it is stuck.
        progress: Called with the number of records that are still waiting.

    Returns:
        The number of records that are still waiting; 0 unless it gave up.

    Raises:
        Unavailable: Kafka does not answer.
    """
    ends = end_of_log(settings)
    fewest = None
    moved_at = time.monotonic()
    while True:
        try:
            waiting = waiting_records(settings, ends)
        except Unavailable:
            waiting = fewest if fewest is not None else sum(ends.values())
        progress(waiting)
        if waiting == 0:
            return 0
        if fewest is None or waiting < fewest:
            fewest, moved_at = waiting, time.monotonic()
        elif time.monotonic() - moved_at > stall_seconds:
            return waiting
        time.sleep(_POLL_SECONDS)
