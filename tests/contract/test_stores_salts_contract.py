"""The contract of where visitor salts are kept, held by Mongo and by the in-memory twin; and the cache on top of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from connectors.mongo.client import connect
from connectors.mongo.salts import MemorySalts, MongoSalts, SaltCache, SaltRepository, SaltsUnavailable
from marketplace.clicks.visitors import SALT_BYTES, SALT_LIFETIME
from marketplace.collections import VISITOR_SALTS

# Salts expire by the database's own clock too, so that the tests' time is the real one.
NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(params=["memory", "mongo"])
def book(request: pytest.FixtureRequest) -> Iterator[SaltRepository]:
    if request.param == "memory":
        yield MemorySalts()
        return
    client = connect(request.getfixturevalue("stack").urls.mongo)
    database = f"contract_{uuid.uuid4().hex}"
    yield MongoSalts(client, database)
    client.drop_database(database)
    client.close()


def test_a_salt_is_random_and_lives_48_hours(book: SaltRepository) -> None:
    salt = book.get("shop", "2026-01-31", NOW)

    assert len(salt.value) == SALT_BYTES
    assert salt.destroy_at == NOW + SALT_LIFETIME == NOW + timedelta(hours=48)


def test_a_salt_stays_the_same_until_it_is_destroyed(book: SaltRepository) -> None:
    salt = book.get("shop", "2026-01-31", NOW)

    assert book.get("shop", "2026-01-31", NOW + SALT_LIFETIME - timedelta(milliseconds=1)) == salt


def test_an_expired_salt_is_never_read_but_replaced(book: SaltRepository) -> None:
    salt = book.get("shop", "2026-01-31", NOW)

    later = book.get("shop", "2026-01-31", NOW + SALT_LIFETIME)

    assert later.value != salt.value
    assert later.destroy_at == NOW + 2 * SALT_LIFETIME


def test_stores_and_dates_have_salts_of_their_own(book: SaltRepository) -> None:
    names = [("shop", "2026-01-31"), ("shop", "2026-02-01"), ("other", "2026-01-31")]

    assert len({book.get(store, date, NOW).value for store, date in names}) == 3


def test_processes_that_ask_at_the_same_moment_get_the_same_salt(request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("stack").urls.mongo
    database = f"contract_{uuid.uuid4().hex}"
    clients = [connect(url) for _ in range(8)]

    def ask(number: int) -> set[bytes]:
        salts = MongoSalts(clients[number], database)
        return {salts.get("shop", f"2026-01-{day:02d}", NOW).value for day in range(1, 21)}

    with ThreadPoolExecutor(len(clients)) as pool:
        answers = list(pool.map(ask, range(len(clients))))

    assert len(set.union(*answers)) == 20
    clients[0].drop_database(database)
    for client in clients:
        client.close()


def test_processes_that_find_it_expired_at_the_same_moment_agree_on_the_next(request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("stack").urls.mongo
    database = f"contract_{uuid.uuid4().hex}"
    clients = [connect(url) for _ in range(8)]
    MongoSalts(clients[0], database).get("shop", "2026-01-31", NOW)

    with ThreadPoolExecutor(len(clients)) as pool:
        later = NOW + SALT_LIFETIME
        answers = list(pool.map(lambda client: MongoSalts(client, database).get("shop", "2026-01-31", later), clients))

    assert len({answer.value for answer in answers}) == 1
    assert clients[0][database][VISITOR_SALTS.name].count_documents({}) == 1
    clients[0].drop_database(database)
    for client in clients:
        client.close()


def test_without_mongo_a_salt_is_unavailable_within_seconds() -> None:
    client = connect("mongodb://127.0.0.1:1/?directConnection=true")

    with pytest.raises(SaltsUnavailable):
        MongoSalts(client, "any").get("shop", "2026-01-31", NOW)
    client.close()


def test_the_cache_needs_the_book_once_per_store_and_date() -> None:
    book = MemorySalts()
    cache = SaltCache(book)
    salt = cache.get("shop", "2026-01-31", NOW)
    book.available = False

    assert cache.get("shop", "2026-01-31", NOW + timedelta(hours=47)) == salt


def test_the_cache_never_gives_an_expired_salt_away_even_when_the_book_is_gone() -> None:
    book = MemorySalts()
    cache = SaltCache(book)
    cache.get("shop", "2026-01-31", NOW)
    book.available = False

    with pytest.raises(SaltsUnavailable):
        cache.get("shop", "2026-01-31", NOW + SALT_LIFETIME)


def test_expired_salts_leave_memory_also_when_nobody_asks_for_them() -> None:
    cache = SaltCache(MemorySalts())
    cache.get("shop", "2026-01-31", NOW)
    cache.get("shop", "2026-02-01", NOW + timedelta(hours=1))

    assert cache.forget_expired(NOW + SALT_LIFETIME) == 1
    assert cache.forget_expired(NOW + SALT_LIFETIME) == 0


def test_the_cache_is_bounded() -> None:
    book = MemorySalts()
    cache = SaltCache(book, max_cached=10)
    for day in range(1, 21):
        cache.get("shop", f"2026-01-{day:02d}", NOW)

    assert cache.cached("shop", "2026-01-01", NOW) is None
    assert cache.cached("shop", "2026-01-20", NOW) is not None
