"""Transactions of threads: several writes or none of them, repeated where they met another transaction."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import count
from typing import Final, TypeVar

from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError, DocumentTooLarge, DuplicateKeyError, OperationFailure, PyMongoError

from connectors.mongo.client import Client, unavailable

_ABORTED: Final = "TransientTransactionError"
_COMMIT_UNKNOWN: Final = "UnknownTransactionCommitResult"
_DEADLINE_SECONDS: Final = 10.0
_FIRST_PAUSE_SECONDS: Final = 0.005
_LONGEST_PAUSE_SECONDS: Final = 0.2
_INVALID_CODES: Final = frozenset({121, 10334})
"""Mongo's own: a document is not as its collection demands, or too large."""

T = TypeVar("T")


def in_transaction(
    client: Client, work: Callable[[ClientSession], T], deadline_seconds: float = _DEADLINE_SECONDS
) -> T:
    """Do several writes or none of them.

    Args:
        client: Where.
        work: Writes in the session that it is given, and nothing else: it may run several times.
        deadline_seconds: How long it is repeated.

    Raises:
        Unavailable: Mongo does not answer, or the work met others too often; it may have happened.
        DuplicateKeyError: A unique index does not allow it; nothing was written.
        PyMongoError: Mongo never takes what is written; nothing was.
    """
    deadline = time.monotonic() + deadline_seconds
    try:
        with client.start_session() as session:
            for attempt in count(1):
                session.start_transaction()
                try:
                    done = work(session)
                    _commit(session, deadline)
                    return done
                except DuplicateKeyError:
                    raise
                except PyMongoError as error:
                    if not error.has_error_label(_ABORTED) or time.monotonic() >= deadline:
                        raise
                    if session.in_transaction:
                        session.abort_transaction()
                    _pause(attempt)
    except DuplicateKeyError:
        raise
    except PyMongoError as error:
        if _is_invalid(error):
            raise
        raise unavailable(error) from error
    raise AssertionError("unreachable")


def _commit(session: ClientSession, deadline: float) -> None:
    """Commit; where it is not known whether that happened, commit again, and never do the work again."""
    for attempt in count(1):
        try:
            session.commit_transaction()
        except PyMongoError as error:
            if not error.has_error_label(_COMMIT_UNKNOWN) or time.monotonic() >= deadline:
                raise
            _pause(attempt)
        else:
            return


def _is_invalid(error: PyMongoError) -> bool:
    """Whether Mongo answers, and does not take what is written: a repetition would end like this one."""
    if isinstance(error, BulkWriteError):
        return any(each.get("code") in _INVALID_CODES for each in (error.details or {}).get("writeErrors", ()))
    return isinstance(error, DocumentTooLarge) or (isinstance(error, OperationFailure) and error.code in _INVALID_CODES)


def _pause(attempt: int) -> None:
    # Who repeats at once meets the same transaction again, which goes on for some milliseconds.
    time.sleep(random.uniform(0, min(_FIRST_PAUSE_SECONDS * 2 ** min(attempt, 10), _LONGEST_PAUSE_SECONDS)))
