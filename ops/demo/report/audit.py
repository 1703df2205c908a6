"""The audit of a run: the oracle computes every number from the log, and is compared with the reports."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.insights.report import LedgerRow
from connectors.mongo.client import connect
from connectors.mongo.stores import MongoStores
from marketplace.stores import Store
from ops.demo.report.models import ReadModels, compare_read_models
from ops.demo.report.progress_printer import ProgressPrinter
from ops.demo.report.sums import since
from ops.demo.report.verify import Agreement, ask_oracle, compare_ledger, compare_rollups, read_log, read_reports
from ops.demo.services.background import Background, retry_unavailable
from ops.demo.services.demo_processes import DemoProcesses
from ops.demo.traffic.shops import DemoStore
from ops.oracle import Expected


@dataclass
class Baseline:
    """Offsets of the log and rows of the ledger from before the run."""

    starts: dict[int, int]
    ledger: list[LedgerRow]


@dataclass
class Audit:
    """What the audit of a run found.

    Attributes:
        agreement: The comparisons.
        records: The number of records that the run wrote to the log.
    """

    agreement: Agreement
    records: int


def read_baseline(processes: DemoProcesses) -> Baseline:
    """Read the baseline; call it before anything is sent and before the flow starts."""
    # Partitions of a new topic may not have a leader yet.
    ends, applied = processes.retry(processes.log_ends), processes.applied_ends()
    return Baseline({partition: applied.get(partition, 0) for partition in ends}, processes.analytics.ledger())


class Auditor:
    """Audits a run that is drained.

    Args:
        processes: The running collector and flow.
        opened: The run's own stores.
        baseline: The log before the run.
        ends: The log's end offsets now.
    """

    def __init__(
        self, processes: DemoProcesses, opened: list[DemoStore], baseline: Baseline, ends: dict[int, int]
    ) -> None:
        self._processes, self._baseline, self._ends = processes, baseline, ends
        self._stores = [o.store for o in opened]

    def audit(self, printer: ProgressPrinter, timeout_seconds: float) -> Audit:
        """Compare every number.

        Raises:
            DemoFailed, FlowFailed, Unavailable: The audit cannot be finished.
        """
        processes = self._processes
        oracle = Background(self._expect, "oracle")
        reports = Background(
            lambda: retry_unavailable(lambda: read_reports(processes.analytics, self._stores)), "reports"
        )
        with printer.phase("oracle", "Running the oracle, and reading every report"):
            for work in (oracle, reports):
                work.start()
            processes.wait_until(
                lambda: not (oracle.is_alive() or reports.is_alive()), timeout_seconds, "the oracle's answer"
            )
            (expected, records), found = oracle.result(), reports.result()
        with printer.phase("compare", "Comparing every number"):
            agreement = processes.retry(lambda: self._compare_small(expected))
            compare_rollups(agreement, expected, found, self._stores)
        return Audit(agreement, records)

    def _expect(self) -> tuple[Expected, int]:
        settings = self._processes.settings
        records = retry_unavailable(lambda: read_log(settings, self._baseline.starts, self._ends))
        return ask_oracle(settings, records, retry_unavailable(self._all_stores)), len(records)

    def _all_stores(self) -> dict[str, Store]:
        client = connect(self._processes.settings.urls.mongo)
        try:
            return {store.slug: store for store in MongoStores(client, self._processes.settings.database).list_stores()}
        finally:
            client.close()

    def _compare_small(self, expected: Expected) -> Agreement:
        """Compare the ledger and the read models."""
        slugs = {store.slug for store in self._stores}
        agreement, models = Agreement(), ReadModels(self._processes.settings)
        grown = since(self._processes.analytics.ledger(), self._baseline.ledger, slugs)
        compare_ledger(agreement, expected, grown, slugs)
        try:
            shown = compare_read_models(expected, models, self._stores)
        finally:
            models.close()
        agreement.compared += shown.compared
        agreement.differences += shown.differences
        return agreement
