from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mongo.store_directory import find_by_import_key, find_by_write_key
from connectors.mongo.stores import MemoryStores
from marketplace.stores import InvalidStore, Store, hash_write_key, import_key
from ops.commands.import_store import create, find, new_store
from tests.kits.collector import SHOP, WRITE_KEY

KNOWN = {field.name for field in fields(Store)} | {"_id", "version"}
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))
UNKNOWN = st.dictionaries(st.text(min_size=1).filter(lambda name: name not in KNOWN), JSON, max_size=4)
CHANGES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "title": st.text(),
        "timezone": st.sampled_from(["UTC", "Asia/Tokyo"]),
        "domains": st.lists(st.sampled_from(["a.example", "b.example"])).map(tuple),
        "write_key_hash": st.text("0123456789abcdef", min_size=64, max_size=64),
        "honour_opt_out": st.booleans(),
        "contact": st.sampled_from(["", "hello@a.example"]),
        "import_key_hash": st.none() | st.just("f" * 64),
    },
)


@given(UNKNOWN, st.lists(CHANGES, max_size=8))
def test_edits_change_what_they_name_and_nothing_else(
    unknown: Mapping[str, Any], changes: list[dict[str, Any]]
) -> None:
    book = MemoryStores()
    book.create_store(SHOP)
    book.documents["shop"] = {**book.documents["shop"], **unknown}
    expected = {field.name: getattr(SHOP, field.name) for field in fields(Store)}
    for change in changes:
        edited = book.edit("shop", lambda _, change=change: change)  # type: ignore[misc]  # mypy infers no type for a default
        expected |= change
        assert edited == book.get("shop") == Store(**expected)

    document = book.documents["shop"]
    assert {name: document[name] for name in unknown} == unknown
    assert document["version"] == 1 + len(changes)


IMPORT_KEY = import_key("shop", "6b" * 16)
OPEN = replace(SHOP, import_key_hash=hash_write_key(IMPORT_KEY))
LOST: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {}, optional={"write_key_hash": st.just("0" * 64), "import_key_hash": st.none()}
)


@given(st.sampled_from([datetime(2026, 11, 30, tzinfo=UTC), 1, None]), LOST, st.sampled_from([None, True, False]))
def test_nothing_is_taken_for_a_store_that_was_deleted_by_whatever_way_it_comes(
    deleted_at: datetime | int | None, lost: dict[str, Any], may_create: bool | None
) -> None:
    book = MemoryStores()
    book.create_store(OPEN)
    # An older version, a backup or a hand may have left the keys.
    book.documents["shop"] = {**book.documents["shop"], "deleted_at": deleted_at, **(lost if deleted_at else {})}
    ways: dict[str, Callable[[], Store | None]] = {
        "write key": lambda: find_by_write_key(book, WRITE_KEY),
        "storefront": lambda: find_by_write_key(book, OPEN.storefront_key),
        "import key": lambda: find_by_import_key(book, IMPORT_KEY),
        "access log": lambda: find(book, "shop", may_create),
        "access log of a new store": lambda: create(book, new_store("shop", "UTC", ()))[0],
    }

    for way, takes in ways.items():
        if deleted_at is None:
            assert takes() == OPEN, way
        elif way.startswith("access log"):
            with pytest.raises(InvalidStore, match="store shop was deleted"):
                takes()
        else:
            assert takes() is None, way
