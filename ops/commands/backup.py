"""`marketplace backup` and `restore`: the embedded stack as it was at one instant."""

import json
import signal
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from ops.commands.one_line import interrupt, one_line_errors
from ops.commands.options import JsonOption
from ops.context import data_flag
from ops.stack.backup.make import back_up
from ops.stack.backup.manifest import Manifest
from ops.stack.backup.restore import restore as restore_backup
from ops.stack.backup.still import LONGEST_PAUSE_SECONDS
from ops.stack.errors import StackError
from ops.stack.state.model import DATA_VARIABLE, DEFAULT_DATA_DIR

DataOption = Annotated[Path, typer.Option("--data", envvar=DATA_VARIABLE, help="The folder that holds everything.")]


def backup(
    out: Annotated[Path, typer.Option(help="The folder that the backup becomes; it does not exist yet.")],
    data: DataOption = Path(DEFAULT_DATA_DIR),
    longest_pause: Annotated[
        float, typer.Option(min=1, max=3600, help="Seconds for which everything may stand still.")
    ] = LONGEST_PAUSE_SECONDS,
    as_json: JsonOption = False,
) -> None:
    """Copy everything that the embedded stack keeps, as it is at one instant, also while it runs.

    All processes stand still while the data folder is copied, and go on, however this command ends. What the
    copy has is what would be left if all of them were killed at that instant, from which the stack starts without loss.
    Parts that run elsewhere are not in it. It has passwords and keys in it: it is for its user only.
    """
    with one_line_errors(StackError, interrupted="Interrupted; there is no backup, and everything goes on."):
        signal.signal(signal.SIGTERM, interrupt)
        made = back_up(data, out, longest_pause)
    if as_json:
        typer.echo(json.dumps({**asdict(made), "backup": str(out)}))
        return
    typer.echo(f"{out} is a backup of {data}: {_size(made)}.")
    if made.running:
        typer.echo(f"Everything stood still for {made.still_seconds:.1f} s, and goes on.")
    if made.elsewhere:
        typer.echo(f"Not in it, because they run elsewhere: {', '.join(made.elsewhere)}.")


def restore(
    backup: Annotated[Path, typer.Argument(help="A folder that `marketplace backup` has made.")],
    data: DataOption = Path(DEFAULT_DATA_DIR),
    as_json: JsonOption = False,
) -> None:
    """Copy a backup into an empty or missing data folder; `marketplace up` starts from there.

    Every file is compared with its checksum. Ports are those of the backup until `up` is given others.
    """
    with one_line_errors(StackError, interrupted="Interrupted; nothing was restored."):
        signal.signal(signal.SIGTERM, interrupt)
        found = restore_backup(backup, data)
    if as_json:
        typer.echo(json.dumps({**asdict(found), "data": str(data)}))
        return
    typer.echo(
        f"{data} is as it was at {found.taken_at}: {_size(found)}. "
        f"'marketplace up{data_flag(data.resolve())}' starts it."
    )
    if found.version != version("marketplace"):
        typer.echo(f"It was made by version {found.version}, and this is {version('marketplace')}.")
    if found.elsewhere:
        typer.echo(f"Not in the backup, because they ran elsewhere: {', '.join(found.elsewhere)}.")


def _size(manifest: Manifest) -> str:
    return f"{manifest.files:,} files, {(manifest.disk_bytes or manifest.bytes) / 1e6:,.1f} MB of disk"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(backup)
    app.command()(restore)
