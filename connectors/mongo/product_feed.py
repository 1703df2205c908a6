"""All products, stores and categories, and every change of them since: for who keeps a copy in memory.

In this order nothing is missed: :meth:`ProductFeed.watch` first, then all documents, then the changes since the watch
began. A change only says what to read again, so a document that was read meanwhile does no harm.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import pymongo
from pymongo import AsyncMongoClient
from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.errors import OperationFailure, PyMongoError

from connectors.mongo.async_client import Documents, answering
from connectors.mongo.client import unavailable
from marketplace.collections import CATEGORIES, PRODUCTS, STORES
from marketplace.collections import Collection as Declared

KINDS: Final = (STORES, CATEGORIES, PRODUCTS)
"""In the order in which they are read: products are read store by store."""

_FIELDS: Final[Mapping[str, Sequence[str]]] = {STORES.name: ("title", "deleted_at"), CATEGORIES.name: ("categories",)}
_WAIT_MS: Final = 200
_GATHER_SECONDS: Final = 0.3
_MOST_CHANGES: Final = 500
_TIMEOUT_MS: Final = 3_000
_ANSWER_MS: Final = 20_000
"""For all ids of a large store; a change stream that waits is answered every moment."""

_CONNECTIONS: Final = 2
_CLOSE_SECONDS: Final = 0.5
_CHANGED: Final = frozenset({"insert", "update", "replace", "delete"})


class FeedLost(Exception):
    """The changes since the last ones are not known any more: everything has to be read again."""


def connect_feed(url: str) -> Documents:
    """A client of its own, because a stream waits longer than requests may; the caller closes it."""
    return AsyncMongoClient(
        url,
        maxPoolSize=_CONNECTIONS,
        serverSelectionTimeoutMS=_TIMEOUT_MS,
        connectTimeoutMS=_TIMEOUT_MS,
        socketTimeoutMS=_ANSWER_MS,
    )


@dataclass(frozen=True)
class Changes:
    """What was changed, by collection: the ids to read again.

    Attributes:
        ids: Of each collection's documents.
        token: Where the changes after these begin.
    """

    ids: Mapping[str, frozenset[str]]
    token: Mapping[str, Any] | None


class Stream:
    """The changes from one moment on, one after the other.

    Args:
        stream: Open.
    """

    def __init__(self, stream: AsyncChangeStream[dict[str, Any]]) -> None:
        self._stream = stream

    @property
    def token(self) -> Mapping[str, Any] | None:
        """Where the changes that were not taken yet begin."""
        return self._stream.resume_token

    async def take(self) -> Changes:
        """The changes that there are, after a moment at the latest; none where there are none.

        Raises:
            FeedLost: A collection or the whole database was dropped or renamed.
            Unavailable: Mongo does not answer.
        """
        ids: dict[str, set[str]] = {}
        began, count = time.monotonic(), 0
        async with _following():
            while count < _MOST_CHANGES and time.monotonic() < began + _GATHER_SECONDS:
                event = await self._stream.try_next()
                if event is None:
                    break
                if event["operationType"] not in _CHANGED:
                    raise FeedLost(event["operationType"])
                count += 1
                ids.setdefault(event["ns"]["coll"], set()).add(str(event["documentKey"]["_id"]))
        if not self._stream.alive:
            raise FeedLost("the stream has ended")
        return Changes({name: frozenset(several) for name, several in ids.items()}, self.token)


class ProductFeed:
    """Reads of the collections ``products``, ``categories`` and ``stores`` as wholes.

    Args:
        client: Of :func:`connect_feed`; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Documents, database: str) -> None:
        self._mongo = client[database]

    @asynccontextmanager
    async def watch(self, token: Mapping[str, Any] | None) -> AsyncIterator[Stream]:
        """The changes since a token, or from now on; the stream ends with the block.

        Raises:
            FeedLost: Mongo does not know the token any more.
            Unavailable: Mongo does not answer.
        """
        pipeline: list[dict[str, Any]] = [
            {"$match": {"ns.coll": {"$in": [kind.name for kind in KINDS]}}},
            {"$project": {"operationType": 1, "ns": 1, "documentKey": 1}},
        ]
        async with _following():
            opened = await self._mongo.watch(pipeline, resume_after=token, max_await_time_ms=_WAIT_MS)
        try:
            yield Stream(opened)
        finally:
            # With a connection that is broken it has ended already, and a Mongo that hangs need not know.
            with suppress(PyMongoError), pymongo.timeout(_CLOSE_SECONDS):
                await opened.close()

    async def ids(self, kind: Declared, store: str | None = None) -> list[str]:
        """The ids of all documents: what they hold is read by :meth:`several`, some at a time.

        A range of ids with a limit would be the plainer way. SecantusDB goes through a whole collection for it, and
        finds single ids and all of one store by an index.

        Args:
            kind: The collection.
            store: Of its products alone.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            asked = self._mongo[kind.name].find({} if store is None else {"store": store}, {"_id": 1})
            return sorted(str(document["_id"]) for document in await asked.to_list())

    async def several(self, name: str, ids: Collection[str]) -> list[dict[str, Any]]:
        """Those of these documents that there are.

        Raises:
            Unavailable: Mongo does not answer.
        """
        async with answering():
            return await self._mongo[name].find({"_id": {"$in": sorted(ids)}}, _FIELDS.get(name)).to_list()


@asynccontextmanager
async def _following() -> AsyncIterator[None]:
    """Tell a place in the stream that is lost from a Mongo that does not answer.

    Raises:
        FeedLost: Mongo answers, and not with changes.
        Unavailable: Mongo does not answer.
    """
    try:
        yield
    except OperationFailure as error:
        if error.has_error_label("ResumableChangeStreamError") or error.timeout:
            raise unavailable(error) from error
        raise FeedLost(f"Mongo refuses the stream: {error.code}") from error
    except PyMongoError as error:
        raise unavailable(error) from error
