"""The end of a supervisor from outside, within a bounded time and however it is, and of what it left behind."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from ops.stack.state.inspection import Seen, latest_state, look
from ops.stack.state.model import StackState, write_state
from ops.stack.supervisor.reaper import kill_group, start_time

_POLL_SECONDS: Final = 0.05
_LOOK_SECONDS: Final = 1.0
_ORDERLY_SECONDS: Final = 45.0
_WAKE_SECONDS: Final = 2.0
_WOKEN_SECONDS: Final = 8.0
_LEFT_SECONDS: Final = 5.0


def end_supervisor(data_dir: Path, seen: Seen, ended: Callable[[], bool] | None = None) -> None:
    """End a supervisor that lives: in order where it can, else by force. Returns when it has ended.

    One that hangs may only be suspended, so that it is woken up and asked first.

    Args:
        data_dir: The stack's data folder.
        seen: What was seen there just now.
        ended: Whether it has ended, for a caller that is its parent.
    """
    state = seen.state
    if state is None or seen.standing not in ("alive", "hangs"):
        return
    pid, start = state.supervisor_pid, state.supervisor_start
    gone = ended or (lambda: start_time(pid) != start)
    if gone():
        return
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)
    hung = seen.standing == "hangs"
    # One that was woken up looks alive within moments, and then has time to stop in order; it is watched meanwhile.
    if not hung or wait_until(lambda: gone() or look(data_dir).standing == "alive", _WAKE_SECONDS):
        deadline = time.monotonic() + (_WOKEN_SECONDS if hung else _ORDERLY_SECONDS)
        next_look = time.monotonic() + _LOOK_SECONDS
        while not gone() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + _LOOK_SECONDS
                if look(data_dir).standing == "hangs":
                    break
    if not gone():
        kill_group(pid, start)
        wait_until(gone, _LEFT_SECONDS)


def end_what_is_left(data_dir: Path) -> None:
    """End what an earlier supervisor left behind. The caller knows that none is running."""
    state = latest_state(data_dir)
    if state is None:
        return
    left = {info.pid: info.process_start for info in state.processes if info.pid is not None and info.process_start}
    for pid, start in left.items():
        if start_time(pid) == start:
            kill_group(pid, start)
    wait_until(lambda: all(start_time(pid) != start for pid, start in left.items()), _LEFT_SECONDS)


def note_the_end(data_dir: Path) -> None:
    """Let the state file say that nothing runs; the supervisor did not live to write it."""
    state = latest_state(data_dir)
    if state is None or state.phase in ("failed", "stopped"):
        return
    processes = [replace(info, pid=None, healthy=False, state="stopped") for info in state.processes]
    stopped: StackState = replace(state, phase="stopped", processes=processes)
    with suppress(OSError):
        write_state(data_dir, stopped)


def wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    """Whether it holds within so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
