"""The end of a stack: its processes stop in order, and what will not is killed."""

import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ops.stack.supervisor.process import Child
from ops.stack.supervisor.watched import Watched

STOP_SECONDS: Final = 10.0
_LOG: Final = logging.getLogger("ops.stack.supervisor")
_KNOCK_SECONDS: Final = 0.05
_BEAT_SECONDS: Final = 0.2


class Reaper:
    """The process that kills whatever is left when the supervisor ends, however it ends."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("reaper.py"))],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def watch(self, child: Child) -> None:
        """Kill this process's group at the end."""
        self._send(f"{child.pid} {child.start or 0}")

    def forget(self, child: Child) -> None:
        """It has ended by itself."""
        self._send(f"{child.pid} 0")

    def close(self) -> None:
        """Kill what is left, now."""
        assert self._process.stdin is not None
        with suppress(OSError, subprocess.TimeoutExpired):
            self._process.stdin.close()
            self._process.wait(STOP_SECONDS)

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
        except OSError as error:
            # Without it, processes still die with the supervisor, and only their own children may not.
            _LOG.error("the reaper is gone: %s", error)


def stop_in_order(everyone: Sequence[Watched], beat: Callable[[], None] = lambda: None) -> None:
    """Stop all processes, rank by rank; one that does not stop in time is killed.

    Args:
        everyone: The processes.
        beat: Called several times a second meanwhile.
    """
    running = [watched for watched in everyone if watched.child is not None]
    for rank in sorted({_rank(watched) for watched in running}):
        group = [watched for watched in running if _rank(watched) == rank]
        for watched in group:
            assert watched.child is not None
            watched.child.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for watched in group:
            assert watched.child is not None
            if not _wait(watched, watched.child, deadline, beat):
                _LOG.warning("%s did not stop in %.0f s and is killed", watched.name, STOP_SECONDS)
                watched.child.kill()
                watched.child.wait(time.monotonic() + STOP_SECONDS)
            watched.child = None
            watched.healthy = False


def _rank(watched: Watched) -> int:
    return 0 if watched.spec is None else watched.spec.stop_rank


def _wait(watched: Watched, child: Child, deadline: float, beat: Callable[[], None]) -> bool:
    knocks = watched.spec is not None and watched.spec.wake_at_stop
    pause = _KNOCK_SECONDS if knocks else _BEAT_SECONDS
    while not child.wait(min(deadline, time.monotonic() + pause)):
        beat()
        if time.monotonic() > deadline:
            return False
        if knocks:
            port = urlsplit(watched.url).port
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port or 0), timeout=_KNOCK_SECONDS).close()
    return True
