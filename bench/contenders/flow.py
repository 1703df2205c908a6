"""The product: its dataflow as it runs in production, with its sinks, fences and epochs.

The meter starts when the engine first polls the source: by then lookups are loaded and partitions are open, and nothing
is fetched yet. It stops when the last record is in the ledger. The CPU of polling the ledger is not the product's, and
is left out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from bench.contender import Task
from connectors.clickhouse.client import ClickHouse
from connectors.errors import Unavailable
from connectors.insights.report import Analytics
from flows.clicks.flow import FLOW
from flows.delivery.bytewax_adapter import build, run_dataflow
from flows.delivery.fencing import take_generation
from flows.delivery.topic_consumer import BatchPolicy
from marketplace.flows import CLICKS_FLOW
from runtime.signals import StopRequest

_LOOK_SECONDS = 0.2


class Until(StopRequest):
    """Requests a stop once the ledger has reached the end of the topic.

    Args:
        task: The contender's task.
        at_end: Called then, instead of requesting a stop.
    """

    def __init__(self, task: Task, at_end: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._task, self._at_end, self._done = task, at_end, False
        analytics = Analytics(ClickHouse(task.settings.urls.clickhouse, task.settings.database))
        threading.Thread(target=self._look, args=(analytics,), daemon=True).start()

    def asked(self) -> bool:
        """Whether everything is in the tables; the source checks this before each read."""
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
        # Every record has a row in the ledger, so the last one always shows there.
        return all(applied.get(partition, -1) + 1 >= end for partition, end in self._task.ends.items())


def run(task: Task) -> None:
    """Run from the first record until the last one is in the ledger."""
    drive(task, Until(task), take_generation(task.settings, CLICKS_FLOW))


def drive(task: Task, stop: Until, generation: int, addresses: Sequence[str] = (), index: int = 0) -> None:
    """Run the dataflow until it is stopped: alone, or as one of the processes at these addresses."""
    flow = build(FLOW, task.settings, generation, BatchPolicy(), stop)
    try:
        run_dataflow(flow, addresses, index)
    except (KeyboardInterrupt, Unavailable):
        if not stop.asked():
            raise
