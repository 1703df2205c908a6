"""A cache of stores by key, which decides when an entry is fresh enough and when Mongo has to be queried.

It never queries Mongo by itself. The caller does, with :meth:`StoreDirectory.look_up`, which blocks, and adds the
result with :meth:`StoreDirectory.learn`.
"""

from __future__ import annotations

import enum
import hmac
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from connectors.mongo.stores import StoreRepository
from marketplace.stores import (
    Store,
    hash_write_key,
    store_of_import_key,
    store_of_storefront_key,
    write_key_matches,
)

_CACHE_SECONDS: Final = 5.0
_IDLE_SECONDS: Final = 10.0
_MAX_CACHED: Final = 10_000

_Value = TypeVar("_Value")


Lookup = Callable[[StoreRepository, str], Store | None]
"""Finds the store of a key in a repository."""


def find_by_write_key(repository: StoreRepository, key: str) -> Store | None:
    """The store whose public write key this is, or its storefront's key; raises what the repository raises.

    A store that was deleted has no key, whatever its document says.
    """
    slug = store_of_storefront_key(key)
    if slug is None:
        store = repository.by_write_key_hash(hash_write_key(key))
    else:
        store = repository.get(slug)
        if store is not None and not hmac.compare_digest(key.encode(), store.storefront_key.encode()):
            return None
    return None if store is None or store.deleted else store


def find_by_import_key(repository: StoreRepository, key: str) -> Store | None:
    """The store whose secret import key this is, unless it was deleted; raises what the repository raises."""
    slug = store_of_import_key(key)
    store = repository.get(slug) if slug is not None else None
    if (
        store is None
        or store.deleted
        or store.import_key_hash is None
        or not write_key_matches(key, store.import_key_hash)
    ):
        return None
    return store


class Need(enum.Enum):
    """What has to be done before, or after, an entry is used."""

    NOTHING = enum.auto()
    """The entry is fresh, whether it is a store or that no store has the key."""
    REFRESH = enum.auto()
    """The store is in use and its entry is old: use it, and refresh it in the background."""
    LOOKUP = enum.auto()
    """There is no entry, or the store was idle: query Mongo first. An idle store is used if Mongo does not answer."""


@dataclass(slots=True)
class _Entry:
    store: Store
    learned_at: float
    used_at: float


class StoreDirectory:
    """A cache of stores by key, without expiry, and for some seconds of unknown keys. Safe to share between threads.

    Args:
        repository: The repository of stores.
        lookup: Looks up by write key, or by import key.
        cache_seconds: The age at which an entry is refreshed.
        idle_seconds: A store that was not used for this long is looked up before it is used.
        max_cached: The number of entries of either kind; the oldest go first.
    """

    def __init__(
        self,
        repository: StoreRepository,
        lookup: Lookup = find_by_write_key,
        *,
        cache_seconds: float = _CACHE_SECONDS,
        idle_seconds: float = _IDLE_SECONDS,
        max_cached: int = _MAX_CACHED,
    ) -> None:
        self._repository, self._lookup = repository, lookup
        self._cache_seconds, self._idle_seconds = cache_seconds, idle_seconds
        self._max_cached = max_cached
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Entry] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()

    def recall(self, key: str, now: float) -> tuple[Store | None, Need]:
        """The entry of a key, and what has to be done.

        Args:
            key: As the client sent it.
            now: Seconds of a monotonic clock, as for all methods.

        Returns:
            The store, or None if none is known, and what has to be done. None with a fresh entry means that no store
            has that key.
        """
        digest = hash_write_key(key)
        with self._lock:
            entry = self._known.get(digest)
            if entry is None:
                refused_at = self._unknown.get(digest)
                young = refused_at is not None and now - refused_at < self._cache_seconds
                return None, Need.NOTHING if young else Need.LOOKUP
            if now - entry.learned_at < self._cache_seconds:
                need = Need.NOTHING
            elif now - entry.used_at < self._idle_seconds:
                need = Need.REFRESH
            else:
                # Not marked as used: other callers before Mongo's answer have to wait for it too.
                return entry.store, Need.LOOKUP
            entry.used_at = now
            return entry.store, need

    def holds(self, key: str) -> bool:
        """Whether there is a store for the key in the cache, however old."""
        with self._lock:
            return hash_write_key(key) in self._known

    def look_up(self, key: str) -> Store | None:
        """Query Mongo; blocks, and does not change the cache.

        Raises:
            StoresUnavailable: Mongo did not answer.
            InvalidStore: The document is not a valid store.
        """
        return self._lookup(self._repository, key)

    def learn(self, key: str, store: Store | None, now: float) -> None:
        """Add a result of Mongo, as of now."""
        digest = hash_write_key(key)
        with self._lock:
            if store is None:
                self._known.pop(digest, None)
                _remember(self._unknown, digest, now, self._max_cached)
            else:
                self._unknown.pop(digest, None)
                _remember(self._known, digest, _Entry(store, now, now), self._max_cached)

    def fall_back(self, key: str, now: float) -> Store | None:
        """The entry of a key after a failed query of Mongo; it counts as used from now on."""
        with self._lock:
            entry = self._known.get(hash_write_key(key))
            if entry is None:
                return None
            entry.used_at = now
            return entry.store


def _remember(cache: OrderedDict[str, _Value], digest: str, value: _Value, limit: int) -> None:
    cache[digest] = value
    cache.move_to_end(digest)
    while len(cache) > limit:
        cache.popitem(last=False)
