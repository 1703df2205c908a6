"""The stores in Mongo, and a directory of them that answers from memory while Mongo is away."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final, Protocol, TypeVar

from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, PyMongoError

from connectors.errors import Refused, Unavailable
from marketplace.collections import STORES
from marketplace.stores import InvalidStore, Store, hash_write_key

_CACHE_SECONDS: Final = 5.0
_GRACE_SECONDS: Final = 25.0
_MAX_CACHED: Final = 10_000
_TIMEOUT_MS: Final = 3_000

_Entry = TypeVar("_Entry")


class StoresUnavailable(Unavailable):
    """Mongo did not answer and nothing is remembered: pause and ask again."""


class StoreConflict(Refused):
    """The write key belongs to another store already; nothing was saved."""


class StoreBook(Protocol):
    """Where stores are kept; the in-memory twin is held to the same contract."""

    def get(self, slug: str) -> Store | None:
        """The store of that slug."""

    def by_write_key_hash(self, write_key_hash: str) -> Store | None:
        """The store whose write key has that SHA-256."""

    def list_stores(self) -> list[Store]:
        """All stores by slug."""

    def upsert_store(self, store: Store) -> None:
        """Save a store under its slug, new or not."""

    def create_store(self, store: Store) -> bool:
        """Save a store unless its slug is taken; tells whether it did."""


def connect(mongo_url: str) -> MongoClient[dict[str, Any]]:
    """A client with short timeouts, for services that can answer from memory meanwhile."""
    return MongoClient(
        mongo_url, serverSelectionTimeoutMS=_TIMEOUT_MS, connectTimeoutMS=_TIMEOUT_MS, socketTimeoutMS=2 * _TIMEOUT_MS
    )


class MongoStores:
    """The collection ``stores``.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: MongoClient[dict[str, Any]], database: str) -> None:
        self._stores: Collection[dict[str, Any]] = client[database][STORES.name]

    def get(self, slug: str) -> Store | None:
        """The store of that slug.

        Raises:
            StoresUnavailable: Mongo did not answer.
            InvalidStore: The document does not hold; the message names the field.
        """
        return self._find({"_id": slug})

    def by_write_key_hash(self, write_key_hash: str) -> Store | None:
        """The store whose write key has that SHA-256; see :meth:`get` for the errors."""
        return self._find({"write_key_hash": write_key_hash})

    def list_stores(self) -> list[Store]:
        """All stores by slug; see :meth:`get` for the errors."""
        try:
            return [_from_document(document) for document in self._stores.find().sort("_id")]
        except PyMongoError as error:
            raise _unavailable(error) from error

    def upsert_store(self, store: Store) -> None:
        """Save a store under its slug, new or not.

        Raises:
            StoreConflict: Another store has that write key.
            StoresUnavailable: Mongo did not answer; it may or may not be saved.
        """
        try:
            self._stores.replace_one({"_id": store.slug}, _to_document(store), upsert=True)
        except DuplicateKeyError as error:
            raise StoreConflict(f"store {store.slug}: another store has that write key") from error
        except PyMongoError as error:
            raise _unavailable(error) from error

    def create_store(self, store: Store) -> bool:
        """Save a store unless its slug is taken.

        Returns:
            Whether it was saved; False leaves the other one as it is.

        Raises:
            StoreConflict: Another store has that write key.
            StoresUnavailable: Mongo did not answer; it may or may not be saved.
        """
        try:
            self._stores.insert_one(_to_document(store))
        except DuplicateKeyError as error:
            if self.get(store.slug) is not None:
                return False
            raise StoreConflict(f"store {store.slug}: another store has that write key") from error
        except PyMongoError as error:
            raise _unavailable(error) from error
        return True

    def _find(self, query: Mapping[str, str]) -> Store | None:
        try:
            document = self._stores.find_one(query)
        except PyMongoError as error:
            raise _unavailable(error) from error
        return None if document is None else _from_document(document)


class MemoryStores:
    """The in-memory twin.

    Attributes:
        available: Set to False, it behaves as if Mongo did not answer.
    """

    def __init__(self) -> None:
        self._stores: dict[str, Store] = {}
        self.available = True

    def get(self, slug: str) -> Store | None:
        """The store of that slug."""
        self._ask()
        return self._stores.get(slug)

    def by_write_key_hash(self, write_key_hash: str) -> Store | None:
        """The store whose write key has that SHA-256."""
        self._ask()
        return next((store for store in self._stores.values() if store.write_key_hash == write_key_hash), None)

    def list_stores(self) -> list[Store]:
        """All stores by slug."""
        self._ask()
        return sorted(self._stores.values(), key=lambda store: store.slug)

    def upsert_store(self, store: Store) -> None:
        """Save a store under its slug, new or not."""
        owner = self.by_write_key_hash(store.write_key_hash)
        if owner is not None and owner.slug != store.slug:
            raise StoreConflict(f"store {store.slug}: another store has that write key")
        self._stores[store.slug] = store

    def create_store(self, store: Store) -> bool:
        """Save a store unless its slug is taken."""
        if self.get(store.slug) is not None:
            return False
        self.upsert_store(store)
        return True

    def _ask(self) -> None:
        if not self.available:
            raise StoresUnavailable("Mongo does not answer")


class StoreDirectory:
    """Stores by write key, remembered for a few seconds and for as long as Mongo is away.

    A key in steady use is looked up again in the background (:meth:`claim_refresh`), so that its requests never wait
    for Mongo. Two threads may ask Mongo for the same key at once, which costs a query and nothing else.

    Args:
        book: Where to look.
        cache_seconds: How old an answer may be, also the answer that there is no such key.
        grace_seconds: How much longer :meth:`cached` gives it while it is being looked up again.
        max_cached: How many answers are remembered of either kind; the oldest go first.
    """

    def __init__(
        self,
        book: StoreBook,
        *,
        cache_seconds: float = _CACHE_SECONDS,
        grace_seconds: float = _GRACE_SECONDS,
        max_cached: int = _MAX_CACHED,
    ) -> None:
        self._book = book
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
            store = self._book.by_write_key_hash(digest)
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


def _to_document(store: Store) -> dict[str, Any]:
    fields = asdict(store)
    slug = fields.pop("slug")
    return {"_id": slug, **fields, "domains": list(store.domains), "blocked_networks": list(store.blocked_networks)}


def _from_document(document: Mapping[str, Any]) -> Store:
    slug = document.get("_id")
    try:
        return Store(
            slug=str(slug),
            title=document["title"],
            timezone=document["timezone"],
            domains=tuple(document["domains"]),
            write_key_hash=document["write_key_hash"],
            visitor_secret=document["visitor_secret"],
            blocked_networks=tuple(document.get("blocked_networks", ())),
            honour_opt_out=document.get("honour_opt_out", True),
        )
    except KeyError as error:
        raise InvalidStore(f"store {slug}: no field {error}") from error


def _unavailable(error: PyMongoError) -> StoresUnavailable:
    return StoresUnavailable(f"Mongo did not answer: {type(error).__name__}")
