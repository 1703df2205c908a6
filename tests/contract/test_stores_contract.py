"""The contract of where stores are kept, held by Mongo and by the in-memory twin; and the directory on top of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import pytest

from connectors.mongo.client import connect
from connectors.mongo.store_directory import find_by_import_key, find_by_write_key
from connectors.mongo.stores import (
    MemoryStores,
    MongoStores,
    StoreConflict,
    StoreRepository,
    StoresUnavailable,
    from_document,
    to_document,
)
from marketplace.collections import STORES
from marketplace.enrichments.store_rules import SourceRule
from marketplace.goals import FIRST_GOALS, Goal
from marketplace.stores import InvalidStore, Store, hash_write_key, import_key
from tests.kits.collector import SHOP, WRITE_KEY

OTHER = replace(
    SHOP,
    slug="other",
    write_key_hash=hash_write_key("other"),
    blocked_networks=("192.0.2.0/24",),
    honour_opt_out=False,
    payment_hosts=("pay.example",),
    ignored_referrers=("login.example",),
    source_rules=(SourceRule("referrer", "partner.example", "partner", "affiliate"),),
    trailing_slash="strip",
    page_case="lower",
)


@dataclass
class Drawer:
    """A book, and ways to its documents past the book."""

    book: StoreRepository
    slip_in: Callable[[dict[str, Any]], object]
    look_at: Callable[[str], Mapping[str, Any] | None]


def slip_into(stores: MemoryStores) -> Callable[[dict[str, Any]], None]:
    def slip(document: dict[str, Any]) -> None:
        stores.documents[document["_id"]] = document

    return slip


@pytest.fixture(params=["memory", "mongo"])
def drawer(request: pytest.FixtureRequest) -> Iterator[Drawer]:
    if request.param == "memory":
        stores = MemoryStores()
        yield Drawer(stores, slip_into(stores), stores.documents.get)
        return
    client = connect(request.getfixturevalue("stack").urls.mongo)
    database = f"contract_{uuid.uuid4().hex}"
    MongoStores(client, database).prepare()
    documents = client[database][STORES.name]
    yield Drawer(MongoStores(client, database), documents.insert_one, lambda slug: documents.find_one({"_id": slug}))
    client.drop_database(database)
    client.close()


@pytest.fixture
def book(drawer: Drawer) -> StoreRepository:
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

    listing = drawer.book.read()

    assert listing.stores == {"shop": SHOP}
    assert [(found.slug, found.document) for found in listing.bad] == [(str(bad["_id"]), bad)]
    assert str(bad["_id"]) in listing.bad[0].reason
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


def test_a_store_reads_back_as_it_was_saved(book: StoreRepository) -> None:
    book.upsert_store(OTHER)

    assert book.get("other") == OTHER
    assert book.by_write_key_hash(OTHER.write_key_hash) == OTHER


def test_a_store_whose_document_says_nothing_of_goals_has_the_first_ones(drawer: Drawer) -> None:
    drawer.slip_in(document())
    assert (found := drawer.book.get("broken")) is not None
    assert found.goals == FIRST_GOALS


def test_the_goals_of_a_store_read_back_as_they_were_saved(book: StoreRepository) -> None:
    goals = (Goal("Large", "event", "add_to_cart", (("size", "L"), ("gift", ""))), Goal("Seen", "page", "/p/**"))
    book.upsert_store(replace(SHOP, goals=goals))
    assert book.get("shop") == replace(SHOP, goals=goals)
    assert book.edit("shop", lambda store: {"goals": store.goals[:1]}) == replace(SHOP, goals=goals[:1])
    book.upsert_store(replace(SHOP, goals=()))
    assert book.get("shop") == replace(SHOP, goals=())


def test_saving_again_replaces_the_store_of_that_slug(book: StoreRepository) -> None:
    book.upsert_store(SHOP)
    book.upsert_store(replace(SHOP, title="New title"))

    assert [store.title for store in book.list_stores()] == ["New title"]


def test_stores_are_listed_by_slug(book: StoreRepository) -> None:
    for store in (SHOP, OTHER):
        book.upsert_store(store)

    assert [store.slug for store in book.list_stores()] == ["other", "shop"]


def test_what_is_not_there_is_none(book: StoreRepository) -> None:
    assert book.get("shop") is None
    assert book.by_write_key_hash("0" * 64) is None


def test_creating_leaves_a_store_that_is_there_as_it_is(book: StoreRepository) -> None:
    first = book.create_store(SHOP)
    second = book.create_store(replace(SHOP, title="Another", write_key_hash=hash_write_key("another")))

    assert (first, second) == (True, False)
    assert book.get("shop") == SHOP


def test_a_write_key_belongs_to_one_store(book: StoreRepository) -> None:
    book.upsert_store(SHOP)

    with pytest.raises(StoreConflict):
        book.upsert_store(replace(OTHER, write_key_hash=SHOP.write_key_hash))
    with pytest.raises(StoreConflict):
        book.create_store(replace(OTHER, write_key_hash=SHOP.write_key_hash))
    book.create_store(OTHER)
    with pytest.raises(StoreConflict):
        book.edit("other", lambda _: {"write_key_hash": SHOP.write_key_hash})
    assert book.get("other") == OTHER


def test_an_edit_changes_the_fields_that_it_names_and_gives_the_store_as_it_is_now(book: StoreRepository) -> None:
    book.create_store(OTHER)

    edited = book.edit("other", lambda store: {"title": f"{store.title}!", "domains": ("a.example", "b.example")})

    assert edited == book.get("other") == replace(OTHER, title="The shop!", domains=("a.example", "b.example"))


def test_an_edit_of_nobody_is_none_and_makes_nothing(book: StoreRepository) -> None:
    assert book.edit("nobody", lambda _: {"title": "x"}) is None
    assert book.list_stores() == []


def test_fields_that_the_code_does_not_know_survive_an_edit_and_the_version_grows(drawer: Drawer) -> None:
    drawer.slip_in(document(plan="gold", limits={"events": 5}))

    for _ in range(2):
        drawer.book.edit("broken", lambda _: {"write_key_hash": "e" * 64})

    expected = {**document(plan="gold", limits={"events": 5}), "write_key_hash": "e" * 64, "version": 2}
    assert drawer.look_at("broken") == expected


def test_saving_all_fields_leaves_those_that_the_code_does_not_know(drawer: Drawer) -> None:
    drawer.slip_in(document(_id="shop", plan="gold"))
    drawer.book.upsert_store(SHOP)

    saved = drawer.look_at("shop")
    assert saved is not None
    assert saved["plan"] == "gold"
    assert drawer.book.get("shop") == SHOP


@pytest.mark.parametrize("change", [{"timezone": "Mars/Olympus"}, {"plan": "gold"}, {"domains": "x"}, {"title": None}])
def test_an_edit_that_would_not_hold_is_refused_and_changes_nothing(drawer: Drawer, change: dict[str, Any]) -> None:
    drawer.book.create_store(SHOP)
    before = drawer.look_at("shop")

    with pytest.raises(InvalidStore, match=r"shop|Olympus"):
        drawer.book.edit("shop", lambda _: change)
    assert drawer.look_at("shop") == before


def test_edits_at_the_same_time_lose_nothing(drawer: Drawer) -> None:
    drawer.book.create_store(replace(SHOP, domains=()))
    domains = {f"{number}.example" for number in range(8)}

    def add(domain: str) -> object:
        return drawer.book.edit("shop", lambda store: {"domains": (*store.domains, domain)})

    with ThreadPoolExecutor(len(domains)) as threads:
        assert None not in list(threads.map(add, domains))

    after, saved = drawer.book.get("shop"), drawer.look_at("shop")
    assert after is not None
    assert set(after.domains) == domains
    assert saved is not None
    assert saved["version"] == 1 + len(domains)


def test_a_key_that_is_revoked_during_another_edit_stays_revoked(drawer: Drawer) -> None:
    drawer.book.create_store(replace(SHOP, import_key_hash="a" * 64))
    seen: list[str | None] = []

    def rename(store: Store) -> dict[str, Any]:
        seen.append(store.import_key_hash)
        if len(seen) == 1:
            drawer.book.edit("shop", lambda _: {"import_key_hash": None})
        return {"title": "New"}

    assert drawer.book.edit("shop", rename) == replace(SHOP, title="New", import_key_hash=None)
    assert seen == ["a" * 64, None]


def test_a_store_that_others_edit_all_the_time_is_unavailable(drawer: Drawer) -> None:
    drawer.book.create_store(SHOP)

    def busy(_: Store) -> dict[str, Any]:
        drawer.book.edit("shop", lambda store: {"title": f"{store.title}."})
        return {"title": "mine"}

    with pytest.raises(StoresUnavailable, match="edited it"):
        drawer.book.edit("shop", busy)


def test_without_mongo_a_read_fails_as_unavailable_within_seconds() -> None:
    client = connect("mongodb://127.0.0.1:1/?directConnection=true")

    with pytest.raises(StoresUnavailable):
        MongoStores(client, "any").get("shop")
    client.close()


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


def test_a_storefronts_key_finds_its_store_and_ends_with_the_write_key(book: StoreRepository) -> None:
    for store in (SHOP, OTHER):
        book.upsert_store(store)
    key = SHOP.storefront_key
    assert find_by_write_key(book, key) == SHOP
    assert find_by_write_key(book, OTHER.storefront_key) == OTHER
    # Nobody makes the key of one store from that of another one.
    assert find_by_write_key(book, key.replace("shop", "other")) is None
    assert find_by_write_key(book, f"{key}0") is None
    assert find_by_write_key(book, "storefront.nowhere.00") is None
    assert find_by_write_key(book, "storefront.shop.é") is None

    book.edit("shop", lambda _: {"write_key_hash": hash_write_key("a new one")})

    assert find_by_write_key(book, key) is None
    after = book.get("shop")
    assert after is not None
    assert find_by_write_key(book, after.storefront_key) == after


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("goals", [{"name": "", "kind": "page", "pattern": "/"}]),
        ("goals", "all of them"),
        ("payment_hosts", ["https://pay.example/"]),
        ("source_rules", [{"match": "host"}]),
        ("page_case", "upper"),
    ],
)
def test_what_only_shapes_reports_does_not_keep_a_store_from_being_counted(field: str, value: Any) -> None:
    store = Store("shop", "Shop", "UTC", (), "0" * 64, "1" * 64)
    document = {**to_document(store), field: value}
    assert from_document(document) == store
    with pytest.raises(InvalidStore):
        from_document({**document, "timezone": "Mars/Olympus"})


def test_an_edit_that_is_not_valid_is_refused_and_one_of_something_else_is_not(drawer: Drawer) -> None:
    drawer.book.upsert_store(SHOP)
    with pytest.raises(InvalidStore, match="goal"):
        drawer.book.edit(SHOP.slug, lambda _: {"goals": [{"name": "", "kind": "page", "pattern": "/"}]})
    edited = drawer.book.edit(SHOP.slug, lambda _: {"title": "Another"})
    assert edited is not None
    assert edited.goals == FIRST_GOALS
