from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connectors.mongo.stores import MemoryStores
from marketplace.stores import Store
from tests.kits.collector import SHOP

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
