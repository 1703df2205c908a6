"""``marketplace stores show``, ``set`` and ``delete``: what a store is called and counts, and its end."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated, Any, Final, get_args

import typer

from connectors.errors import Refused
from marketplace.enrichments.store_rules import SourceRule
from marketplace.identity.tenancy import DeletedStore
from marketplace.store_links import InvalidLinkRule, PageCase, TrailingSlash, checked_hosts, checked_source_rule
from marketplace.stores import InvalidStore, Store, checked_domains, checked_networks, checked_zone
from marketplace.texts import is_line
from ops.commands.options import DataOption, JsonOption, choice
from ops.commands.store_parts import SlugArgument, StoreParts, of_known_store, with_stores
from ops.commands.texts import printable

_MAX_TITLE_CHARS: Final = 100
_ALL: Final = "All of them; can be repeated, and an empty one leaves none."


_SETTINGS: Final = (
    "title", "timezone", "domains", "blocked_networks", "honour_opt_out", "payment_hosts", "ignored_referrers",
    "source_rules", "trailing_slash", "page_case",
)  # fmt: skip


def show(slug: SlugArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show the settings of a store."""

    async def work(parts: StoreParts) -> Store:
        found = await parts.stores.get(slug)
        if found is None:
            raise await parts.no_such_store(slug)
        return found.store

    _print_settings(with_stores(data, work), as_json=as_json)


def set_store(
    slug: SlugArgument,
    title: Annotated[str | None, typer.Option(help="Its name for people.")] = None,
    timezone: Annotated[
        str | None, typer.Option(help="IANA zone in which days are counted from now on; what is counted stays.")
    ] = None,
    domain: Annotated[list[str] | None, typer.Option(help=f"Hosts of its own. {_ALL}")] = None,
    block: Annotated[list[str] | None, typer.Option(help=f"Networks (CIDR) not to count. {_ALL}")] = None,
    honour_opt_out: Annotated[
        bool | None,
        typer.Option("--honour-opt-out/--count-opted-out", help="What DNT and Sec-GPC do."),
    ] = None,
    payment_host: Annotated[
        list[str] | None, typer.Option(help=f"Further hosts where buyers pay: a return is no arrival. {_ALL}")
    ] = None,
    ignored_referrer: Annotated[list[str] | None, typer.Option(help=f"Hosts that count as no referrer. {_ALL}")] = None,
    source_rule: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help=f"Its own name for a source: referrer:HOST=SOURCE/MEDIUM or utm_source:LABEL=SOURCE/MEDIUM, the "
            f"medium if wanted. {_ALL}",
        ),
    ] = None,
    trailing_slash: Annotated[
        str | None, typer.Option(help="Whether /shoes/ and /shoes are two pages (keep) or one (strip).")
    ] = None,
    page_case: Annotated[
        str | None, typer.Option(help="Whether /Shoes and /shoes are two pages (keep) or one (lower).")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change settings of a store: what is not named stays, the slug always. Parts that count follow in seconds."""
    fields: dict[str, Any] = {}
    if title is not None:
        if not is_line(title.strip(), _MAX_TITLE_CHARS):
            raise InvalidStore(f"title {title!r}: give 1 to {_MAX_TITLE_CHARS} characters in one line")
        fields["title"] = title.strip()
    if timezone is not None:
        fields["timezone"] = checked_zone(timezone)
    if domain:
        fields["domains"] = checked_domains(filter(None, domain))
    if block:
        fields["blocked_networks"] = checked_networks(filter(None, block))
    try:
        if payment_host:
            fields["payment_hosts"] = checked_hosts("payment host", filter(None, payment_host))
        if ignored_referrer:
            fields["ignored_referrers"] = checked_hosts("ignored referrer", filter(None, ignored_referrer))
        if source_rule:
            fields["source_rules"] = tuple(map(_source_rule, filter(None, source_rule)))
    except InvalidLinkRule as error:
        raise InvalidStore(str(error)) from error
    if trailing_slash is not None:
        choice("--trailing-slash", trailing_slash, get_args(TrailingSlash))
    if page_case is not None:
        choice("--page-case", page_case, get_args(PageCase))
    plain = {"honour_opt_out": honour_opt_out, "trailing_slash": trailing_slash, "page_case": page_case}
    fields |= {name: value for name, value in plain.items() if value is not None}
    if not fields:
        raise InvalidStore("nothing is named that is to change: see 'marketplace stores set --help'")

    async def work(parts: StoreParts) -> tuple[str, Store]:
        before = await parts.stores.get(slug)
        after = await parts.stores.configure(slug, fields)
        return after.timezone if before is None else before.store.timezone, after

    zone, store = with_stores(data, of_known_store(slug, work))
    _print_settings(store, as_json=as_json)
    if zone != store.timezone and not as_json:
        typer.echo(
            f"\nDays are counted by {store.timezone} from now on. What is counted stays in the days of {zone}, though\n"
            f"reports of it are headed with {store.timezone} too."
        )


def _source_rule(text: str) -> SourceRule:
    match, colon, rest = text.partition(":")
    # A label may have any character; the name that it gets is the writer's choice.
    value, equals, name = rest.rpartition("=")
    if not colon or not equals:
        raise InvalidStore(f"source rule {text!r}: write it as referrer:partner.example=partner/affiliate")
    source, _, medium = name.partition("/")
    return checked_source_rule(match, value, source, medium)


def _print_settings(store: Store, *, as_json: bool) -> None:
    settings = {name: getattr(store, name) for name in _SETTINGS}
    if as_json:
        settings["source_rules"] = [asdict(rule) for rule in store.source_rules]
        typer.echo(json.dumps({"store": store.slug, **settings}))
        return
    settings["honour_opt_out"] = "yes" if store.honour_opt_out else "no"
    settings["source_rules"] = tuple(map(_rule_text, store.source_rules))
    for name, value in settings.items():
        text = ", ".join(value) or "none" if isinstance(value, tuple) else value
        typer.echo(f"{name.replace('_', ' ')}: {printable(text)}")


def _rule_text(rule: SourceRule) -> str:
    """As ``set`` takes it."""
    return f"{rule.match}:{rule.value}={rule.source}" + (f"/{rule.medium}" if rule.medium else "")


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
    typer.echo("  gone with it: the secret that leads from a browser's id to its visitor; nothing is imported any more")
    typer.echo("  kept: its numbers, its orders, its document; its slug is given to nobody else")


def _ask_first(slug: str, title: str) -> None:
    what = f"{slug} ({printable(title)}) for all its members, which cannot be undone"
    if not sys.stdin.isatty():
        raise Refused(f"nothing was deleted, as nobody can be asked here: give --yes to delete {what}")
    if typer.prompt(f"This would delete {what}. Write its slug to do it", err=True) != slug:
        raise Refused("that is another slug: nothing was deleted")


def register(stores: typer.Typer) -> None:
    """Add the commands."""
    stores.command("show")(show)
    stores.command("set")(set_store)
    stores.command("delete")(delete)
