"""The ``marketplace`` command."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from connectors.analytics import BadQuestion
from connectors.errors import Refused, Unavailable
from marketplace.settings import InvalidSettings
from marketplace.stores import InvalidStore
from ops.commands import demo, flows, ingest, report, stack, stores
from ops.flow_runner import FlowFailed
from ops.stack import StackError

EXPECTED_ERRORS = (BadQuestion, FlowFailed, InvalidSettings, InvalidStore, Refused, StackError, Unavailable)
"""What a user can be told in one line; anything else is a bug of ours and shows where."""


def make_app() -> typer.Typer:
    """The command with all its subcommands."""
    app = typer.Typer(
        name="marketplace",
        help="A marketplace's click analytics: the parts, the flows and the numbers.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for module in (stack, stores, ingest, flows, report, demo):
        module.register(app)
    return app


def main() -> None:
    """Run; expected errors are one line on standard error and exit code 1."""
    try:
        make_app()()
    except EXPECTED_ERRORS as error:
        Console(stderr=True).print(f"[red]error[/red] {' '.join(str(error).split())}", highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
