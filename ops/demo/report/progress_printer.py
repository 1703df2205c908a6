"""Reports the demo's progress on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

_LINE_SECONDS: Final = 2.0


class ProgressPrinter:
    """Prints messages and progress, and times phases.

    Attributes:
        seconds: The duration of each phase, by name.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._said_at = 0.0
        self.seconds: dict[str, float] = {}

    def say(self, text: str) -> None:
        """Print one line."""
        self._console.print(text, markup=False)

    @contextmanager
    def phase(self, name: str, text: str) -> Iterator[None]:
        """Time a phase; a terminal shows a spinner meanwhile."""
        began = time.monotonic()
        if sys.stderr.isatty():
            with self._console.status(text):
                yield
        else:
            yield
        self.seconds[name] = round(time.monotonic() - began, 2)
        self.say(f"{text}: {self.seconds[name]:.1f} s")

    @contextmanager
    def counting(self, name: str, text: str, total: int) -> Iterator[None]:
        """Time a phase that counts up to a total; see :meth:`count`."""
        began = self._said_at = time.monotonic()
        if sys.stderr.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[detail]}"),
                TimeRemainingColumn(),
            )
            with Progress(*columns, console=self._console, transient=True) as self._progress:
                self._task = self._progress.add_task(text, total=total, detail="")
                yield
            self._progress = None
        else:
            yield
        self.seconds[name] = round(time.monotonic() - began, 2)
        self.say(f"{text}: {self.seconds[name]:.1f} s")

    def count(self, done: int, detail: str) -> None:
        """Report progress of the current phase: the count so far, and a text about it."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, detail=detail)
        elif time.monotonic() - self._said_at >= _LINE_SECONDS:
            self._said_at = time.monotonic()
            self.say(detail)
