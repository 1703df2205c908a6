"""The ``marketplace`` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Final

import typer

_MODULES: Final = {
    "stack": ("up", "down", "status"),
    "backup": ("backup", "restore"),
    "run": ("run", "health"),
    "deploy": ("deploy",),
    "stores": ("stores",),
    "ingest": ("ingest", "collector"),
    "flows": ("flows", "provision"),
    "report": ("report", "ledger"),
    "explain": ("explain",),
    "dlq": ("dlq",),
    "consumers": ("consumers",),
    "payments": ("payments",),
    "relay": ("relay",),
    "accounts": ("accounts",),
    "keys": ("keys",),
    "mail": ("mail",),
    "saga": ("saga",),
    "reconcile": ("reconcile",),
    "ratings": ("reconcile-ratings",),
    "demo": ("demo",),
}
"""Modules of ``ops.commands``, in the order of the help, and the commands that each registers."""


def make_app(arguments: Sequence[str] = ()) -> typer.Typer:
    """The command with all subcommands, or with only the one that the arguments name.

    Importing the clients of all commands takes two seconds, which is too long for ``marketplace status``.

    Args:
        arguments: The arguments after ``marketplace``.
    """
    app = typer.Typer(
        name="marketplace",
        help="A marketplace and its click analytics: the parts, the services, the stores and their numbers.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    # The callback keeps a command's name required where it is the only one registered.
    app.callback()(_group)
    first = "status" if arguments and arguments[0] == "--version" else (*arguments, "")[0]
    asked = [module for module, commands in _MODULES.items() if first in commands]
    for module in asked or _MODULES:
        import_module(f"ops.commands.{module}").register(app)
    return app


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"marketplace {version('marketplace')}")
        raise typer.Exit


def _group(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A marketplace and its click analytics: the parts, the services, the stores and their numbers."""


def expected_errors() -> tuple[type[Exception], ...]:
    """Error types that are shown as one line; anything else is a bug and shows a traceback."""
    from connectors.errors import Refused, Unavailable
    from connectors.insights.report import InvalidQuery
    from flows.delivery.process_set import FlowFailed
    from marketplace.goals import InvalidGoal
    from marketplace.identity.tenancy import TenancyError
    from marketplace.stores import InvalidStore
    from ops.stack import StackError
    from runtime.settings import InvalidSettings

    return (
        InvalidQuery,
        FlowFailed,
        InvalidGoal,
        InvalidSettings,
        InvalidStore,
        Refused,
        StackError,
        TenancyError,
        Unavailable,
    )


def main() -> None:
    """Run the command: an expected error is one line on standard error and exit code 1, an invalid setting code 2."""
    try:
        make_app(sys.argv[1:])()
    except Exception as error:
        # An error of the file system names a file: a full disk, a missing right, a path that cannot be.
        of_a_file = isinstance(error, OSError) and error.filename is not None
        if not of_a_file and not isinstance(error, expected_errors()):
            raise
        from ops.commands.one_line import exit_code, say, text_of

        say(text_of(error))
        sys.exit(exit_code(error))


if __name__ == "__main__":
    main()
