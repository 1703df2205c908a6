"""``marketplace report --goals``: how often a store's goals were reached."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

import typer
from rich.text import Text

from connectors.insights import Conversion, Scope
from marketplace.stores import Store
from marketplace.tables import VISITORS_EXACT_UP_TO
from ops.commands.report_notes import nothing_of
from ops.commands.tables import numbers_table, wide_console
from ops.commands.texts import cell, printable

MOST_VALUES: Final = 1_000
"""Values of a dimension in one report, those with the most visitors."""


def print_goals(
    store: Store, scope: Scope, dimension: str, found: Mapping[str, Sequence[Conversion]], *, as_json: bool
) -> None:
    """Print conversions by goal and value; the rate is visitors who reached it of all of the value.

    Args:
        store: Whose goals they are.
        scope: What was asked.
        dimension: What was split by.
        found: By the goal's name; up to one value more than are printed, so that more of them are known.
        as_json: Whether a program reads it.
    """
    if as_json:
        typer.echo(json.dumps(_document(scope, dimension, found), indent=1))
        return
    if not found:
        typer.echo(f"{store.slug} has no goals; 'marketplace stores goals add {store.slug} NAME ...' makes one.")
        return
    if not any(found.values()):
        if dimension == "exit_page":
            typer.echo("By exit_page there are no conversions, as an event has none; page and entry_page have them.")
        else:
            typer.echo(printable(nothing_of(scope, "visitors")))
        return
    table = numbers_table(
        store.title, store.timezone, estimated=any(row.is_estimate for rows in found.values() for row in rows)
    )
    table.add_column("goal", overflow="fold")
    if dimension != "all":
        table.add_column(dimension, overflow="fold")
    for heading in ("conversions", "visitors who did", "of visitors", "rate"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, rows in found.items():
        for row in rows[:MOST_VALUES]:
            about = "~" if row.is_estimate else ""
            did = "~" if row.converted > VISITORS_EXACT_UP_TO else ""
            value: list[Text] = [] if dimension == "all" else [cell(row.value or "(unknown)")]
            table.add_row(
                cell(name),
                *value,
                f"{row.conversions:,}",
                f"{did}{row.converted:,}",
                f"{about}{row.visitors:,}",
                "" if row.rate is None else f"{about}{row.rate:.2%}",
            )
    wide_console().print(table)
    say_what_is_left_out(found)


def say_what_is_left_out(found: Mapping[str, Sequence[Conversion]]) -> None:
    """Say on standard error where there are more values than a report has."""
    if any(len(rows) > MOST_VALUES for rows in found.values()):
        typer.echo(f"These are the {MOST_VALUES:,} values with the most visitors; there are more.", err=True)


def _document(scope: Scope, dimension: str, found: Mapping[str, Sequence[Conversion]]) -> dict[str, object]:
    return {
        "store": scope.store,
        "timezone": scope.zone.key,
        "bots": scope.bots,
        "filters": [f"{name}:{value}" for name, value in scope.filters],
        "attribution": scope.attribution,
        "dimension": dimension,
        "goals": [
            {
                "goal": name,
                "rows": [
                    {
                        "value": row.value,
                        "conversions": row.conversions,
                        "converted": row.converted,
                        "visitors": row.visitors,
                        "rate": row.rate,
                        "estimated": row.is_estimate,
                    }
                    for row in rows[:MOST_VALUES]
                ],
                "more": len(rows) > MOST_VALUES,
            }
            for name, rows in found.items()
        ],
    }
