"""The files of an import, and its progress: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

import rich.progress
import typer

from ingest.imports.access_log import ImportCounts
from ingest.imports.log_files import BrokenLogFile, LogLine, read_lines

_LINE_SECONDS = 5.0
_QUIET_SECONDS = 3.0
"""How long a part may take to answer before it is said that it is waited for."""


@dataclass(frozen=True)
class LogFile:
    """One file of an import.

    Attributes:
        name: As given on the command line.
        raw: The open file, not decompressed.
        size_bytes: Its size on disk, or None for a pipe.
        is_complete: Nothing will be written behind it, so its last line needs no line ending.
    """

    name: str
    raw: BinaryIO
    size_bytes: int | None
    is_complete: bool = False

    def lines(self) -> Iterator[LogLine]:
        """Its decompressed lines."""
        return read_lines(self.name, self.raw, is_complete=self.is_complete)

    def is_read(self) -> bool:
        """Whether its last line has been read."""
        return self.raw.closed

    @contextmanager
    def looked_through(self) -> Iterator[Iterator[LogLine]]:
        """All of its lines beside those that are read: these go on afterwards as if nobody had looked."""
        at = self.raw.tell()
        self.raw.seek(0)
        try:
            # The copy has the same position, and is closed by its reader.
            with open(os.dup(self.raw.fileno()), "rb", buffering=0) as copy:
                yield read_lines(self.name, copy, is_complete=self.is_complete)
        finally:
            self.raw.seek(at)

    def read_bytes(self) -> int:
        """Bytes of the file on disk that have been read."""
        return self.raw.tell() if self.size_bytes is not None and not self.raw.closed else 0


@dataclass
class Progress:
    """Reports an import's progress on stderr."""

    files: Sequence[LogFile]
    bar: rich.progress.Progress | None = None
    task: rich.progress.TaskID | None = None
    _said_at: float = field(default_factory=time.monotonic)

    def say(self, message: str) -> None:
        """Print one line."""
        if self.bar is None:
            typer.echo(message, err=True)
        else:
            self.bar.console.print(message, markup=False, highlight=False)

    def ask(self, question: str) -> str:
        """Ask whoever sits at the terminal, and wait for the answer."""
        if self.bar is not None:
            self.bar.stop()
        try:
            return str(typer.prompt(question, err=True))
        finally:
            if self.bar is not None:
                self.bar.start()

    @contextmanager
    def waiting_for(self, what: str) -> Iterator[None]:
        """Say, now and then, that something is waited for, until the context ends."""
        done = threading.Event()

        def speak() -> None:
            pause = _QUIET_SECONDS
            while not done.wait(pause):
                self.say(f"Waiting for {what} to answer.")
                pause = _LINE_SECONDS

        speaker = threading.Thread(target=speak, daemon=True)
        speaker.start()
        try:
            yield
        finally:
            done.set()
            speaker.join()

    def uncounted(self, records: int) -> None:
        """Report how many records the flow has not counted yet, as far as it is known."""
        if records and time.monotonic() - self._said_at >= _LINE_SECONDS:
            self._said_at = time.monotonic()
            self.say(f"{records:,} records are not counted yet.")

    def counts(self, counts: ImportCounts) -> None:
        """Report the counts after a further batch is in Kafka."""
        if self.bar is not None and self.task is not None:
            done = sum(file.read_bytes() for file in self.files)
            self.bar.update(self.task, completed=done, lines=f"{counts.lines:,} lines")
        elif time.monotonic() - self._said_at >= _LINE_SECONDS:
            self._said_at = time.monotonic()
            self.say(f"{counts.lines:,} lines")


@contextmanager
def open_files(names: Sequence[str], *, are_complete: bool = False) -> Iterator[list[LogFile]]:
    """Open all files before anything is imported; a file named twice is read once.

    Args:
        names: As given on the command line.
        are_complete: Nothing will be written behind them.

    Raises:
        BrokenLogFile: One of them cannot be opened; the message names it.
    """
    with ExitStack() as stack:
        opened: dict[str, LogFile] = {}
        for name in names:
            if name == "-":
                opened.setdefault("-", LogFile("-", sys.stdin.buffer, None, are_complete))
                continue
            try:
                raw = stack.enter_context(open(name, "rb", buffering=0))
            except OSError as error:
                raise BrokenLogFile(f"{name}: {error.strerror}") from error
            status = os.fstat(raw.fileno())
            size_bytes = status.st_size if raw.seekable() else None
            opened.setdefault(f"{status.st_dev}:{status.st_ino}", LogFile(name, raw, size_bytes, are_complete))
        yield list(opened.values())


@contextmanager
def show_progress(files: Sequence[LogFile]) -> Iterator[Progress]:
    """Show a progress bar, if stderr is a terminal, until the context ends."""
    if not sys.stderr.isatty():
        yield Progress(files)
        return
    sizes = [file.size_bytes for file in files]
    total = None if None in sizes else sum(size for size in sizes if size is not None)
    columns = (
        rich.progress.TextColumn("importing"),
        rich.progress.BarColumn(),
        rich.progress.TextColumn("{task.fields[lines]}"),
        rich.progress.TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, console=rich.console.Console(stderr=True), transient=True) as bar:
        yield Progress(files, bar, bar.add_task("importing", total=total, lines="0 lines"))
