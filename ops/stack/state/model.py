"""What the state file of a stack says."""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from marketplace.settings import Urls
from ops.stack.disk.space import Disk
from ops.stack.process_spec import HealthCheck

Part = str
"""The name of a part or a service in the registry."""

DATA_VARIABLE: Final = "MARKETPLACE_DATA"
DEFAULT_DATA_DIR: Final = ".marketplace"

OLDEST_QUERY_HEADER: Final = "X-Marketplace-Oldest-Query-Seconds"
"""What the embedded ClickHouse says in its answer to `/ping` while queries run."""

STATE_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One process (or one external part) as the supervisor last saw it.

    Attributes:
        process_start: the kernel's start time of `pid`, which tells it from a later process with the same number.
        ready_ms: how long the latest start took until it was healthy; None until it was.
        healthy: whether the latest health check passed.
        problem: why it did not, or why the process ended.
        hangs: how often it was killed because it did not answer; `restarts` has them, too.
        last_restart: why it was started again the last time.
        retry_at: when it is started again, in seconds of CLOCK_MONOTONIC; None where nothing is planned.
        note: what is worth knowing about a healthy one.
        check_url: where it says how it is; empty from a version that did not say.
        check: how it is asked; None from a version that did not say.
    """

    name: str
    part: Part
    url: str
    state: str
    external: bool = False
    pid: int | None = None
    process_start: int | None = None
    restarts: int = 0
    ready_ms: int | None = None
    healthy: bool = False
    last_exit: int | None = None
    problem: str = ""
    log: str = ""
    hangs: int = 0
    last_restart: str = ""
    retry_at: float | None = None
    note: str = ""
    check_url: str = ""
    check: HealthCheck | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """All processes of the stack stand still for a backup.

    Attributes:
        token: whose; what the backup has made up.
        since: in seconds of CLOCK_MONOTONIC.
        problem: why they do not, or not any longer.
    """

    token: str
    since: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class StackState:
    """The whole of `state.json`. `phase` is starting, running, failed, stopping or stopped.

    Attributes:
        heartbeat: when the supervisor's loop last went round, in seconds of CLOCK_MONOTONIC; None from a version that
            did not say.
        disk: that of the data folder, None where it could not be looked at.
        write_problem: why the state file cannot be written, and is older than this.
        hang_seconds: a process of ours that does not answer for so long is started again.
        low_disk_mb: less free disk than so many MB is low; 0 from a version that did not say.
        left_out: parts and services that this start was asked to leave out.
        requested: what was asked for by its own option, now or the last time; a start of everything starts it again.
        earlier_ports: of what does not run now, as they were the last time; it gets them again.
        pause: while a backup needs everything to stand still.
    """

    phase: str
    supervisor_pid: int
    supervisor_start: int
    brokers: int
    ports: dict[str, int]
    urls: Urls
    processes: list[ProcessInfo] = field(default_factory=list)
    problem: str = ""
    version: int = STATE_VERSION
    heartbeat: float | None = None
    disk: Disk | None = None
    write_problem: str = ""
    hang_seconds: float = 0.0
    low_disk_mb: int = 0
    left_out: list[Part] = field(default_factory=list)
    requested: list[Part] = field(default_factory=list)
    earlier_ports: dict[str, int] = field(default_factory=dict)
    pause: Pause | None = None

    def process(self, name: str) -> ProcessInfo | None:
        """The process of that name, or the first one of the part of that name."""
        exact = next((info for info in self.processes if info.name == name), None)
        return exact or next((info for info in self.processes if info.part == name), None)


def state_path(data_dir: Path) -> Path:
    """Where the state of a data folder is."""
    return data_dir / "state.json"


def read_state(data_dir: Path) -> StackState | None:
    """The state a supervisor last wrote, `None` when there is none that this version can read."""
    try:
        state = msgspec.json.decode(state_path(data_dir).read_bytes(), type=StackState)
    except (OSError, msgspec.MsgspecError):
        return None
    return state if state.version == STATE_VERSION else None


def write_state(data_dir: Path, state: StackState) -> None:
    """Replace the state file in one step, so that a reader never sees half of it."""
    path = state_path(data_dir)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        # URLs of parts that run elsewhere may have passwords in them.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(state)) + b"\n")
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
