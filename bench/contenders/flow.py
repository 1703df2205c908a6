"""The product: its dataflow as it runs in production, with its sinks, fences and epochs."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

from bytewax.testing import cluster_main

from bench.contender import Task
from connectors.analytics import Analytics
from connectors.clickhouse import ClickHouse
from connectors.errors import Unavailable
from flows.clicks.flow import build, rest_collector
from flows.clicks.source import Pace, Stop
from ops.flow_runner import take_generation

_LOOK_SECONDS = 0.2


class Until(Stop):
    """Asks to stop once the ledger has come to the end of the topic."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._task, self._done = task, False
        analytics = Analytics(ClickHouse(task.settings.urls.clickhouse, task.settings.database))
        threading.Thread(target=self._look, args=(analytics,), daemon=True).start()

    def asked(self) -> bool:
        """Whether everything is in the tables."""
        return self._done

    def _look(self, analytics: Analytics) -> None:
        while True:
            applied = {partition: offset for partition, (offset, _) in analytics.applied().items()}
            # A record that leads to no row of the ledger there is none of: the last one always shows.
            if all(applied.get(partition, -1) + 1 >= end for partition, end in self._task.ends.items()):
                self._task.meter.stop()
                self._done = True
                return
            time.sleep(_LOOK_SECONDS)


def run(task: Task) -> None:
    """From the first record to the last one's row in the ledger."""
    settings = task.settings
    stop = Until(task)
    flow = build(settings, take_generation(settings), Pace(), stop)
    rest_collector()
    task.meter.start()
    try:
        cluster_main(flow, [], 0, epoch_interval=timedelta(seconds=0.5))  # type: ignore[no-untyped-call]  # the engine ships no types
    except (KeyboardInterrupt, Unavailable):
        if not stop.asked():
            raise
