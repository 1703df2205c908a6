"""The visitor salts in Mongo: one per store and date, the same for all processes, gone after 48 hours."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from pymongo import MongoClient, ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, PyMongoError

from connectors import errors
from connectors.twin import Twin
from marketplace.clicks.visitors import SALT_BYTES, SALT_LIFETIME, Salt, salt_id
from marketplace.collections import VISITOR_SALTS

_MAX_CACHED: Final = 50_000
_ATTEMPTS: Final = 5


class SaltsUnavailable(errors.Unavailable):
    """Mongo did not answer, and no unexpired salt is cached: no visitor can be stamped; pause and try again."""


class SaltRepository(Protocol):
    """The repository of salts; the in-memory twin passes the same contract tests."""

    def get(self, store: str, date: str, now: datetime) -> Salt:
        """The salt of a store's date, created if there is none or it has expired."""


class MongoSalts:
    """The collection ``visitor_salts``.

    The TTL index destroys expired salts within a minute or so; until it does, an expired salt is replaced when read.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: MongoClient[dict[str, Any]], database: str) -> None:
        self._salts: Collection[dict[str, Any]] = client[database][VISITOR_SALTS.name]

    def get(self, store: str, date: str, now: datetime) -> Salt:
        """The salt of a store's date, created if there is none or it has expired.

        Raises:
            SaltsUnavailable: Mongo did not answer.
        """
        name = salt_id(store, date)
        try:
            for _ in range(_ATTEMPTS):
                salt = self._insert_or_read(name, now)
                if salt is not None and salt.destroy_at > now:
                    return salt
                self._salts.delete_one({"_id": name, "destroy_at": {"$lte": now}})
        except PyMongoError as error:
            raise SaltsUnavailable(f"Mongo did not answer: {type(error).__name__}") from error
        raise SaltsUnavailable(f"the salt {name} expires as soon as it is made: do the clocks agree?")

    def _insert_or_read(self, name: str, now: datetime) -> Salt | None:
        fresh = {"value": secrets.token_bytes(SALT_BYTES), "created_at": now, "destroy_at": now + SALT_LIFETIME}
        document: dict[str, Any] | None
        try:
            document = self._salts.find_one_and_update(
                {"_id": name}, {"$setOnInsert": fresh}, upsert=True, return_document=ReturnDocument.AFTER
            )
        except DuplicateKeyError:
            # Another process inserted one at the same moment: that salt is used.
            document = self._salts.find_one({"_id": name})
        return None if document is None else Salt(bytes(document["value"]), _aware(document["destroy_at"]))


class MemorySalts(Twin):
    """The in-memory twin.

    Args:
        deadline_seconds: A call that is not answered in this time fails.
    """

    def __init__(self, deadline_seconds: float = 1.5) -> None:
        super().__init__()
        self._salts: dict[str, Salt] = {}
        self._deadline_seconds = deadline_seconds
        self._lock = threading.Lock()

    def get(self, store: str, date: str, now: datetime) -> Salt:
        """The salt of a store's date, created if there is none or it has expired."""
        if not self._answers(self._deadline_seconds):
            raise SaltsUnavailable("Mongo does not answer")
        name = salt_id(store, date)
        with self._lock:
            salt = self._salts.get(name)
            if salt is None or salt.destroy_at <= now:
                salt = self._salts[name] = Salt(secrets.token_bytes(SALT_BYTES), now + SALT_LIFETIME)
            return salt


class SaltCache:
    """A cache of salts until they expire, so that Mongo is queried once per store, date and process.

    Args:
        repository: The repository of salts.
        max_cached: The size of the cache; the least recently used go first.
    """

    def __init__(self, repository: SaltRepository, *, max_cached: int = _MAX_CACHED) -> None:
        self._repository = repository
        self._max_cached = max_cached
        self._lock = threading.Lock()
        self._salts: OrderedDict[str, Salt] = OrderedDict()

    def cached(self, store: str, date: str, now: datetime) -> Salt | None:
        """The cached salt, or None if :meth:`get` must query Mongo; drops an expired one."""
        name = salt_id(store, date)
        with self._lock:
            salt = self._salts.get(name)
            if salt is None:
                return None
            if salt.destroy_at <= now:
                del self._salts[name]
                return None
            self._salts.move_to_end(name)
            return salt

    def get(self, store: str, date: str, now: datetime) -> Salt:
        """The salt from the cache or from Mongo; may block.

        Raises:
            SaltsUnavailable: Mongo did not answer, and no unexpired salt is cached.
        """
        salt = self.cached(store, date, now)
        if salt is None:
            salt = self._repository.get(store, date, now)
            with self._lock:
                self._salts[salt_id(store, date)] = salt
                while len(self._salts) > self._max_cached:
                    self._salts.popitem(last=False)
        return salt

    def forget_expired(self, now: datetime) -> int:
        """Drop all expired salts; returns their number. Called on a timer, so that idle stores' salts go too."""
        with self._lock:
            expired = [name for name, salt in self._salts.items() if salt.destroy_at <= now]
            for name in expired:
                del self._salts[name]
        return len(expired)


def _aware(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
