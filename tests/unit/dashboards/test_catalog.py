"""The page Catalog: which numbers a product has, and what needs the seller."""

from __future__ import annotations

import pytest

from connectors.insights import Breakdown, Numbers, Row
from dashboards.screens.catalog import lines_of, needs_of
from dashboards.ui.columns import drawn
from dashboards.ui.table_csv import to_csv
from marketplace.catalog.products import Availability, Image, Product, ProductState
from tests.kits.products import product

NEVER = 10**15
SHOWN = (Image("https://shop.example/mug.jpg"),)


def test_a_product_counts_under_its_id_its_slug_and_its_skus() -> None:
    mug, bowl = product("Mug", slug="mug"), product("Bowl")
    (sku,) = (variant.sku for variant in mug.variants)
    views = {mug.id: 3, "mug": 2, sku: 1, "else": 9, bowl.id: 7}
    lines = lines_of([mug, bowl], views, {mug.id: 1, sku: 1}, NEVER)
    assert [(line.product.title, line.views, line.carts) for line in lines] == [("Bowl", 7, 0), ("Mug", 6, 2)]


def test_carts_that_are_not_known_are_not_none() -> None:
    (line,) = lines_of([product()], {}, None, NEVER)
    assert line.carts is None


@pytest.mark.parametrize(
    ("made", "views", "needs"),
    [
        (product(images=SHOWN), 1, []),
        (product(images=SHOWN), 0, ["Not seen in 30 days"]),
        (product(), 1, ["Needs a picture"]),
        (product(images=SHOWN, availability=Availability.NONE), 1, ["Has no stock"]),
        (product(availability=Availability.NONE), 0, ["Needs a picture", "Has no stock", "Not seen in 30 days"]),
        (product(state=ProductState.DRAFT), 0, []),
        (product(state=ProductState.ARCHIVED, availability=Availability.NONE), 0, []),
    ],
)
def test_only_what_buyers_can_see_needs_the_seller(made: Product, views: int, needs: list[str]) -> None:
    (line,) = lines_of([made], {made.id: views}, {}, NEVER)
    assert needs_of(line) == needs


def test_a_product_that_was_put_up_since_is_not_said_to_be_unseen() -> None:
    made = product(images=SHOWN, created_at=5)
    assert [needs_of(line) for since in (4, 5) for line in lines_of([made], {}, {}, since)] == [
        [], ["Not seen in 30 days"],
    ]  # fmt: skip


def test_a_table_and_its_csv_show_titles_and_keep_what_the_pages_said() -> None:
    rows = (Row(None, "p1", Numbers(views=2, visitors=1)), Row(None, "p2", Numbers(views=1, visitors=1)))
    titles = {"p1": "=Mug"}
    table = drawn("product", rows, "visitors", lambda value: titles.get(value, value))
    assert table["product"].to_pylist() == ["=Mug", "p2"]
    head, first, second, _ = to_csv(Breakdown("product", rows, more=False), titles).split("\r\n")
    assert head.startswith('\ufeff"product","title","visitors"')
    assert first.startswith('"p1","\'=Mug",')
    assert second.startswith('"p2","",')
