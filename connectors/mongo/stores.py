"""The stores in Mongo, and their in-memory twin."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Collection as Several
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Final, Protocol

import msgspec
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, PyMongoError

from connectors.errors import Refused, Unavailable
from connectors.twin import Twin
from marketplace.collections import STORES
from marketplace.stores import InvalidStore, Store

log = logging.getLogger(__name__)

_EDIT_ATTEMPTS: Final = 20
VERSION: Final = "version"
"""The field that goes up with each edit."""

LENIENT: Final = CodecOptions[dict[str, Any]](
    unicode_decode_error_handler="replace", datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
"""By default, a text or date that BSON cannot represent would fail the whole result and not only its document."""

SHAPING: Final = frozenset(
    {"payment_hosts", "ignored_referrers", "source_rules", "trailing_slash", "page_case", "goals"}
)
"""Fields that shape reports, and without which events are counted all the same."""

Change = Callable[[Store], Mapping[str, Any]]
"""From a store as it is to the fields that are to change, by their names in :class:`Store`; run again where another
edit came in between."""


class StoresUnavailable(Unavailable):
    """Mongo did not answer: pause and try again."""


class StoreConflict(Refused):
    """The write key belongs to another store already; nothing was saved."""


@dataclass(frozen=True)
class BadStore:
    """A document that is not a valid store: it was not written by the ``marketplace`` command.

    Attributes:
        slug: Its id, as text.
        reason: Which field is not valid, and why.
        document: The document as it was read; another version of it is another bad store.
    """

    slug: str
    reason: str
    document: Mapping[str, Any]


@dataclass(frozen=True)
class StoreListing:
    """The content of the collection: valid stores by slug, and documents that are not valid."""

    stores: dict[str, Store]
    bad: list[BadStore]


class StoreRepository(Protocol):
    """The repository of stores; the in-memory twin passes the same contract tests."""

    def get(self, slug: str) -> Store | None:
        """The store of that slug."""

    def by_write_key_hash(self, write_key_hash: str) -> Store | None:
        """The store whose write key has that SHA-256."""

    def list_stores(self) -> list[Store]:
        """All stores by slug, without invalid documents."""

    def read(self, slugs: Several[str] | None = None) -> StoreListing:
        """These stores or all, and separately the invalid documents."""

    def create_store(self, store: Store) -> bool:
        """Save a store unless its slug is taken; returns True if it was saved."""

    def edit(self, slug: str, change: Change) -> Store | None:
        """Change only the named fields of a store; returns the new store, None if there is no such store."""

    def upsert_store(self, store: Store) -> None:
        """Create a store, or change all its fields: for demos and tests, without concurrent edits."""


class MongoStores:
    """The collection ``stores``.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: MongoClient[dict[str, Any]], database: str) -> None:
        self._stores: Collection[dict[str, Any]] = client[database].get_collection(STORES.name, codec_options=LENIENT)

    def get(self, slug: str) -> Store | None:
        """The store of that slug.

        Raises:
            StoresUnavailable: Mongo did not answer.
            InvalidStore: The document is not valid; the message names the field.
        """
        return self._find({"_id": slug})

    def by_write_key_hash(self, write_key_hash: str) -> Store | None:
        """The store whose write key has that SHA-256; see :meth:`get` for the errors."""
        return self._find({"write_key_hash": write_key_hash})

    def list_stores(self) -> list[Store]:
        """All stores by slug, without invalid documents.

        Raises:
            StoresUnavailable: Mongo did not answer.
        """
        return list(self.read().stores.values())

    def read(self, slugs: Several[str] | None = None) -> StoreListing:
        """These stores or all, and separately the invalid documents.

        Raises:
            StoresUnavailable: Mongo did not answer.
        """
        query = {} if slugs is None else {"_id": {"$in": sorted(slugs)}}
        try:
            return listing_of(self._stores.find(query).sort("_id"))
        except PyMongoError as error:
            raise _unavailable(error) from error

    def prepare(self) -> None:
        """Create the unique indexes of stores, if they are missing.

        Raises:
            StoresUnavailable: Mongo did not answer, or does not make them.
        """
        try:
            for index in STORES.indexes:
                self._stores.create_index(list(index.fields), name=index.name, unique=index.unique)
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
            self._stores.insert_one(_made_now(store))
        except DuplicateKeyError as error:
            if self.get(store.slug) is not None:
                return False
            raise StoreConflict(f"store {store.slug}: another store has that write key") from error
        except PyMongoError as error:
            raise _unavailable(error) from error
        return True

    def edit(self, slug: str, change: Change) -> Store | None:
        """Change only the named fields of a store.

        Optimistic concurrency: a document has a version, and an edit is written only over the version that it has read;
        otherwise it is computed again. So no edit undoes another, and fields that this code does not know are kept.

        Returns:
            The new store; None if there is no store of that slug.

        Raises:
            InvalidStore: The document is not valid, before or after the edit; nothing was changed.
            StoreConflict: Another store has that write key; nothing was changed.
            StoresUnavailable: Mongo did not answer, and it may or may not be changed; or there were too many concurrent
                edits.
        """
        try:
            for _ in range(_EDIT_ATTEMPTS):
                document = self._stores.find_one({"_id": slug})
                if document is None:
                    return None
                version, fields, edited = _edited(document, change)
                # A document without a version counts as version 0; in Mongo, null also matches a field that is missing.
                read = {"_id": slug, VERSION: {"$in": [None, 0]} if version == 0 else version}
                if self._stores.update_one(read, {"$set": {**fields, VERSION: version + 1}}).matched_count:
                    return edited
        except DuplicateKeyError as error:
            raise StoreConflict(f"store {slug}: another store has that write key") from error
        except PyMongoError as error:
            raise _unavailable(error) from error
        raise StoresUnavailable(f"store {slug}: others edited it {_EDIT_ATTEMPTS} times meanwhile")

    def upsert_store(self, store: Store) -> None:
        """Create a store, or change all its fields; see :meth:`create_store` and :meth:`edit` for the errors.

        For demos and tests: concurrent edits are overwritten.
        """
        if not self.create_store(store):
            self.edit(store.slug, lambda _: fields_of(store))

    def _find(self, query: Mapping[str, str]) -> Store | None:
        try:
            document = self._stores.find_one(query)
        except PyMongoError as error:
            raise _unavailable(error) from error
        return None if document is None else from_document(document)


