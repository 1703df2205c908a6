"""``marketplace dlq``: records that could not be processed, by consumer and reason."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer

from connectors.clickhouse.client import ClickHouse
from connectors.clickhouse.dead_letters import DeadLetterGroup, DeadLetterQueries
from connectors.errors import Unavailable
from marketplace.dead_letters import MAX_DETAIL_CHARS
from marketplace.flows import DEAD_LETTERS_FLOW
from ops.commands.options import DataOption, JsonOption
from ops.commands.tables import print_table
from ops.commands.texts import printable
from ops.context import load_settings
from ops.drain import unread_records
from ops.sagas.opening import check_store, open_mongo
from runtime.sections import MongoSettings

_ANSWER_SECONDS: Final = 20.0
_MOST_HOURS: Final = 24.0 * 365 * 10


def list_letters(
    store: Annotated[str, typer.Option(help="Only records of this store (its slug).")] = "",
    topic: Annotated[str, typer.Option(help="Only records of this topic.")] = "",
    hours: Annotated[
        float | None, typer.Option(min=0, max=_MOST_HOURS, help="Only records of the last hours, this many.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, grouped by consumer and reason; their bytes are in the dead-letter topics."""
    settings = load_settings(data_dir=data, needs=("kafka", "clickhouse", *(("mongo",) if store else ())))
    clickhouse = ClickHouse(settings.urls.clickhouse, settings.database, timeout_seconds=_ANSWER_SECONDS)
    since = None if hours is None else datetime.now(UTC) - timedelta(hours=hours)
    groups = DeadLetterQueries(clickhouse).by_reason(store, topic, since)
    if store and not groups:
        # Letters are there also of a store that never was, or is no more.
        with open_mongo(MongoSettings(settings.urls.mongo, settings.database)) as mongo:
            check_store(mongo, settings.database, store)
    try:
        waiting: int | None = unread_records(settings, DEAD_LETTERS_FLOW)
    except Unavailable:
        waiting = None
    if as_json:
        rows = [{**asdict(group), **_moments(group)} for group in groups]
        typer.echo(json.dumps({"dead_letters": rows, "not_listed_yet": waiting}))
        return
    _print(groups)
    if waiting:
        typer.echo(f"{waiting:,} more letters are not listed yet: 'marketplace status' says whether the flow runs.")
    elif waiting is None:
        typer.echo("Kafka does not answer: there may be letters that are not listed yet.")


def _moments(group: DeadLetterGroup) -> dict[str, str]:
    return {name: getattr(group, name).isoformat(timespec="milliseconds") for name in ("first_seen", "last_seen")}


def _print(groups: Sequence[DeadLetterGroup]) -> None:
    if not groups:
        typer.echo("no dead letters")
        return
    print_table(
        ("records", "given up by", "reason", "from", "last seen (UTC)"),
        [
            (f"{each.records:,}", each.consumer_group, each.reason, each.topic, f"{each.last_seen:%m-%d %H:%M}")
            for each in groups
        ],
    )
    for group in groups:
        if group.example:
            example = " ".join(group.example.split())[:MAX_DETAIL_CHARS]
            typer.echo(printable(f"  {group.reason}, for example: {example}"))
    total = sum(group.records for group in groups)
    typer.echo(printable(f"{total:,} records; their bytes are in {', '.join(_topics(groups))}."))


def _topics(groups: Sequence[DeadLetterGroup]) -> list[str]:
    return sorted({group.letters_in for group in groups})


def register(app: typer.Typer) -> None:
    """Add the commands."""
    dlq = typer.Typer(help="Records that could not be processed.", no_args_is_help=True)
    dlq.command("list")(list_letters)
    app.add_typer(dlq, name="dlq")
