"""What a product is to be, as its seller says it, and the rules that make a product of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Final

from marketplace.catalog.images import image_fault
from marketplace.catalog.products import (
    MAX_IMAGES,
    MAX_OPTION_VALUES,
    MAX_OPTIONS,
    MAX_VARIANTS,
    Availability,
    Image,
    Option,
    Product,
    ProductState,
    Variant,
)
from marketplace.catalog.refusals import Fault, InvalidCatalog
from marketplace.money import EXPONENTS, MAX_MINOR
from marketplace.texts import is_line, is_text, with_plain_ends

MAX_TITLE_CHARS: Final = 200
MAX_DESCRIPTION_CHARS: Final = 10_000
MAX_OPTION_CHARS: Final = 60
MAX_SKU_CHARS: Final = 64
MAX_ALT_CHARS: Final = 250
_MOST_FAULTS: Final = 20


@dataclass(frozen=True)
class VariantDraft:
    """What a variant is to be.

    Attributes:
        sku: The seller's own name of it.
        values: One of each option's.
        price_minor: In minor units of the product's currency.
        compare_at_minor: An earlier, higher price; None for none.
        availability: How much there is.
        id: Of the product's variant that it is; empty where its SKU or its values say that, and for a new one.
    """

    sku: str
    values: tuple[str, ...]
    price_minor: int
    compare_at_minor: int | None = None
    availability: Availability = Availability.MANY
    id: str = ""


@dataclass(frozen=True)
class ProductDraft:
    """What a product is to be; the fields are those of a product."""

    title: str
    currency: str
    variants: tuple[VariantDraft, ...]
    description: str = ""
    state: ProductState = ProductState.DRAFT
    options: tuple[Option, ...] = ()
    images: tuple[Image, ...] = ()
    category: str | None = None


def draft_of(product: Product) -> ProductDraft:
    """A draft that changes nothing of a product."""
    return ProductDraft(
        title=product.title,
        currency=product.currency,
        variants=tuple(
            VariantDraft(each.sku, each.values, each.price_minor, each.compare_at_minor, each.availability, each.id)
            for each in product.variants
        ),
        description=product.description,
        state=product.state,
        options=product.options,
        images=product.images,
        category=product.category,
    )


def checked(draft: ProductDraft) -> ProductDraft:
    """The draft as it is kept: without spaces around its texts.

    Raises:
        InvalidCatalog: It breaks a rule; nothing is corrected but spaces and ends of lines.
    """
    plain = replace(
        draft,
        title=draft.title.strip(),
        description=with_plain_ends(draft.description).strip(" \n\t"),
        options=tuple(Option(each.name.strip(), tuple(map(str.strip, each.values))) for each in draft.options),
        variants=tuple(
            replace(each, sku=each.sku.strip(), values=tuple(map(str.strip, each.values))) for each in draft.variants
        ),
        images=tuple(Image(each.url.strip(), each.alt.strip()) for each in draft.images),
    )
    faults = list(_faults(plain))
    if faults:
        raise InvalidCatalog(faults[:_MOST_FAULTS])
    return plain


def product_of(
    draft: ProductDraft, *, id: str, store: str, slug: str, new_id: Callable[[], str], now_ms: int, by: str
) -> Product:
    """The new product of a draft that was checked.

    Args:
        draft: Checked.
        id: Of the product.
        store: The slug of its store.
        slug: Its own.
        new_id: Gives ids of variants.
        now_ms: Epoch milliseconds.
        by: The account that makes it.
    """
    variants = _variants(draft.variants, (), new_id)
    return Product(
        **{field.name: getattr(draft, field.name) for field in fields(draft) if field.name != "variants"},
        id=id,
        store=store,
        slug=slug,
        variants=variants,
        created_at=now_ms,
        created_by=by,
        changed_at=now_ms,
        changed_by=by,
    )


def edited(product: Product, draft: ProductDraft, new_id: Callable[[], str]) -> Product:
    """The product after an edit: variants that stay keep their ids, and stars and sales stay.

    Args:
        product: As it is.
        draft: Checked, with everything that the product is to be.
        new_id: Gives ids of variants.

    Raises:
        InvalidCatalog: A variant's id is none of the product's, or is there twice.
    """
    own = {variant.id for variant in product.variants}
    given = [variant.id for variant in draft.variants]
    faults = [
        Fault(f"/variants/{at}/id", "unknown", "give the id of one of the product's variants, once")
        for at, id in enumerate(given)
        if id and (id not in own or id in given[:at])
    ]
    if faults:
        raise InvalidCatalog(faults[:_MOST_FAULTS])
    same = {field.name: getattr(draft, field.name) for field in fields(draft) if field.name != "variants"}
    return replace(product, **same, variants=_variants(draft.variants, product.variants, new_id))


def changed_fields(before: Product, after: Product) -> tuple[str, ...]:
    """The names of a product's fields that an edit changed, sorted; those that count edits are none."""
    counted = {"version", "changed_at", "changed_by", "stars", "sold"}
    names = (field.name for field in fields(Product) if field.name not in counted)
    return tuple(sorted(name for name in names if getattr(before, name) != getattr(after, name)))


