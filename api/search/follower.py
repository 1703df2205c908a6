"""Keeps the index of a process as Mongo is: reads everything once, and then follows the changes.

While Mongo does not answer, the index stays as it was, and the age of what it knows grows. After that, changes are
followed from the last one on. Where Mongo does not know that one any more, everything is read again, and meanwhile the
index answers from what it has.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from api.search.index import SearchIndex
from connectors.errors import Unavailable
from connectors.mongo.product_feed import KINDS, Changes, FeedLost, ProductFeed
from connectors.mongo.product_reads import product_of
from marketplace.collections import CATEGORIES, PRODUCTS, STORES
from marketplace.search.entries import Category, Entry, entry_of

_PAGE: Final = 200
_SLICE_SECONDS: Final = 0.005
"""Of work on the index before requests get their turn."""

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
        self._position: tuple[int, str] | None = (0, "")
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
                self._token, self._position = None, (0, "")
            except Unavailable as error:
                _log.warning("search: answers from what it has: %s", error)
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
                await self._apply(changes)
                self._token, self._known_at = changes.token, asked_at

    async def _read(self) -> None:
        assert self._position is not None
        if self._position == (0, ""):
            self._index.generation += 1
            self._seen = {STORES.name: set(), CATEGORIES.name: set()}
        first, after = self._position
        for at, kind in enumerate(KINDS[first:], start=first):
            while documents := await self._feed.page(kind, after, _PAGE):
                await self._put(kind.name, documents)
                if kind.name in self._seen:
                    self._seen[kind.name].update(str(document["_id"]) for document in documents)
                after = str(documents[-1]["_id"])
                self._position = at, after
            after = ""
            if kind is STORES:
                self._index.stores_known = True
        await self._forget_unseen()
        self._position = None
        self.reads += 1
        self._index.complete = True
        _log.info("search: %d products are read", len(self._index))

    async def _forget_unseen(self) -> None:
        """What was there before everything was read, and is not there any more."""
        for slug in set(self._index.stores) - self._seen[STORES.name]:
            self._index.put_store(slug, None)
        for store in self._index.stores_with_categories() - self._seen[CATEGORIES.name]:
            self._index.put_categories(store, ())
        await self._in_slices(self._index.remove, self._index.remove_older(self._index.generation))

    async def _apply(self, changes: Changes) -> None:
        for kind in KINDS:
            ids = changes.ids.get(kind.name)
            if not ids:
                continue
            documents = await self._feed.several(kind.name, ids)
            await self._put(kind.name, documents)
            for gone in ids - {str(document["_id"]) for document in documents}:
                self._forget(kind.name, gone)

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
                Category(str(each["id"]), str(each["slug"]), str(each["name"]), each.get("parent"))
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


def _entries(documents: Iterable[Mapping[str, Any]]) -> list[tuple[str, Entry | None]]:
    return [(str(document["_id"]), _entry(document)) for document in documents]


def _entry(document: Mapping[str, Any]) -> Entry | None:
    try:
        return entry_of(product_of(document))
    except (KeyError, TypeError, ValueError, AttributeError):
        # Written past all rules: nobody can see it, and the others can be found.
        _log.warning("search: product %s cannot be read", document["_id"])
        return None
