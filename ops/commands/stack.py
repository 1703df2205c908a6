"""`marketplace up`, `down` and `status`: the embedded stack from the command line."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.commands.one_line import fail, interrupt, one_line_errors
from ops.commands.options import JsonOption
from ops.commands.stack_view import nothing_runs, show
from ops.commands.stack_wishes import Asked, refuse_wishes
from ops.demo.catalogue import sample_shops
from ops.service_settings import check_services
from ops.stack import AlreadyRunningError, Part, Stack, StackError, SupervisorHangsError
from ops.stack.looking import look, looked_at, running_state
from ops.stack.model import DATA_VARIABLE, DEFAULT_DATA_DIR, DEFAULT_PORTS, PARTS, PORT_VARIABLES, SERVICES, StackState
from ops.stack.revival import revive
from runtime.settings import InvalidSettings

DataOption = Annotated[Path, typer.Option("--data", envvar=DATA_VARIABLE, help="The folder that holds everything.")]
_WATCH_SECONDS = 0.5
_RUNNING_SECONDS = 120.0


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
    services: Annotated[
        bool | None,
        typer.Option(
            "--services/--no-services",
            help="Also run the click flow, the collector and the dashboard.",
            show_default="--services",
        ),
    ] = None,
    foreground: Annotated[bool, typer.Option("--foreground/--detach", help="Stay, and stop it all on Ctrl-C.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Start Kafka, MongoDB, ClickHouse, Redis, the click flow, the collector and the dashboard; wait until healthy.

    On a running stack it starts what crashed, was fenced or refused, and refuses what it cannot change. A supervisor
    that hangs or ended is ended with what it left, and everything starts again.
    """
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
    with one_line_errors(StackError, InvalidSettings):
        if services is not False:
            check_services(os.environ)
        parts = PARTS if services is False else (*PARTS, *SERVICES)
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
            interrupted = "Interrupted; 'marketplace status' says what runs."
            with one_line_errors(interrupted=interrupted):
                state = _wait_for_running(data)
            refuse_wishes(state, Asked(brokers, usual | asked, services, foreground), os.environ)
            if ports == "auto":
                typer.echo("--ports auto changes nothing: the stack keeps the ports it has", err=True)
            with one_line_errors(interrupted=interrupted):
                for was in revive(stack):
                    typer.echo(f"{was}, and runs again", err=True)
            show(stack.state(), as_json=as_json, title="The stack is running already")
            missing = [part for part in parts if state.process(part) is None]
            if missing:
                typer.echo(f"It runs without {', '.join(missing)}: 'marketplace down', then 'up' starts all.", err=True)
            return
        for notice in stack.notices:
            typer.echo(notice, err=True)
        if foreground:
            _stay(stack, as_json=as_json)
        else:
            stack.detach()
            show(stack.state(), as_json=as_json, title="The stack is up")


def down(data: DataOption = Path(DEFAULT_DATA_DIR), as_json: JsonOption = False) -> None:
    """Stop everything; the data stays. A supervisor that hangs is ended by force, within fifteen seconds."""
    with one_line_errors(StackError):
        standing = look(data).standing
        started = time.monotonic()
        Stack(data, external={}).stop()
        seconds = round(time.monotonic() - started, 1)
        left = look(data)
        if left.standing in ("alive", "hangs"):
            raise StackError(left.problem or f"the stack in {data} does not stop")
    if as_json:
        typer.echo(json.dumps({"stopped": standing != "none", "seconds": seconds, "supervisor": standing}))
    elif standing == "ended":
        typer.echo("The supervisor had ended without stopping; nothing of it is left.")
    elif standing == "hangs":
        typer.echo(f"The stack is down ({seconds} s); its supervisor did not answer.")
    else:
        typer.echo(f"The stack is down ({seconds} s)." if standing == "alive" else "Nothing is running.")


def status(data: DataOption = Path(DEFAULT_DATA_DIR), as_json: JsonOption = False) -> None:
    """Show what runs; exit code 0 when everything is healthy, 1 otherwise.

    Where the supervisor hangs, it looks at the processes itself.
    """
    with one_line_errors(StackError):
        seen = look(data)
    state = seen.state
    if seen.standing == "none" or state is None:
        nothing_runs(as_json=as_json)
        raise typer.Exit(1)
    if seen.standing != "alive":
        state = looked_at(state)
    show(state, as_json=as_json, title=f"The stack is {state.phase}", seen=seen)
    if seen.standing != "alive" or state.write_problem or not all(info.healthy for info in state.processes):
        raise typer.Exit(1)


def _stay(stack: Stack, *, as_json: bool) -> None:
    """Wait for Ctrl-C, SIGTERM or the supervisor's end, then stop everything."""
    try:
        show(stack.state(), as_json=as_json, title="The stack is up")
        problem = ""
        while True:
            try:
                if running_state(stack.data_dir) is None:
                    break
                problem = ""
            except SupervisorHangsError as error:
                if not problem:
                    typer.echo(f"marketplace: {error}", err=True)
                problem = str(error)
            time.sleep(_WATCH_SECONDS)
    except KeyboardInterrupt:
        sys.stderr.write("Stopping\n")
    finally:
        stack.stop()


def _wait_for_running(data: Path) -> StackState:
    """The state of a stack that somebody else started, once it is up."""
    deadline, seen = time.monotonic() + _RUNNING_SECONDS, False
    while time.monotonic() < deadline:
        state = running_state(data)
        if state is not None and state.phase == "running":
            return state
        seen = state is not None or seen
        if seen and state is None:
            raise StackError(f"the stack in {data} was stopped meanwhile; 'marketplace up' starts it")
        time.sleep(_WATCH_SECONDS)
    raise StackError(f"another command holds {data} and its stack does not come up; see `marketplace status`")
