"""When a process that died is started again, and when it is given up: a state machine without a clock.

Every function takes the time it happens at, in milliseconds of a clock that never goes back, and returns a new value.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class ProcessState(StrEnum):
    """What the supervisor knows about one process."""

    STARTING = "starting"
    RUNNING = "running"
    BACKING_OFF = "backing-off"
    CRASHED = "crashed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How patient the supervisor is.

    Attributes:
        first_backoff_ms: the wait after the first death in a window; doubled with each further one.
        max_backoff_ms: the longest wait.
        crash_limit: so many deaths within `crash_window_ms` mean that restarting does not help.
        start_limit: so many deaths before the process was ever healthy mean the same.
    """

    first_backoff_ms: int = 200
    max_backoff_ms: int = 10_000
    crash_limit: int = 5
    crash_window_ms: int = 60_000
    start_limit: int = 2


DEFAULT_POLICY: Final = RestartPolicy()


@dataclass(frozen=True, slots=True)
class Supervised:
    """One process's life so far.

    Attributes:
        since_ms: when the state was entered.
        deaths_ms: the deaths that count, within the window, oldest first.
        restarts: how often it was started again.
        ever_healthy: whether it passed a health check since it was first started or given a new chance.
        resume_at_ms: when a process that backs off is started again.
        last_exit: how it ended the last time: an exit code, or minus the signal.
    """

    state: ProcessState
    since_ms: int
    deaths_ms: tuple[int, ...] = ()
    restarts: int = 0
    ever_healthy: bool = False
    resume_at_ms: int | None = None
    last_exit: int | None = None


def started(now_ms: int, restarts: int = 0) -> Supervised:
    """The process was started for the first time, or again by a person's will; what was before is forgiven."""
    return Supervised(ProcessState.STARTING, now_ms, restarts=restarts)


def healthy(process: Supervised, now_ms: int) -> Supervised:
    """A health check passed."""
    if process.state is not ProcessState.STARTING:
        return process
    return replace(process, state=ProcessState.RUNNING, since_ms=now_ms, ever_healthy=True)


def exited(
    process: Supervised, now_ms: int, exit_code: int, policy: RestartPolicy = DEFAULT_POLICY, *, expected: bool = False
) -> Supervised:
    """The process ended without being stopped; an `expected` end (a drill) is no sign of a crash loop."""
    if process.state in (ProcessState.STOPPED, ProcessState.CRASHED):
        return replace(process, last_exit=exit_code)
    recent = tuple(at for at in process.deaths_ms if now_ms - at < policy.crash_window_ms)
    deaths = recent if expected else (*recent, now_ms)
    limit = policy.crash_limit if process.ever_healthy else policy.start_limit
    if len(deaths) >= limit:
        return replace(
            process,
            state=ProcessState.CRASHED,
            since_ms=now_ms,
            deaths_ms=deaths,
            resume_at_ms=None,
            last_exit=exit_code,
        )
    backoff_ms = min(policy.max_backoff_ms, policy.first_backoff_ms * 2 ** max(0, len(deaths) - 1))
    return replace(
        process,
        state=ProcessState.BACKING_OFF,
        since_ms=now_ms,
        deaths_ms=deaths,
        resume_at_ms=now_ms + backoff_ms,
        last_exit=exit_code,
    )


def is_due(process: Supervised, now_ms: int) -> bool:
    """Whether it is time to start the process again."""
    return process.resume_at_ms is not None and now_ms >= process.resume_at_ms


def restarted(process: Supervised, now_ms: int) -> Supervised:
    """The process was started again after a death."""
    return replace(
        process, state=ProcessState.STARTING, since_ms=now_ms, restarts=process.restarts + 1, resume_at_ms=None
    )


def stopped(process: Supervised, now_ms: int) -> Supervised:
    """The process was told to stop and must stay so."""
    return replace(process, state=ProcessState.STOPPED, since_ms=now_ms, resume_at_ms=None)
