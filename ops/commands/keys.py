"""``marketplace keys``: the keys that sign access tokens."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from api.config import read_key_file
from api.identity.key_file import SIGNS_AFTER_SECONDS, BadKeyFile, retires_at, rotate_keys
from ops.commands.one_line import fail, one_line_errors
from ops.commands.options import DataOption, JsonOption
from ops.context import load_read
from runtime.settings import InvalidSettings


def rotate(
    at_once: Annotated[
        bool,
        typer.Option(
            "--at-once",
            help="For a key that others may know: the new one signs now, and no token of an older one is taken.",
        ),
    ] = False,
    after: Annotated[
        float,
        typer.Option(
            min=SIGNS_AFTER_SECONDS,
            max=86_400,
            help="Seconds until the new key signs: as long as the file takes to reach every process.",
        ),
    ] = SIGNS_AFTER_SECONDS,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a signing key: it is published at once and signs a minute later, and nobody is signed out.

    The key before it is published, and its tokens are taken, until the last of them has expired. Every process of the
    REST API reads the file by itself within seconds.
    """
    if at_once and after != SIGNS_AFTER_SECONDS:
        fail("--at-once and --after: give one of them", 2)
    with one_line_errors(BadKeyFile, InvalidSettings):
        path = load_read(read_key_file, data)
        made = rotate_keys(path, time.time(), at_once=at_once, after_seconds=after)
    signs = made.signs_from
    retires = signs if at_once else retires_at(signs)
    if as_json:
        typer.echo(json.dumps({"kid": made.kid, "signs_from": _time(signs), "others_until": _time(retires)}))
        return
    typer.echo(f"The key {made.kid} is in {path} and signs from {_time(signs)}.")
    if at_once:
        typer.echo(
            "Tokens of the keys before it are refused within seconds: clients refresh, and nobody is signed out."
        )
    else:
        typer.echo(f"Tokens of the keys before it are taken until {_time(retires)}.")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    keys = typer.Typer(help="The keys that sign access tokens of the REST API.", no_args_is_help=True)
    # With one command alone Typer would take its name for an argument.
    keys.callback()(_group)
    keys.command("rotate")(rotate)
    app.add_typer(keys, name="keys")


def _group() -> None:
    """The keys that sign access tokens of the REST API."""
