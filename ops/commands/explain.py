"""``marketplace explain``: why a visit counts as what it counts."""

from __future__ import annotations

import ipaddress
import json
from typing import Annotated

import typer

from connectors.errors import Refused
from connectors.lookups.bot_list import CrawlerList
from connectors.lookups.geoip import GeoIP
from connectors.lookups.user_agents import UserAgents
from connectors.mongo.stores import MongoStores
from flows.clicks.encoding.enrichment_encoder import page_of
from marketplace.clicks.bots import EMPTY
from marketplace.clicks.explain import Line, Section, Visit, explain
from marketplace.enrichments import Lookups
from marketplace.enrichments.referral_links import host_of
from marketplace.stores import InvalidStore, Store, checked_domains
from ops.commands.options import DataOption, JsonOption
from ops.commands.tables import print_table
from ops.commands.texts import printable
from ops.context import load_mongo, load_read
from ops.sagas.opening import open_mongo
from runtime.sections import GEOIP_FILE


def explain_visit(
    url: Annotated[str, typer.Argument(metavar="URL", help="The page that was visited, with its query.")],
    referrer: Annotated[str, typer.Option(help="Where it was linked from.")] = "",
    agent: Annotated[
        str | None,
        typer.Option(help="The user agent; an empty one explains a visit that has none.", show_default="not asked"),
    ] = None,
    ip: Annotated[str, typer.Option(help="The address of the visitor.", show_default="not asked")] = "",
    store: Annotated[str, typer.Option(help="A store (its slug), whose own rules count.", show_default="none")] = "",
    domain: Annotated[
        list[str] | None, typer.Option(help="Without a store: a host of its own; can be repeated.")
    ] = None,
    automated: Annotated[bool, typer.Option("--automated", help="The client says that it is automated.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain a visit: where from, person or bot, device and place, each with the rule behind it and its version."""
    _check(url, ip)
    of = _store(store, data) if store else _nobody(checked_domains(domain or ()))
    path = of.page(page_of(url))
    agents, crawlers = UserAgents(), CrawlerList()
    lookups = Lookups(GeoIP(load_read(lambda env: env.read(GEOIP_FILE), data) or None).snapshot(), agents)
    visit = Visit(url, referrer, agent or "", ip, path, of.rules_text, automated)
    rules = f"trailing slash: {of.trailing_slash}, letter case: {of.page_case}" if of.has_page_rules else "its path"
    explained = explain(visit, lookups, crawlers, agents.rule(agent or ""))
    sections = (
        *(_as_asked(section, agent, ip) for section in explained),
        Section("page", "", (Line("page", path, rules),)),
    )
    if as_json:
        typer.echo(json.dumps({section.name: _document(section) for section in sections}))
        return
    for section in sections:
        typer.echo(printable(f"{section.name.capitalize()}   {section.version}".rstrip()))
        print_table(("", "value", "because"), section.lines, sentences=("because",))
        typer.echo("")
    if store:
        typer.echo(
            f"'marketplace stores show {store}' lists the store's own rules, 'marketplace stores set' changes them."
        )
    else:
        typer.echo("Without the rules of a store: --store names one.")


def _check(url: str, ip: str) -> None:
    """Refuse what can be no visit's page or address: an explanation of it would look like one."""
    if not url.lower().startswith(("http://", "https://")) or not host_of(url):
        raise Refused(f"{url!r} is no URL: give the whole address of a page, such as https://shop.example/page")
    try:
        ipaddress.ip_address(ip or "::")
    except ValueError as error:
        raise Refused(f"--ip {ip!r} is no address: give one such as 203.0.113.7") from error


def _as_asked(section: Section, agent: str | None, ip: str) -> Section:
    """A section without the answers to what was not asked: they would be those of a visit that lacks it."""
    missing = "not asked"
    if section.name == "place" and not ip:
        return section._replace(lines=(Line("country", missing, "give --ip to know the place"),))
    if agent is not None:
        return section
    if section.name == "device":
        return section._replace(lines=(Line("device", missing, "give --agent to know the device"),))
    if section.name == "person or bot":
        others = [line for line in section.lines if line.name == "reason" and line.value != EMPTY]
        if not others:
            why = "give --agent to know; a visit without any user agent counts as a bot's"
            return section._replace(lines=(Line("counts as", missing, why),))
        return section._replace(lines=(section.lines[0], *others))
    return section


def _document(section: Section) -> dict[str, object]:
    return {"version": section.version, "values": [line._asdict() for line in section.lines]}


def _store(slug: str, data: DataOption) -> Store:
    mongo = load_mongo(data_dir=data)
    with open_mongo(mongo) as client:
        found = MongoStores(client, mongo.database).get(slug)
    if found is None:
        raise InvalidStore(f"no store {slug}; 'marketplace stores list' shows those that there are")
    return found


def _nobody(domains: tuple[str, ...]) -> Store:
    """A store of which nothing is known but its hosts."""
    return Store("none", "", "UTC", domains, write_key_hash="", visitor_secret="")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain")(explain_visit)
