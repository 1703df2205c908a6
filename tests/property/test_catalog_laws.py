"""Laws of catalogs: the tree of categories, and the ids of variants."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.catalog.categories import (
    MAX_CATEGORIES,
    MAX_DEPTH,
    Category,
    Tree,
    below,
    get,
    path_to,
    with_added,
    with_edited,
    without,
)
from marketplace.catalog.drafts import (
    ProductDraft,
    VariantDraft,
    changed_fields,
    checked,
    draft_of,
    edited,
    product_of,
)
from marketplace.catalog.products import Image, Option, Product
from marketplace.catalog.refusals import InvalidCatalog
from marketplace.identity.tenancy import LimitReached, TenancyError
from marketplace.money import MAX_MINOR
from tests.kits.catalog import drafts

NAMES = ["Mugs", "Plates", "Bücher", "本", "new", "mugs"]
steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "move", "rename", "slug", "remove"]), st.integers(0, 9), st.none() | st.integers(0, 9)
    ),
    max_size=40,
)


def depth_of(tree: Tree, category: Category) -> int:
    """By walking up; a circle would never end."""
    parents = {each.id: each.parent for each in tree}
    depth, at = 1, category.parent
    while at is not None:
        depth, at = depth + 1, parents[at]
        assert depth <= len(tree)
    return depth


@settings(max_examples=200)
@given(steps)
def test_whatever_is_done_to_categories_they_stay_a_tree(done: list[tuple[str, int, int | None]]) -> None:
    tree: Tree = ()
    ids = map(str, itertools.count())
    for what, at, other in done:
        target = tree[at % len(tree)].id if tree else "none"
        parent = None if other is None else tree[other % len(tree)].id if tree else "none"
        name = NAMES[at % len(NAMES)]
        before = tree
        try:
            if what == "add":
                tree = with_added(tree, next(ids), name, parent=parent)
            elif what == "move":
                tree = with_edited(tree, target, parent=parent)
            elif what == "rename":
                tree = with_edited(tree, target, name=name)
            elif what == "slug":
                tree = with_edited(tree, target, slug=f"slug-{other}")
            else:
                tree = without(tree, target)
        except TenancyError:
            assert tree == before
        assert len({each.id for each in tree}) == len(tree)
        assert len({each.slug for each in tree}) == len(tree)
        for category in tree:
            assert depth_of(tree, category) <= MAX_DEPTH
            assert path_to(tree, category.id)[-1] == category
            assert len(path_to(tree, category.id)) == depth_of(tree, category)
            assert category.id in below(tree, category.id)
        if what in ("move", "rename", "slug"):
            assert {each.id for each in tree} == {each.id for each in before}


@pytest.mark.parametrize("deep", [MAX_DEPTH, MAX_DEPTH + 1])
def test_categories_are_at_most_five_deep_also_where_a_branch_is_moved(deep: int) -> None:
    tree: Tree = ()
    for at in range(deep - 1):
        tree = with_added(tree, f"branch-{at}", "Name", parent=f"branch-{at - 1}" if at else None)
    tree = with_added(tree, "root", "Root")
    if deep <= MAX_DEPTH:
        moved = with_edited(tree, "branch-0", parent="root")
        assert path_to(moved, f"branch-{deep - 2}")[0].id == "root"
    else:
        with pytest.raises(InvalidCatalog) as refused:
            with_edited(tree, "branch-0", parent="root")
        assert [fault.code for fault in refused.value.faults] == ["depth"]


def test_a_store_has_at_most_five_hundred_categories() -> None:
    tree: Tree = ()
    for at in range(MAX_CATEGORIES):
        tree = with_added(tree, str(at), f"Name {at}")
    with pytest.raises(LimitReached):
        with_added(tree, "more", "More")


@pytest.mark.parametrize("target", ["a", "b", "c"])
def test_a_category_cannot_be_moved_into_itself_or_below_itself(target: str) -> None:
    tree: Tree = ()
    for id, parent in (("a", None), ("b", "a"), ("c", "b")):
        tree = with_added(tree, id, id, parent=parent)
    with pytest.raises(InvalidCatalog) as refused:
        with_edited(tree, "a", parent=target)
    assert [fault.path for fault in refused.value.faults] == ["/parent"]
    assert get(tree, "a").parent is None


def made(draft: ProductDraft) -> Product:
    ids = map(str, itertools.count())
    return product_of(checked(draft), id="p", store="shop", slug="mug", new_id=ids.__next__, now_ms=1, by="ann")


@given(drafts())
def test_a_draft_that_is_good_is_kept_as_it_is_and_an_edit_that_changes_nothing_changes_nothing(
    draft: ProductDraft,
) -> None:
    product = made(draft)
    assert draft_of(product) == replace(
        draft, variants=tuple(replace(each, id=str(at)) for at, each in enumerate(draft.variants))
    )
    assert edited(product, checked(draft_of(product)), lambda: pytest.fail("no variant is new")) == product
    assert checked(draft) == draft


@given(drafts(), st.data())
def test_a_variant_keeps_its_id_while_its_sku_or_its_choice_stays_and_no_id_is_given_twice(
    draft: ProductDraft, data: st.DataObject
) -> None:
    product = made(draft)
    order = data.draw(st.permutations(product.variants))
    kept = order[: data.draw(st.integers(1, len(order)))]
    renamed = [data.draw(st.booleans()) for _ in kept]
    wanted = replace(
        draft_of(product),
        variants=tuple(
            VariantDraft(f"new-{at}" if new else each.sku, each.values, each.price_minor)
            for at, (each, new) in enumerate(zip(kept, renamed, strict=True))
        ),
    )
    after = edited(product, checked(wanted), lambda: pytest.fail("no variant is new"))
    assert [each.id for each in after.variants] == [each.id for each in kept]
    more = (*wanted.variants, VariantDraft("one more", wanted.variants[0].values, 1))
    again = edited(product, replace(wanted, variants=more), lambda: "fresh")
    ids = [each.id for each in again.variants]
    assert len(set(ids)) == len(ids)


@given(drafts(), drafts())
def test_an_edit_leaves_stars_and_sales_and_names_what_it_changed(draft: ProductDraft, other: ProductDraft) -> None:
    product = replace(made(draft), stars=(0, 1, 2, 3, 4), sold=7)
    ids = (f"new-{at}" for at in itertools.count())
    after = edited(product, checked(other), ids.__next__)
    assert (after.stars, after.sold, after.id, after.slug) == (product.stars, 7, "p", "mug")
    fields = changed_fields(product, after)
    assert ("title" in fields) == (draft.title != other.title)
    assert changed_fields(product, product) == ()


def faults_of(draft: ProductDraft) -> list[tuple[str, str]]:
    try:
        checked(draft)
    except InvalidCatalog as error:
        return [(fault.path, fault.code) for fault in error.faults]
    return []


MUG = ProductDraft("Mug", "EUR", (VariantDraft("MUG", (), 1250),))
SIZED = replace(
    MUG,
    options=(Option("Size", ("S", "L")),),
    variants=(VariantDraft("S", ("S",), 1), VariantDraft("L", ("L",), 1)),
)


def with_first(draft: ProductDraft, variant: VariantDraft) -> ProductDraft:
    return replace(draft, variants=(variant, *draft.variants[1:]))


def many(count: int) -> Sequence[VariantDraft]:
    return [VariantDraft(str(at), (str(at % 30), str(at // 30)), 1) for at in range(count)]


MANY = replace(MUG, options=tuple(Option(name, tuple(map(str, range(30)))) for name in "AB"))


@pytest.mark.parametrize(
    ("draft", "faults"),
    [
        (MUG, []),
        (SIZED, []),
        (replace(MUG, title=" \t "), [("/title", "text")]),
        (replace(MUG, title="x" * 201), [("/title", "text")]),
        (replace(MUG, title="a\u202eb"), [("/title", "text")]),
        (replace(MUG, title="<script>alert(1)</script>"), []),
        (replace(MUG, description="x" * 10_001), [("/description", "text")]),
        (replace(MUG, description="a\x1b[2Jb"), [("/description", "text")]),
        (replace(MUG, description="a\r\nb\tc"), []),
        (replace(MUG, currency="EURO"), [("/currency", "currency")]),
        (replace(MUG, currency="XAU"), [("/currency", "currency")]),
        (replace(MUG, variants=()), [("/variants", "length")]),
        (replace(MANY, variants=tuple(many(100))), []),
        (replace(MANY, variants=tuple(many(101))), [("/variants", "length")]),
        (with_first(MUG, VariantDraft("", (), 1)), [("/variants/0/sku", "text")]),
        (with_first(MUG, VariantDraft("A", (), -1)), [("/variants/0/price_minor", "range")]),
        (with_first(MUG, VariantDraft("A", (), 0)), []),
        (with_first(MUG, VariantDraft("A", (), MAX_MINOR)), []),
        (with_first(MUG, VariantDraft("A", (), MAX_MINOR + 1)), [("/variants/0/price_minor", "range")]),
        (with_first(MUG, VariantDraft("A", (), 5, 6)), []),
        (with_first(MUG, VariantDraft("A", (), 5, 5)), [("/variants/0/compare_at_minor", "range")]),
        (with_first(MUG, VariantDraft("A", ("S",), 5)), [("/variants/0/values", "length")]),
        (with_first(SIZED, VariantDraft("A", ("M",), 5)), [("/variants/0/values", "unknown")]),
        (with_first(SIZED, VariantDraft("A", ("L",), 5)), [("/variants/1/values", "twice")]),
        (with_first(SIZED, VariantDraft("L", ("S",), 5)), [("/variants/1/sku", "twice")]),
        (replace(SIZED, options=(Option("Size", ("S", "L", "l")),)), [("/options/0/values", "twice")]),
        (replace(SIZED, options=(Option("", ("S", "L")),)), [("/options/0/name", "text")]),
        (replace(MANY, variants=tuple(many(1)), options=(MANY.options[0],) * 2), [("/options/1/name", "twice")]),
        (replace(MUG, images=(Image("https://shop.example/x.jpg"),) * 12), []),
        (replace(MUG, images=(Image("https://shop.example/x.jpg"),) * 13), [("/images", "too_long")]),
        (replace(MUG, images=(Image("https://localhost/x.jpg"),)), [("/images/0/url", "url")]),
        (replace(MUG, images=(Image("/x.jpg", "a\nb"),)), [("/images/0/alt", "text")]),
    ],
)
def test_a_draft_is_refused_for_what_is_wrong_with_it(draft: ProductDraft, faults: list[tuple[str, str]]) -> None:
    assert faults_of(draft) == faults


def test_an_id_of_a_variant_that_is_none_of_the_product_or_is_there_twice_is_refused() -> None:
    product = made(SIZED)
    for ids, wrong in ((("0", "x"), 1), (("0", "0"), 1), (("x", ""), 0)):
        variants = tuple(replace(each, id=id) for each, id in zip(SIZED.variants, ids, strict=True))
        with pytest.raises(InvalidCatalog) as refused:
            edited(product, replace(SIZED, variants=variants), lambda: "new")
        assert [fault.path for fault in refused.value.faults] == [f"/variants/{wrong}/id"]
