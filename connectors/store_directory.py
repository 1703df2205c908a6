"""A directory of stores by write key that answers from memory, also while Mongo is away."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeVar

from connectors.mongo_stores import StoreBook, StoresUnavailable
from marketplace.stores import InvalidStore, Store, hash_write_key, store_of_import_key, write_key_matches

_CACHE_SECONDS: Final = 5.0
_GRACE_SECONDS: Final = 25.0
_MAX_CACHED: Final = 10_000

_Entry = TypeVar("_Entry")


Lookup = Callable[[StoreBook, str], Store | None]
"""Finds the store of a key in a book."""


def find_by_write_key(book: StoreBook, key: str) -> Store | None:
    """The store whose public write key this is; raises what the book raises."""
    return book.by_write_key_hash(hash_write_key(key))


def find_by_import_key(book: StoreBook, key: str) -> Store | None:
    """The store whose secret import key this is; raises what the book raises."""
    slug = store_of_import_key(key)
    store = book.get(slug) if slug is not None else None
    if store is None or store.import_key_hash is None or not write_key_matches(key, store.import_key_hash):
        return None
    return store


class StoreDirectory:
    """Stores by write key, remembered for a few seconds and for as long as Mongo is away.

    A key in steady use is looked up again in the background (:meth:`claim_refresh`), so that its requests never wait
    for Mongo. Two threads may ask Mongo for the same key at once, which costs a query and nothing else.

    Args:
        book: Where to look.
        lookup: How: by write key, or by import key.
        cache_seconds: How old an answer may be, also the answer that there is no such key.
        grace_seconds: How much longer :meth:`cached` gives it while it is being looked up again.
        max_cached: How many answers are remembered of either kind; the oldest go first.
    """

    def __init__(
        self,
        book: StoreBook,
        lookup: Lookup = find_by_write_key,
        *,
        cache_seconds: float = _CACHE_SECONDS,
        grace_seconds: float = _GRACE_SECONDS,
        max_cached: int = _MAX_CACHED,
    ) -> None:
        self._book, self._lookup = book, lookup
        self._cache_seconds = cache_seconds
        self._grace_seconds = grace_seconds
        self._max_cached = max_cached
        self._known: OrderedDict[str, tuple[float, Store]] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._claimed: dict[str, float] = {}

    def cached(self, write_key: str, now: float) -> Store | None:
        """An answer from memory that is fresh or in its grace, or None when :meth:`find` must ask.

        Args:
            write_key: As the client sent it.
            now: Seconds of a monotonic clock.
        """
        entry = self._known.get(hash_write_key(write_key))
        if entry is None or now - entry[0] >= self._cache_seconds + self._grace_seconds:
            return None
        return entry[1]

    def claim_refresh(self, write_key: str, now: float) -> bool:
        """Whether the caller should call :meth:`find` in the background: the answer is old and nobody else is at it."""
        digest = hash_write_key(write_key)
        entry = self._known.get(digest)
        if entry is None or now - entry[0] < self._cache_seconds:
            return False
        if now - self._claimed.get(digest, -self._cache_seconds) < self._cache_seconds:
            return False
        self._claimed = {key: at for key, at in self._claimed.items() if now - at < self._cache_seconds}
        self._claimed[digest] = now
        return True

    def find(self, write_key: str, now: float) -> Store | None:
        """The store of a write key, or None when no store has it; may ask Mongo and block.

        Args:
            write_key: As the client sent it.
            now: Seconds of a monotonic clock.

        Raises:
            StoresUnavailable: Mongo did not answer and this key was never seen.
            InvalidStore: The document does not hold and this key was never seen.
        """
        digest = hash_write_key(write_key)
        entry = self._known.get(digest)
        if entry is not None and now - entry[0] < self._cache_seconds:
            return entry[1]
        refused_at = self._unknown.get(digest)
        if refused_at is not None and now - refused_at < self._cache_seconds:
            return None
        try:
            store = self._lookup(self._book, write_key)
        except (StoresUnavailable, InvalidStore):
            if entry is None:
                raise
            store = entry[1]
        if store is None:
            self._known.pop(digest, None)
            _remember(self._unknown, digest, now, self._max_cached)
        else:
            self._unknown.pop(digest, None)
            _remember(self._known, digest, (now, store), self._max_cached)
        return store


def _remember(cache: OrderedDict[str, _Entry], digest: str, entry: _Entry, limit: int) -> None:
    cache[digest] = entry
    cache.move_to_end(digest)
    while len(cache) > limit:
        cache.popitem(last=False)
