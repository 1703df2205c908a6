"""The contract of where stores are kept, held by Mongo and by the in-memory twin; and the directory on top of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from connectors.mongo_stores import (
    MemoryStores,
    MongoStores,
    StoreBook,
    StoreConflict,
    StoreDirectory,
    StoresUnavailable,
    connect,
)
from marketplace.collections import STORES
from marketplace.stores import InvalidStore, hash_write_key
from tests.collector_kit import SHOP, WRITE_KEY

OTHER = replace(
    SHOP, slug="other", write_key_hash=hash_write_key("other"), blocked_networks=("192.0.2.0/24",), honour_opt_out=False
)


@pytest.fixture(params=["memory", "mongo"])
def book(request: pytest.FixtureRequest) -> Iterator[StoreBook]:
    if request.param == "memory":
        yield MemoryStores()
        return
    client = connect(request.getfixturevalue("stack").urls.mongo)
    database = f"contract_{uuid.uuid4().hex}"
    for index in STORES.indexes:
        client[database][STORES.name].create_index(list(index.fields), name=index.name, unique=index.unique)
    yield MongoStores(client, database)
    client.drop_database(database)
    client.close()


def test_a_store_reads_back_as_it_was_saved(book: StoreBook) -> None:
    book.upsert_store(OTHER)

    assert book.get("other") == OTHER
    assert book.by_write_key_hash(OTHER.write_key_hash) == OTHER


def test_saving_again_replaces_the_store_of_that_slug(book: StoreBook) -> None:
    book.upsert_store(SHOP)
    book.upsert_store(replace(SHOP, title="New title"))

    assert [store.title for store in book.list_stores()] == ["New title"]


def test_stores_are_listed_by_slug(book: StoreBook) -> None:
    for store in (SHOP, OTHER):
        book.upsert_store(store)

    assert [store.slug for store in book.list_stores()] == ["other", "shop"]


def test_what_is_not_there_is_none(book: StoreBook) -> None:
    assert book.get("shop") is None
    assert book.by_write_key_hash("0" * 64) is None


def test_creating_leaves_a_store_that_is_there_as_it_is(book: StoreBook) -> None:
    first = book.create_store(SHOP)
    second = book.create_store(replace(SHOP, title="Another", write_key_hash=hash_write_key("another")))

    assert (first, second) == (True, False)
    assert book.get("shop") == SHOP


def test_a_write_key_belongs_to_one_store(book: StoreBook) -> None:
    book.upsert_store(SHOP)

    with pytest.raises(StoreConflict):
        book.upsert_store(replace(OTHER, write_key_hash=SHOP.write_key_hash))
    with pytest.raises(StoreConflict):
        book.create_store(replace(OTHER, write_key_hash=SHOP.write_key_hash))


def test_mongo_away_is_unavailable_within_seconds() -> None:
    client = connect("mongodb://127.0.0.1:1/?directConnection=true")

    with pytest.raises(StoresUnavailable):
        MongoStores(client, "any").get("shop")
    client.close()


def test_a_document_that_does_not_hold_is_named(request: pytest.FixtureRequest) -> None:
    client = connect(request.getfixturevalue("stack").urls.mongo)
    database = f"contract_{uuid.uuid4().hex}"
    client[database][STORES.name].insert_one({"_id": "broken", "title": "x"})

    with pytest.raises(InvalidStore, match=r"broken.*timezone"):
        MongoStores(client, database).get("broken")
    client.drop_database(database)
    client.close()


def test_the_directory_asks_once_and_again_when_its_answer_is_old(book: StoreBook) -> None:
    book.upsert_store(SHOP)
    directory = StoreDirectory(book)
    directory.find(WRITE_KEY, now=0.0)
    book.upsert_store(replace(SHOP, title="New title"))

    before, after = directory.find(WRITE_KEY, now=4.9), directory.find(WRITE_KEY, now=5.0)

    assert before is not None
    assert after is not None
    assert (before.title, after.title) == ("The shop", "New title")


def test_a_key_that_was_taken_from_a_store_is_unknown_soon(book: StoreBook) -> None:
    book.upsert_store(SHOP)
    directory = StoreDirectory(book)
    directory.find(WRITE_KEY, now=0.0)
    book.upsert_store(replace(SHOP, write_key_hash=hash_write_key("new key")))

    assert directory.find(WRITE_KEY, now=5.0) is None
    assert directory.cached(WRITE_KEY, now=5.0) is None


def test_a_key_that_is_given_to_a_store_is_known_soon(book: StoreBook) -> None:
    directory = StoreDirectory(book)
    directory.find(WRITE_KEY, now=0.0)
    book.upsert_store(SHOP)

    assert directory.find(WRITE_KEY, now=4.9) is None
    assert directory.find(WRITE_KEY, now=5.0) == SHOP


def test_a_key_in_steady_use_is_looked_up_again_by_one_request_and_none_waits() -> None:
    book = MemoryStores()
    book.upsert_store(SHOP)
    directory = StoreDirectory(book)
    directory.find(WRITE_KEY, now=0.0)

    claims = [directory.claim_refresh(WRITE_KEY, now) for now in (4.9, 5.0, 5.1, 9.9, 10.0)]

    assert claims == [False, True, False, False, True]
    assert directory.cached(WRITE_KEY, now=29.9) == SHOP
    assert directory.cached(WRITE_KEY, now=30.0) is None


def test_while_the_book_is_away_the_directory_answers_from_memory_however_old() -> None:
    book = MemoryStores()
    book.upsert_store(SHOP)
    directory = StoreDirectory(book)
    directory.find(WRITE_KEY, now=0.0)
    book.available = False

    assert directory.find(WRITE_KEY, now=1e6) == SHOP
    with pytest.raises(StoresUnavailable):
        directory.find("never seen", now=1e6)


def test_a_flood_of_unknown_keys_is_remembered_within_a_bound() -> None:
    book = MemoryStores()
    directory = StoreDirectory(book, max_cached=100)
    for number in range(1_000):
        directory.find(f"key {number}", now=0.0)
    book.available = False

    assert directory.find("key 999", now=1.0) is None
    with pytest.raises(StoresUnavailable):
        directory.find("key 0", now=1.0)
