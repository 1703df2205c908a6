"""The flow's view of the stores: seconds old, going on while Mongo is away, and unhurt by a document that is none."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace

import pytest

from connectors.errors import Unavailable
from connectors.mongo_stores import MemoryStores, Shelf
from flows.clicks.directory import KnownStores
from flows.clicks.patience import Patience
from tests.clicks_kit import STORES, make_store


class Book(MemoryStores):
    """Counts what it is asked, and lets time pass while it answers."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock, self.asked, self.seconds = clock, 0, 0.0

    def read(self, slugs: Collection[str] | None = None) -> Shelf:
        self.asked += 1
        self.clock.now += self.seconds
        return super().read(slugs)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(clock: Clock) -> Book:
    book = Book(clock)
    for store in STORES.values():
        book.upsert_store(store)
    return book


@pytest.fixture
def stores(book: Book, clock: Clock) -> KnownStores:
    return KnownStores(book, Patience(), clock)


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_all_stores_are_read_once_and_again_after_five_seconds(stores: KnownStores, book: Book, clock: Clock) -> None:
    assert stores.known() == STORES
    book.upsert_store(make_store("new"))
    clock.now = 4.9
    assert "new" not in stores.known()
    clock.now = 5.0
    assert "new" in stores.known()
    assert book.asked == 2


def test_reading_takes_a_twentieth_of_the_time_at_most(stores: KnownStores, book: Book, clock: Clock) -> None:
    book.seconds = 3.0
    stores.known()
    clock.now = 62.9
    stores.known()
    assert book.asked == 1
    clock.now = 63.0
    stores.known()
    assert book.asked == 2


def test_a_document_that_is_no_store_is_left_out_and_told_once(
    stores: KnownStores, book: Book, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    book.documents["beta"] = {**book.documents["beta"], "timezone": 5}
    for clock.now in (0.0, 10.0, 20.0):
        assert set(stores.known()) == {"alpha", "gamma"}
        stores.look_up({"beta"})

    assert len(errors_in(caplog)) == 1
    assert "store beta: Expected `str`, got `int` - at `$.timezone`" in errors_in(caplog)[0]


def test_another_version_of_a_bad_document_is_told_again(
    stores: KnownStores, book: Book, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    good = book.documents["beta"]
    for clock.now, zone in ((0.0, "Mars/Olympus"), (10.0, "Mars/Tharsis"), (20.0, "UTC"), (30.0, "Mars/Tharsis")):
        book.documents["beta"] = {**good, "timezone": zone}
        stores.known()

    assert ["Olympus" in told for told in errors_in(caplog)] == [True, False, False]


def test_while_mongo_is_away_the_last_known_stores_are_used_and_it_is_asked_ever_more_seldom(
    stores: KnownStores, book: Book, clock: Clock
) -> None:
    stores.known()
    book.available = False
    asked_at = []
    for clock.now in (tenth / 10 for tenth in range(50, 400)):
        before = book.asked
        assert stores.known() == STORES
        if book.asked > before:
            asked_at.append(clock.now)

    assert asked_at == [5.0, 5.5, 6.5, 8.5, 13.5, 23.5, 33.5]


def test_when_mongo_is_back_the_stores_are_read_anew(stores: KnownStores, book: Book, clock: Clock) -> None:
    stores.known()
    book.available = False
    clock.now = 5.0
    stores.known()
    book.available = True
    book.upsert_store(replace(STORES["alpha"], title="New title"))
    clock.now = 5.5

    assert stores.known()["alpha"].title == "New title"


def test_before_the_stores_were_ever_read_mongo_away_is_an_error(stores: KnownStores, book: Book) -> None:
    book.available = False

    with pytest.raises(Unavailable):
        stores.known()


def test_an_unknown_store_is_asked_for_alone_and_known_from_then_on(stores: KnownStores, book: Book) -> None:
    stores.known()
    book.upsert_store(make_store("new"))
    book.upsert_store(make_store("other"))

    assert set(stores.look_up({"new", "nowhere"})) == {*STORES, "new"}
    assert "new" in stores.known()


def test_an_unknown_store_while_mongo_is_away_is_an_error_and_no_verdict(stores: KnownStores, book: Book) -> None:
    stores.known()
    book.available = False

    with pytest.raises(Unavailable):
        stores.look_up({"new"})


def test_what_cannot_be_a_slug_is_never_asked_for(stores: KnownStores, book: Book) -> None:
    stores.known()

    assert stores.look_up({"", "No Slug", "\ud800", "x" * 100_000}) == STORES
    assert book.asked == 1
