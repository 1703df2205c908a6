"""A whole stack that runs on a data folder: what it has, and whether all of it agrees."""

from __future__ import annotations

import json
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from connectors.errors import Unavailable
from connectors.mongo.client import connect
from connectors.mongo.sagas.audit import SagaAudit
from connectors.mongo.stores import MongoStores
from flows.delivery.process_set import FlowOptions
from ops.demo.report.models import ReadModels, compare_read_models
from ops.demo.report.verify import Agreement, ask_oracle, compare_ledger, compare_rollups, read_log, read_reports
from ops.demo.services.demo_processes import DemoProcesses
from ops.demo.services.demo_stack import open_demo_stack
from tests.kits.demo import command
from tests.kits.processes import wait_until

_DRAIN_SECONDS: Final = 90.0
_SETTLE_SECONDS: Final = 120.0
_COMMAND_SECONDS: Final = 240.0


@dataclass(frozen=True)
class Counts:
    """What a stack has of its two kinds of input."""

    clicks: int
    orders: int

    def __le__(self, other: Counts) -> bool:
        """Whether neither is more."""
        return self.clicks <= other.clicks and self.orders <= other.orders


class WholeStack:
    """The stack of a data folder.

    Args:
        folder: The data folder.
        temporary: Where commands put temporary folders.
    """

    def __init__(self, folder: Path, temporary: Path) -> None:
        self.folder, self._temporary = folder, temporary

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """The ``marketplace`` command on the folder: its exit code and what it says, on both streams."""
        with command(*arguments, "--data", str(self.folder), temporary=self._temporary) as process:
            out, err = process.communicate(timeout=_COMMAND_SECONDS)
        return process.returncode, out, err

    def up(self) -> None:
        """Start it on ports that are free."""
        code, _, err = self.run("up", "--ports", "auto")
        assert code == 0, err

    def down(self) -> None:
        """Stop it."""
        code, _, err = self.run("down")
        assert code == 0, err

    def counts(self) -> Counts:
        """How many clicks are in the topic, and how many orders were placed."""
        processes = self._processes()
        with closing(connect(processes.settings.urls.mongo)) as client:
            orders = sum(SagaAudit(client, processes.settings.database).states().values())
        return Counts(sum(processes.log_ends().values()), orders)

    def clicks_disagreements(self) -> Agreement:
        """Every number of every store against the oracle, from the first record of the topic to the last."""
        processes = self._processes()
        settings, ends = processes.settings, processes.log_ends()
        wait_until(lambda: processes.is_drained(ends, {}), _DRAIN_SECONDS, "all clicks counted")
        with closing(connect(settings.urls.mongo)) as client:
            stores = list(MongoStores(client, settings.database).list_stores())
        slugs = {store.slug for store in stores}
        expected = ask_oracle(settings, read_log(settings, {}, ends), {store.slug: store for store in stores})
        agreement = Agreement()
        compare_ledger(agreement, expected, processes.analytics.ledger(), slugs)
        compare_rollups(agreement, expected, read_reports(processes.analytics, stores), stores)
        with closing(ReadModels(settings)) as models:
            shown = compare_read_models(expected, models, stores)
        return Agreement(agreement.compared + shown.compared, agreement.differences + shown.differences)

    def ledger_difference(self) -> int:
        """What the ledger cannot explain, in all."""
        return sum(abs(row.difference) for row in self._processes().analytics.ledger())

    def orders_verdict(self) -> dict[str, Any]:
        """What ``marketplace reconcile`` says, as soon as it finds nothing, or else after a while."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            code, out, err = self.run("reconcile", "--json")
            verdict: dict[str, Any] = json.loads(out) if out else {"clean": False, "error": err}
            if code == 0 or time.monotonic() > deadline:
                return verdict

    def wait_until_settled(self) -> None:
        """Return when no order waits for anything but the deadline of its payment."""
        settings = self._processes().settings

        def settled() -> bool:
            with suppress(Unavailable), closing(connect(settings.urls.mongo)) as client:
                states = SagaAudit(client, settings.database).states()
                return not any(states.get(state, 0) for state in ("paid", "refunding"))
            return False

        wait_until(settled, _SETTLE_SECONDS, "every order settled")

    def _processes(self) -> DemoProcesses:
        return DemoProcesses(open_demo_stack(self.folder, once=False, brokers=1), FlowOptions(), served=True)
