"""One process of the stack as its supervisor sees it."""

import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from ops.stack.model import Part, ProcessInfo
from ops.stack.policy import Supervised
from ops.stack.process import Child
from ops.stack.specs import ProcessSpec


@dataclass(slots=True)
class Watched:
    """A process or an external part, and what is known about it."""

    name: str
    part: Part
    url: str
    life: Supervised
    spec: ProcessSpec | None = None
    child: Child | None = None
    ready_ms: int | None = None
    healthy: bool = False
    problem: str = ""
    checking: "Future[None] | None" = None
    next_check: float = 0.0
    restart_by: float | None = None
    born: float = field(default_factory=time.monotonic)

    @property
    def check_url(self) -> str:
        """Where it tells its health."""
        return self.spec.check_url or self.url if self.spec is not None else self.url

    def info(self, log: Path) -> ProcessInfo:
        """What the state file says about it."""
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
        )
