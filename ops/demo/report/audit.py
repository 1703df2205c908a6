"""The audit of a run: the oracle works every number out from the log, the reports are read back, and both meet."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.insights.report import LedgerRow
from connectors.mongo.stores import MongoStores, connect
from marketplace.stores import Store
from ops.demo.report.models import ReadModels, compare_read_models
from ops.demo.report.narrator import Narrator
from ops.demo.report.sums import since
from ops.demo.report.verify import Agreement, ask_oracle, compare_ledger, compare_rollups, read_log, read_reports
from ops.demo.services.background import Background, again
from ops.demo.services.company import Company
from ops.demo.traffic.shops import DemoStore
from ops.oracle import Expected


@dataclass
class Beginning:
    """Where the log and the ledger stood before the run."""

    starts: dict[int, int]
    ledger: list[LedgerRow]


@dataclass
class Audit:
    """What the audit of a run found.

    Attributes:
        agreement: The comparisons.
        records: How many records the run's part of the log has.
    """

    agreement: Agreement
    records: int


def remember_beginning(company: Company) -> Beginning:
    """Ask before anything of this run is sent and before the flow starts."""
    # Partitions of a topic that was made a moment ago may not have a leader yet.
    ends, applied = company.patiently(company.log_ends), company.applied_ends()
    return Beginning({partition: applied.get(partition, 0) for partition in ends}, company.analytics.ledger())


class Auditor:
    """Audits a run that is drained.

    Args:
        company: The running collector and flow.
        opened: The run's own stores.
        beginning: Where the log stood.
        ends: Where it stands.
    """

    def __init__(self, company: Company, opened: list[DemoStore], beginning: Beginning, ends: dict[int, int]) -> None:
        self._company, self._beginning, self._ends = company, beginning, ends
        self._stores = [o.store for o in opened]

    def audit(self, narrator: Narrator, patience_seconds: float) -> Audit:
        """Do it.

        Raises:
            DemoFailed, FlowFailed, Unavailable: It cannot be finished.
        """
        company = self._company
        oracle = Background(self._expect, "oracle")
        reports = Background(lambda: again(lambda: read_reports(company.analytics, self._stores)), "reports")
        with narrator.phase("oracle", "Asking the oracle, and every report"):
            for work in (oracle, reports):
                work.start()
            company.tend(lambda: not (oracle.is_alive() or reports.is_alive()), patience_seconds, "the oracle's answer")
            (expected, records), found = oracle.result(), reports.result()
        with narrator.phase("compare", "Comparing every number"):
            agreement = company.patiently(lambda: self._compare_small(expected))
            compare_rollups(agreement, expected, found, self._stores)
        return Audit(agreement, records)

    def _expect(self) -> tuple[Expected, int]:
        settings = self._company.settings
        records = again(lambda: read_log(settings, self._beginning.starts, self._ends))
        return ask_oracle(settings, records, again(self._all_stores)), len(records)

    def _all_stores(self) -> dict[str, Store]:
        client = connect(self._company.settings.urls.mongo)
        try:
            return {store.slug: store for store in MongoStores(client, self._company.settings.database).list_stores()}
        finally:
            client.close()

    def _compare_small(self, expected: Expected) -> Agreement:
        """The ledger and the read models."""
        slugs = {store.slug for store in self._stores}
        agreement, models = Agreement(), ReadModels(self._company.settings)
        grown = since(self._company.analytics.ledger(), self._beginning.ledger, slugs)
        compare_ledger(agreement, expected, grown, slugs)
        try:
            shown = compare_read_models(expected, models, self._stores)
        finally:
            models.close()
        agreement.compared += shown.compared
        agreement.differences += shown.differences
        return agreement
