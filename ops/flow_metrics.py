"""What the click flow tells Prometheus: read from the tables, the topic and Mongo, and cheap however much they hold."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from connectors.analytics import Analytics
from connectors.clickhouse import ClickHouse
from connectors.errors import Refused, Unavailable
from connectors.kafka.reader import PartitionReader
from connectors.mongo_stores import MongoStores, connect
from marketplace.outcomes import EXPIRED, OUTCOMES
from marketplace.topics import CLICKS_COLLECTED
from ops.flow_runner import FlowRunner
from runtime.sections import Settings

log = logging.getLogger(__name__)

_TIMEOUT_SECONDS: Final = 3.0
_SECONDS: Final = 5.0
_STORES_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 1.0
_PAUSE_PER_QUESTION: Final = 20
"""Asking takes a twentieth of the time at most, however long an answer takes."""

_Answer = TypeVar("_Answer")


class Remembered(Generic[_Answer]):
    """An answer that is asked for again when it is old, by a thread of its own: nobody who wants it waits for long.

    Args:
        ask: Asks.
        seconds: How old an answer may be; an answer that takes long may be older.
        monotonic: Seconds of a monotonic clock.
        patience_seconds: How long :meth:`get` waits for an answer that is being asked for.
    """

    def __init__(
        self,
        ask: Callable[[], _Answer],
        seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._ask, self._seconds, self._monotonic = ask, seconds, monotonic
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._asking: threading.Thread | None = None
        self._answer: _Answer | None = None
        self._again_at = float("-inf")

    def get(self) -> _Answer | None:
        """The answer, seconds old at most where the part answers in time; None while nobody gives one."""
        with self._lock:
            if self._asking is None and self._monotonic() >= self._again_at:
                self._asking = threading.Thread(target=self._refresh, name="metrics", daemon=True)
                self._asking.start()
            asking = self._asking
        if asking is not None:
            asking.join(self._patience_seconds)
        return self._answer

    def _refresh(self) -> None:
        began, answer = self._monotonic(), None
        try:
            answer = self._ask()
        except (Unavailable, Refused) as error:
            log.warning("no numbers: %s", error)
        finally:
            ended = self._monotonic()
            with self._lock:
                self._answer, self._asking = answer, None
                self._again_at = ended + max(self._seconds, _PAUSE_PER_QUESTION * (ended - began))


class FlowMetrics(Collector):
    """What the flow has done, from the ledger itself: the numbers survive restarts and cannot drift from the tables."""

    def __init__(self, settings: Settings, runner: FlowRunner) -> None:
        self._runner = runner
        analytics = Analytics(ClickHouse(settings.urls.clickhouse, settings.database, timeout_seconds=_TIMEOUT_SECONDS))
        self._stores = MongoStores(connect(settings.urls.mongo), settings.database)
        self._reader = PartitionReader(
            settings.kafka, CLICKS_COLLECTED.name, "ops.metrics", timeout_seconds=_TIMEOUT_SECONDS
        )
        self._totals = Remembered(analytics.ledger_totals, _SECONDS)
        self._log = Remembered(self._ranges, _SECONDS)
        self._bad_stores = Remembered(lambda: len(self._stores.read().bad), _STORES_SECONDS)

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment, seconds old at most; those of a part that does not answer are absent."""
        yield CounterMetricFamily(
            "marketplace_flow_restarts", "Restarts of the click flow's processes.", value=self._runner.restarts
        )
        yield GaugeMetricFamily("marketplace_flow_processes", "Running processes.", value=len(self._runner.pids))
        yield CounterMetricFamily(
            "marketplace_flow_hangs", "Restarts because a process gave no sign of life.", value=self._runner.hangs
        )
        yield GaugeMetricFamily(
            "marketplace_flow_ready", "Whether epochs end in every process.", value=int(not self._runner.problem())
        )
        yield GaugeMetricFamily(
            "marketplace_geography_refused",
            "Whether the GeoIP file that is there is refused, and an older one is used.",
            value=int("geography" in self._runner.notes()),
        )
        totals = self._totals.get()
        if totals is not None:
            clicks = CounterMetricFamily("marketplace_clicks", "Events by outcome.", labels=["outcome"])
            for outcome in OUTCOMES:
                clicks.add_metric([outcome.name], totals.outcomes.get(outcome.name, 0))
            yield clicks
            yield CounterMetricFamily(
                "marketplace_clicks_expired",
                "Records that retention deleted before they were counted, as noted in the ledger.",
                value=totals.notes.get(EXPIRED, 0),
            )
            yield from self._distances(totals.applied)
        bad_stores = self._bad_stores.get()
        if bad_stores is not None:
            yield GaugeMetricFamily(
                "marketplace_stores_unusable",
                "Documents in stores that are none; their clicks are dead letters.",
                bad_stores,
            )

    def _distances(self, applied: dict[int, tuple[int, int]]) -> Iterator[Metric]:
        ranges = self._log.get()
        if ranges is None:
            return
        lag = GaugeMetricFamily("marketplace_flow_lag_records", "Records not yet in every table.", labels=["partition"])
        gone = GaugeMetricFamily(
            "marketplace_flow_unreachable_records",
            "Records that retention deleted before they were counted; not in the ledger.",
            labels=["partition"],
        )
        for partition, (low, high) in ranges.items():
            done = applied.get(partition, (low - 1, 0))[0]
            lag.add_metric([str(partition)], max(0, high - max(done + 1, low)))
            gone.add_metric([str(partition)], max(0, low - done - 1))
        yield lag
        yield gone

    def _ranges(self) -> dict[int, tuple[int, int]]:
        return {partition: self._reader.range_of(partition) for partition in self._reader.partitions()}
