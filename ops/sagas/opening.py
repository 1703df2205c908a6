"""Reading the saga's collections in a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer

from connectors.mongo.client import connect
from connectors.mongo.sagas.audit import SagaAudit
from runtime.sections import MongoSettings

_MONGO_SECONDS: Final = 10.0

StoreOption = Annotated[str | None, typer.Option("--store", metavar="SLUG", help="Only orders of this store.")]


@contextmanager
def open_audit(mongo: MongoSettings) -> Iterator[SagaAudit]:
    """What reads them, on a connection of its own.

    Raises:
        Refused: It is not a URL of Mongo.
    """
    client = connect(mongo.url, _MONGO_SECONDS)
    try:
        yield SagaAudit(client, mongo.database)
    finally:
        client.close()
