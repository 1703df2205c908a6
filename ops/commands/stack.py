"""`marketplace up`, `down` and `status`: the embedded stack from the command line."""

import inspect
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.commands.desired_state import DesiredState, refuse_changes
from ops.commands.one_line import fail, interrupt, one_line_errors, say
from ops.commands.options import JsonOption, split_names
from ops.commands.stack_view import nothing_runs, show
from ops.processes import unread
from ops.stack import AlreadyRunningError, Part, Stack, StackError, SupervisorHangsError, settings
from ops.stack.components import Component
from ops.stack.ports import HIGHEST_PORT
from ops.stack.registry import REGISTRY, Registry
from ops.stack.revival import revive
from ops.stack.selection import Selection
from ops.stack.state.inspection import look, looked_at, running_state
from ops.stack.state.model import DATA_VARIABLE, DEFAULT_DATA_DIR, StackState, read_state
from runtime.sections import DATABASE_NAME
from runtime.settings import InvalidSettings, load

DataOption = Annotated[Path, typer.Option("--data", envvar=DATA_VARIABLE, help="The folder that holds everything.")]
_WATCH_SECONDS = 0.5
_RUNNING_SECONDS = 120.0


def register(app: typer.Typer, registry: Registry = REGISTRY) -> None:
    """Add the three commands.

    Args:
        app: The application that they are added to.
        registry: All parts and services.
    """
    app.command()(_up_command(registry))
    app.command()(down)
    app.command()(status)


def _up_command(registry: Registry) -> Callable[..., None]:
    """`up`, with a port option for each part and service."""
    names = ", ".join(registry.startable)
    services = _listed([service.title for service in registry.services if service.name in registry.usual])

    def up(
        data: DataOption = Path(DEFAULT_DATA_DIR),
        brokers: Annotated[
            int | None, typer.Option(help="Kafka brokers: 1 or 3.", show_default="as before, else 1")
        ] = None,
        only: Annotated[
            list[str] | None,
            typer.Option(
                "--only",
                metavar="NAME",
                help=f"Run only this and what it needs: {names}. Repeat it, or separate names with commas.",
                show_default="everything",
            ),
        ] = None,
        without: Annotated[
            list[str] | None,
            typer.Option("--without", metavar="NAME", help="Do not start this; names as for --only."),
        ] = None,
        ports: Annotated[
            str | None,
            typer.Option(help="default for the usual ones, or auto for free ones.", show_default="as before"),
        ] = None,
        services: Annotated[
            bool | None,
            typer.Option(
                "--services/--no-services",
                help=f"Also run the services: {services}.",
                show_default="--services",
            ),
        ] = None,
        foreground: Annotated[
            bool, typer.Option("--foreground/--detach", help="Stay, and stop it all on Ctrl-C.")
        ] = False,
        as_json: JsonOption = False,
        **of_components: Any,
    ) -> None:
        """Start the parts and services, create missing topics, tables and collections, and wait until all are healthy.

        On a running stack it restarts services that crashed, were fenced or refused, and fails if the options differ
        from what runs. A part that is given by a URL is not started. If the supervisor hangs or was killed, what is
        left of the stack is ended and everything starts again.
        """
        if ports not in (None, "default", "auto"):
            fail(f"--ports is default or auto, not {ports}")
        desired = DesiredState(
            brokers=brokers,
            ports={name: port for name in registry.startable if (port := of_components[_parameter(name)]) is not None},
            selection=Selection(split_names("--only", only), split_names("--without", without), services is not False),
            services=services,
            foreground=foreground,
            choices={
                each.name: choice
                for each in registry.on_request
                if (choice := of_components[_request_parameter(each.name)]) is not None
            },
        )
        _up(registry, data, desired, ports, as_json=as_json)

    options = {_request_parameter(each.name): _request_option(each) for each in registry.on_request}
    options |= {_parameter(name): _port_option(registry[name]) for name in registry.startable}
    return _with_options(up, options)


def _with_options(command: Callable[..., None], options: Mapping[str, Any]) -> Callable[..., None]:
    """The command with options instead of its `**` parameter: Typer reads them from the signature."""
    signature = inspect.signature(command)
    named = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    after = next(place for place, each in enumerate(named) if each.name == "services")
    further = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in options.items()
    ]
    named = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in named]
    command.__signature__ = signature.replace(  # type: ignore[attr-defined]  # a function may have one of its own
        parameters=[*named[:after], *further, *named[after:]]
    )
    return command


def _parameter(name: Part) -> str:
    return f"{name}_port"


def _request_parameter(name: Part) -> str:
    return f"with_{name}"


