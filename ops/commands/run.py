"""``marketplace run`` and ``marketplace health``: one process of ours, as containers and units start and ask it."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from ops.commands.one_line import fail, one_line_errors, say
from ops.processes import SERVICE, health_of, process_of, unread
from ops.stack.errors import StackError
from runtime.settings import InvalidSettings

ServiceArgument = Annotated[
    str, typer.Argument(envvar=SERVICE.name, show_envvar=False, help="The service, as `marketplace status` names it.")
]


def run(
    service: ServiceArgument,
    arguments: Annotated[
        list[str] | None, typer.Argument(help="What follows, such as the names of some consumers.")
    ] = None,
) -> None:
    """Become one service, with its settings from the environment, until SIGTERM.

    This is what containers, units of systemd and other supervisors start: the process keeps its number, gets their
    signals, and writes its log to standard error. It waits for its parts by itself and makes what is missing in them.
    """
    for line in unread(os.environ):
        say(line)
    try:
        process = process_of(service, arguments or [], os.environ)
    except (InvalidSettings, StackError) as error:
        # A wrong name, too, is what trying again cannot help.
        fail(str(error), 2)
    sys.stdout.flush()
    os.execve(process.command[0], process.command, process.environment)


def health(
    service: ServiceArgument,
    url: Annotated[
        str, typer.Option(help="Where it says how it is.", show_default="on this machine, as its settings say")
    ] = "",
    timeout: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds that it may take to answer.")] = 5.0,
) -> None:
    """Ask one service of this machine whether it makes progress; one line, and exit code 0 if it does, else 1.

    It reads the same settings as the service, so that in a container it needs no options.
    """
    if url and not url.startswith(("http://", "https://")):
        fail(f"--url {url}: give one that begins with http:// or https://", 2)
    with one_line_errors(InvalidSettings, StackError):
        found = health_of(service, os.environ, timeout, url)
    typer.echo(f"{service}: {found.outcome}{f': {found.text}' if found.text else ''}")
    if found.outcome != "fine":
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(run)
    app.command()(health)
