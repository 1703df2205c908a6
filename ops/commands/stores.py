"""``marketplace stores``: open stores, and say whose they are, what they count and which keys they have."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from api.stores.service import TURNED_AWAY_DAYS, NewStore
from connectors.errors import Unavailable
from connectors.mongo.turned_away import TurnedAway, sums
from marketplace.identity.accounts import User
from marketplace.identity.tenancy import LimitReached, SlugReserved, SlugTaken
from marketplace.stores import InvalidStore, Store, checked_contact, checked_domains, checked_networks, checked_zone
from ops.commands import store_goals, store_keys, store_settings
from ops.commands.account_plans import how_to_lift, plan_of_owner
from ops.commands.options import DataOption, JsonOption
from ops.commands.store_keys import show_key
from ops.commands.store_parts import SlugArgument, StoreParts, of_known_store, with_stores
from ops.commands.tables import print_table
from ops.commands.texts import cell, printable
from ops.context import data_flag
from ops.stack.state.model import DEFAULT_DATA_DIR


def create(
    slug: SlugArgument,
    timezone: Annotated[str, typer.Option(help="IANA zone in which its days are counted.")] = "UTC",
    title: Annotated[str | None, typer.Option(help="Its name for people.", show_default="the slug")] = None,
    domain: Annotated[list[str] | None, typer.Option(help="A host of its own; can be repeated.")] = None,
    block: Annotated[list[str] | None, typer.Option(help="A network (CIDR) not to count; can be repeated.")] = None,
    owner: Annotated[
        str | None, typer.Option(metavar="EMAIL", help="The account that owns it.", show_default="nobody yet")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open a store and print its write key, once: only the key's hash is kept."""
    new = NewStore(
        title=title or slug,
        slug=slug,
        timezone=checked_zone(timezone),
        domains=checked_domains(domain or ()),
        blocked_networks=checked_networks(block or ()),
    )

    async def work(parts: StoreParts) -> tuple[str, bool]:
        await parts.stores.prepare()
        user = await parts.user(owner) if owner is not None else None
        try:
            _, write_key = await parts.stores.create(new, user)
        except SlugReserved as error:
            raise InvalidStore(f"slug {slug!r} is a name of the platform: choose another one") from error
        except SlugTaken as error:
            if await parts.stores.get(slug) is None:
                raise InvalidStore(f"slug {slug!r}: {error}; choose another one") from error
            raise InvalidStore(
                f"store {slug} is there already; 'marketplace stores key {slug}' gives it a new key"
            ) from error
        except LimitReached as error:
            raise _limit(user, error, data) from error
        # The key is shown this once, whatever comes after it.
        with suppress(Unavailable):
            return write_key, user is None and await parts.accounts.has_any()
        return write_key, False

    write_key, is_hidden = with_stores(data, work)
    show_key(slug, write_key, f"{slug} is open.", data, as_json=as_json)
    if is_hidden and not as_json:
        flag = data_flag((data or Path(DEFAULT_DATA_DIR)).resolve())
        typer.echo("\nNobody owns it, so nobody sees it on the dashboard. To name an owner:\n")
        typer.echo(f"  marketplace stores owner {slug} EMAIL{flag}")


def owner(
    slug: SlugArgument,
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The address of an account.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an account an owner of a store, beside those that it has; a store of this command has none at first."""

    async def work(parts: StoreParts) -> User:
        user = await parts.user(email)
        try:
            await parts.stores.give_to(slug, user)
        except LimitReached as error:
            raise _limit(user, error, data) from error
        return user

    user = with_stores(data, of_known_store(slug, work))
    if as_json:
        typer.echo(json.dumps({"store": slug, "owner": user.email}))
    else:
        typer.echo(f"{printable(user.email)} owns {slug}.")
        if bounds := plan_of_owner(user, data):
            typer.echo(bounds)


def _limit(user: User | None, error: LimitReached, data: Path | None) -> LimitReached:
    command = "" if user is None else how_to_lift(user, data)
    return LimitReached(
        f"{user.email if user else 'nobody'}: {error}" + (f"; '{command}' lifts that" if command else "")
    )


def contact(
    slug: SlugArgument,
    email: Annotated[
        str, typer.Argument(metavar="[EMAIL]", help="The address; without one, the store has none any more.")
    ] = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say where the buyers of a store can write to: its pages show it, and answers to mails about orders go there."""
    address = checked_contact(email)
    with_stores(data, of_known_store(slug, lambda parts: parts.stores.set_contact(slug, address)))
    if as_json:
        typer.echo(json.dumps({"store": slug, "contact": address}))
    else:
        typer.echo(
            f"Buyers of {slug} write to {printable(address)}." if address else f"{slug} has no contact any more."
        )


def list_stores(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the stores, and the accounts that own them."""

    async def work(parts: StoreParts) -> tuple[list[Store], dict[str, list[str]]]:
        return await parts.stores.every(), await parts.stores.owners()

    stores, owners = with_stores(data, work)
    if as_json:
        listed = [
            {
                "slug": store.slug, "title": store.title, "timezone": store.timezone, "domains": store.domains,
                "owners": owners.get(store.slug, []),
            }
            for store in stores
        ]  # fmt: skip
        typer.echo(json.dumps({"stores": listed}))
        return
    if not stores:
        typer.echo("There is no store yet; 'marketplace stores create SLUG' opens one.")
        return
    rows: list[tuple[str | Text, ...]] = []
    for store in stores:
        domains, emails = (Text("\n").join(map(cell, each)) for each in (store.domains, owners.get(store.slug, [])))
        rows.append((store.slug, store.title, store.timezone, domains, emails or Text("nobody", style="dim")))
    # Slugs and addresses are copied, so they are not wrapped; titles are.
    print_table(("store", "title", "time zone", "domains", "owners"), rows, sentences=("title",))


def limits(
    slug: SlugArgument,
    days: Annotated[int, typer.Option(min=1, max=TURNED_AWAY_DAYS, help="How many days back.")] = 7,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the collector turned away because a store sent too much: by hour, with the reason."""

    async def work(parts: StoreParts) -> list[TurnedAway]:
        if await parts.stores.get(slug) is None:
            raise await parts.no_such_store(slug)
        return await parts.stores.turned_away(slug, days)

    counts = with_stores(data, work)
    if as_json:
        rows = [{name: value for name, value in asdict(count).items() if name != "store"} for count in counts]
        typer.echo(json.dumps({"store": slug, "days": days, "rows": rows}))
    elif counts:
        _print_limits(counts)
    else:
        typer.echo(f"Nothing of {slug} was turned away in the last {days} days.")


def _print_limits(counts: list[TurnedAway]) -> None:
    rows = [(each.hour, each.reason.replace("_", " "), f"{each.requests:,}", f"{each.events:,}") for each in counts]
    for reason, (requests, events) in sums(counts).items():
        rows.append(("all", reason.replace("_", " "), f"{requests:,}", f"{events:,}"))
    print_table(("hour", "reason", "requests", "events (at least)"), rows)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    stores = typer.Typer(
        help="Open, change and delete stores: their owners, settings, goals and keys.", no_args_is_help=True
    )
    stores.command("create")(create)
    stores.command("owner")(owner)
    stores.command("key")(store_keys.key)
    stores.command("import-key")(store_keys.import_key)
    stores.command("contact")(contact)
    stores.command("list")(list_stores)
    stores.command("limits")(limits)
    store_goals.register(stores)
    store_settings.register(stores)
    app.add_typer(stores, name="stores")
