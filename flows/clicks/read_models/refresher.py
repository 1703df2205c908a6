"""The read models beside a worker: they catch up at its start, follow what it writes, and drain at its end."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from connectors.errors import Unavailable
from flows.clicks.processed_batch import ProcessedBatch
from flows.clicks.read_models.projector import Projector
from flows.delivery.fencing import Fences
from flows.delivery.retry import UnavailableRetry
from runtime.periodic import PeriodicThread
from runtime.progress import ProgressReport

_CATCH_UP_SECONDS: Final = 60.0
"""What reading and saving some days may take; more than the projector's ClickHouse and Mongo take to give up."""


class ReadModels:
    """Refreshes read models by a thread of its own.

    Args:
        projector: Reads the tables and writes the read models.
        retry: Calls again while a part is unavailable.
        report: Beats while a start catches up.
    """

    def __init__(self, projector: Projector, retry: UnavailableRetry, report: ProgressReport) -> None:
        self._projector, self._retry, self._report = projector, retry, report
        self._thread = PeriodicThread(projector.refresh)

    def catch_up(self, fences: Fences) -> None:
        """Refresh what an earlier process left stale, and keep it fresh from now on.

        Raises:
            Unavailable: A part does not answer and the process is asked to leave.
        """
        self._report.beat(_CATCH_UP_SECONDS)
        self._retry(lambda: self._projector.find_dirty(fences))
        more = True
        while more:
            self._report.beat(_CATCH_UP_SECONDS)
            more = self._retry(self._projector.catch_up)
        self._thread.start()

    def written(self, batches: Sequence[ProcessedBatch]) -> None:
        """Remember the days that batches changed; they are in the tables now."""
        self._projector.mark_dirty(batches)

    def check_room(self) -> None:
        """Return where more may be counted ahead of the read models.

        Raises:
            Unavailable: They are too far behind.
        """
        self._thread.check()
        self._projector.check_room()

    def end_epoch(self, *, leaving: bool) -> None:
        """See that the thread works; before the process leaves, bring everything up to date that can be in time."""
        self._thread.check()
        if leaving:
            with suppress(Unavailable):
                self._projector.drain()

    def close(self) -> None:
        """Leave the read models as they are; a process that ends need not ask for it."""
        self._thread.end()