def _variants(
    drafts: Iterable[VariantDraft], before: tuple[Variant, ...], new_id: Callable[[], str]
) -> tuple[Variant, ...]:
    """Variants with ids: by the id that is given, then by SKU, then by the choice of options, else a new one."""
    wanted = list(drafts)
    ids = [draft.id for draft in wanted]
    by_sku = {each.sku: each.id for each in before if each.id not in ids}
    for at, draft in enumerate(wanted):
        ids[at] = ids[at] or by_sku.pop(draft.sku, "")
    by_values = {each.values: each.id for each in before if each.id not in ids}
    for at, draft in enumerate(wanted):
        ids[at] = ids[at] or by_values.pop(draft.values, "")
    return tuple(
        Variant(id or new_id(), draft.sku, draft.values, draft.price_minor, draft.compare_at_minor, draft.availability)
        for id, draft in zip(ids, wanted, strict=True)
    )


def _faults(draft: ProductDraft) -> Iterator[Fault]:
    if not is_line(draft.title, MAX_TITLE_CHARS):
        yield Fault("/title", "text", f"give one line of 1 to {MAX_TITLE_CHARS} characters")
    if not is_text(draft.description, MAX_DESCRIPTION_CHARS):
        yield Fault("/description", "text", f"give at most {MAX_DESCRIPTION_CHARS} characters of text")
    if draft.currency not in EXPONENTS:
        yield Fault("/currency", "currency", "give a code of ISO 4217, such as EUR")
    yield from _faults_of_options(draft.options)
    yield from _faults_of_variants(draft)
    if len(draft.images) > MAX_IMAGES:
        yield Fault("/images", "too_long", f"give at most {MAX_IMAGES}")
    for at, image in enumerate(draft.images[:MAX_IMAGES]):
        wrong = image_fault(image.url)
        if wrong:
            yield Fault(f"/images/{at}/url", "url", wrong)
        if image.alt and not is_line(image.alt, MAX_ALT_CHARS):
            yield Fault(f"/images/{at}/alt", "text", f"give one line of at most {MAX_ALT_CHARS} characters")


def _faults_of_options(options: tuple[Option, ...]) -> Iterator[Fault]:
    if len(options) > MAX_OPTIONS:
        yield Fault("/options", "too_long", f"give at most {MAX_OPTIONS}")
    names = [option.name.casefold() for option in options]
    for at, option in enumerate(options[:MAX_OPTIONS]):
        if not is_line(option.name, MAX_OPTION_CHARS):
            yield Fault(f"/options/{at}/name", "text", f"give one line of 1 to {MAX_OPTION_CHARS} characters")
        if names[at] in names[:at]:
            yield Fault(f"/options/{at}/name", "twice", "another option has this name")
        if not 0 < len(option.values) <= MAX_OPTION_VALUES:
            yield Fault(f"/options/{at}/values", "length", f"give 1 to {MAX_OPTION_VALUES}")
        if len({value.casefold() for value in option.values}) < len(option.values):
            yield Fault(f"/options/{at}/values", "twice", "a value is there twice")
        if not all(is_line(value, MAX_OPTION_CHARS) for value in option.values):
            yield Fault(f"/options/{at}/values", "text", f"give lines of 1 to {MAX_OPTION_CHARS} characters")


def _faults_of_variants(draft: ProductDraft) -> Iterator[Fault]:
    if not 0 < len(draft.variants) <= MAX_VARIANTS:
        yield Fault("/variants", "length", f"give 1 to {MAX_VARIANTS}")
        return
    skus, choices = set(), set()
    for at, variant in enumerate(draft.variants):
        where = f"/variants/{at}"
        if not is_line(variant.sku, MAX_SKU_CHARS):
            yield Fault(f"{where}/sku", "text", f"give one line of 1 to {MAX_SKU_CHARS} characters")
        if variant.sku in skus:
            yield Fault(f"{where}/sku", "twice", "another variant has this SKU")
        skus.add(variant.sku)
        if len(variant.values) != len(draft.options):
            yield Fault(f"{where}/values", "length", "give one value of each option")
        elif any(value not in each.values for value, each in zip(variant.values, draft.options, strict=True)):
            yield Fault(f"{where}/values", "unknown", "give values that the options have")
        elif variant.values in choices:
            yield Fault(f"{where}/values", "twice", "another variant has these values")
        choices.add(variant.values)
        if not 0 <= variant.price_minor <= MAX_MINOR:
            yield Fault(f"{where}/price_minor", "range", f"give 0 to {MAX_MINOR}")
        earlier = variant.compare_at_minor
        if earlier is not None and not variant.price_minor < earlier <= MAX_MINOR:
            yield Fault(f"{where}/compare_at_minor", "range", f"give more than the price, up to {MAX_MINOR}")