class MemoryStores(Twin):
    """The in-memory twin.

    Args:
        deadline_seconds: A call that is not answered in this time fails.

    Attributes:
        documents: Its documents, by slug.
    """

    def __init__(self, deadline_seconds: float = 1.5) -> None:
        super().__init__()
        self.documents: dict[str, Mapping[str, Any]] = {}
        self._deadline_seconds = deadline_seconds
        self._lock = threading.RLock()

    def get(self, slug: str) -> Store | None:
        """The store of that slug."""
        self._ask()
        document = self.documents.get(slug)
        return None if document is None else from_document(document)

    def by_write_key_hash(self, write_key_hash: str) -> Store | None:
        """The store whose write key has that SHA-256."""
        self._ask()
        with self._lock:
            of_that_key = (d for d in self.documents.values() if d.get("write_key_hash") == write_key_hash)
            return next((from_document(document) for document in of_that_key), None)

    def list_stores(self) -> list[Store]:
        """All stores by slug, without invalid documents."""
        return list(self.read().stores.values())

    def read(self, slugs: Several[str] | None = None) -> StoreListing:
        """These stores or all, and separately the invalid documents."""
        self._ask()
        with self._lock:
            found = sorted(self.documents.items(), key=lambda item: str(item[0]))
        return listing_of(document for slug, document in found if slugs is None or slug in slugs)

    def create_store(self, store: Store) -> bool:
        """Save a store unless its slug is taken."""
        self._ask()
        with self._lock:
            if store.slug in self.documents:
                return False
            self._refuse_taken_key(store)
            self.documents[store.slug] = _made_now(store)
            return True

    def edit(self, slug: str, change: Change) -> Store | None:
        """Change only the named fields of a store."""
        for _ in range(_EDIT_ATTEMPTS):
            self._ask()
            document = self.documents.get(slug)
            if document is None:
                return None
            version, fields, edited = _edited(document, change)
            self._ask()
            with self._lock:
                if self.documents.get(slug) is document:
                    self._refuse_taken_key(edited)
                    self.documents[slug] = {**document, **fields, VERSION: version + 1}
                    return edited
        raise StoresUnavailable(f"store {slug}: others edited it {_EDIT_ATTEMPTS} times meanwhile")

    def upsert_store(self, store: Store) -> None:
        """Make a store, or change all its fields."""
        if not self.create_store(store):
            self.edit(store.slug, lambda _: fields_of(store))

    def _refuse_taken_key(self, store: Store) -> None:
        owner = next((d for d in self.documents.values() if d.get("write_key_hash") == store.write_key_hash), None)
        if owner is not None and owner.get("_id") != store.slug:
            raise StoreConflict(f"store {store.slug}: another store has that write key")

    def _ask(self) -> None:
        if not self._answers(self._deadline_seconds):
            raise StoresUnavailable("Mongo does not answer")


