"""``marketplace stores``: open stores and give them write keys."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from connectors.mongo.client import Client, connect
from connectors.mongo.stores import MongoStores, StoresUnavailable
from connectors.mongo.turned_away import MongoTurnedAway, TurnedAway, sums
from marketplace.stores import InvalidStore, Store, checked_domain, hash_write_key
from marketplace.stores import import_key as make_import_key
from ops.commands.options import DataOption, JsonOption
from ops.commands.texts import cell
from ops.context import load_mongo

_KEY_BYTES = 16
_MONGO_SECONDS = 3.0
_LIMITS_DAYS = 90
"""How long the counts are kept."""

SlugArgument = Annotated[str, typer.Argument(metavar="SLUG", help="The store's name in URLs and commands.")]


@contextmanager
def _mongo(data: Path | None) -> Iterator[tuple[Client, str]]:
    """A client and a database. It needs nothing but Mongo: a leaked key can be replaced while all else is down."""
    mongo = load_mongo(data_dir=data)
    client = connect(mongo.url, _MONGO_SECONDS)
    try:
        yield client, mongo.database
    except StoresUnavailable as error:
        raise StoresUnavailable(f"{error}; stores are kept there and nowhere else") from error
    finally:
        client.close()


@contextmanager
def _repository(data: Path | None) -> Iterator[MongoStores]:
    with _mongo(data) as (client, database):
        yield MongoStores(client, database)


def create(
    slug: SlugArgument,
    timezone: Annotated[str, typer.Option(help="IANA zone in which its days are counted.")] = "UTC",
    title: Annotated[str | None, typer.Option(help="Its name for people.", show_default="the slug")] = None,
    domain: Annotated[list[str] | None, typer.Option(help="A host of its own; can be repeated.")] = None,
    block: Annotated[list[str] | None, typer.Option(help="A network (CIDR) not to count; can be repeated.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open a store and print its write key, once: only the key's hash is kept."""
    write_key = secrets.token_hex(_KEY_BYTES)
    store = Store(
        slug=slug,
        title=title or slug,
        timezone=timezone,
        domains=tuple(map(checked_domain, domain or ())),
        write_key_hash=hash_write_key(write_key),
        visitor_secret=secrets.token_hex(32),
        blocked_networks=tuple(block or ()),
    )
    with _repository(data) as repository:
        repository.prepare()
        if not repository.create_store(store):
            raise InvalidStore(f"store {slug} is there already; 'marketplace stores key {slug}' gives it a new key")
    _show_key(slug, write_key, as_json=as_json)


def key(slug: SlugArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Give a store a new write key; the old one stops working within seconds."""
    write_key = secrets.token_hex(_KEY_BYTES)
    with _repository(data) as repository:
        _edit(repository, slug, {"write_key_hash": hash_write_key(write_key)})
    _show_key(slug, write_key, as_json=as_json)


def _edit(repository: MongoStores, slug: str, fields: dict[str, Any]) -> None:
    if repository.edit(slug, lambda _: fields) is None:
        raise _no_such_store(repository, slug)


def _no_such_store(repository: MongoStores, slug: str) -> InvalidStore:
    known = ", ".join(found.slug for found in repository.list_stores()) or "none yet"
    return InvalidStore(f"no store {slug}; there are: {known}")


def import_key(
    slug: SlugArgument,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take the key back and make no other.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a store a secret key for importing history; the old one stops working within seconds."""
    secret = make_import_key(slug, secrets.token_hex(_KEY_BYTES))
    with _repository(data) as repository:
        _edit(repository, slug, {"import_key_hash": None if revoke else hash_write_key(secret)})
    if as_json:
        typer.echo(json.dumps({"store": slug, "import_key": None if revoke else secret}))
    elif revoke:
        typer.echo(f"{slug} has no import key any more; the old one stops working within seconds.")
    else:
        typer.echo(f"The import key of {slug}, shown this once:\n\n  {secret}\n")
        typer.echo("It is secret: whoever has it can write this store's past. Take it back when the import is done:\n")
        typer.echo(f"  marketplace stores import-key {slug} --revoke")


def list_stores(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the stores."""
    with _repository(data) as repository:
        stores = repository.list_stores()
    if as_json:
        listed = [{"slug": s.slug, "title": s.title, "timezone": s.timezone, "domains": s.domains} for s in stores]
        typer.echo(json.dumps({"stores": listed}))
        return
    if not stores:
        typer.echo("There is no store yet; 'marketplace stores create SLUG' opens one.")
        return
    table = Table(box=None)
    # Slugs are copied, so they are not wrapped; titles are.
    table.add_column("store", no_wrap=True)
    table.add_column("title", overflow="fold")
    table.add_column("time zone", no_wrap=True)
    table.add_column("domains", no_wrap=True)
    for store in stores:
        table.add_row(store.slug, cell(store.title), store.timezone, Text("\n").join(map(cell, store.domains)))
    Console().print(table)


def _show_key(slug: str, write_key: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"store": slug, "write_key": write_key}))
        return
    typer.echo(f"{slug} is open. Its write key, shown this once:\n\n  {write_key}\n")
    typer.echo("It is public by nature: it may write events of this store and read nothing. On your pages:\n")
    typer.echo(f'  <script async src="https://YOUR-COLLECTOR/m.js" data-key="{write_key}"></script>')


def limits(
    slug: SlugArgument,
    days: Annotated[int, typer.Option(min=1, max=_LIMITS_DAYS, help="How many days back.")] = 7,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the collector turned away because a store sent too much: by hour, with the reason."""
    with _mongo(data) as (client, database):
        repository = MongoStores(client, database)
        if repository.get(slug) is None:
            raise _no_such_store(repository, slug)
        # A day more at each end: a store's own date may be ahead of UTC's or behind it.
        today = datetime.now(UTC).date()
        first, last = today - timedelta(days=days), today + timedelta(days=1)
        counts = MongoTurnedAway(client, database).of(slug, first.isoformat(), last.isoformat())
    if as_json:
        rows = [{name: value for name, value in asdict(count).items() if name != "store"} for count in counts]
        typer.echo(json.dumps({"store": slug, "days": days, "rows": rows}))
    elif counts:
        _print_limits(counts)
    else:
        typer.echo(f"Nothing of {slug} was turned away in the last {days} days.")


def _print_limits(counts: list[TurnedAway]) -> None:
    table = Table("hour", "reason", "requests", "events (at least)")
    for count in counts:
        table.add_row(count.hour, count.reason.replace("_", " "), f"{count.requests:,}", f"{count.events:,}")
    for reason, (requests, events) in sums(counts).items():
        table.add_row("all", reason.replace("_", " "), f"{requests:,}", f"{events:,}")
    Console().print(table)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    stores = typer.Typer(help="Open stores and give them write keys.", no_args_is_help=True)
    stores.command("create")(create)
    stores.command("key")(key)
    stores.command("import-key")(import_key)
    stores.command("list")(list_stores)
    stores.command("limits")(limits)
    app.add_typer(stores, name="stores")
