"""How connectors are, as Kafka Connect says it."""

from __future__ import annotations

from typing import Final

import msgspec

_REASON_CHARS: Final = 300


class TaskStatus(msgspec.Struct, frozen=True):
    """A task of a connector: its number, its state as Connect says it, and why it failed, as a Java stack trace."""

    id: int
    state: str
    trace: str = ""


class _ConnectorState(msgspec.Struct, frozen=True):
    state: str
    trace: str = ""


class ConnectorStatus(msgspec.Struct, frozen=True):
    """A connector and its tasks."""

    name: str
    connector: _ConnectorState
    tasks: tuple[TaskStatus, ...] = ()

    @property
    def state(self) -> str:
        """The connector's own state: its tasks may have others."""
        return self.connector.state

    @property
    def failed(self) -> tuple[TaskStatus, ...]:
        """The tasks that do nothing until somebody restarts them."""
        return tuple(task for task in self.tasks if task.state == "FAILED")

    @property
    def running(self) -> bool:
        """Whether it has tasks, and it and all of them run."""
        return self.state == "RUNNING" and bool(self.tasks) and all(task.state == "RUNNING" for task in self.tasks)

    @property
    def problem(self) -> str:
        """Why it does not run, in one line; empty while it does."""
        if self.running:
            return ""
        for task in self.failed:
            return f"task {self.name}-{task.id} has failed: {reason_of(task.trace)}"
        if self.state == "FAILED":
            return f"connector {self.name} has failed: {reason_of(self.connector.trace)}"
        if self.state != "RUNNING" or not self.tasks:
            return f"connector {self.name} is {self.state.lower()}" + ("" if self.tasks else ", without a task")
        task = next(task for task in self.tasks if task.state != "RUNNING")
        return f"task {self.name}-{task.id} is {task.state.lower()}"


def reason_of(trace: str) -> str:
    """The last cause of a stack trace, in one line."""
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    reason = causes[-1] if causes else (lines or ["no reason given"])[0]
    return reason[:_REASON_CHARS]
