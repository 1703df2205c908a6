"""The gate: a run whose tables differ from the oracle's answer has failed, whatever its speed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from bench.stand import Ran, Stand, ends
from connectors.analytics import Analytics
from connectors.clickhouse import ClickHouse
from marketplace.settings import Settings
from ops.demo.verify import Agreement, ask_oracle, compare_ledger, compare_rollups, read_log, read_reports


class Gate:
    """The oracle's answer for the corpus; asked once, which takes two minutes for a million records.

    Args:
        stand: Where the corpus is.
    """

    def __init__(self, stand: Stand) -> None:
        self._stores = stand.corpus.stores()
        self._settings = Settings(stand.urls, PurePosixPath(stand.folder))
        records = read_log(self._settings, {}, ends(stand.urls.kafka))
        self._expected = ask_oracle(self._settings, records, self._stores)
        # The numbers stay; what they were counted from takes gigabytes.
        self._expected.facts.clear()

    def check(self, run: Ran) -> Agreement:
        """Compare every number of every report, and the ledger, with the run's tables."""
        settings = replace(self._settings, database=run.database)
        clickhouse = ClickHouse(settings.urls.clickhouse, settings.database)
        analytics, agreement = Analytics(clickhouse), Agreement()
        compare_ledger(agreement, self._expected, analytics.ledger(), set(self._stores))
        compare_rollups(
            agreement, self._expected, read_reports(analytics, self._stores.values()), self._stores.values()
        )
        clickhouse.close()
        return agreement
