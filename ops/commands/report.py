"""``marketplace report`` and ``marketplace ledger``: the dashboard's own numbers in the terminal."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from connectors.clickhouse.client import ClickHouse
from connectors.errors import Refused, Unavailable
from connectors.insights import Insights, Scope, filters_of
from connectors.insights.report import Analytics, InvalidQuery, LedgerRow, ReportRow
from connectors.kafka.reader import PartitionReader
from connectors.mongo.client import connect
from connectors.mongo.store_products import StoreProducts
from connectors.mongo.stores import MongoStores
from dashboards.ui.formats import duration, percent
from marketplace.clicks.outcomes import OUTCOMES
from marketplace.flows import EXPIRED
from marketplace.rollups import DIMENSIONS
from marketplace.stores import Store
from marketplace.topics import CLICKS_COLLECTED
from ops.commands.moments import check_range, read_range
from ops.commands.one_line import fail
from ops.commands.options import DataOption, JsonOption
from ops.commands.report_csv import goals_as_csv, rows_as_csv
from ops.commands.report_goals import MOST_VALUES, print_goals, say_what_is_left_out
from ops.commands.report_notes import nothing_of, rounded
from ops.commands.tables import numbers_table, wide_console
from ops.commands.texts import cell, printable
from ops.context import load_settings
from runtime.sections import Settings

_HEADINGS = {outcome.name: outcome.name for outcome in reversed(OUTCOMES)} | {
    "duplicate": "dupl.",
    "blocked": "block.",
    "invalid": "inval.",
}
"""Headings of outcomes that fit into eighty columns."""

_LOG_SECONDS = 5.0
_ANSWER_SECONDS = 20.0
"""Shorter than a flow's timeouts: somebody waits at a terminal."""
NUMBERS = ("views", "actions", "refires", "visitors", "sessions")
RATES = ("bounced", "length")
"""Behind them: what the dashboard's tables call them."""


def _store(settings: Settings, slug: str) -> Store:
    client = connect(settings.urls.mongo)
    try:
        repository = MongoStores(client, settings.database)
        store = repository.get(slug)
        if store is None:
            known = ", ".join(s.slug for s in repository.list_stores()) or "none yet"
            raise InvalidQuery(f"no store {slug!r}; there are: {known}")
        return store
    finally:
        client.close()


def _titles(settings: Settings, store: str, dimension: str, rows: list[ReportRow]) -> dict[str, str]:
    """Titles of products by what pages called them; none of other dimensions, and none while Mongo is unavailable."""
    if dimension != "product" or not rows:
        return {}
    client = connect(settings.urls.mongo)
    try:
        return StoreProducts(client, settings.database).titles(store, {row.value for row in rows})
    except Unavailable:
        return {}
    finally:
        client.close()


