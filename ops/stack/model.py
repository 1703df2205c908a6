"""What the stack consists of and what its state file says."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import msgspec

from ops.stack.disk import Disk

Part = Literal["kafka", "mongo", "clickhouse", "redis", "flow", "collector", "dashboard", "traffic"]

PARTS: Final[tuple[Part, ...]] = ("kafka", "mongo", "clickhouse", "redis")
SERVICES: Final[tuple[Part, ...]] = ("flow", "collector", "dashboard")
"""The product's own processes, which use the parts. `traffic` is none of them: only a demo asks for it, later."""

TITLES: Final[Mapping[Part, str]] = {
    "kafka": "Kafka",
    "mongo": "MongoDB (SecantusDB)",
    "clickhouse": "ClickHouse (chDB)",
    "redis": "Redis (Valkey)",
    "flow": "click flow",
    "collector": "collector",
    "dashboard": "dashboard",
    "traffic": "demo traffic",
}
DEFAULT_PORTS: Final[Mapping[Part, int]] = {
    "kafka": 19092,
    "mongo": 27117,
    "clickhouse": 18123,
    "redis": 16379,
    "flow": 19464,
    "collector": 8700,
    "dashboard": 8501,
}
URL_VARIABLES: Final[Mapping[Part, str]] = {part: f"MARKETPLACE_{part.upper()}_URL" for part in PARTS}
PORT_VARIABLES: Final[Mapping[Part, str]] = {part: f"MARKETPLACE_{part.upper()}_PORT" for part in (*PARTS, *SERVICES)}
ADMIN_PORT_VARIABLE: Final = "MARKETPLACE_COLLECTOR_ADMIN_PORT"
DATA_VARIABLE: Final = "MARKETPLACE_DATA"
DEFAULT_DATA_DIR: Final = ".marketplace"

OLDEST_QUERY_HEADER: Final = "X-Marketplace-Oldest-Query-Seconds"
"""What the embedded ClickHouse says in its answer to `/ping` while queries run."""

STATE_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Urls:
    """Where each part answers; empty for a part that is not in the stack.

    `kafka` is a bootstrap list `host:port[,host:port...]`, the others are URLs.
    """

    kafka: str = ""
    mongo: str = ""
    clickhouse: str = ""
    redis: str = ""

    def of(self, part: Part) -> str:
        """The URL of one part."""
        return str(getattr(self, part))


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One process (or one external part) as the supervisor last saw it.

    Attributes:
        process_start: the kernel's start time of `pid`, which tells it from a later process with the same number.
        ready_ms: how long the first start took until it was healthy.
        healthy: whether the latest health check passed.
        problem: why it did not, or why the process ended.
        hangs: how often it was killed because it did not answer; `restarts` has them, too.
        last_restart: why it was started again the last time.
        retry_at: when it is started again, in seconds of CLOCK_MONOTONIC; None where nothing is planned.
        note: what is worth knowing about a healthy one.
        check_url: where it says how it is; empty from a version that did not say.
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


@dataclass(frozen=True, slots=True)
class StackState:
    """The whole of `state.json`. `phase` is starting, running, failed, stopping or stopped.

    Attributes:
        heartbeat: when the supervisor's loop last went round, in seconds of CLOCK_MONOTONIC; None from a version that
            did not say.
        disk: that of the data folder, None where it could not be looked at.
        write_problem: why the state file cannot be written, and is older than this.
        hang_seconds: a process of ours that does not answer for so long is started again.
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
