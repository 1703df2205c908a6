"""Laws of products as CSV files: what goes out comes back, and is out of reach of a spreadsheet's formulas."""

from __future__ import annotations

import csv
import io
import itertools
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.catalog.csv_files import COLUMNS, guarded, read, unguarded, written
from marketplace.catalog.csv_products import InvalidLines, draft_of_lines
from marketplace.catalog.drafts import ProductDraft, checked, draft_of, edited, product_of
from marketplace.catalog.products import Product
from marketplace.catalog.refusals import InvalidCatalog
from tests.kits.catalog import drafts, with_sku_prefix

several = st.lists(drafts(), min_size=1, max_size=4)


def made(wanted: list[ProductDraft]) -> list[Product]:
    ids = (f"{number:032x}" for number in itertools.count(1))
    return [
        product_of(
            checked(with_sku_prefix(draft, f"{at}:")),
            id=next(ids),
            store="shop",
            slug=f"product-{at}",
            new_id=ids.__next__,
            now_ms=1,
            by="ann",
        )
        for at, draft in enumerate(wanted)
    ]


def no_new_id() -> str:
    raise AssertionError("a variant that is there keeps its id")


@settings(max_examples=60)
@given(several)
def test_a_file_that_was_exported_changes_nothing_when_it_is_imported(wanted: list[ProductDraft]) -> None:
    products = made(wanted)
    groups = read(written(products, ()).encode())
    assert [group.slug for group in groups] == [product.slug for product in products]
    for group, product in zip(groups, products, strict=True):
        assert edited(product, draft_of_lines(group, product, {}), no_new_id) == product


@settings(max_examples=60)
@given(several)
def test_what_is_imported_into_an_empty_store_is_exported_as_the_same_file(wanted: list[ProductDraft]) -> None:
    file = written(made(wanted), ())
    ids = (f"{number:032x}" for number in itertools.count(10**6))
    again = [
        product_of(
            draft_of_lines(group, None, {}),
            id=next(ids),
            store="other",
            slug=group.slug,
            new_id=ids.__next__,
            now_ms=2,
            by="bob",
        )
        for group in read(file.encode())
    ]
    assert written(again, ()) == file


@settings(max_examples=60)
@given(several)
def test_no_cell_of_a_file_begins_like_a_formula(wanted: list[ProductDraft]) -> None:
    rows = list(csv.reader(io.StringIO(written(made(wanted), ()), newline="")))
    assert rows[0] == list(COLUMNS)
    assert [cell for row in rows[1:] for cell in row if cell[:1] in tuple("=+-@\t\r\n")] == []


