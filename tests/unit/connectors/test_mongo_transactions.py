"""A transaction whose commit was not answered is committed again, and its work is not done twice."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from pymongo import _csot
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import NetworkTimeout, OperationFailure

from connectors.errors import Unavailable
from connectors.mongo.async_client import Documents, in_transaction

ABORTED, UNKNOWN = "TransientTransactionError", "UnknownTransactionCommitResult"


class Session:
    """A session whose commits fail as they are told, one label after the other."""

    def __init__(self, *labels: str) -> None:
        self.labels, self.commits, self.started = list(labels), 0, 0
        self.in_transaction, self.ended_with = False, list[float | None]()
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def start_transaction(self) -> None:
        assert not self.in_transaction
        self.started += 1
        self.in_transaction = True

    async def commit_transaction(self) -> None:
        self.commits += 1
        # As the driver: what was tried to be committed cannot be aborted any more.
        self.in_transaction = False
        if self.labels:
            raise OperationFailure("not answered", details={"errorLabels": [self.labels.pop(0)]})

    async def abort_transaction(self) -> None:
        assert self.in_transaction
        self.in_transaction = False

    async def end_session(self) -> None:
        """Notes the deadline that holds for it."""
        self.ended_with.append(_csot.get_timeout())
        await self.may_end.wait()
        self.in_transaction = False


class Client:
    """A client with one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def start_session(self) -> Session:
        return self._session


def run(session: Session) -> int:
    """How often the work was done."""
    done = 0

    async def work(_: AsyncClientSession) -> int:
        nonlocal done
        done += 1
        return done

    return asyncio.run(in_transaction(cast(Documents, Client(session)), work))


def test_a_commit_that_was_not_answered_is_repeated_without_the_work() -> None:
    session = Session(UNKNOWN, UNKNOWN)
    assert run(session) == 1
    assert (session.commits, session.started, len(session.ended_with)) == (3, 1, 1)


def test_a_transaction_that_was_aborted_is_repeated_with_the_work() -> None:
    session = Session(ABORTED, UNKNOWN, ABORTED)
    assert run(session) == 3
    assert (session.started, session.commits, len(session.ended_with)) == (3, 4, 1)


def test_a_commit_that_is_refused_is_not_repeated() -> None:
    session = Session("another label")
    with pytest.raises(Unavailable):
        run(session)
    assert (session.commits, len(session.ended_with)) == (1, 1)


@pytest.mark.parametrize("error", [NetworkTimeout("timed out"), asyncio.CancelledError(), KeyError("a bug")])
def test_what_failed_is_aborted_whatever_time_is_left_and_without_anybody_who_waits(error: BaseException) -> None:
    async def whole() -> None:
        session = Session()
        session.may_end.clear()

        async def work(_: AsyncClientSession) -> int:
            raise error

        with pytest.raises((Unavailable, type(error))):
            await in_transaction(cast(Documents, Client(session)), work)
        # The deadline of the work is none for the abort, which goes on after the answer.
        assert (session.ended_with, session.in_transaction) == ([None], True)
        session.may_end.set()
        async with asyncio.timeout(5):
            while session.in_transaction:
                await asyncio.sleep(0)

    asyncio.run(whole())
