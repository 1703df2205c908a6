"""Reading the saga's collections in a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer

from connectors.errors import Refused
from connectors.mongo.client import Client, connect
from connectors.mongo.sagas.audit import SagaAudit
from connectors.mongo.stores import MongoStores
from runtime.sections import MongoSettings

_MONGO_SECONDS: Final = 10.0
_SHOWN_STORES: Final = 10

StoreOption = Annotated[str | None, typer.Option("--store", metavar="SLUG", help="Only orders of this store.")]


@contextmanager
def open_mongo(mongo: MongoSettings) -> Iterator[Client]:
    """A connection of the command's own.

    Raises:
        Refused: It is not a URL of Mongo.
    """
    client = connect(mongo.url, _MONGO_SECONDS)
    try:
        yield client
    finally:
        client.close()


def check_store(client: Client, database: str, slug: str | None) -> None:
    """Nothing is found of a store that there is not, which looks as if all of it were well.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
        slug: Of the store; None for all, of which nothing is checked.

    Raises:
        Refused: There is no such store.
        Unavailable: Mongo does not answer.
    """
    if slug is None:
        return
    stores = MongoStores(client, database)
    one = stores.read([slug])
    # What was ordered is there also where the store was deleted, or its document is damaged.
    if not one.stores and not one.bad and not SagaAudit(client, database).states(slug):
        known = [store.slug for store in stores.list_stores()]
        more = ", ..." if len(known) > _SHOWN_STORES else ""
        raise Refused(f"no store {slug!r}; there are: {', '.join(known[:_SHOWN_STORES]) or 'none yet'}{more}")
