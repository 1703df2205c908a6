"""When a process that died or hangs is started again: one policy for all that run processes, without a clock.

Every function takes the time it happens at, in milliseconds of a clock that never goes back, and returns a new value.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class ProcessState(StrEnum):
    """What the supervisor knows about one process.

    `crashed` is tried again after a pause, as `backing-off` is, but after a longer one. `fenced` and `refused` are
    final: starting the same process again cannot help, so that only a person's start ends them.
    """

    STARTING = "starting"
    RUNNING = "running"
    BACKING_OFF = "backing-off"
    CRASHED = "crashed"
    FENCED = "fenced"
    REFUSED = "refused"
    STOPPED = "stopped"


FINAL: Final = frozenset({ProcessState.FENCED, ProcessState.REFUSED, ProcessState.STOPPED})
"""States that no time ends."""


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How patient the supervisor is.

    Attributes:
        first_backoff_ms: the wait after the first death in a window; doubled with each further one.
        max_backoff_ms: the longest wait between quick restarts.
        crash_limit: this many deaths within `crash_window_ms` are a crash loop.
        crash_window_ms: a process that was healthy for so long is forgiven everything.
        start_limit: this many deaths before the process was ever healthy are a crash loop, too.
        crash_pause_ms: the wait after a crash loop; doubled with each further death until the process is forgiven.
        max_crash_pause_ms: the longest wait of all.
    """

    first_backoff_ms: int = 200
    max_backoff_ms: int = 10_000
    crash_limit: int = 5
    crash_window_ms: int = 60_000
    start_limit: int = 2
    crash_pause_ms: int = 5_000
    max_crash_pause_ms: int = 60_000


DEFAULT_POLICY: Final = RestartPolicy()


@dataclass(frozen=True, slots=True)
class Supervised:
    """One process's life so far.

    Attributes:
        since_ms: when the state was entered.
        deaths_ms: the deaths that count, within the window, oldest first.
        restarts: how often it was started again.
        hangs: how often it was killed because it did not answer.
        crashes: deaths since it first crashed and was not forgiven.
        waits: exits since it was last healthy for which something else was unavailable.
        ever_healthy: whether it passed a health check since it was first started or given a new chance.
        resume_at_ms: when a process that backs off or crashed is started again.
        last_exit: how it ended the last time: an exit code, or minus the signal.
    """

    state: ProcessState
    since_ms: int
    deaths_ms: tuple[int, ...] = ()
    restarts: int = 0
    hangs: int = 0
    crashes: int = 0
    waits: int = 0
    ever_healthy: bool = False
    resume_at_ms: int | None = None
    last_exit: int | None = None


def started(now_ms: int, restarts: int = 0, hangs: int = 0) -> Supervised:
    """The process was started for the first time, or again by a person's will; what was before is forgiven."""
    return Supervised(ProcessState.STARTING, now_ms, restarts=restarts, hangs=hangs)


def healthy(process: Supervised, now_ms: int) -> Supervised:
    """A health check passed."""
    if process.state is not ProcessState.STARTING:
        return process
    return replace(process, state=ProcessState.RUNNING, since_ms=now_ms, waits=0, ever_healthy=True)


def hung(process: Supervised) -> Supervised:
    """The process is about to be killed because it does not answer; its end follows as that of any other."""
    return replace(process, hangs=process.hangs + 1)


def exited(
    process: Supervised,
    now_ms: int,
    exit_code: int,
    policy: RestartPolicy = DEFAULT_POLICY,
    *,
    expected: bool = False,
    final_exits: Mapping[int, ProcessState] | None = None,
    unavailable_exits: Collection[int] = (),
) -> Supervised:
    """The process ended without being stopped.

    Args:
        process: as it was.
        now_ms: when.
        exit_code: or minus the signal.
        policy: how patient to be.
        expected: a drill, which is no sign of a crash loop.
        final_exits: exit codes after which it is not started again, and the state that each leads to.
        unavailable_exits: exit codes that say that something else was unavailable, which is no death of its own: it
            backs off for longer each time until it is healthy, however often, and never crashes of that.
    """
    process = replace(process, last_exit=exit_code)
    if process.state in FINAL:
        return process
    final = (final_exits or {}).get(exit_code)
    if final is not None:
        return replace(process, state=final, since_ms=now_ms, resume_at_ms=None)
    if process.state is ProcessState.RUNNING and now_ms - process.since_ms >= policy.crash_window_ms:
        process = replace(process, deaths_ms=(), crashes=0)
    recent = tuple(at for at in process.deaths_ms if now_ms - at < policy.crash_window_ms)
    if expected:
        return _wait(process, ProcessState.BACKING_OFF, now_ms, policy.first_backoff_ms, recent)
    if exit_code in unavailable_exits:
        backoff_ms = _doubled(policy.first_backoff_ms, process.waits, policy.max_backoff_ms)
        process = replace(process, waits=process.waits + 1)
        return _wait(process, ProcessState.BACKING_OFF, now_ms, backoff_ms, recent)
    deaths = (*recent, now_ms)[-policy.crash_limit :]
    limit = policy.crash_limit if process.ever_healthy else policy.start_limit
    if process.crashes or len(deaths) >= limit:
        pause_ms = _doubled(policy.crash_pause_ms, process.crashes, policy.max_crash_pause_ms)
        crashed = replace(process, crashes=process.crashes + 1)
        return _wait(crashed, ProcessState.CRASHED, now_ms, pause_ms, deaths)
    backoff_ms = _doubled(policy.first_backoff_ms, len(deaths) - 1, policy.max_backoff_ms)
    return _wait(process, ProcessState.BACKING_OFF, now_ms, backoff_ms, deaths)


def is_due(process: Supervised, now_ms: int) -> bool:
    """Whether it is time to start the process again."""
    return process.resume_at_ms is not None and now_ms >= process.resume_at_ms


def hurried(process: Supervised, now_ms: int) -> Supervised:
    """What made it crash may be over: a process that waits for its next start is started now."""
    return process if process.resume_at_ms is None else replace(process, resume_at_ms=min(process.resume_at_ms, now_ms))


def restarted(process: Supervised, now_ms: int) -> Supervised:
    """The process was started again after a death."""
    return replace(
        process, state=ProcessState.STARTING, since_ms=now_ms, restarts=process.restarts + 1, resume_at_ms=None
    )


def stopped(process: Supervised, now_ms: int) -> Supervised:
    """The process was stopped on request and must stay stopped."""
    return replace(process, state=ProcessState.STOPPED, since_ms=now_ms, resume_at_ms=None)


def _wait(
    process: Supervised, state: ProcessState, now_ms: int, pause_ms: int, deaths_ms: tuple[int, ...]
) -> Supervised:
    return replace(process, state=state, since_ms=now_ms, deaths_ms=deaths_ms, resume_at_ms=now_ms + pause_ms)


def _doubled(first_ms: int, times: int, most_ms: int) -> int:
    # Crashes are counted without end: a shift by their number must not make a number of a thousand digits.
    return min(most_ms, first_ms << min(times, 32))
