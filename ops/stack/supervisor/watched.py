"""One process of the stack as its supervisor sees it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ops.stack.health.checks import Health, check, not_ready
from ops.stack.health.silence import Timing
from ops.stack.health.watch import HealthWatch
from ops.stack.process_spec import ExternalPart, HealthCheck, ProcessSpec
from ops.stack.state.model import Part, ProcessInfo
from ops.stack.supervisor.process import Child
from runtime.supervision import ProcessState, Supervised


@dataclass(slots=True)
class Watched:
    """A process or an external part, and what is known about it.

    Attributes:
        ending: why it is being ended by the supervisor, where it is.
        reason: why it was started again the last time.
    """

    name: str
    part: Part
    url: str
    life: Supervised
    timing: Timing
    check: HealthCheck
    spec: ProcessSpec | None = None
    child: Child | None = None
    ready_ms: int | None = None
    healthy: bool = False
    problem: str = ""
    note: str = ""
    ending: str = ""
    reason: str = ""
    restart_by: float | None = None
    born: float = field(default_factory=time.monotonic)
    health: HealthWatch = field(init=False)

    def __post_init__(self) -> None:
        self.health = HealthWatch(self._check, self.timing)

    @staticmethod
    def of(spec: ProcessSpec, life: Supervised, timing: Timing) -> "Watched":
        """A process of ours."""
        return Watched(spec.name, spec.part, spec.url, life, timing, spec.check, spec)

    @staticmethod
    def elsewhere(part: ExternalPart, life: Supervised, timing: Timing) -> "Watched":
        """A part that runs elsewhere."""
        return Watched(part.name, part.name, part.url, life, timing, part.check)

    @property
    def check_url(self) -> str:
        """Where it says how it is."""
        return self.spec.check_url or self.url if self.spec is not None else self.url

    def info(self, log: Path) -> ProcessInfo:
        """What the state says about it."""
        resume = self.life.resume_at_ms
        return ProcessInfo(
            name=self.name,
            part=self.part,
            url=self.url,
            state=self.life.state.value,
            external=self.spec is None,
            pid=self.child.pid if self.child else None,
            process_start=self.child.start if self.child else None,
            restarts=self.life.restarts,
            ready_ms=self.ready_ms,
            healthy=self.healthy,
            last_exit=self.life.last_exit,
            problem=self.problem,
            log=str(log) if self.spec else "",
            hangs=self.life.hangs,
            last_restart=self.reason,
            retry_at=None if resume is None else resume / 1000,
            note=self.note,
            check_url=self.check_url,
            check=self.check,
        )

    def _check(self, timeout_seconds: float) -> Health:
        return check(self.check, self.check_url, timeout_seconds)


def check_of(info: ProcessInfo) -> Callable[[float], Health]:
    """The look at a process that a state describes, for `look_at_all`."""
    if info.check is None:
        return lambda timeout_seconds: not_ready("a supervisor of another version does not say how it is asked")
    return partial(check, info.check, info.check_url or info.url)


def how_it_ended(state: ProcessState, code: int) -> str:
    """What an exit code, or minus a signal, means to a person, given the state that it led to."""
    if state is ProcessState.FENCED:
        return f"a newer start of the flow has fenced it (exit code {code})"
    if state is ProcessState.REFUSED:
        return f"it refuses its settings or its data (exit code {code})"
    return f"killed by signal {-code}" if code < 0 else f"exited with code {code}"
