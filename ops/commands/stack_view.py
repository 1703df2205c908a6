"""Shows a stack as a table, or as JSON."""

import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import typer
from rich.table import Table

from ops.commands.tables import wide_console
from ops.commands.texts import cell
from ops.stack.disk.space import Disk, what_to_do
from ops.stack.state.inspection import Seen
from ops.stack.state.model import ProcessInfo, StackState
from ops.stack.supervisor.process import tail

_LOG_LINES = 5


def nothing_runs(disk: Disk | None, *, as_json: bool) -> None:
    """Report that there is no stack, and the free disk space where it is known."""
    if as_json:
        seen = None if disk is None else asdict(disk)
        typer.echo(json.dumps({"phase": "stopped", "processes": [], "disk": seen}))
        return
    typer.echo("Nothing is running.")
    if disk is not None and disk.low:
        typer.echo(what_to_do(disk))


def show(state: StackState, *, as_json: bool, title: str, seen: Seen | None = None) -> None:
    """Show a stack.

    Args:
        state: The stack.
        as_json: Print one JSON document.
        title: The table's title.
        seen: The state of its supervisor, where it was checked.
    """
    problem = "" if seen is None else seen.problem
    if as_json:
        typer.echo(json.dumps(_document(state, seen), indent=2))
        return
    if problem:
        typer.echo(problem)
    if seen is not None and seen.standing == "ended" and all(info.state == "gone" for info in state.processes):
        typer.echo("None of its processes is left.")
        if state.disk is not None and state.disk.low:
            typer.echo(what_to_do(state.disk))
        return
    table = Table(title=title if not problem else "What is there now", title_justify="left", box=None)
    for heading in ("part", "state", "pid", "ready (s)", "restarts", "url"):
        table.add_column(heading, no_wrap=heading != "url", overflow="fold")
    for info in state.processes:
        table.add_row(*_row(info))
    console = wide_console()
    console.print(table)
    logs = {str(Path(info.log).parent) for info in state.processes if info.log}
    for folder in sorted(logs):
        console.print(cell(f" logs are in {os.path.relpath(folder)}"), highlight=False, soft_wrap=True)
    if state.left_out:
        typer.echo(f" left out on request: {', '.join(state.left_out)}")
    dashboard = state.process("dashboard")
    if dashboard is not None and dashboard.healthy:
        front = state.process("proxy")
        typer.echo(f" the dashboard is at {front.url if front is not None and front.healthy else dashboard.url}")
    for line in _remarks(state, time.monotonic()):
        typer.echo(line)


def _document(state: StackState, seen: Seen | None) -> dict[str, object]:
    document: dict[str, object] = asdict(state)
    now = time.monotonic()
    processes = []
    for info in state.processes:
        log_tail = tail(Path(info.log), _LOG_LINES) if info.log and not info.healthy else []
        processes.append({**asdict(info), "retry_in_seconds": _retry_in(info, now), "log_tail": log_tail})
    document["processes"] = processes
    if seen is not None:
        age = round(seen.age_seconds, 1)
        document["supervisor"] = {"standing": seen.standing, "state_age_seconds": age, "problem": seen.problem}
        if seen.problem:
            document["phase"] = seen.standing
    return document


def _row(info: ProcessInfo) -> tuple[str, ...]:
    ready = "" if info.ready_ms is None else f"{info.ready_ms / 1000:.1f}"
    shown = "healthy" if info.healthy else "not ready" if info.state == "running" else info.state
    pid = "elsewhere" if info.external else str(info.pid or "")
    restarts = f"{info.restarts} ({info.hangs} hung)" if info.hangs else str(info.restarts)
    return info.name, shown, pid, ready, restarts, info.url


def _remarks(state: StackState, now: float) -> list[str]:
    """A line for everything that may need attention."""
    lines = []
    if state.pause is not None and not state.pause.problem:
        lines.append(f"everything stands still for a backup, since {now - state.pause.since:.0f} s")
    for info in state.processes:
        retry = _retry_in(info, now)
        again = f"; it is tried again in {retry:.0f} s" if retry is not None else ""
        again = "; only 'marketplace up' starts it again" if info.state in ("fenced", "refused") else again
        if not info.healthy:
            how = "not ready" if info.state == "running" else info.state
            lines.append(f"{info.name} is {how}: {info.problem or 'no answer yet'}{again}")
        elif info.note:
            lines.append(f"{info.name}: {info.note}")
        if info.last_restart and info.restarts and info.pid is not None:
            lines.append(f"{info.name} was started again {_times(info.restarts)}, the last time: {info.last_restart}")
    if state.disk is not None and state.disk.low:
        lines.append(what_to_do(state.disk))
    if state.write_problem:
        lines.append(f"the supervisor cannot write its state file: {state.write_problem}; this is its own answer")
    return lines


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _retry_in(info: ProcessInfo, now: float) -> float | None:
    return None if info.retry_at is None else round(max(0.0, info.retry_at - now), 1)
