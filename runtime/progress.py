"""How a process shows its supervisor how far it is: a page of shared memory, which needs no disk and never blocks.

The supervisor makes the page and passes its file descriptor on; the process writes a small document into it and the
supervisor reads the newest one. Time is measured by the supervisor alone: a process hangs when its document has not
changed for longer than it said it might take (its *lease*), whatever any wall clock does.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

PAGE_BYTES: Final = 8 * 1024
LEASE_SECONDS: Final = 40.0
"""What a process may take between two beats where it asks for nothing else."""

_HEAD: Final = struct.Struct("<QI")
_TRIES: Final = 100
_MAX_TEXT_CHARS: Final = 600
"""Two texts of that many characters, six bytes each as JSON may write them, fit into a page."""

Ending = Literal["", "fenced", "refused", "unavailable"]


class Progress(msgspec.Struct, frozen=True):
    """What a process says of itself.

    Attributes:
        beats: Grows with everything that shows that it goes on: epochs, answers, tries of a bounded wait.
        epochs: Grows with each epoch that ended; it stands still while a part is waited for.
        records: How many records were decided since the start.
        lease_seconds: The next beat comes within so much, or the process hangs.
        waiting: What it waits for; empty while it works.
        ending: Why it leaves, where that means something to its supervisor.
        reason: The same in a sentence.
        notes: What an operator should know although the process works, by a short name.
    """

    beats: int = 0
    epochs: int = 0
    records: int = 0
    lease_seconds: float = LEASE_SECONDS
    waiting: str = ""
    ending: Ending = ""
    reason: str = ""
    notes: dict[str, str] = msgspec.field(default_factory=dict)


class ProgressPage:
    """The supervisor's end; safe to share between threads.

    Attributes:
        fd: To be passed to the process, which opens a :class:`ProgressReport` on it.
    """

    def __init__(self) -> None:
        self.fd = os.memfd_create("progress", 0)
        os.ftruncate(self.fd, PAGE_BYTES)
        self._map = mmap.mmap(self.fd, PAGE_BYTES)
        self._lock = threading.Lock()
        self._latest = Progress()

    def read(self) -> Progress:
        """The newest whole document; an empty one before the first, and the last one after the end."""
        with self._lock:
            for _ in range(0 if self._map.closed else _TRIES):
                before, length = _HEAD.unpack_from(self._map)
                body = self._map[_HEAD.size : _HEAD.size + min(length, PAGE_BYTES - _HEAD.size)]
                after, _ = _HEAD.unpack_from(self._map)
                if before == after and before % 2 == 0:
                    if length:
                        self._latest = msgspec.json.decode(body, type=Progress)
                    break
            return self._latest

    def close(self) -> None:
        """Free the page; safe to call twice, and beside a reader."""
        with self._lock:
            if not self._map.closed:
                self._map.close()
                os.close(self.fd)


class ProgressReport:
    """The process's end; safe to share between threads.

    Args:
        fd: The descriptor of a :class:`ProgressPage`; None if there is no reader.
    """

    def __init__(self, fd: int | None = None) -> None:
        self._map = None if fd is None else mmap.mmap(fd, PAGE_BYTES)
        self._lock = threading.Lock()
        self._latest, self._version = Progress(), 0

    @property
    def latest(self) -> Progress:
        """What was said last."""
        return self._latest

    def beat(self, lease_seconds: float = LEASE_SECONDS, *, waiting: str = "") -> None:
        """Go on.

        Args:
            lease_seconds: The next beat comes within so much.
            waiting: What is waited for, if anything.
        """
        text = waiting[:_MAX_TEXT_CHARS]
        self._say(lambda said: msgspec.structs.replace(said, lease_seconds=lease_seconds, waiting=text))

    def epoch(self) -> None:
        """An epoch ended."""
        self._say(
            lambda said: msgspec.structs.replace(said, epochs=said.epochs + 1, lease_seconds=LEASE_SECONDS, waiting="")
        )

    def decided(self, records: int) -> None:
        """Add to the number of decided records."""
        self._say(lambda said: msgspec.structs.replace(said, records=said.records + records, waiting=""))

    def note(self, name: str, text: str) -> None:
        """Say something about a part of the process; an empty text takes it back."""

        def change(said: Progress) -> Progress:
            notes = {**said.notes, name: text[:_MAX_TEXT_CHARS]}
            return msgspec.structs.replace(said, notes={key: value for key, value in notes.items() if value})

        self._say(change)

    def end(self, ending: Ending, reason: str) -> None:
        """Say why the process leaves; the first reason stands, as what follows is mostly caused by it."""
        text = reason[:_MAX_TEXT_CHARS]
        self._say(lambda said: said if said.ending else msgspec.structs.replace(said, ending=ending, reason=text))

    def _say(self, change: Callable[[Progress], Progress]) -> None:
        with self._lock:
            said = change(self._latest)
            self._latest = msgspec.structs.replace(said, beats=said.beats + 1)
            if self._map is None:
                return
            body = msgspec.json.encode(self._latest)
            if len(body) > PAGE_BYTES - _HEAD.size:
                # Notes are the only texts of which there may be many.
                body = msgspec.json.encode(msgspec.structs.replace(self._latest, notes={}))
            self._version += 2
            # An odd version says that the document is being written.
            _HEAD.pack_into(self._map, 0, self._version - 1, len(body))
            self._map[_HEAD.size : _HEAD.size + len(body)] = body
            _HEAD.pack_into(self._map, 0, self._version, len(body))


@dataclass
class Lease:
    """A supervisor's judgement of one process: the time that has passed since its last beat, by one clock.

    Args:
        now: Seconds of a monotonic clock, when the process was started.
        first_seconds: How long the first beat may take.
        most_seconds: How long any may take, whatever the process asks for once it has begun.
    """

    now: float
    first_seconds: float = 2 * LEASE_SECONDS
    most_seconds: float = float("inf")

    def __post_init__(self) -> None:
        self._beats, self._beat_at, self._lease_seconds = 0, self.now, self.first_seconds
        self._epochs, self._epoch_at = 0, self.now

    def observe(self, progress: Progress, now: float) -> None:
        """Take note of what the process says now."""
        if progress.beats != self._beats:
            self._beats, self._beat_at = progress.beats, now
            self._lease_seconds = min(progress.lease_seconds, self.most_seconds)
        if progress.epochs != self._epochs:
            self._epochs, self._epoch_at = progress.epochs, now

    def excuse(self, seconds: float) -> None:
        """Nobody looked for so long, so that the process is not blamed for the time: both may have stood still."""
        self._beat_at += seconds
        self._epoch_at += seconds

    def silent_seconds(self, now: float) -> float:
        """How long ago its last beat was noticed."""
        return now - self._beat_at

    def standing_seconds(self, now: float) -> float:
        """How long ago its last epoch was noticed to have ended."""
        return now - self._epoch_at

    def hangs(self, now: float) -> bool:
        """Whether the next beat is overdue."""
        return now - self._beat_at > self._lease_seconds
