"""``marketplace stores set`` and ``delete``: what a store is called and counts, and its end."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer

from connectors.errors import Refused
from marketplace.identity.tenancy import DeletedStore
from marketplace.stores import InvalidStore, Store, checked_domain, checked_zone
from marketplace.texts import is_line
from ops.commands.options import DataOption, JsonOption
from ops.commands.store_parts import SlugArgument, StoreParts, of_known_store, with_stores
from ops.commands.texts import printable

_MAX_TITLE_CHARS: Final = 100
_ALL: Final = "All of them; can be repeated, and an empty one leaves none."


def set_store(
    slug: SlugArgument,
    title: Annotated[str | None, typer.Option(help="Its name for people.")] = None,
    timezone: Annotated[
        str | None, typer.Option(help="IANA zone in which days are counted from now on; what is counted stays.")
    ] = None,
    domain: Annotated[list[str] | None, typer.Option(help=f"Hosts of its own. {_ALL}")] = None,
    block: Annotated[list[str] | None, typer.Option(help=f"Networks (CIDR) not to count. {_ALL}")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change settings of a store: what is not named stays. Parts that count events follow within seconds."""
    fields: dict[str, Any] = {}
    if title is not None:
        if not is_line(title.strip(), _MAX_TITLE_CHARS):
            raise InvalidStore(f"title {title!r}: give 1 to {_MAX_TITLE_CHARS} characters in one line")
        fields["title"] = title.strip()
    if timezone is not None:
        fields["timezone"] = checked_zone(timezone)
    if domain:
        fields["domains"] = tuple(checked_domain(each) for each in domain if each)
    if block:
        fields["blocked_networks"] = tuple(each for each in block if each)
    if not fields:
        raise InvalidStore("nothing is named that is to change: see 'marketplace stores set --help'")

    async def work(parts: StoreParts) -> Store:
        return await parts.stores.configure(slug, fields)

    store = with_stores(data, of_known_store(slug, work))
    settings = {name: getattr(store, name) for name in ("title", "timezone", "domains", "blocked_networks")}
    if as_json:
        typer.echo(json.dumps({"store": slug, **settings}))
        return
    for name, value in settings.items():
        text = ", ".join(value) or "none" if isinstance(value, tuple) else value
        typer.echo(f"{name.replace('_', ' ')}: {printable(text)}")


def delete(
    slug: SlugArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete a store for all its members, and print a receipt. Its numbers are kept; its slug is given to nobody."""

    async def find(parts: StoreParts) -> str:
        found = await parts.stores.get(slug)
        if found is None:
            raise await parts.no_such_store(slug)
        return found.store.title

    async def work(parts: StoreParts) -> DeletedStore:
        return await parts.stores.delete(slug)

    title = with_stores(data, find)
    if not yes:
        _ask_first(slug, title)
    receipt = with_stores(data, of_known_store(slug, work))
    if as_json:
        typer.echo(json.dumps({**asdict(receipt), "at": receipt.at.isoformat()}))
        return
    typer.echo(f"Deleted: {slug} ({printable(receipt.title)}), {receipt.at.isoformat(timespec='seconds')}")
    typer.echo(f"  gone: {receipt.members} members, {receipt.invitations} invitations, {receipt.api_keys} API keys")
    typer.echo("  worth nothing within seconds: its write key, its import key, the key of its own pages")
    typer.echo("  kept: its numbers, its orders, its document; its slug is given to nobody else")


def _ask_first(slug: str, title: str) -> None:
    what = f"{slug} ({printable(title)}) is deleted for all its members, which cannot be undone"
    if not sys.stdin.isatty():
        raise Refused(f"{what}: give --yes to say so")
    if typer.prompt(f"{what}. Write its slug to go on", err=True) != slug:
        raise Refused("that is another slug: nothing was deleted")


def register(stores: typer.Typer) -> None:
    """Add the commands."""
    stores.command("set")(set_store)
    stores.command("delete")(delete)
