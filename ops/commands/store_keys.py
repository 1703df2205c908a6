"""``marketplace stores key`` and ``import-key``, and how a write key is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final

import typer

from ops.commands.options import DataOption, JsonOption
from ops.commands.store_parts import SlugArgument, StoreParts, of_known_store, with_stores
from ops.context import load_read
from ops.stack.state.model import DEFAULT_DATA_DIR, read_state
from runtime.sections import COLLECTOR_URL

_SOMEWHERE: Final = "https://YOUR-COLLECTOR"


def key(slug: SlugArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Give a store a new write key; the old one and the one of the dashboard's tag stop working within seconds."""
    write_key = with_stores(data, of_known_store(slug, lambda parts: parts.stores.new_write_key(slug)))
    ended = (
        f"{slug} has a new write key. The old one stops working within seconds, and with it the key in the tag that\n"
        "the dashboard shows: pages with either of them send nothing any more until their tag has the new one."
    )
    show_key(slug, write_key, ended, data, as_json=as_json)


def show_key(slug: str, write_key: str, happened: str, data: Path | None, *, as_json: bool) -> None:
    """Show a write key, the only time, and the tag that has it.

    Args:
        slug: The store's.
        write_key: The key.
        happened: What was done, in sentences.
        data: The stack's data folder.
        as_json: Whether a program reads it.
    """
    if as_json:
        typer.echo(json.dumps({"store": slug, "write_key": write_key}))
        return
    typer.echo(f"{happened}\n\nThe write key, shown this once:\n\n  {write_key}\n")
    typer.echo("It is public by nature: it may write events of this store and read nothing. On your pages:\n")
    typer.echo(f'  <script async src="{_collector(data)}/m.js" data-key="{write_key}"></script>')


def _collector(data: Path | None) -> str:
    """Where browsers reach the collector, as far as it is known here."""
    named = load_read(lambda env: env.read(COLLECTOR_URL), data).rstrip("/")
    if named:
        return named
    state = read_state((data or Path(DEFAULT_DATA_DIR)).resolve())
    found = None if state is None else state.process("proxy") or state.process("collector")
    return found.url if found is not None and found.url else _SOMEWHERE


def import_key(
    slug: SlugArgument,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take the key back and make no other.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a store a secret key for importing history; the old one stops working within seconds."""

    async def work(parts: StoreParts) -> str | None:
        if revoke:
            await parts.stores.revoke_import_key(slug)
            return None
        return await parts.stores.new_import_key(slug)

    secret = with_stores(data, of_known_store(slug, work))
    if as_json:
        typer.echo(json.dumps({"store": slug, "import_key": secret}))
    elif secret is None:
        typer.echo(f"{slug} has no import key any more; the old one stops working within seconds.")
    else:
        typer.echo(f"The import key of {slug}, shown this once:\n\n  {secret}\n")
        typer.echo("It is secret: whoever has it can write this store's past. Take it back when the import is done:\n")
        typer.echo(f"  marketplace stores import-key {slug} --revoke")
