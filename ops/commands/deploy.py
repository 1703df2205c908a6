"""``marketplace deploy``: what a deployment needs before and at its first start."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from api.config import public_url
from connectors.errors import Refused, Unavailable
from connectors.mongo.replica_set import ReplicaSetAdmin, user_roles
from ops.commands.one_line import fail, one_line_errors
from ops.commands.options import DataOption
from ops.context import load_read, load_settings
from ops.deploy.secrets import OF_COMPOSE, USER, BadSecret, make_secrets
from runtime.sections import DATABASE_NAME
from runtime.settings import InvalidSettings

_POLL_SECONDS: Final = 1.0
ADMINISTRATOR: Final = "root"
"""Of MongoDB, as its first member is made with."""


def secrets(
    out: Annotated[Path, typer.Option(help="The folder of the files.")] = Path("deploy/compose/secrets"),
    host: Annotated[
        str, typer.Option(help="The name under which people reach the proxy, for a self-signed certificate.")
    ] = "localhost",
) -> None:
    """Make the files with secrets that are missing: random passwords, and a certificate for trial.

    What is there is never overwritten, so that a password of your own, or a real certificate, stays. The folder is for
    its user only.
    """
    with one_line_errors(OSError, BadSecret):
        made = make_secrets(out, host)
    typer.echo(f"made in {out}: {', '.join(made)}" if made else f"{out} has them all; nothing was made")
    if found := [name for name in OF_COMPOSE if name in made]:
        typer.echo(
            f"{', '.join(found)}: for the hosts of compose.yml; elsewhere write your own, and make the rest again"
        )


def mongo(
    member: Annotated[list[str], typer.Option(help="host:port of each member; the first is asked.")],
    root_password_file: Annotated[Path, typer.Option(help="The file with the administrator's password.")],
    password_file: Annotated[Path, typer.Option(help="The file with the password of the product's user.")],
    timeout: Annotated[float, typer.Option(min=1, help="Seconds until the first member is the primary.")] = 120.0,
) -> None:
    """Initiate MongoDB's replica set, and make the product's user in it. A second time only sets the password."""
    with one_line_errors(InvalidSettings, OSError, Refused, Unavailable):
        database = load_read(lambda env: env.read(DATABASE_NAME))
        root, password = (path.read_text().strip() for path in (root_password_file, password_file))
        deadline = time.monotonic() + timeout
        with ReplicaSetAdmin(member[0], ADMINISTRATOR, root) as admin:
            initiated = _patiently(lambda: admin.initiate(member), deadline)
            while not _patiently(admin.is_primary, deadline):
                if time.monotonic() > deadline:
                    fail(f"{member[0]} is not the primary of its set after {timeout:.0f} s")
                time.sleep(_POLL_SECONDS)
            made = admin.ensure_user(USER, password, user_roles(database))
    typer.echo(
        f"the replica set is {'initiated' if initiated else 'there already'}; "
        f"the user {USER} was {'made' if made else 'there, and has its password'}"
    )


def demo(
    seed: Annotated[int, typer.Option(help="Equal seeds make equal shops.")] = 1,
    data: DataOption = None,
) -> None:
    """Open the demo's shops, with products, reviews and three accounts, whose passwords are shown this once.

    For a deployment that runs: it needs MongoDB alone, and the traffic reads in the data folder which shops there are.
    A second time sets new passwords.
    """
    # The demo's modules take half a second to import, which the other commands need not wait for.
    from ops.demo.report.addresses import account_lines
    from ops.demo.services.demo_processes import DemoFailed
    from ops.deploy.demo import open_demo

    with one_line_errors(DemoFailed, InvalidSettings, OSError, Refused, Unavailable):
        accounts = open_demo(load_settings(data_dir=data, needs=("mongo",)), load_read(public_url), seed)
    for line in account_lines(accounts):
        typer.echo(line)


def _patiently(ask: Callable[[], bool], deadline: float) -> bool:
    """The answer of a member that may still be starting.

    Raises:
        Unavailable: It does not answer until the deadline.
    """
    while True:
        try:
            return ask()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    deploy = typer.Typer(help="What a deployment needs before and at its first start.", no_args_is_help=True)
    deploy.command("secrets")(secrets)
    deploy.command("mongo")(mongo)
    deploy.command("demo")(demo)
    app.add_typer(deploy, name="deploy")