def report(
    store: Annotated[str, typer.Option(help="The store's slug.")],
    grain: Annotated[str, typer.Option(help="hour, day or month, in the store's time zone.")] = "day",
    dimension: Annotated[str, typer.Option(help=f"What to split by: {', '.join(d.name for d in DIMENSIONS)}.")] = "all",
    since: Annotated[str | None, typer.Option("--from", help="First day or time that counts.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="First day or time after the range.")] = None,
    bots: Annotated[str, typer.Option(help="exclude, include or only.")] = "exclude",
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", help="Such as campaign:spring: all that its visits did. May be repeated."),
    ] = None,
    attribution: Annotated[
        str,
        typer.Option(
            help="visit: each visit has its own source; last_non_direct: where nobody sent it, that of the visitor's "
            "last visit within 30 days that somebody sent."
        ),
    ] = "visit",
    goals: Annotated[
        bool, typer.Option("--goals", help="How often the store's goals were reached over the range, by dimension.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="CSV on stdout, with the names of the API and the dashboard.")
    ] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a store's numbers."""
    if as_csv and as_json:
        fail("--csv and --json are two answers: say one of them")
    first, end = read_range(since, until, "--to")
    settings = load_settings(data_dir=data, needs=("mongo", "clickhouse"))
    found = _store(settings, store)
    check_range(first, end, found.timezone, "--to")
    clickhouse = ClickHouse(settings.urls.clickhouse, settings.database, timeout_seconds=_ANSWER_SECONDS)
    asked = filters_of(filters or ())
    scope = Scope(store, ZoneInfo(found.timezone), first, end, bots, asked, attribution)
    scope.check()
    if not as_json and (note := rounded(scope)):
        typer.echo(note, err=True)
    if goals:
        conversions = Insights(clickhouse).conversions(scope, found.goals, dimension, MOST_VALUES + 1)
        if as_csv:
            typer.echo(goals_as_csv(conversions, dimension), nl=False)
            say_what_is_left_out(conversions)
        else:
            print_goals(found, scope, dimension, conversions, as_json=as_json)
        return
    analytics = Analytics(clickhouse)
    rows = analytics.report_of(scope, grain, dimension)
    if as_json:
        document = {
            "store": store,
            "timezone": found.timezone,
            "grain": grain,
            "bots": bots,
            "filters": [f"{name}:{value}" for name, value in asked],
            "attribution": attribution,
            "rows": [asdict(r) for r in rows],
            **({"titles": _titles(settings, store, dimension, rows)} if dimension == "product" else {}),
        }
        typer.echo(json.dumps(document, indent=1))
    elif as_csv:
        titles = _titles(settings, store, dimension, rows) if dimension == "product" else None
        typer.echo(rows_as_csv(rows, titles), nl=False)
    elif not rows:
        typer.echo(printable(nothing_of(scope, "numbers")), err=True)
    else:
        wide_console().print(_report_table(rows, found, dimension, _titles(settings, store, dimension, rows)))


def _report_table(rows: list[ReportRow], store: Store, dimension: str, titles: dict[str, str]) -> Table:
    table = numbers_table(store.title, store.timezone, estimated=any(row.visitors_error for row in rows))
    table.add_column("bucket", no_wrap=True, min_width=max(len(_short(row.bucket)) for row in rows))
    if dimension != "all":
        table.add_column(dimension, overflow="fold")
    for name in (*NUMBERS, *RATES):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        cells: list[str | Text] = [
            _short(row.bucket),
            *([cell(titles.get(row.value) or row.value or "(unknown)")] if dimension != "all" else []),
        ]
        numbers = {name: f"{getattr(row, name):,}" for name in NUMBERS}
        if row.visitors_error:
            numbers["visitors"] = f"~{numbers['visitors']}"
        table.add_row(*cells, *numbers.values(), percent(row.bounce_rate), duration(row.session_seconds))
    return table


def _short(bucket: str) -> str:
    """An hour without its UTC offset (the table's title names the time zone); days and months unchanged."""
    return bucket[:16].replace("T", " ")


def ledger(
    store: Annotated[str | None, typer.Option(help="Only this store.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the outcomes of all events; exits 1 when the sum does not close to zero or the log cannot be read."""
    settings = load_settings(data_dir=data, needs=("clickhouse", "kafka" if store is None else "mongo"))
    if store is not None:
        _store(settings, store)
    analytics = Analytics(ClickHouse(settings.urls.clickhouse, settings.database, timeout_seconds=_ANSWER_SECONDS))
    rows = analytics.ledger(store)
    log, problem = None, ""
    if store is None:
        try:
            log = _compare_with_log(settings, analytics)
        except (Unavailable, Refused) as error:
            problem = " ".join(str(error).split())
    # Without the log it is not known: the tables can be consistent although half of the events are missing.
    closed: bool | None = not any(row.difference for row in rows) and (log is None or log["unaccounted"] == 0)
    if problem and closed:
        closed = None
    if as_json:
        typer.echo(json.dumps({**_document(rows, closed, log), "problem": problem}, indent=1))
    else:
        _show_ledger(rows, closed, log, problem, store)
    if not closed:
        raise typer.Exit(1)


def _compare_with_log(settings: Settings, analytics: Analytics) -> dict[str, int]:
    """Compare the number of records in the topic with those that the tables account for, without the flow's help.

    Raises:
        Unavailable: Kafka does not answer.
        Refused: The topic does not exist.
    """
    reader = PartitionReader(settings.kafka, CLICKS_COLLECTED.name, "ops.ledger", timeout_seconds=_LOG_SECONDS)
    try:
        totals = analytics.ledger_totals()
        ranges = {partition: reader.range_of(partition) for partition in reader.partitions()}
    finally:
        reader.close()
    # Offsets count from 0, whatever retention has deleted since; what it deleted too early is noted as expired.
    in_log = sum(newest + 1 for newest, _ in totals.applied.values())
    accounted = sum(events for _, events in totals.applied.values())
    waiting = sum(high - totals.applied.get(p, (low - 1, 0))[0] - 1 for p, (low, high) in ranges.items())
    return {
        "records": in_log,
        "accounted": accounted,
        "expired": totals.notes.get(EXPIRED, 0),
        "unaccounted": in_log - accounted,
        "waiting": waiting,
    }


def _document(rows: list[LedgerRow], closed: bool | None, log: dict[str, int] | None) -> dict[str, object]:
    listed = [
        {
            "store": row.store,
            "hour": row.hour.isoformat(),
            "received": row.received,
            **{outcome.name: row.outcomes.get(outcome.name, 0) for outcome in OUTCOMES},
            "difference": row.difference,
            "notes": row.notes,
        }
        for row in rows
    ]
    return {"closed": closed, "log": log, "rows": listed}


def _show_ledger(
    rows: list[LedgerRow], closed: bool | None, log: dict[str, int] | None, problem: str, store: str | None
) -> None:
    console = wide_console()
    if not rows:
        console.print("nothing was received yet")
    else:
        _show_rows(console, rows)
    if log is not None:
        records, waiting = log["records"] + log["waiting"], log["waiting"]
        console.print(
            f"log: {records:,} records, {log['accounted']:,} accounted for, {waiting:,} still to come",
            highlight=False,
        )
        if log["expired"]:
            console.print(f"     {log['expired']:,} of them had expired before they could be counted", highlight=False)
    if problem:
        console.print(Text("not compared with the log: ", "red") + cell(problem), highlight=False, soft_wrap=True)
    if rows:
        console.print(
            "Events that the collector refused (400) never entered the log; clicks.collected.v1.dlq keeps them.",
            style="dim",
            highlight=False,
        )
    if closed is None:
        console.print("[red]not known whether it closes[/red]: the tables are consistent, but the log was not read")
    elif rows or log is None or log["records"] or log["waiting"]:
        of = "" if store is None else f" (the rows of {store}; 'marketplace ledger' compares all with the log)"
        console.print(f"[green]closes to zero[/green]{of}" if closed else "[red]does not close[/red]", highlight=False)


def _show_rows(console: Console, rows: list[LedgerRow]) -> None:
    totals: dict[str, Counter[str]] = {}
    for row in rows:
        total = totals.setdefault(row.store or "(no store)", Counter())
        total.update({"received": row.received, "difference": row.difference, **row.outcomes})
    table = Table(title="Outcomes of all events", title_justify="left", box=None)
    table.add_column("store", no_wrap=True)
    headings = {"received": "received", **_HEADINGS, "difference": "left"}
    for heading in headings.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for name, total in sorted(totals.items()):
        table.add_row(name, *[f"{total[column]:,}" for column in headings])
    console.print(table)
    legend = Table(box=None, show_header=False, style="dim", padding=(0, 1, 0, 2))
    for outcome in reversed(OUTCOMES):
        legend.add_row(_HEADINGS[outcome.name], outcome.meaning)
    console.print(legend)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("report")(report)
    app.command("ledger")(ledger)
