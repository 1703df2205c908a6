"""The contract of where it is kept what was turned away, held by Mongo and by the in-memory twin."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from connectors.mongo.client import connect
from connectors.mongo.turned_away import (
    MemoryTurnedAway,
    MongoTurnedAway,
    TurnedAway,
    TurnedAwayRepository,
    TurnedAwayUnavailable,
    sums,
)

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = "2026-01-31T12"


@pytest.fixture(params=["memory", "mongo"])
def book(request: pytest.FixtureRequest) -> Iterator[TurnedAwayRepository]:
    if request.param == "memory":
        yield MemoryTurnedAway()
        return
    client = connect(request.getfixturevalue("stack").urls.mongo)
    database = f"contract_{uuid.uuid4().hex}"
    yield MongoTurnedAway(client, database)
    client.drop_database(database)
    client.close()


def test_counts_of_one_store_hour_and_reason_add_up(book: TurnedAwayRepository) -> None:
    book.add([TurnedAway("shop", HOUR, "rate", 1, 10), TurnedAway("shop", HOUR, "new_values", 2, 3)], NOW)
    book.add([TurnedAway("shop", HOUR, "rate", 4, 40), TurnedAway("other", HOUR, "rate", 1, 1)], NOW)
    book.add([], NOW)

    found = book.of("shop", "2026-01-31", "2026-01-31")

    assert found == [TurnedAway("shop", HOUR, "new_values", 2, 3), TurnedAway("shop", HOUR, "rate", 5, 50)]
    assert sums(found) == {"new_values": (2, 3), "rate": (5, 50)}


def test_days_are_read_from_the_first_hour_of_one_to_the_last_of_the_other(book: TurnedAwayRepository) -> None:
    hours = ["2026-01-30T23", "2026-01-31T00", "2026-02-01T23", "2026-02-02T00"]
    book.add([TurnedAway("shop", hour, "rate", 1, 1) for hour in hours], NOW)

    found = book.of("shop", "2026-01-31", "2026-02-01")

    assert [count.hour for count in found] == hours[1:3]


@pytest.fixture(params=["memory", "mongo"])
def hung(request: pytest.FixtureRequest) -> Iterator[TurnedAwayRepository]:
    if request.param == "memory":
        book = MemoryTurnedAway()
        book.answers.clear()
        yield book
        return
    yield from hung_mongo(request)


def hung_mongo(request: pytest.FixtureRequest) -> Iterator[TurnedAwayRepository]:
    """The stack's Mongo, stopped in the middle of everything for as long as a test lasts."""
    stack = request.getfixturevalue("stack")
    client = connect(stack.urls.mongo)
    client.admin.command("ping")
    pid = stack.pid("mongo")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield MongoTurnedAway(client, f"contract_{uuid.uuid4().hex}")
    finally:
        os.kill(pid, signal.SIGCONT)
        client.close()


def test_a_part_that_hangs_is_given_up_within_seconds(hung: TurnedAwayRepository) -> None:
    began = time.monotonic()

    with pytest.raises(TurnedAwayUnavailable):
        hung.add([TurnedAway("shop", HOUR, "rate", 1, 1)], NOW)

    assert 1 < time.monotonic() - began < 5
