"""One child process of the supervisor: start, end, log."""

import errno
import logging
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

from ops.stack.process_spec import ProcessSpec
from ops.stack.supervisor.reaper import kill_group, start_time
from runtime.parent_death import guarded
from runtime.settings import with_values

LARGEST_LOG_BYTES: Final = 10 * 1024 * 1024
_TAIL_BYTES: Final = 8192
_KEPT_WHEN_FULL_BYTES: Final = 256 * 1024
_LOG: Final = logging.getLogger("ops.stack.supervisor")


class Child:
    """A running process of a spec, the leader of its own process group."""

    def __init__(self, spec: ProcessSpec, log: Path) -> None:
        environment = with_values(os.environ, spec.environment)
        self._stop_signal = spec.stop_signal
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                guarded(spec.command, os.getpid()),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=log.parent,
                start_new_session=True,
            )
        self.pid = self._popen.pid
        self.start = start_time(self.pid)

    def exit_code(self) -> int | None:
        """The exit code, or minus the signal; `None` while it runs."""
        code = self._popen.poll()
        if code is not None and self._popen.stdin is not None and not self._popen.stdin.closed:
            self._popen.stdin.close()
            kill_group(self.pid, self.start)
        return code

    def terminate(self) -> None:
        """Ask it to stop, also where it is suspended."""
        if self._popen.poll() is None:
            self._popen.send_signal(self._stop_signal)
            self._popen.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it and whatever it started, now."""
        if self._popen.poll() is None:
            kill_group(self.pid, self.start)

    def wait(self, deadline: float) -> bool:
        """Wait for its end until a time of `time.monotonic`; whether it ended."""
        try:
            self._popen.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return self.exit_code() is not None


def rotate_all(logs: Path) -> None:
    """Keep every log of a folder bounded."""
    for log in logs.glob("*.log"):
        try:
            rotate(log)
        except OSError as error:
            _LOG.warning("%s cannot be kept bounded: %s", log.name, error.strerror)


def rotate(log: Path, largest_bytes: int = LARGEST_LOG_BYTES) -> bool:
    """Keep a log bounded: what is there moves to `<log>.1`, and the writer goes on in the emptied file.

    The writer appends, so truncating its file in place is safe; a few lines written in between may be lost. Where the
    disk has no room for the copy, its place is taken by the last lines only, and the log says so.
    """
    try:
        if log.stat().st_size < largest_bytes:
            return False
    except FileNotFoundError:
        return False
    content = log.read_bytes()
    previous = log.with_name(f"{log.name}.1")
    draft = log.with_name(f"{log.name}.1.tmp")
    try:
        draft.write_bytes(content)
        draft.replace(previous)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        draft.unlink(missing_ok=True)
        # The log itself is what has to go, so that there is room for the rest.
        os.truncate(log, 0)
        previous.write_bytes(content[-_KEPT_WHEN_FULL_BYTES:])
        _LOG.warning("the disk is full: only the end of %s was kept, %d bytes are gone", log.name, len(content))
        return True
    os.truncate(log, 0)
    return True


def tail(log: Path, lines: int = 5) -> list[str]:
    """The last lines of a log that say something."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]
