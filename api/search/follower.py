"""Keeps the index of a process as Mongo is: reads everything once, and then follows the changes.

While Mongo does not answer, the index stays as it was, and the age of what it knows grows. After that, changes are
followed from the last one on. Where Mongo does not know that one any more, everything is read again, and meanwhile the
index answers from what it has.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from api.search.index import SearchIndex
from connectors.errors import Unavailable
from connectors.mongo.product_feed import KINDS, Changes, FeedLost, ProductFeed
from connectors.mongo.product_reads import product_of
from marketplace.catalog.categories import Category
from marketplace.collections import CATEGORIES, PRODUCTS, STORES
from marketplace.search.entries import Entry, entry_of

_PAGE: Final = 200
_SLICE_SECONDS: Final = 0.005
"""Of work on the index before requests get their turn."""

_BEGINNING: Final = "the beginning"  # which is no slug
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 5.0
_log = logging.getLogger(__name__)


class Follower:
    """Reads and follows; all of it in one event loop.

    Args:
        index: What is kept.
        feed: What it is kept by.
        monotonic: Seconds of a monotonic clock.
    """

    def __init__(self, index: SearchIndex, feed: ProductFeed, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._index, self._feed, self._monotonic = index, feed, monotonic
        self._token: Mapping[str, Any] | None = None
        # The last store whose products were read; None where all are.
        self._position: str | None = _BEGINNING
        self._seen: dict[str, set[str]] = {}
        self._known_at: float | None = None
        self.reads = 0

    @property
    def age_seconds(self) -> float | None:
        """For how long it is not known whether something was changed; None before everything was read."""
        return None if self._known_at is None else self._monotonic() - self._known_at

    async def run(self) -> None:
        """Follow until it is cancelled."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            before = self._known_at
            try:
                await self._follow()
            except FeedLost as error:
                _log.warning("search: everything is read again (%s)", error)
                self._token, self._position = None, _BEGINNING
            except Unavailable as error:
                _log.warning("search: answers from what it has: %s", error)
            except Exception:
                # A task that ends would leave search as it is for good, and nobody would see it.
                _log.exception("search: everything is read again")
                self._token, self._position = None, _BEGINNING
            _end_where_cancelled()
            pause = _FIRST_PAUSE_SECONDS if self._known_at != before else min(2 * pause, _LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    async def _follow(self) -> None:
        async with self._feed.watch(self._token) as stream:
            # 1. From here on, changes are known.
            self._token = stream.token
            # 2. What there is is read, from where the last attempt stopped.
            if self._position is not None:
                await self._read()
            # 3. What was changed since is read again; only then the place in the stream moves on.
            while True:
                asked_at = self._monotonic()
                changes = await stream.take()
                _end_where_cancelled()
                await self._apply(changes)
                self._token, self._known_at = changes.token, asked_at

    async def _read(self) -> None:
        if self._position == _BEGINNING:
            self._index.generation += 1
            self._seen = {kind.name: set(await self._feed.ids(kind)) for kind in (STORES, CATEGORIES)}
            for kind in (STORES, CATEGORIES):
                await self._read_all(kind.name, sorted(self._seen[kind.name]))
            self._index.stores_known = True
            self._position = ""
        for store in sorted(self._index.stores):
            if self._position is not None and store > self._position:
                await self._read_store(store)
                self._position = store
        await self._forget_unseen()
        self._position = None
        self.reads += 1
        self._index.complete = True
        _log.info("search: %d products are read", len(self._index))

    async def _read_store(self, store: str) -> None:
        await self._read_all(PRODUCTS.name, await self._feed.ids(PRODUCTS, store))

    async def _read_all(self, name: str, ids: Sequence[str]) -> None:
        for first in range(0, len(ids), _PAGE):
            await self._put(name, await self._feed.several(name, ids[first : first + _PAGE]))
            _end_where_cancelled()

    async def _forget_unseen(self) -> None:
        """What was there before everything was read, and is not there any more."""
        for slug in set(self._index.stores) - self._seen[STORES.name]:
            self._index.put_store(slug, None)
        for store in self._index.stores_with_categories() - self._seen[CATEGORIES.name]:
            self._index.put_categories(store, ())
        await self._in_slices(self._index.remove, self._index.older_than(self._index.generation))

    async def _apply(self, changes: Changes) -> None:
        for kind in KINDS:
            ids = changes.ids.get(kind.name)
            if not ids:
                continue
            documents = await self._feed.several(kind.name, ids)
            before = set(self._index.stores)
            await self._put(kind.name, documents)
            for missing in ids - {str(document["_id"]) for document in documents}:
                self._forget(kind.name, missing)
            for appeared in self._index.stores.keys() - before:
                # As a rule it is new and has none; of a store that nobody could see nothing was read.
                await self._read_store(appeared)
            for gone in before - self._index.stores.keys():
                await self._in_slices(self._index.remove, self._index.products_of(gone))

    async def _put(self, name: str, documents: list[dict[str, Any]]) -> None:
        if name == PRODUCTS.name:
            # Words take most of the time, on a thread of their own; the index itself is of the loop's alone.
            entries = await asyncio.to_thread(_entries, documents)
            await self._in_slices(self._put_product, entries)
        elif name == CATEGORIES.name:
            await self._in_slices(self._put_categories, documents)
        else:
            await self._in_slices(self._put_store, documents)

    def _put_product(self, found: tuple[str, Entry | None]) -> None:
        product_id, entry = found
        if entry is None:
            self._index.remove(product_id)
        else:
            self._index.put(entry)

    def _put_store(self, document: Mapping[str, Any]) -> None:
        gone = document.get("deleted_at") is not None
        self._index.put_store(str(document["_id"]), None if gone else str(document.get("title", "")))

    def _put_categories(self, document: Mapping[str, Any]) -> None:
        store = str(document["_id"])
        try:
            several = [
                Category(str(each["id"]), str(each["slug"]), str(each["name"]), _parent(each))
                for each in document["categories"]
            ]
        except (KeyError, TypeError, AttributeError):
            _log.warning("search: the categories of store %s cannot be read", store)
            several = []
        self._index.put_categories(store, several)

    def _forget(self, name: str, document_id: str) -> None:
        if name == PRODUCTS.name:
            self._index.remove(document_id)
        elif name == CATEGORIES.name:
            self._index.put_categories(document_id, ())
        else:
            self._index.put_store(document_id, None)

    async def _in_slices(self, work: Callable[[Any], None], several: Iterable[Any]) -> None:
        until = time.perf_counter() + _SLICE_SECONDS
        for each in several:
            work(each)
            if time.perf_counter() >= until:
                await asyncio.sleep(0)
                until = time.perf_counter() + _SLICE_SECONDS


def _end_where_cancelled() -> None:
    """PyMongo loses a cancellation that comes at the same time as an answer, and gives the answer."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _parent(category: Mapping[str, Any]) -> str | None:
    found = category.get("parent")
    return None if found is None else str(found)


def _entries(documents: Iterable[Mapping[str, Any]]) -> list[tuple[str, Entry | None]]:
    return [(str(document["_id"]), _entry(document)) for document in documents]


def _entry(document: Mapping[str, Any]) -> Entry | None:
    try:
        return entry_of(product_of(document))
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
        # Written past all rules: nobody can see it, and the others can be found.
        _log.warning("search: product %s cannot be read", document["_id"])
        return None
