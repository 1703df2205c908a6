"""A transaction whose commit was not answered is committed again, and its work is not done twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import OperationFailure

from connectors.errors import Unavailable
from connectors.mongo.async_client import Documents, in_transaction

ABORTED, UNKNOWN = "TransientTransactionError", "UnknownTransactionCommitResult"


class Session:
    """A session whose commits fail as they are told, one label after the other."""

    def __init__(self, *labels: str) -> None:
        self.labels, self.commits, self.aborts = list(labels), 0, 0

    async def start_transaction(self) -> Any:
        @asynccontextmanager
        async def transaction() -> AsyncIterator[None]:
            try:
                yield
            except BaseException:
                self.aborts += 1
                raise

        return transaction()

    async def commit_transaction(self) -> None:
        self.commits += 1
        if self.labels:
            raise OperationFailure("not answered", details={"errorLabels": [self.labels.pop(0)]})


class Client:
    """A client with one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @asynccontextmanager
    async def start_session(self) -> AsyncIterator[Session]:
        yield self._session


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
    assert (session.commits, session.aborts) == (3, 0)


def test_a_transaction_that_was_aborted_is_repeated_with_the_work() -> None:
    session = Session(ABORTED, UNKNOWN, ABORTED)
    assert run(session) == 3
    assert session.aborts == 2


def test_a_commit_that_is_refused_is_not_repeated() -> None:
    session = Session("another label")
    with pytest.raises(Unavailable):
        run(session)
    assert session.commits == 1
