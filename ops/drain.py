"""Waiting until all records of a flow's topics are in its tables."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Final

from connectors.clickhouse.client import ClickHouse
from connectors.errors import Unavailable
from connectors.kafka.reader import PartitionReader
from flows.delivery.fencing import read_fences
from flows.delivery.lag import Ranges, lag, ranges_of, total_unread
from marketplace.flows import FlowSpec
from runtime.sections import Settings

_POLL_SECONDS: Final = 0.1
_ANSWER_SECONDS: Final = 5.0


def read_ranges(settings: Settings, flow: FlowSpec) -> dict[str, Ranges]:
    """For each topic of a flow, the ranges of its partitions now.

    Raises:
        Unavailable: Kafka does not answer.
    """
    found = {}
    for topic in flow.reads:
        reader = PartitionReader(settings.kafka, topic.name, "ops.drain", timeout_seconds=_ANSWER_SECONDS)
        with closing(reader):
            found[topic.name] = ranges_of(reader)
    return found


def unread_records(settings: Settings, flow: FlowSpec, ranges: dict[str, Ranges] | None = None) -> int:
    """The number of records of a flow's topics that are not in all of its tables yet.

    Args:
        settings: The URLs and the database.
        flow: The flow.
        ranges: Only records in these; by default all that the log has now.

    Raises:
        Unavailable: Kafka or ClickHouse does not answer.
    """
    with closing(
        ClickHouse(settings.urls.clickhouse, settings.database, timeout_seconds=_ANSWER_SECONDS)
    ) as clickhouse:
        fences = read_fences(clickhouse, flow, [flow.checkpoint])
    return total_unread(lag(flow, fences, read_ranges(settings, flow) if ranges is None else ranges))


def wait_until_counted(
    settings: Settings, flow: FlowSpec, stall_seconds: float, progress: Callable[[int], None] = lambda waiting: None
) -> int:
    """Wait until everything that is in a flow's topics now is in every table of the flow.

    Args:
        settings: The URLs and the database.
        flow: The flow.
        stall_seconds: Give up when nothing was counted for this long: no flow is running, or it is stuck.
        progress: Called with the number of records that are still waiting.

    Returns:
        The number of records that are still waiting; 0 unless it gave up.

    Raises:
        Unavailable: Kafka does not answer.
    """
    ranges = read_ranges(settings, flow)
    fewest = None
    moved_at = time.monotonic()
    while True:
        try:
            waiting = unread_records(settings, flow, ranges)
        except Unavailable:
            # How many are in the tables is not known: as many as before, at first all.
            waiting = fewest if fewest is not None else total_unread(lag(flow, {}, ranges))
        progress(waiting)
        if waiting == 0:
            return 0
        if fewest is None or waiting < fewest:
            fewest, moved_at = waiting, time.monotonic()
        elif time.monotonic() - moved_at > stall_seconds:
            return waiting
        time.sleep(_POLL_SECONDS)
