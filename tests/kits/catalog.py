"""Products and files of them as Hypothesis makes them: whatever the rules allow."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from marketplace.catalog.drafts import ProductDraft, VariantDraft
from marketplace.catalog.products import Availability, Image, Option, ProductState
from marketplace.money import EXPONENTS, MAX_MINOR

# Letters, signs that spreadsheets and readers of CSV take for something else, other scripts and pictures.
_SIGNS = "abzAZ019 '\"=+-@;,.|\\/<>&éßøЖทя中🛒\N{LATIN SMALL LETTER DOTLESS I}\N{COMBINING ACUTE ACCENT}"


def lines(most: int) -> st.SearchStrategy[str]:
    """Texts of one line as they are kept."""
    return st.text(_SIGNS, min_size=1, max_size=most).map(str.strip).filter(bool)


texts = st.text(_SIGNS + "\n\t", max_size=60).map(lambda text: text.strip(" \n\t"))
images = st.lists(
    st.builds(
        Image,
        st.sampled_from(["https://shop.example/a.jpg", "https://cdn.shop.example/x?y=1&z=,;'", "/pictures/mug.svg"]),
        st.just("") | lines(20),
    ),
    max_size=3,
)


@st.composite
def drafts(draw: st.DrawFn) -> ProductDraft:
    """Drafts that the rules allow."""
    names = draw(st.lists(lines(8), max_size=3, unique_by=str.casefold))
    values = [draw(st.lists(lines(6), min_size=1, max_size=3, unique_by=str.casefold)) for _ in names]
    options = tuple(Option(name, tuple(each)) for name, each in zip(names, values, strict=True))
    choices = st.tuples(*(st.sampled_from(each) for each in values))
    chosen = draw(st.lists(choices, min_size=1, max_size=4, unique=True))
    skus = draw(st.lists(lines(8), min_size=len(chosen), max_size=len(chosen), unique=True))
    variants = tuple(draw(_variants(sku, tuple(choice))) for sku, choice in zip(skus, chosen, strict=True))
    return ProductDraft(
        title=draw(lines(30)),
        currency=draw(st.sampled_from(sorted(EXPONENTS))),
        variants=variants,
        description=draw(texts),
        state=draw(st.sampled_from(ProductState)),
        options=options,
        images=tuple(draw(images)),
    )


@st.composite
def _variants(draw: st.DrawFn, sku: str, values: tuple[str, ...]) -> VariantDraft:
    price = draw(st.integers(0, MAX_MINOR - 1))
    earlier = draw(st.none() | st.integers(price + 1, MAX_MINOR))
    return VariantDraft(sku, values, price, earlier, draw(st.sampled_from(Availability)))


def with_sku_prefix(draft: ProductDraft, prefix: str) -> ProductDraft:
    """The draft with SKUs that no draft of another prefix has."""
    return replace(draft, variants=tuple(replace(each, sku=f"{prefix}{each.sku}") for each in draft.variants))
