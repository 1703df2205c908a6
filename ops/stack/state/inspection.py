"""What runs on a data folder, asked from outside: the supervisor's own answer, or else its state file and the kernel.

A state is believed while its supervisor lives and its loop goes round. One that is older says what was, and whoever
needs to know what is has to look at the processes.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import msgspec

from marketplace.settings import Urls
from ops.stack.disk.space import Disk, look_at_disk
from ops.stack.errors import StackError
from ops.stack.health.watch import look_at_all
from ops.stack.state.beacon import ask_supervisor
from ops.stack.state.model import STATE_VERSION, ProcessInfo, StackState, state_path
from ops.stack.supervisor.reaper import start_time
from ops.stack.supervisor.watched import check_of

STALE_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 4.0

Standing = Literal["none", "alive", "hangs", "ended"]


class SupervisorHangsError(StackError):
    """The supervisor lives, but its loop does not go round: what it says may not be so any more."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known about the stack of a data folder.

    Attributes:
        standing: `none` runs; the supervisor is `alive`; it `hangs`; it `ended` without stopping.
        state: the latest there is; None where there never was one.
        age_seconds: of the state's heartbeat.
        disk: that of the folder now, whoever looks after it; None where it cannot be looked at.
    """

    standing: Standing
    state: StackState | None = None
    age_seconds: float = 0.0
    disk: Disk | None = None

    @property
    def problem(self) -> str:
        """One line about a supervisor that hangs or ended, else nothing."""
        if self.state is None:
            return ""
        pid = self.state.supervisor_pid
        if self.standing == "ended":
            return f"the supervisor (pid {pid}) ended without stopping; 'marketplace up' starts everything again"
        if self.standing == "hangs":
            disk = f"{self.disk.free_mb:,} MB free" if self.disk is not None else "cannot be looked at"
            return (
                f"the supervisor (pid {pid}) hangs, or cannot write: its state is {self.age_seconds:.0f} s old; "
                f"disk: {disk}; 'marketplace up' starts it again"
            )
        return ""


def look(data_dir: Path) -> Seen:
    """Look at the stack of a data folder; it takes a second where the supervisor hangs.

    Raises:
        StackError: the folder cannot be read.
    """
    folder = data_dir.resolve()
    answered = ask_supervisor(folder)
    state = answered if answered is not None else _state_file(folder)
    if state is None:
        return Seen("none")
    if start_time(state.supervisor_pid) != state.supervisor_start:
        ended = state.phase in ("starting", "running", "stopping")
        return Seen("ended" if ended else "none", state, disk=_disk(folder, state))
    # A supervisor of an earlier version says nothing about its heart.
    age = 0.0 if state.heartbeat is None else max(0.0, time.monotonic() - state.heartbeat)
    return Seen("hangs" if age > STALE_SECONDS else "alive", state, age, _disk(folder, state))


def latest_state(data_dir: Path) -> StackState | None:
    """The latest state, believed or not; `None` when there is none that this version can read.

    Raises:
        StackError: the folder cannot be read.
    """
    folder = data_dir.resolve()
    return ask_supervisor(folder) or _state_file(folder)


def running_state(data_dir: Path | str) -> StackState | None:
    """What the supervisor of a data folder says, `None` when there is no supervisor alive.

    Raises:
        SupervisorHangsError: it is alive, but what it says is too old to be believed.
        StackError: the folder cannot be read.
    """
    seen = look(Path(data_dir))
    if seen.standing == "hangs":
        raise SupervisorHangsError(seen.problem)
    return seen.state if seen.standing == "alive" else None


def running_urls(data_dir: Path | str) -> Urls | None:
    """The URLs of the stack that runs on a data folder, `None` when none does.

    Raises:
        SupervisorHangsError: its supervisor hangs.
        StackError: the folder cannot be read.
    """
    state = running_state(data_dir)
    return state.urls if state is not None and state.phase == "running" else None


def looked_at(state: StackState) -> StackState:
    """A state whose processes are as they are now, and not as a supervisor that hangs once saw them."""
    alive = [info for info in state.processes if info.external or _is_alive(info)]
    found = look_at_all({info.name: check_of(info) for info in alive}, LOOK_SECONDS)
    processes = []
    for info in state.processes:
        health = found.get(info.name)
        if health is None:
            problem = f"it was process {info.pid}" if info.pid is not None else info.problem or "no process"
            processes.append(replace(info, healthy=False, problem=problem, state="gone", pid=None))
        else:
            healthy = health.outcome == "fine"
            processes.append(replace(info, healthy=healthy, problem="" if healthy else health.text))
    return replace(state, processes=processes)


def _is_alive(info: ProcessInfo) -> bool:
    return info.pid is not None and start_time(info.pid) == info.process_start


def _state_file(folder: Path) -> StackState | None:
    try:
        state = msgspec.json.decode(state_path(folder).read_bytes(), type=StackState)
    except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError):
        return None
    except OSError as error:
        raise StackError(f"the stack in {folder} cannot be looked at: {error.strerror}") from error
    return state if state.version == STATE_VERSION else None


def _disk(folder: Path, state: StackState) -> Disk | None:
    try:
        return look_at_disk(folder, state.low_disk_mb)
    except OSError:
        return None
