"""A client of Mongo, and what its errors mean."""

from __future__ import annotations

import re
from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    DocumentTooLarge,
    InvalidURI,
    OperationFailure,
    PyMongoError,
)

from connectors.errors import Refused, Unavailable

_TIMEOUT_MS: Final = 3_000
_ERROR_CHARS: Final = 200
_TIMEOUTS: Final = re.compile(r" \(configured timeouts: [^)]*\)")
_NEVER_WRITTEN: Final = {11000: "an id or a unique value is there already", 121: "it is not what its schema wants"}
"""Codes of Mongo, and what each means: to write the same once more cannot help."""


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


def url_problem(mongo_url: str) -> str:
    """Why no client can be made of a URL; empty where one can. Nobody is asked, so that a seed list by DNS passes."""
    if mongo_url.startswith("mongodb+srv:"):
        return ""
    try:
        MongoClient(mongo_url, connect=False).close()
    except (InvalidURI, ConfigurationError, ValueError) as error:
        return f"Mongo's URL cannot be used: {error}"
    return ""


class NeverWritten(Exception):
    """Mongo does not allow what was to be written, and never will: nothing was written. The text has nothing of it."""


def never_written(error: PyMongoError) -> NeverWritten | None:
    """The error where it is not for Mongo to change that a write fails; None for any other."""
    if isinstance(error, DocumentTooLarge):
        return NeverWritten("Mongo does not allow a write: the document is too large")
    codes = [each.get("code") for each in _write_errors(error)]
    known = next((code for code in codes if code in _NEVER_WRITTEN), None)
    return None if known is None else NeverWritten(f"Mongo does not allow a write: {_NEVER_WRITTEN[known]}")


def unavailable(error: PyMongoError) -> Unavailable:
    """The error of a call that Mongo did not answer: one line, with the start of the client's own text."""
    # The text of a bulk's error has the documents in it, and so what people have written.
    texts = [each.get("errmsg", "") for each in _write_errors(error)] if isinstance(error, BulkWriteError) else [error]
    # The client appends its timeouts to each member's trouble, and at the end all that it knows of the set.
    said = _TIMEOUTS.sub("", " ".join(" ".join(map(str, texts)).split())).partition(", Timeout: ")[0]
    return Unavailable(f"Mongo does not answer: {said[:_ERROR_CHARS]}")


def _write_errors(error: PyMongoError) -> list[dict[str, Any]]:
    if isinstance(error, BulkWriteError):
        return list(error.details.get("writeErrors", ()))
    return [{"code": error.code}] if isinstance(error, OperationFailure) else []
