"""A directory of stores by key: what is remembered, how far it can be believed, and when Mongo has to be asked.

It never asks by itself. Whoever uses it asks with :meth:`StoreDirectory.look_up`, which blocks, and enters the answer
with :meth:`StoreDirectory.learn` when it has come.
"""

from __future__ import annotations

import enum
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from connectors.mongo.stores import StoreRepository
from marketplace.stores import Store, hash_write_key, store_of_import_key, write_key_matches

_CACHE_SECONDS: Final = 5.0
_IDLE_SECONDS: Final = 10.0
_MAX_CACHED: Final = 10_000

_Value = TypeVar("_Value")


Lookup = Callable[[StoreRepository, str], Store | None]
"""Finds the store of a key in a repository."""


def find_by_write_key(repository: StoreRepository, key: str) -> Store | None:
    """The store whose public write key this is; raises what the repository raises."""
    return repository.by_write_key_hash(hash_write_key(key))


def find_by_import_key(repository: StoreRepository, key: str) -> Store | None:
    """The store whose secret import key this is; raises what the repository raises."""
    slug = store_of_import_key(key)
    store = repository.get(slug) if slug is not None else None
    if store is None or store.import_key_hash is None or not write_key_matches(key, store.import_key_hash):
        return None
    return store


class Need(enum.Enum):
    """What has to be asked before, or after, a remembered answer is used."""

    NOTHING = enum.auto()
    """The answer is young, be it a store or that nobody has the key."""
    REFRESH = enum.auto()
    """The store is in use and its answer is old: use it, and ask again meanwhile."""
    LOOKUP = enum.auto()
    """Nothing is known, or the store was idle for long: ask first. An idle store is used if Mongo does not answer."""


@dataclass(slots=True)
class _Entry:
    store: Store
    learned_at: float
    used_at: float


class StoreDirectory:
    """Remembers stores by key, however old, and for some seconds that nobody has a key. Safe to share between threads.

    Args:
        repository: Where to look.
        lookup: How: by write key, or by import key.
        cache_seconds: How old an answer may be before it is asked for again.
        idle_seconds: A store that was not used for so long is looked up before it is believed.
        max_cached: How many answers are remembered of either kind; the oldest go first.
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
        """The remembered answer and what has to be asked.

        Args:
            key: As the client sent it.
            now: Seconds of a monotonic clock, as for all methods.

        Returns:
            The store, or None where none is known, and what it needs. None that needs nothing is an answer of Mongo's:
            nobody has that key.
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
                # Not marked as used: others that ask before Mongo has answered have to wait for the answer too.
                return entry.store, Need.LOOKUP
            entry.used_at = now
            return entry.store, need

    def holds(self, key: str) -> bool:
        """Whether a store is remembered for the key, however old."""
        with self._lock:
            return hash_write_key(key) in self._known

    def look_up(self, key: str) -> Store | None:
        """Ask Mongo; blocks and remembers nothing.

        Raises:
            StoresUnavailable: Mongo did not answer.
            InvalidStore: The document does not hold.
        """
        return self._lookup(self._repository, key)

    def learn(self, key: str, store: Store | None, now: float) -> None:
        """Remember an answer of Mongo's, which has come now."""
        digest = hash_write_key(key)
        with self._lock:
            if store is None:
                self._known.pop(digest, None)
                _remember(self._unknown, digest, now, self._max_cached)
            else:
                self._unknown.pop(digest, None)
                _remember(self._known, digest, _Entry(store, now, now), self._max_cached)

    def fall_back(self, key: str, now: float) -> Store | None:
        """What is remembered of a key that Mongo was asked for in vain; it counts as used from now on."""
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