def _made_now(store: Store) -> dict[str, Any]:
    return {**to_document(store), "created_at": int(time.time() * 1_000)}


def to_document(store: Store) -> dict[str, Any]:
    """The document of a store that is new."""
    return {"_id": store.slug, **fields_of(store), VERSION: 1}


def fields_of(store: Store) -> dict[str, Any]:
    """The fields of a store as a document has them, without the slug, and without its end, which no edit writes."""
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(store).items()}
    del fields["slug"], fields["deleted"]
    return fields


def _edited(document: Mapping[str, Any], change: Change) -> tuple[int, dict[str, Any], Store]:
    """The version that is edited, the fields to set, and the store that comes of it."""
    before, version = from_document(document), document.get(VERSION, 0)
    if isinstance(version, bool) or not isinstance(version, int):
        raise InvalidStore(f"store {before.slug}: its version {version!r} is not a whole number")
    fields = dict(change(before))
    unknown = fields.keys() - fields_of(before).keys()
    if unknown:
        raise InvalidStore(f"store {before.slug}: {', '.join(sorted(unknown))} cannot be edited")
    after = _read_strictly({**document, **fields_of(before), **fields})
    return version, {name: value for name, value in fields_of(after).items() if name in fields}, after


def from_document(document: Mapping[str, Any]) -> Store:
    """The store of a document; raises ``InvalidStore`` if it is not valid."""
    try:
        return _read_strictly(document)
    except InvalidStore:
        pass
    # What only shapes reports must not keep a store's events from being counted: it is left out, and said so.
    sound = {name: value for name, value in document.items() if name not in SHAPING}
    store = _read_strictly(sound)
    for name in sorted(SHAPING & document.keys()):
        try:
            store = _read_strictly({**sound, name: document[name]})
            sound[name] = document[name]
        except InvalidStore as error:
            _say_once(f"{error}; {name} is left out until it is set again")
    return store


def _read_strictly(document: Mapping[str, Any]) -> Store:
    slug = document.get("_id")
    try:
        return msgspec.convert({**document, "slug": slug, "deleted": document.get("deleted_at") is not None}, Store)
    except msgspec.ValidationError as error:
        raise InvalidStore(f"store {slug}: {error}") from error


@lru_cache(maxsize=1_000)
def _say_once(problem: str) -> None:
    log.warning("%s", problem)


def listing_of(documents: Iterable[Mapping[str, Any]]) -> StoreListing:
    """Valid stores and invalid documents apart."""
    listing = StoreListing({}, [])
    for document in documents:
        try:
            store = from_document(document)
        except InvalidStore as error:
            listing.bad.append(BadStore(str(document.get("_id")), str(error), document))
        else:
            listing.stores[store.slug] = store
    return listing


def _unavailable(error: PyMongoError) -> StoresUnavailable:
    return StoresUnavailable(f"Mongo did not answer: {type(error).__name__}")
