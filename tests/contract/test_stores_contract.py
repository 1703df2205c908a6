"""The contract of where stores are kept, held by Mongo and by the in-memory twin; and the directory on top of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import pytest

from connectors.mongo_stores import (
    MemoryStores,
    MongoStores,
    StoreBook,
    StoreConflict,
    StoresUnavailable,
    connect,
)
from connectors.store_directory import StoreDirectory, find_by_import_key
from marketplace.collections import STORES
from marketplace.stores import InvalidStore, hash_write_key, import_key
from tests.collector_kit import SHOP, WRITE_KEY

OTHER = replace(
    SHOP, slug="other", write_key_hash=hash_write_key("other"), blocked_networks=("192.0.2.0/24",), honour_opt_out=False
)


@dataclass
class Drawer:
    """A book, and a way to put into it what the book itself would not write."""

    book: StoreBook
    slip_in: Callable[[dict[str, Any]], object]


def slip_into(stores: MemoryStores) -> Callable[[dict[str, Any]], None]:
    def slip(document: dict[str, Any]) -> None:
        stores.documents[document["_id"]] = document

    return slip


@pytest.fixture(params=["memory", "mongo"])
def drawer(request: pytest.FixtureRequest) -> Iterator[Drawer]:
    if request.param == "memory":
        stores = MemoryStores()
        yield Drawer(stores, slip_into(stores))
        return
    client = connect(request.getfixturevalue("stack").urls.mongo)
    database = f"contract_{uuid.uuid4().hex}"
    for index in STORES.indexes:
        client[database][STORES.name].create_index(list(index.fields), name=index.name, unique=index.unique)
    documents = client[database][STORES.name]
    yield Drawer(MongoStores(client, database), documents.insert_one)
    client.drop_database(database)
    client.close()


@pytest.fixture
def book(drawer: Drawer) -> StoreBook:
    return drawer.book


def document(**changed: Any) -> dict[str, Any]:
    """A document of a store, with fields that somebody wrote by hand; None takes one away."""
    whole = {"_id": "broken", "title": "Broken", "timezone": "UTC", "domains": [], "write_key_hash": "f" * 64}
    fields = {**whole, "visitor_secret": "0" * 64, **changed}
    return {name: value for name, value in fields.items() if value is not None}


BAD_DOCUMENTS = {
    "timezone is missing": document(timezone=None),
    "timezone is a number": document(timezone=5),
    "timezone is unknown": document(timezone="Mars/Olympus"),
    "timezone is a folder of zones": document(timezone="America"),
    "domains are one text": document(domains="shop.example"),
    "domains are numbers": document(domains=[1, 2]),
    "title is bytes": document(title=b"x"),
    "a network is none": document(blocked_networks=["everybody"]),
    "a network is a number": document(blocked_networks=[5]),
    "honour_opt_out is a text": document(honour_opt_out="yes"),
    "the id is no slug": document(_id="Not A Slug"),
    "the id is a number": document(_id=7),
}


@pytest.mark.parametrize("bad", BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS.keys())
def test_a_document_that_does_not_hold_is_set_apart_and_hides_no_other(drawer: Drawer, bad: dict[str, Any]) -> None:
    drawer.book.upsert_store(SHOP)
    drawer.slip_in(bad)

    shelf = drawer.book.read()

    assert shelf.stores == {"shop": SHOP}
    assert [(found.slug, found.document) for found in shelf.bad] == [(str(bad["_id"]), bad)]
    assert str(bad["_id"]) in shelf.bad[0].reason
    assert drawer.book.list_stores() == [SHOP]


def test_a_document_that_does_not_hold_is_named_when_it_is_asked_for(drawer: Drawer) -> None:
    drawer.slip_in(document(timezone=None))

    with pytest.raises(InvalidStore, match=r"broken.*timezone"):
        drawer.book.get("broken")
    with pytest.raises(InvalidStore, match=r"broken.*timezone"):
        drawer.book.by_write_key_hash("f" * 64)


def test_a_few_stores_can_be_read_without_all_others(drawer: Drawer) -> None:
    for store in (SHOP, OTHER):
        drawer.book.upsert_store(store)
    drawer.slip_in(document(timezone=None))

    assert set(drawer.book.read({"shop", "nowhere"}).stores) == {"shop"}
    assert [found.slug for found in drawer.book.read({"broken"}).bad] == ["broken"]


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


def test_an_import_key_is_kept_found_rotated_and_taken_back(drawer: Drawer) -> None:
    key = import_key("shop", "6b" * 16)
    drawer.book.upsert_store(SHOP)
    assert find_by_import_key(drawer.book, key) is None
    drawer.book.upsert_store(replace(SHOP, import_key_hash=hash_write_key(key)))
    assert find_by_import_key(drawer.book, key) == replace(SHOP, import_key_hash=hash_write_key(key))
    assert find_by_import_key(drawer.book, WRITE_KEY) is None
    assert find_by_import_key(drawer.book, import_key("shop", "7c" * 16)) is None
    assert find_by_import_key(drawer.book, import_key("other", "6b" * 16)) is None
    drawer.book.upsert_store(replace(SHOP, import_key_hash=hash_write_key(import_key("shop", "7c" * 16))))
    assert find_by_import_key(drawer.book, key) is None
    drawer.book.upsert_store(SHOP)
    assert find_by_import_key(drawer.book, import_key("shop", "7c" * 16)) is None


def test_a_store_saved_before_there_were_import_keys_has_none(drawer: Drawer) -> None:
    old = {name: value for name, value in asdict(SHOP).items() if name not in ("slug", "import_key_hash")}
    drawer.slip_in({"_id": "shop", **old, "domains": list(SHOP.domains), "blocked_networks": []})
    assert drawer.book.get("shop") == SHOP


def test_a_directory_of_import_keys_does_not_know_write_keys() -> None:
    book, key = MemoryStores(), import_key("shop", "6b" * 16)
    book.upsert_store(replace(SHOP, import_key_hash=hash_write_key(key)))
    directory = StoreDirectory(book, find_by_import_key)
    found = directory.find(key, now=0.0)
    assert (found.slug if found else None, directory.find(WRITE_KEY, now=0.0)) == ("shop", None)
