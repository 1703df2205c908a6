"""Imports of CSV files: how far one is, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from marketplace.catalog.csv_files import LineFault

LEASE_MS: Final = 30_000
"""So long after its last sign of life an import counts as interrupted."""

KEPT_DAYS: Final = 30
MAX_FAULTS: Final = 1_000
"""Of an import; further ones are counted."""

PRODUCTS_AT_ONCE: Final = 100
LINES_AT_ONCE: Final = 400
"""Bounds on what is written in one transaction."""


class ImportState(StrEnum):
    """What an import is doing."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Import:
    """An import.

    Attributes:
        id: 32 hexadecimal digits.
        store: The slug of the store.
        by: The account that began it.
        dry_run: Whether it writes nothing.
        state: As it was written; see :meth:`state_at`.
        products: How many the file has.
        done: Of how many the outcome is known: the four numbers below together.
        created: New products.
        changed: Products that were there and are different now.
        unchanged: Products that were there and stayed as they were.
        failed: Products that were not imported, because of their lines.
        faults: What is wrong with lines, in the order in which it was found.
        more_faults: How many further ones there are.
        reason: Why it failed; empty where it did not.
        created_at: Epoch milliseconds.
        changed_at: Epoch milliseconds of the last sign of life.
    """

    id: str
    store: str
    by: str
    dry_run: bool
    state: ImportState
    products: int
    done: int = 0
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    failed: int = 0
    faults: tuple[LineFault, ...] = ()
    more_faults: int = 0
    reason: str = ""
    created_at: int = 0
    changed_at: int = 0

    def state_at(self, now_ms: int) -> ImportState:
        """What it is doing: one that gives no sign of life was interrupted, as when its process was killed."""
        lost = self.state is ImportState.RUNNING and now_ms >= self.changed_at + LEASE_MS
        return ImportState.INTERRUPTED if lost else self.state