def _request_option(component: Component) -> Any:
    return Annotated[
        bool | None,
        typer.Option(
            f"{component.request_option}/{component.refusal_option}",
            help=f"Also run the {component.title}.",
            show_default=f"as before, else {component.refusal_option}",
        ),
    ]


def _port_option(component: Component) -> Any:
    usual = component.default_port
    return Annotated[
        int | None,
        typer.Option(
            component.port_option,
            envvar=component.port_variable,
            min=1,
            max=HIGHEST_PORT,
            help=f"{component.name}'s port.",
            show_default=f"as before, else {'a free one' if usual is None else usual}",
        ),
    ]


def _listed(titles: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(titles[:-1]), titles[-1]]))


def _up(registry: Registry, data: Path, desired: DesiredState, ports: str | None, *, as_json: bool) -> None:
    for line in unread(os.environ):
        say(line)
    with one_line_errors(StackError, InvalidSettings):
        previous = read_state(data)
        requested = desired.requested(previous.requested if previous else ()) & frozenset(registry.startable)
        # What is remembered belongs to a start of everything; a selection names all that it wants.
        started = desired.requested(()) if desired.selection else requested
        desired = replace(desired, selection=replace(desired.selection, requested=started))
        parts = desired.selection.resolve(registry, settings.external_urls(os.environ, registry))
        registry.check_settings(parts, os.environ)
        usual: dict[Part, int] = {}
        if ports == "default":
            usual = {each.name: each.default_port for each in registry.chosen(parts) if each.default_port}
        desired = replace(desired, ports={**usual, **desired.ports})
        stack = Stack(
            data,
            ports="auto" if ports == "auto" else desired.ports,
            brokers=desired.brokers,
            parts=parts,
            registry=registry,
            requested=requested,
        )
        signal.signal(signal.SIGTERM, interrupt)
        try:
            stack.start()
        except AlreadyRunningError:
            _show_running(stack, registry, desired, parts, automatic=ports == "auto", as_json=as_json)
            return
        for notice in stack.notices:
            typer.echo(notice, err=True)
        if desired.foreground:
            _stay(stack, as_json=as_json)
        else:
            stack.detach()
            _show_up(stack, as_json=as_json)


def _show_running(
    stack: Stack, registry: Registry, desired: DesiredState, parts: Sequence[Part], *, automatic: bool, as_json: bool
) -> None:
    """Show the running stack, after restarting services that were given up.

    Raises:
        StackError: The stack differs from what was asked for.
    """
    interrupted = "Interrupted; 'marketplace status' says what runs."
    with one_line_errors(interrupted=interrupted):
        state = _wait_for_running(stack.data_dir)
    refuse_changes(registry, state, desired, parts, os.environ)
    if automatic:
        typer.echo("--ports auto changes nothing: the stack keeps the ports it has", err=True)
    with one_line_errors(interrupted=interrupted):
        for was in revive(stack):
            typer.echo(f"{was}, and runs again", err=True)
    show(stack.state(), as_json=as_json, title="The stack is running already")
    missing = [part for part in parts if state.process(part) is None]
    if missing:
        typer.echo(f"It runs without {', '.join(missing)}: 'marketplace down', then 'up' starts all.", err=True)


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
    """Show the stack; exit code 0 when everything that was started is healthy, 1 otherwise.

    If the supervisor hangs, the command checks the processes itself. Low disk space is shown, but is no failure.
    """
    with one_line_errors(StackError):
        seen = look(data)
    state = seen.state
    if seen.standing == "none" or state is None:
        nothing_runs(seen.disk, as_json=as_json)
        raise typer.Exit(1)
    if seen.standing != "alive":
        # The supervisor's view of the disk is as old as the rest of its state.
        state = replace(looked_at(state), disk=seen.disk or state.disk)
    show(state, as_json=as_json, title=f"The stack is {state.phase}", seen=seen)
    if seen.standing != "alive" or state.write_problem or not all(info.healthy for info in state.processes):
        raise typer.Exit(1)


def _show_up(stack: Stack, *, as_json: bool) -> None:
    """Show a stack that has just come up, and how the first admin is made where there is none."""
    state = stack.state()
    show(state, as_json=as_json, title="The stack is up")
    if as_json or state.process("api") is None:
        return
    # Mongo's client is imported only where it is needed.
    from ops.commands.accounts import first_admin

    database = load(os.environ, lambda env: env.read(DATABASE_NAME))
    if steps := first_admin(state, database, stack.data_dir):
        typer.echo(steps)


def _stay(stack: Stack, *, as_json: bool) -> None:
    """Wait for Ctrl-C, SIGTERM or the supervisor's end, then stop everything."""
    try:
        _show_up(stack, as_json=as_json)
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
    """Wait until a stack that another command is starting is up; returns its state."""
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
