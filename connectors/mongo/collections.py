"""Collections and their indexes: which exist, and how the missing ones are created."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from pymongo.errors import CollectionInvalid, OperationFailure, PyMongoError

from connectors.mongo.client import connect, unavailable
from marketplace.collections import Index

_NAMESPACE_EXISTS: Final = 48


class CollectionAdmin:
    """Reads and creates collections and indexes. Every call raises ``Unavailable`` if Mongo does not answer.

    Args:
        mongo_url: Mongo's URL.
        database: The database's name.

    Raises:
        Refused: It is not a URL of Mongo.
    """

    def __init__(self, mongo_url: str, database: str) -> None:
        self._client = connect(mongo_url)
        self._database = self._client[database]

    def names(self) -> set[str]:
        """The names of the collections that exist."""
        with _typed():
            return set(self._database.list_collection_names())

    def create(self, name: str, schema: Mapping[str, Any] | None = None) -> None:
        """Create a collection, unless another process has created it in the meantime.

        Args:
            name: Its name.
            schema: The JSON schema of its documents; None for anything.
        """
        options: dict[str, Any] = {} if schema is None else {"validator": {"$jsonSchema": dict(schema)}}
        with _typed():
            try:
                self._database.create_collection(name, **options)
            except CollectionInvalid:
                return
            except OperationFailure as error:
                if error.code != _NAMESPACE_EXISTS:
                    raise

    def schemas(self) -> Mapping[str, Mapping[str, Any]]:
        """The JSON schemas of the collections that have one, by name."""
        with _typed():
            found = {each["name"]: each.get("options", {}) for each in self._database.list_collections()}
        schemas = {name: options.get("validator", {}).get("$jsonSchema") for name, options in found.items()}
        return {name: schema for name, schema in schemas.items() if schema is not None}

    def indexes(self, collection: str) -> Mapping[str, Any]:
        """The indexes of a collection by name, in the form of pymongo's ``index_information``."""
        with _typed():
            return self._database[collection].index_information()

    def create_index(self, collection: str, index: Index) -> None:
        """Create an index as it is declared."""
        options: dict[str, Any] = {"name": index.name, "unique": index.unique}
        if index.expire_after_seconds is not None:
            options["expireAfterSeconds"] = index.expire_after_seconds
        with _typed():
            self._database[collection].create_index(list(index.fields), **options)

    def close(self) -> None:
        """Disconnect."""
        self._client.close()


@contextmanager
def _typed() -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        raise unavailable(error) from error
