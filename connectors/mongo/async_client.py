"""The asyncio client of Mongo: bounded connections and times, and transactions whose errors say what to do."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import Context
from itertools import count
from typing import Any, Final, TypeVar

import pymongo
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import ConfigurationError, DuplicateKeyError, InvalidURI, PyMongoError
from pymongo.monitoring import (
    ConnectionCheckedInEvent,
    ConnectionCheckedOutEvent,
    ConnectionCheckOutFailedEvent,
    ConnectionCheckOutStartedEvent,
    ConnectionClosedEvent,
    ConnectionCreatedEvent,
    ConnectionPoolListener,
    ConnectionReadyEvent,
    PoolClearedEvent,
    PoolClosedEvent,
    PoolCreatedEvent,
    PoolReadyEvent,
)

from connectors.errors import Refused
from connectors.mongo.client import unavailable

MAX_CONNECTIONS: Final = 25
"""Of one process; four processes of the API stay within the hundred that Mongo gives them."""

_DEADLINE_MS: Final = 2_000
_WAIT_MS: Final = 1_000
_ABORT_SECONDS: Final = 0.3
"""How long an answer waits for the end of a transaction that failed; it ends without anybody waiting, too."""
_FIRST_PAUSE_SECONDS: Final = 0.005
_LONGEST_PAUSE_SECONDS: Final = 0.1
_ABORTED: Final = "TransientTransactionError"
_COMMIT_UNKNOWN: Final = "UnknownTransactionCommitResult"

_ending: set[asyncio.Task[None]] = set()
"""What ends still: a task that nobody refers to may be collected before it is done."""

T = TypeVar("T")
Documents = AsyncMongoClient[dict[str, Any]]


class ConnectionsInUse(ConnectionPoolListener):
    """Counts the connections that are in use now.

    Attributes:
        count: How many are.
    """

    def __init__(self) -> None:
        self.count = 0

    def connection_checked_out(self, event: ConnectionCheckedOutEvent) -> None:
        """One more is in use."""
        self.count += 1

    def connection_checked_in(self, event: ConnectionCheckedInEvent) -> None:
        """One is not in use any more."""
        self.count -= 1

    def pool_created(self, event: PoolCreatedEvent) -> None:
        """See pymongo."""

    def pool_ready(self, event: PoolReadyEvent) -> None:
        """See pymongo."""

    def pool_cleared(self, event: PoolClearedEvent) -> None:
        """See pymongo."""

    def pool_closed(self, event: PoolClosedEvent) -> None:
        """See pymongo."""

    def connection_created(self, event: ConnectionCreatedEvent) -> None:
        """See pymongo."""

    def connection_ready(self, event: ConnectionReadyEvent) -> None:
        """See pymongo."""

    def connection_closed(self, event: ConnectionClosedEvent) -> None:
        """See pymongo."""

    def connection_check_out_started(self, event: ConnectionCheckOutStartedEvent) -> None:
        """See pymongo."""

    def connection_check_out_failed(self, event: ConnectionCheckOutFailedEvent) -> None:
        """See pymongo."""


def connect_async(
    url: str, max_connections: int = MAX_CONNECTIONS, in_use: ConnectionsInUse | None = None
) -> Documents:
    """A client of the event loop that runs; the caller closes it.

    No call takes longer than two seconds, and none waits for a connection for longer than one.

    Args:
        url: Mongo's.
        max_connections: At one time.
        in_use: Counts those that are in use.

    Raises:
        Refused: The URL is none of Mongo's.
    """
    try:
        return AsyncMongoClient(
            url,
            maxPoolSize=max_connections,
            timeoutMS=_DEADLINE_MS,
            waitQueueTimeoutMS=_WAIT_MS,
            serverSelectionTimeoutMS=_DEADLINE_MS,
            connectTimeoutMS=_DEADLINE_MS,
            event_listeners=[] if in_use is None else [in_use],
        )
    # A port that is none is a plain ValueError.
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise Refused(f"Mongo's URL cannot be used: {error}") from error


@asynccontextmanager
async def answering() -> AsyncIterator[None]:
    """Turn the driver's errors into ours; what breaks a unique index goes through.

    Raises:
        Unavailable: Mongo does not answer; a write may have happened.
    """
    try:
        yield
    except DuplicateKeyError:
        raise
    except PyMongoError as error:
        raise unavailable(error) from error


async def in_transaction(client: Documents, work: Callable[[AsyncClientSession], Awaitable[T]]) -> T:
    """Do several writes or none of them; the work is repeated where it met another transaction.

    Args:
        client: Where.
        work: Writes in the session that it is given, and nothing else: it may run several times.

    Raises:
        Unavailable: Mongo does not answer, or the work met others too often; it may have happened.
        DuplicateKeyError: A unique index does not allow it; nothing was written.
    """
    # Without it each of begin, write and abort would have a deadline of its own.
    with pymongo.timeout(_DEADLINE_MS / 1000):
        return await _attempts(client, work, time.monotonic() + _DEADLINE_MS / 1000)


async def _attempts(client: Documents, work: Callable[[AsyncClientSession], Awaitable[T]], deadline: float) -> T:
    async with answering():
        session = client.start_session()
        try:
            for attempt in count(1):
                await session.start_transaction()
                try:
                    done = await work(session)
                    await _commit(session, deadline)
                    return done
                except DuplicateKeyError:
                    raise
                except PyMongoError as error:
                    if not error.has_error_label(_ABORTED) or time.monotonic() >= deadline:
                        raise
                    if session.in_transaction:
                        await session.abort_transaction()
                    await _pause(attempt)
        finally:
            await _end(session)
    raise AssertionError("unreachable")


async def _end(session: AsyncClientSession) -> None:
    """Give a session back; a transaction that is under way still is aborted, also where its time is over.

    Otherwise nobody could write what it has written until the server gives it up, which is a minute later.
    """
    if not session.in_transaction:
        await session.end_session()
        return
    # In a context of its own, where the deadline of the work does not hold, and a task of its own, because whoever
    # asked may be gone.
    ending = asyncio.create_task(session.end_session(), context=Context())
    _ending.add(ending)
    ending.add_done_callback(_ended)
    await asyncio.wait([ending], timeout=_ABORT_SECONDS)


def _ended(ending: asyncio.Task[None]) -> None:
    _ending.discard(ending)
    if not ending.cancelled():
        ending.exception()


async def _commit(session: AsyncClientSession, deadline: float) -> None:
    """Commit; where it is not known whether that happened, commit again.

    The work itself is not repeated then: it would meet what it has done, such as a link that is used.
    """
    for attempt in count(1):
        try:
            await session.commit_transaction()
        except PyMongoError as error:
            if not error.has_error_label(_COMMIT_UNKNOWN) or time.monotonic() >= deadline:
                raise
            await _pause(attempt)
        else:
            return


async def _pause(attempt: int) -> None:
    # Who repeats at once meets the same transaction again, which goes on for some milliseconds.
    longest = min(_FIRST_PAUSE_SECONDS * 2 ** min(attempt, 10), _LONGEST_PAUSE_SECONDS)
    await asyncio.sleep(random.uniform(0, longest))


async def ping(client: Documents) -> None:
    """Return when Mongo answers.

    Raises:
        Unavailable: It does not.
    """
    async with answering():
        await client.admin.command("ping")
