"""The stores in Mongo, and their in-memory twin."""

from __future__ import annotations

from collections.abc import Collection as Several
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

import msgspec
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, PyMongoError

from connectors.errors import Refused, Unavailable
from marketplace.collections import STORES
from marketplace.stores import InvalidStore, Store

_TIMEOUT_MS: Final = 3_000


class StoresUnavailable(Unavailable):
    """Mongo did not answer and nothing is remembered: pause and ask again."""


class StoreConflict(Refused):
    """The write key belongs to another store already; nothing was saved."""


@dataclass(frozen=True)
class BadStore:
    """A document that is no store: somebody wrote it past the ``marketplace`` command.

    Attributes:
        slug: Its id, as text.
        reason: Which field does not hold, and why.
        document: As it was read; another version of it is another bad store.
    """

    slug: str
    reason: str
    document: Mapping[str, Any]


@dataclass(frozen=True)
class Shelf:
    """What a look at the collection found: the stores, by slug, and what should be stores."""

    stores: dict[str, Store]
    bad: list[BadStore]


class StoreBook(Protocol):
    """Where stores are kept; the in-memory twin is held to the same contract."""

    def get(self, slug: str) -> Store | None:
        """The store of that slug."""

    def by_write_key_hash(self, write_key_hash: str) -> Store | None:
        """The store whose write key has that SHA-256."""

    def list_stores(self) -> list[Store]:
        """All stores by slug, without documents that do not hold."""

    def read(self, slugs: Several[str] | None = None) -> Shelf:
        """These stores or all, and apart from them the documents that do not hold."""

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
        # A text or date that BSON itself cannot hold would fail the whole answer and not only its document.
        lenient = CodecOptions[dict[str, Any]](
            unicode_decode_error_handler="replace", datetime_conversion=DatetimeConversion.DATETIME_AUTO
        )
        self._stores: Collection[dict[str, Any]] = client[database].get_collection(STORES.name, codec_options=lenient)

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
        """All stores by slug, without documents that do not hold.

        Raises:
            StoresUnavailable: Mongo did not answer.
        """
        return list(self.read().stores.values())

    def read(self, slugs: Several[str] | None = None) -> Shelf:
        """These stores or all, and apart from them the documents that do not hold.

        Raises:
            StoresUnavailable: Mongo did not answer.
        """
        query = {} if slugs is None else {"_id": {"$in": sorted(slugs)}}
        try:
            return _shelf(self._stores.find(query).sort("_id"))
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
        documents: What it holds, by slug.
        available: Set to False, it behaves as if Mongo did not answer.
    """

    def __init__(self) -> None:
        self.documents: dict[str, Mapping[str, Any]] = {}
        self.available = True

    def get(self, slug: str) -> Store | None:
        """The store of that slug."""
        self._ask()
        return _from_document(self.documents[slug]) if slug in self.documents else None

    def by_write_key_hash(self, write_key_hash: str) -> Store | None:
        """The store whose write key has that SHA-256."""
        self._ask()
        of_that_key = (d for d in self.documents.values() if d.get("write_key_hash") == write_key_hash)
        return next((_from_document(document) for document in of_that_key), None)

    def list_stores(self) -> list[Store]:
        """All stores by slug, without documents that do not hold."""
        return list(self.read().stores.values())

    def read(self, slugs: Several[str] | None = None) -> Shelf:
        """These stores or all, and apart from them the documents that do not hold."""
        self._ask()
        slips = sorted(self.documents, key=str)
        return _shelf(self.documents[slug] for slug in slips if slugs is None or slug in slugs)

    def upsert_store(self, store: Store) -> None:
        """Save a store under its slug, new or not."""
        owner = self.by_write_key_hash(store.write_key_hash)
        if owner is not None and owner.slug != store.slug:
            raise StoreConflict(f"store {store.slug}: another store has that write key")
        self.documents[store.slug] = _to_document(store)

    def create_store(self, store: Store) -> bool:
        """Save a store unless its slug is taken."""
        if self.get(store.slug) is not None:
            return False
        self.upsert_store(store)
        return True

    def _ask(self) -> None:
        if not self.available:
            raise StoresUnavailable("Mongo does not answer")


def _to_document(store: Store) -> dict[str, Any]:
    fields = asdict(store)
    slug = fields.pop("slug")
    return {"_id": slug, **fields, "domains": list(store.domains), "blocked_networks": list(store.blocked_networks)}


def _from_document(document: Mapping[str, Any]) -> Store:
    slug = document.get("_id")
    try:
        return msgspec.convert({**document, "slug": slug}, Store)
    except msgspec.ValidationError as error:
        raise InvalidStore(f"store {slug}: {error}") from error


def _shelf(documents: Iterable[Mapping[str, Any]]) -> Shelf:
    shelf = Shelf({}, [])
    for document in documents:
        try:
            store = _from_document(document)
        except InvalidStore as error:
            shelf.bad.append(BadStore(str(document.get("_id")), str(error), document))
        else:
            shelf.stores[store.slug] = store
    return shelf


def _unavailable(error: PyMongoError) -> StoresUnavailable:
    return StoresUnavailable(f"Mongo did not answer: {type(error).__name__}")
