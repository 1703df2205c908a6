"""What the click flow reports to Prometheus beside what all flows do: outcomes from the ledger, geography, stores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from connectors.clickhouse.client import ClickHouse
from connectors.insights.report import Analytics
from connectors.mongo.client import connect
from connectors.mongo.stores import MongoStores
from flows.delivery.process_set import FlowProcessSet
from marketplace import metrics as catalogue
from marketplace.clicks.outcomes import OUTCOMES
from marketplace.flows import EXPIRED
from runtime.metrics import family
from runtime.sections import Settings
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
        self._mongo = connect(settings.urls.mongo)
        stores = MongoStores(self._mongo, settings.database)
        self._totals = SharedAnswer(analytics.ledger_totals, _SECONDS)
        self._bad_stores = SharedAnswer(lambda: len(stores.read().bad), _STORES_SECONDS)

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment, seconds old at most; those of a part that does not answer are absent."""
        yield family(catalogue.GEOGRAPHY_REFUSED, [((), int("geography" in self._processes.notes()))])
        totals = self._totals.get()
        if totals is not None:
            outcomes = (outcome.name for outcome in OUTCOMES)
            yield family(catalogue.CLICKS, [([name], totals.outcomes.get(name, 0)) for name in outcomes])
            yield family(catalogue.CLICKS_EXPIRED, [((), totals.notes.get(EXPIRED, 0))])
        bad_stores = self._bad_stores.get()
        if bad_stores is not None:
            yield family(catalogue.STORES_UNUSABLE, [((), bad_stores)])

    def close(self) -> None:
        """Disconnect."""
        self._mongo.close()
