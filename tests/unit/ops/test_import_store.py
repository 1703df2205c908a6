"""Which store an import goes to."""

from __future__ import annotations

import pytest

from connectors.mongo.stores import MemoryStores
from marketplace.stores import InvalidStore
from ops.commands.import_store import create, find, new_store, similar_slug


def book(*slugs: str) -> MemoryStores:
    stores = MemoryStores()
    for slug in slugs:
        assert stores.create_store(new_store(slug, "UTC", ()))
    return stores


def test_a_store_that_is_there_is_taken_as_it_is() -> None:
    stores = book("sample")

    assert find(stores, "sample", None) == stores.get("sample")


def test_a_store_that_another_import_made_meanwhile_is_taken_with_its_secret() -> None:
    stores = book("sample")

    found, created = create(stores, new_store("sample", "Asia/Tokyo", ()))

    assert (found, created) == (stores.get("sample"), False)


@pytest.mark.parametrize("known", [(), ("garden",), ("sample-2",)])
def test_without_a_store_of_a_like_name_a_new_one_is_made(known: tuple[str, ...]) -> None:
    stores = book(*known)

    assert find(stores, "sample", None) is None
    found, created = create(stores, new_store("sample", "UTC", ["shop.example"]))

    assert created
    assert stores.get("sample") == found


@pytest.mark.parametrize("typed", ["smaple", "sampl", "samples", "sampel", "sam-ple"])
def test_a_name_much_like_a_known_one_is_refused_with_what_was_probably_meant(typed: str) -> None:
    stores = book("garden", "sample")

    with pytest.raises(InvalidStore, match=f"no store {typed}; did you mean sample\\? --create-store"):
        find(stores, typed, None)

    assert stores.get(typed) is None


def test_a_new_store_is_made_beside_one_of_a_like_name_when_it_is_asked_for() -> None:
    assert find(book("sample"), "smaple", True) is None


def test_no_store_is_made_when_that_is_forbidden() -> None:
    with pytest.raises(InvalidStore, match=r"no store other \(stores: sample\); --create-store"):
        find(book("sample"), "other", False)


@pytest.mark.parametrize(
    ("slug", "known"), [("shop-1", ["shop-2"]), ("sample2", ["sample"]), ("eu", ["us"]), ("new", []), ("x", ["x1"])]
)
def test_names_that_differ_in_numbers_or_altogether_are_different_on_purpose(slug: str, known: list[str]) -> None:
    assert similar_slug(slug, known) is None
