"""`marketplace up`, `down` and `status`: the embedded stack from the command line."""

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ops.commands.one_line import fail, interrupt, one_line_errors
from ops.commands.options import JsonOption
from ops.demo.catalogue import sample_shops
from ops.stack import AlreadyRunningError, Part, Stack, StackError
from ops.stack.model import (
    DATA_VARIABLE,
    DEFAULT_DATA_DIR,
    DEFAULT_PORTS,
    PARTS,
    PORT_VARIABLES,
    SERVICES,
    ProcessInfo,
    StackState,
)
from ops.stack.process import tail
from ops.stack.stack import running_state

DataOption = Annotated[Path, typer.Option("--data", envvar=DATA_VARIABLE, help="The folder that holds everything.")]
_WATCH_SECONDS = 0.5
_LOG_LINES = 5


def register(app: typer.Typer) -> None:
    """Add the three commands."""
    app.command()(up)
    app.command()(down)
    app.command()(status)


def _port_option(part: Part) -> Any:
    flag = f"--{part}-port"
    return typer.Option(
        flag,
        envvar=PORT_VARIABLES[part],
        min=1,
        max=65_535,
        help=f"{part}'s port.",
        show_default=f"as before, else {DEFAULT_PORTS[part]}",
    )


def up(
    data: DataOption = Path(DEFAULT_DATA_DIR),
    brokers: Annotated[
        int | None, typer.Option(help="Kafka brokers: 1 or 3.", show_default="as before, else 1")
    ] = None,
    ports: Annotated[
        str | None, typer.Option(help="default for the usual ones, or auto for free ones.", show_default="as before")
    ] = None,
    kafka_port: Annotated[int | None, _port_option("kafka")] = None,
    mongo_port: Annotated[int | None, _port_option("mongo")] = None,
    clickhouse_port: Annotated[int | None, _port_option("clickhouse")] = None,
    redis_port: Annotated[int | None, _port_option("redis")] = None,
    flow_port: Annotated[int | None, _port_option("flow")] = None,
    collector_port: Annotated[int | None, _port_option("collector")] = None,
    dashboard_port: Annotated[int | None, _port_option("dashboard")] = None,
    services: Annotated[bool, typer.Option(help="Also run the click flow, the collector and the dashboard.")] = True,
    foreground: Annotated[bool, typer.Option("--foreground/--detach", help="Stay, and stop it all on Ctrl-C.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Start Kafka, MongoDB, ClickHouse, Redis, the click flow, the collector and the dashboard; wait until healthy."""
    if ports not in (None, "default", "auto"):
        fail(f"--ports is default or auto, not {ports}")
    given: dict[Part, int | None] = {
        "kafka": kafka_port,
        "mongo": mongo_port,
        "clickhouse": clickhouse_port,
        "redis": redis_port,
        "flow": flow_port,
        "collector": collector_port,
        "dashboard": dashboard_port,
    }
    asked: dict[Part, int] = {part: port for part, port in given.items() if port is not None}
    with one_line_errors(StackError):
        parts = (*PARTS, *SERVICES) if services else PARTS
        usual: dict[Part, int] = {part: DEFAULT_PORTS[part] for part in parts} if ports == "default" else {}
        stack = Stack(
            data,
            ports="auto" if ports == "auto" else usual | asked,
            brokers=brokers,
            parts=parts,
            service_settings=sample_shops(data),
        )
        signal.signal(signal.SIGTERM, interrupt)
        try:
            stack.start()
        except AlreadyRunningError:
            state = _wait_for_running(data)
            _refuse_other_wishes(state, brokers, asked)
            _show(state, as_json=as_json, title="The stack is running already")
            missing = [part for part in parts if state.process(part) is None]
            if missing:
                typer.echo(f"It runs without {', '.join(missing)}: 'marketplace down', then 'up' starts all.", err=True)
            return
        if foreground:
            _stay(stack, as_json=as_json)
        else:
            stack.detach()
            _show(stack.state(), as_json=as_json, title="The stack is up")


def down(data: DataOption = Path(DEFAULT_DATA_DIR), as_json: JsonOption = False) -> None:
    """Stop everything; the data stays."""
    with one_line_errors(StackError):
        running = running_state(data) is not None
        started = time.monotonic()
        Stack(data, external={}).stop()
        seconds = round(time.monotonic() - started, 1)
    if as_json:
        typer.echo(json.dumps({"stopped": running, "seconds": seconds}))
    else:
        typer.echo(f"The stack is down ({seconds} s)." if running else "Nothing is running.")


def status(data: DataOption = Path(DEFAULT_DATA_DIR), as_json: JsonOption = False) -> None:
    """Show what runs; exit code 0 when everything is healthy, 1 otherwise."""
    state = running_state(data)
    if state is None:
        if as_json:
            typer.echo(json.dumps({"phase": "stopped", "processes": []}))
        else:
            typer.echo("Nothing is running.")
        raise typer.Exit(1)
    _show(state, as_json=as_json, title=f"The stack is {state.phase}")
    if not all(info.healthy for info in state.processes):
        raise typer.Exit(1)


def _refuse_other_wishes(state: StackState, brokers: int | None, asked: Mapping[Part, int]) -> None:
    """Fail where a stack runs otherwise than it was asked for just now: nothing of it can be changed while it runs."""
    wishes = []
    if brokers is not None and brokers != state.brokers:
        wishes.append(f"--brokers {brokers} (it has {state.brokers})")
    for part, port in asked.items():
        process = state.process(part)
        actual = None if process is None else state.ports.get(process.name)
        if port != actual:
            wishes.append(f"--{part}-port {port} (it is {'not ours' if actual is None else actual})")
    if wishes:
        raise StackError(f"the stack is running already, without {', '.join(wishes)}: 'marketplace down' first")


def _stay(stack: Stack, *, as_json: bool) -> None:
    """Wait for Ctrl-C, SIGTERM or the supervisor's end, then stop everything."""
    try:
        _show(stack.state(), as_json=as_json, title="The stack is up")
        while running_state(stack.data_dir) is not None:
            time.sleep(_WATCH_SECONDS)
    except KeyboardInterrupt:
        sys.stderr.write("Stopping\n")
    finally:
        stack.stop()


def _wait_for_running(data: Path) -> StackState:
    """The state of a stack that somebody else started, once it is up."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        state = running_state(data)
        if state is not None and state.phase == "running":
            return state
        time.sleep(_WATCH_SECONDS)
    raise StackError(f"another command holds {data} and its stack does not come up; see `marketplace status`")


def _show(state: StackState, *, as_json: bool, title: str) -> None:
    if as_json:
        document = asdict(state)
        for info in document["processes"]:
            info["log_tail"] = tail(Path(info["log"]), _LOG_LINES) if info["log"] and not info["healthy"] else []
        typer.echo(json.dumps(document, indent=2))
        return
    table = Table(title=title, title_justify="left", box=None)
    for heading in ("part", "state", "pid", "ready (s)", "restarts", "url"):
        table.add_column(heading, no_wrap=heading != "url", overflow="fold")
    for info in state.processes:
        table.add_row(*_row(info))
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)
    logs = {str(Path(info.log).parent) for info in state.processes if info.log}
    for folder in sorted(logs):
        console.print(f" logs are in {os.path.relpath(folder)}", highlight=False, soft_wrap=True)
    dashboard = state.process("dashboard")
    if dashboard is not None and dashboard.healthy:
        typer.echo(f" the dashboard is at {dashboard.url}")
    for info in state.processes:
        if not info.healthy:
            typer.echo(f"{info.name} is {info.state}: {info.problem or 'no answer yet'}")


def _row(info: ProcessInfo) -> tuple[str, ...]:
    ready = "" if info.ready_ms is None else f"{info.ready_ms / 1000:.1f}"
    shown = "healthy" if info.healthy else info.state
    pid = "elsewhere" if info.external else str(info.pid or "")
    return info.name, shown, pid, ready, str(info.restarts), info.url
