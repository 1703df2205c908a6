"""The flow's view of the stores: seconds old, going on while Mongo is away, and unhurt by a document that is none."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import pytest

from connectors.errors import Unavailable
from connectors.mongo.stores import MemoryStores, StoreListing
from flows.clicks.store_catalog import StoreCatalog
from marketplace.stores import Store
from runtime.breaker import CircuitBreaker
from tests.kits.clicks import STORES, make_store


class Book(MemoryStores):
    """Counts what it is asked, and lets time pass while it answers."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock, self.asked, self.seconds = clock, 0, 0.0
        self.entered, self.released = threading.Event(), threading.Event()
        self.released.set()

    def read(self, slugs: Collection[str] | None = None) -> StoreListing:
        self.asked += 1
        if not self.released.is_set():
            self.entered.set()
            self.released.wait(10)
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
def stores(book: Book, clock: Clock) -> StoreCatalog:
    return StoreCatalog(book, CircuitBreaker(), clock)


def seen(stores: StoreCatalog) -> Mapping[str, Store]:
    """What is known after the thread that refreshes had its turn."""
    stores.known()
    stores.refresh()
    return stores.known()


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_all_stores_are_read_once_and_again_after_five_seconds(stores: StoreCatalog, book: Book, clock: Clock) -> None:
    assert seen(stores) == STORES
    book.upsert_store(make_store("new"))
    clock.now = 4.9
    assert "new" not in seen(stores)
    clock.now = 5.0
    assert "new" in seen(stores)
    assert book.asked == 2


def test_reading_takes_a_twentieth_of_the_time_at_most(stores: StoreCatalog, book: Book, clock: Clock) -> None:
    book.seconds = 3.0
    seen(stores)
    clock.now = 62.9
    seen(stores)
    assert book.asked == 1
    clock.now = 63.0
    seen(stores)
    assert book.asked == 2


def test_a_document_that_is_no_store_is_left_out_and_reported_once(
    stores: StoreCatalog, book: Book, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    book.documents["beta"] = {**book.documents["beta"], "timezone": 5}
    for clock.now in (0.0, 10.0, 20.0):
        assert set(seen(stores)) == {"alpha", "gamma"}
        stores.look_up({"beta"})

    assert len(errors_in(caplog)) == 1
    assert "store beta: Expected `str`, got `int` - at `$.timezone`" in errors_in(caplog)[0]


def test_another_version_of_a_bad_document_is_reported_again(
    stores: StoreCatalog, book: Book, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    good = book.documents["beta"]
    for clock.now, zone in ((0.0, "Mars/Olympus"), (10.0, "Mars/Tharsis"), (20.0, "UTC"), (30.0, "Mars/Tharsis")):
        book.documents["beta"] = {**good, "timezone": zone}
        seen(stores)

    assert ["Olympus" in told for told in errors_in(caplog)] == [True, False, False]


def test_while_mongo_is_unavailable_the_last_known_stores_are_used_and_it_is_asked_ever_more_seldom(
    stores: StoreCatalog, book: Book, clock: Clock
) -> None:
    seen(stores)
    book.available = False
    asked_at = []
    for clock.now in (tenth / 10 for tenth in range(50, 400)):
        before = book.asked
        assert seen(stores) == STORES
        if book.asked > before:
            asked_at.append(clock.now)

    assert asked_at == [5.0, 5.5, 6.5, 8.5, 13.5, 23.5, 33.5]


def test_when_mongo_is_back_the_stores_are_read_again(stores: StoreCatalog, book: Book, clock: Clock) -> None:
    seen(stores)
    book.available = False
    clock.now = 5.0
    seen(stores)
    book.available = True
    book.upsert_store(replace(STORES["alpha"], title="New title"))
    clock.now = 5.5

    assert seen(stores)["alpha"].title == "New title"


def test_before_the_stores_were_ever_read_an_unavailable_mongo_is_an_error(stores: StoreCatalog, book: Book) -> None:
    book.available = False

    with pytest.raises(Unavailable):
        seen(stores)


def test_an_unknown_store_is_asked_for_alone_and_known_from_then_on(stores: StoreCatalog, book: Book) -> None:
    seen(stores)
    book.upsert_store(make_store("new"))
    book.upsert_store(make_store("other"))

    assert set(stores.look_up({"new", "nowhere"})) == {*STORES, "new"}
    assert "new" in seen(stores)


def test_an_unknown_store_while_mongo_is_unavailable_is_an_error(stores: StoreCatalog, book: Book) -> None:
    seen(stores)
    book.available = False

    with pytest.raises(Unavailable):
        stores.look_up({"new"})


def test_what_cannot_be_a_slug_is_never_asked_for(stores: StoreCatalog, book: Book) -> None:
    seen(stores)

    assert stores.look_up({"", "No Slug", "\ud800", "x" * 100_000}) == STORES
    assert book.asked == 1


def test_a_mongo_that_hangs_delays_nobody_who_asks_for_known_stores(
    stores: StoreCatalog, book: Book, clock: Clock
) -> None:
    stores.known()
    clock.now, book.released = 10.0, threading.Event()
    refreshing = threading.Thread(target=stores.refresh)
    refreshing.start()
    try:
        assert book.entered.wait(10)
        assert stores.known() == STORES
    finally:
        book.released.set()
        refreshing.join()
