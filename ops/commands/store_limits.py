"""``marketplace stores limits``: what a store was turned away with because it sent too much."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from connectors.mongo_stores import connect
from connectors.turned_away import MongoTurnedAway, TurnedAway, sums
from ops.commands.options import DataOption, JsonOption
from ops.context import load_settings

_DAYS = 90


def register(app: typer.Typer) -> None:
    """Add the command to those of ``stores``."""
    stores = next(group.typer_instance for group in app.registered_groups if group.name == "stores")
    assert stores is not None
    stores.command()(limits)


def limits(
    slug: Annotated[str, typer.Argument(metavar="SLUG", help="The store's name in URLs and commands.")],
    days: Annotated[int, typer.Option(min=1, max=_DAYS, help="How many days back.")] = 7,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the collector turned away because a store sent too much: by hour, with the reason."""
    settings = load_settings(data_dir=data)
    client = connect(settings.urls.mongo)
    try:
        # A day more at each end: a store's own date may be ahead of UTC's or behind it.
        today = datetime.now(UTC).date()
        first, last = today - timedelta(days=days), today + timedelta(days=1)
        counts = MongoTurnedAway(client, settings.database).of(slug, first.isoformat(), last.isoformat())
    finally:
        client.close()
    if as_json:
        rows = [{name: value for name, value in asdict(count).items() if name != "store"} for count in counts]
        typer.echo(json.dumps({"store": slug, "days": days, "rows": rows}))
    elif counts:
        _print(counts)
    else:
        typer.echo(f"Nothing of {slug} was turned away in the last {days} days.")


def _print(counts: list[TurnedAway]) -> None:
    table = Table("hour", "reason", "requests", "events (at least)")
    for count in counts:
        table.add_row(count.hour, count.reason.replace("_", " "), f"{count.requests:,}", f"{count.events:,}")
    for reason, (requests, events) in sums(counts).items():
        table.add_row("all", reason.replace("_", " "), f"{requests:,}", f"{events:,}")
    Console().print(table)
