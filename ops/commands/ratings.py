"""``marketplace reconcile-ratings``: the counters of products' stars, compared with a count of the reviews."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

from connectors.mongo.async_client import connect_async
from connectors.mongo.ratings import Ratings, WrongRating
from ops.commands.options import DataOption, JsonOption
from ops.commands.texts import printable
from ops.context import load_mongo
from ops.sagas.opening import check_store, open_mongo
from runtime.sections import MongoSettings


def reconcile_ratings(
    store: Annotated[
        str | None, typer.Option("--store", metavar="SLUG", help="Only the products of this store.")
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Write the counted numbers.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the stars that products have with a count of their reviews, while reviews come and go.

    Exits with 1 where numbers are wrong and were not put right.
    """
    mongo = load_mongo(data_dir=data)
    with open_mongo(mongo) as client:
        check_store(client, mongo.database, store)
    wrong = asyncio.run(_wrong(mongo, store, repair))
    if as_json:
        rows = [
            {
                "product": each.product, "store": each.store, "title": each.title, "kept": list(each.kept),
                "counted": list(each.counted),
            }
            for each in wrong
        ]  # fmt: skip
        typer.echo(json.dumps({"wrong": rows, "repaired": repair}))
    else:
        for each in wrong:
            kept, counted = (" ".join(map(str, numbers)) for numbers in (each.kept, each.counted))
            typer.echo(printable(f"{each.store}: {each.title} ({each.product}) has {kept}, counted {counted}"))
        typer.echo(_summary(len(wrong), repair))
    if wrong and not repair:
        raise typer.Exit(1)


def _summary(wrong: int, repair: bool) -> str:
    if not wrong:
        return "The stars of all products are those of their reviews."
    products = "1 product" if wrong == 1 else f"{wrong} products"
    return f"The stars of {products} were wrong and are right now." if repair else f"The stars of {products} are wrong."


async def _wrong(mongo: MongoSettings, store: str | None, repair: bool) -> list[WrongRating]:
    client = connect_async(mongo.url)
    try:
        return [each async for each in Ratings(client, mongo.database).reconcile(store, repair=repair)]
    finally:
        await client.close()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reconcile-ratings")(reconcile_ratings)
