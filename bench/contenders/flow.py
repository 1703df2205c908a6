"""The product: its dataflow as it runs in production, with its sinks, fences and epochs.

The meter starts when the engine first asks the source for records: by then lists and places are loaded and partitions
are opened. It stops when the ledger holds the last record. What watches the ledger meanwhile is not the product's, and
left out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from bytewax.testing import cluster_main

from bench.contender import Task
from connectors.clickhouse.client import ClickHouse
from connectors.errors import Unavailable
from connectors.insights.report import Analytics
from flows.clicks.flow import FLOW
from flows.delivery.fencing import take_generation
from flows.delivery.flow import build
from flows.delivery.kafka_source import EPOCH_SECONDS, BatchPolicy
from marketplace.flows import CLICKS_FLOW
from runtime.signals import StopRequest

_LOOK_SECONDS = 0.2


class Until(StopRequest):
    """Asks to stop once the ledger has come to the end of the topic.

    Args:
        task: What is measured.
        at_end: Called then, instead of asking to stop.
    """

    def __init__(self, task: Task, at_end: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._task, self._at_end, self._done = task, at_end, False
        analytics = Analytics(ClickHouse(task.settings.urls.clickhouse, task.settings.database))
        threading.Thread(target=self._look, args=(analytics,), daemon=True).start()

    def asked(self) -> bool:
        """Whether everything is in the tables; the source asks before it reads."""
        if not self._task.meter.started:
            self._task.meter.start()
        return self._done

    def _look(self, analytics: Analytics) -> None:
        while not self._task.meter.started:
            time.sleep(_LOOK_SECONDS)
        mine = time.thread_time()
        while not self._is_complete(analytics):
            time.sleep(_LOOK_SECONDS)
        self._task.meter.leave_out(time.thread_time() - mine)
        self._task.meter.stop()
        if self._at_end is not None:
            self._at_end()
        else:
            self._done = True

    def _is_complete(self, analytics: Analytics) -> bool:
        applied = {partition: offset for partition, (offset, _) in analytics.applied().items()}
        # A record that leads to no row of the ledger there is none of: the last one always shows.
        return all(applied.get(partition, -1) + 1 >= end for partition, end in self._task.ends.items())


def run(task: Task) -> None:
    """From the first record to the last one's row in the ledger."""
    drive(task, Until(task), take_generation(task.settings, CLICKS_FLOW))


def drive(task: Task, stop: Until, generation: int, addresses: Sequence[str] = (), index: int = 0) -> None:
    """Run the dataflow until it is asked to stop: alone, or as one of the processes at these addresses."""
    flow = build(FLOW, task.settings, generation, BatchPolicy(), stop)
    try:
        cluster_main(flow, list(addresses), index, epoch_interval=timedelta(seconds=EPOCH_SECONDS))  # type: ignore[no-untyped-call]  # the engine ships no types
    except (KeyboardInterrupt, Unavailable):
        if not stop.asked():
            raise