@given(st.text("'=+-@\t\r\n\uff1dab", max_size=6))
def test_every_text_is_guarded_so_that_the_guard_can_be_taken_back(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert guarded(text)[:1] not in tuple("=+-@\t\r\n\uff1d")


@settings(max_examples=40)
@given(several, st.sampled_from([",", ";"]), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_a_byte_order_mark_semicolons_and_either_end_of_a_line_are_read_alike(
    wanted: list[ProductDraft], delimiter: str, end: str, mark: bool
) -> None:
    file = written(made(wanted), ())
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows(csv.reader(io.StringIO(file, newline="")))
    other = text.getvalue().encode("utf-8-sig" if mark else "utf-8")
    assert [(group.slug, [line.cells for line in group.lines]) for group in read(other)] == [
        (group.slug, [line.cells for line in group.lines]) for group in read(file.encode())
    ]


@settings(max_examples=40)
@given(drafts(), drafts())
def test_an_import_removes_no_variant_and_no_value_of_an_option(before: ProductDraft, after: ProductDraft) -> None:
    (product,) = made([before])
    # The same options, so that what the file says fits.
    wanted = replace(product, title=after.title, variants=product.variants[:1], images=())
    (group,) = read(written([wanted], ()).encode())
    result = edited(product, draft_of_lines(group, product, {}), no_new_id)
    assert [variant.id for variant in result.variants] == [variant.id for variant in product.variants]
    assert result.options == product.options
    assert result.title == after.title
    assert draft_of(result).images == ()


@settings(max_examples=150)
@given(st.binary(max_size=200) | st.text('slug,sku\n\r";x\x00\ufeff', max_size=120).map(str.encode))
def test_any_bytes_are_a_file_or_are_refused(content: bytes) -> None:
    try:
        groups = read(content)
    except InvalidCatalog:
        return
    assert all(group.lines for group in groups)


def refused(content: str) -> list[tuple[int, str, str]]:
    """What is wrong with lines, or with the file as a whole."""
    try:
        groups = read(content.encode())
    except InvalidCatalog as error:
        return [(0, "", fault.code) for fault in error.faults]
    found = []
    for group in groups:
        try:
            draft_of_lines(group, None, {"mugs": "6" * 32})
        except InvalidLines as error:
            found += [(fault.line, fault.column, fault.code) for fault in error.faults]
    return found


HEAD = "slug,title,currency,sku,price,compare_at,state,availability,category,images,option1_name,option1_value"
GOOD = "mug,Mug,EUR,MUG,12.50,,,,,,,"


@pytest.mark.parametrize(
    ("line", "faults"),
    [
        (GOOD, []),
        ("mug,Mug,EUR,MUG,12.50,20.00,active,few,mugs,https://shop.example/x.jpg A mug,,", []),
        ('mug,Mug,EUR,MUG,"1,299.00",,,,,,,', [(2, "price", "money")]),
        ("mug,Mug,EUR,MUG,-1.00,,,,,,,", [(2, "price", "money")]),
        ("mug,Mug,EUR,MUG,12.505,,,,,,,", [(2, "price", "money")]),
        ("mug,Mug,JPY,MUG,12.50,,,,,,,", [(2, "price", "money")]),
        (f"mug,Mug,EUR,MUG,{'9' * 40_000},,,,,,,", [(2, "price", "money")]),
        (f"mug,Mug,EUR,MUG,{'9' * 100_000},,,,,,,", [(2, "", "too_long")]),
        (f"mug,Mug,EUR,MUG,{'9' * 1_000_000},,,,,,,", [(0, "", "csv")]),
        ("mug,Mug,EUR,MUG,12.50,12.50,,,,,,", [(2, "compare_at", "range")]),
        ("mug,,EUR,MUG,12.50,,,,,,,", [(2, "title", "text")]),
        ("mug,Mug,,MUG,12.50,,,,,,,", [(2, "currency", "currency")]),
        ("mug,Mug,EUR,MUG,,,,,,,,", [(2, "price", "missing")]),
        ("mug,Mug,EUR,,12.50,,,,,,,", [(2, "sku", "missing")]),
        (",Mug,EUR,MUG,12.50,,,,,,,", [(2, "slug", "missing")]),
        ("mug,Mug,EUR,MUG,12.50,,sold,,,,,", [(2, "state", "enum")]),
        ("mug,Mug,EUR,MUG,12.50,,,lots,,,,", [(2, "availability", "enum")]),
        ("mug,Mug,EUR,MUG,12.50,,,,plates,,,", [(2, "category", "unknown")]),
        ("mug,Mug,EUR,MUG,12.50,,,,,http://127.0.0.1/x,,", [(2, "images", "url")]),
        ("mug,Mug,EUR,MUG,12.50,,,,,,,S", [(2, "option1_value", "option")]),
        ("mug,Mug,EUR,MUG,12.50,,,,,,Size,", [(2, "option1_value", "text")]),
        ("mug,Mug,EUR,MUG,12.50", [(2, "", "cells")]),
        (f"{GOOD}\nmug,Cup,,CUP,1.00,,,,,,,", [(3, "title", "differs")]),
        (f"{GOOD}\nmug,,,CUP,1.00,,,,,,,", [(3, "option1_value", "twice")]),
        (f"{GOOD}\ncup,Cup,EUR,MUG,12.50,,,,,,,", [(3, "sku", "twice")]),
        (f'{GOOD}\n"cup,Cup', [(0, "", "csv")]),
        (f"{GOOD}\n\n,,,,\n{GOOD.replace('MUG', 'CUP').replace('mug', 'cup')}", []),
    ],
)
def test_a_line_is_refused_for_what_is_wrong_with_it(line: str, faults: list[tuple[int, str, str]]) -> None:
    assert refused(f"{HEAD}\n{line}\n") == faults


@pytest.mark.parametrize(
    "head", ["", "slug", "slug,sku,prize", "slug,sku,sku", "title;price", "slug,sku\x00", "slug,sku,"]
)
def test_a_file_with_other_columns_is_refused_as_a_whole(head: str) -> None:
    assert {code for _, _, code in refused(f"{head}\nmug,MUG,1\n")} in [{"column"}, {"encoding"}]


def test_a_file_of_one_product_is_read_about_as_fast_as_one_of_many() -> None:
    def seconds(slug: str) -> float:
        rows = "".join(f"{slug.format(at)},SKU-{at}\r\n" for at in range(15_000))
        began = time.process_time()
        assert sum(len(each.lines) for each in read(f"slug,sku\r\n{rows}".encode())) == 15_000
        return time.process_time() - began

    assert seconds("mug") < 5 * seconds("mug-{}") + 0.5
