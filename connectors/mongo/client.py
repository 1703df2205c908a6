"""A client of Mongo, and what its errors mean."""

from __future__ import annotations

from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError

from connectors.errors import Refused, Unavailable

_TIMEOUT_MS: Final = 3_000
_ERROR_CHARS: Final = 200


Client = MongoClient[dict[str, Any]]
"""A client whose documents are plain dictionaries."""


def connect(mongo_url: str, deadline_seconds: float | None = None) -> Client:
    """A client with short timeouts, for services that have a cache.

    Args:
        mongo_url: Mongo's URL.
        deadline_seconds: The timeout of a call, with retries and connecting; if None it is 9 s at worst, and more for
            a call that reads its result in batches.

    Raises:
        Refused: It is not a URL of Mongo.
    """
    deadline_ms = _TIMEOUT_MS if deadline_seconds is None else int(deadline_seconds * 1000)
    options: dict[str, Any] = {"serverSelectionTimeoutMS": deadline_ms, "connectTimeoutMS": deadline_ms}
    if deadline_seconds is None:
        options["socketTimeoutMS"] = 2 * _TIMEOUT_MS
    else:
        options["timeoutMS"] = deadline_ms
    try:
        return MongoClient(mongo_url, **options)
    # A port that is none is a plain ValueError.
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise Refused(f"Mongo's URL cannot be used: {error}") from error


def unavailable(error: PyMongoError) -> Unavailable:
    """The error of a call that Mongo did not answer: one line, with the start of the client's own text."""
    return Unavailable(f"Mongo does not answer: {' '.join(str(error).split())[:_ERROR_CHARS]}")
