"""One process of the stack as its supervisor sees it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from ops.stack.checking import HealthWatch
from ops.stack.health import Health, check
from ops.stack.model import SERVICES, Part, ProcessInfo
from ops.stack.policy import ProcessState, Supervised
from ops.stack.process import Child
from ops.stack.silence import Timing
from ops.stack.specs import ProcessSpec

_REFUSED_EXIT: Final = 2
_FENCED_EXIT: Final = 3


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

    @property
    def check_url(self) -> str:
        """Where it says how it is."""
        return self.spec.check_url or self.url if self.spec is not None else self.url

    @property
    def final_exits(self) -> Mapping[int, ProcessState]:
        """Exit codes that starting it again cannot help."""
        return final_exits(self.part)

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
        )

    def _check(self, timeout_seconds: float) -> Health:
        return check(self.part, self.check_url, timeout_seconds, own=self.spec is not None)


def check_of(info: ProcessInfo) -> partial[Health]:
    """The look at a process that a state describes, for `look_at_all`."""
    return partial(check, info.part, info.check_url or info.url, own=not info.external)


def final_exits(part: Part) -> Mapping[int, ProcessState]:
    """Exit codes of a part's process that starting it again cannot help.

    Processes of ours end with 2 where a setting cannot be used. The flow ends with 3 where a newer start has fenced it
    and with 4 where its topic or a table is not the one it knows.
    """
    if part not in (*SERVICES, "traffic"):
        return {}
    refused = {_REFUSED_EXIT: ProcessState.REFUSED}
    if part == "flow":
        return refused | {_FENCED_EXIT: ProcessState.FENCED}
    return refused


def how_it_ended(state: ProcessState, code: int) -> str:
    """What an exit code, or minus a signal, means to a person, given the state that it led to."""
    if state is ProcessState.FENCED:
        return f"a newer start of the flow has fenced it (exit code {code})"
    if state is ProcessState.REFUSED:
        return f"it refuses its settings or its data (exit code {code})"
    return f"killed by signal {-code}" if code < 0 else f"exited with code {code}"
