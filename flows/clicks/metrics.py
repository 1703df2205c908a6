"""What the click flow reports to Prometheus beside what all flows do: outcomes from the ledger, geography, stores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from connectors.analytics import Analytics
from connectors.clickhouse import ClickHouse
from connectors.mongo_stores import MongoStores, connect
from flows.delivery.process_set import FlowProcessSet
from marketplace.outcomes import EXPIRED, OUTCOMES
from marketplace.settings import Settings
from runtime.shared_answer import SharedAnswer

_TIMEOUT_SECONDS: Final = 3.0
_SECONDS: Final = 5.0
_STORES_SECONDS: Final = 60.0


class ClickMetrics(Collector):
    """Outcomes, from the ledger itself: the numbers survive restarts and cannot drift from the tables.

    Args:
        settings: Where everything is.
        processes: The set that runs the flow.
    """

    def __init__(self, settings: Settings, processes: FlowProcessSet) -> None:
        self._processes = processes
        analytics = Analytics(ClickHouse(settings.urls.clickhouse, settings.database, timeout_seconds=_TIMEOUT_SECONDS))
        stores = MongoStores(connect(settings.urls.mongo), settings.database)
        self._totals = SharedAnswer(analytics.ledger_totals, _SECONDS)
        self._bad_stores = SharedAnswer(lambda: len(stores.read().bad), _STORES_SECONDS)

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment, seconds old at most; those of a part that does not answer are absent."""
        yield GaugeMetricFamily(
            "marketplace_geography_refused",
            "Whether the GeoIP file that is there is refused, and an older one is used.",
            value=int("geography" in self._processes.notes()),
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
        bad_stores = self._bad_stores.get()
        if bad_stores is not None:
            yield GaugeMetricFamily(
                "marketplace_stores_unusable",
                "Documents in stores that are none; their clicks are dead letters.",
                bad_stores,
            )
