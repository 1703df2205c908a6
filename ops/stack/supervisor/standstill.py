"""Processes that stand still, with all that they have started, and go on again.

What is on disk then is what a `kill -9` of all of them at that moment would leave: no thread is within a system call
that still writes. The kernel says so of each of them before anybody relies on it.
"""

import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.stack.supervisor.reaper import start_time

_POLL_SECONDS: Final = 0.002
_STOPPED: Final = frozenset("TtZX")
"""States of a thread that does nothing more: stopped, traced, or ended."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process by its number and the kernel's start time, which tells it from a later one with the same number."""

    pid: int
    start: int


class DoesNotStandStill(Exception):
    """A process did not stop in time; all of them go on."""


class Standstill:
    """Stops trees of processes, one group after the other, and lets them go on in the reverse order.

    A process that somebody else had suspended before stays so.
    """

    def __init__(self) -> None:
        self._stopped: list[Process] = []

    def begin(self, groups: Iterable[Sequence[Process]], seconds: float) -> None:
        """Stop all groups.

        Args:
            groups: Each with the processes that lead it; what they have started belongs to it.
            seconds: How long it may take in all.

        Raises:
            DoesNotStandStill: A process did not stop; nothing stands still.
        """
        deadline = time.monotonic() + seconds
        try:
            for leaders in groups:
                self._stop_all(leaders, deadline)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Let everything go on, what was stopped last first; safe to call twice."""
        while self._stopped:
            process = self._stopped.pop()
            if start_time(process.pid) == process.start:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGCONT)

    def _stop_all(self, leaders: Sequence[Process], deadline: float) -> None:
        """Stop a group from the top: who is stopped starts nobody, so that each level is complete when it is listed."""
        known: set[int] = set()
        level = [process for process in leaders if start_time(process.pid) == process.start]
        while level:
            for process in level:
                known.add(process.pid)
                if not stands_still(process.pid):
                    self._stopped.append(process)
                    with suppress(ProcessLookupError):
                        os.kill(process.pid, signal.SIGSTOP)
            _wait_for(level, deadline)
            level = [
                process
                for process, parent, session in _everybody()
                if process.pid not in known and (parent in known or session in known)
            ]


def stands_still(pid: int) -> bool:
    """Whether every thread of a process is stopped; also where there is no such process."""
    stats = Path(f"/proc/{pid}/task").glob("*/stat")
    try:
        return all(_fields(stat)[0] in _STOPPED for stat in stats)
    except OSError:
        # A thread that ends while it is looked at does nothing more; the others are looked at the next time.
        return not Path(f"/proc/{pid}").exists()


def _wait_for(processes: Sequence[Process], deadline: float) -> None:
    while waiting := [process.pid for process in processes if not stands_still(process.pid)]:
        if time.monotonic() > deadline:
            raise DoesNotStandStill(f"process {waiting[0]} does not stand still")
        time.sleep(_POLL_SECONDS)


def _everybody() -> Iterator[tuple[Process, int, int]]:
    """Every process of this machine, with its parent and its session."""
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        try:
            fields = _fields(Path(f"/proc/{entry}/stat"))
        except OSError:
            continue
        yield Process(int(entry), int(fields[19])), int(fields[1]), int(fields[3])


def _fields(stat: Path) -> list[str]:
    """What the kernel says behind the name of a process or thread: state, parent, group, session, ..."""
    return stat.read_text().rpartition(")")[2].split()
