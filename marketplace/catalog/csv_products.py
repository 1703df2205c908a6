"""What lines of a CSV file make of a product. An import adds and changes, and removes no product and no variant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeVar

from marketplace.catalog.csv_files import OPTION_COLUMNS, Line, LineFault, ProductLines, images_of
from marketplace.catalog.drafts import ProductDraft, VariantDraft, checked, draft_of
from marketplace.catalog.products import Availability, Option, Product, ProductState
from marketplace.catalog.refusals import InvalidCatalog
from marketplace.money import EXPONENTS, InvalidMoney, minor_of

_COLUMN_OF: Final = {
    "price_minor": "price",
    "compare_at_minor": "compare_at",
    "sku": "sku",
    "values": "option1_value",
    "availability": "availability",
}
_OF_VARIANT: Final = re.compile(r"/variants/(\d+)/(\w+)")
_OF_OPTION: Final = re.compile(r"/options/(\d)/(name|values)")

_Choice = TypeVar("_Choice", bound=StrEnum)


class InvalidLines(Exception):
    """Lines make no product.

    Args:
        faults: What is wrong with each.
    """

    def __init__(self, faults: Sequence[LineFault]) -> None:
        super().__init__("; ".join(f"line {fault.line}, {fault.column}: {fault.message}" for fault in faults))
        self.faults = tuple(faults)


def draft_of_lines(group: ProductLines, before: Product | None, categories: Mapping[str, str]) -> ProductDraft:
    """What a product is to be after an import: checked, with the ids of the variants that are there.

    A column that the file does not have changes nothing. Variants that it does not have stay.

    Args:
        group: The lines of the product.
        before: The product as it is; None for a new one.
        categories: The ids of the store's categories, by slug.

    Raises:
        InvalidLines: They are not valid.
    """
    if group.faults:
        raise InvalidLines(group.faults)
    reading = _Reading(group, before)
    draft, lines = reading.draft(categories)
    if reading.faults:
        raise InvalidLines(reading.faults)
    try:
        return checked(draft)
    except InvalidCatalog as error:
        first = group.lines[0].number
        faults = []
        for fault in error.faults:
            line, column = _place(fault.path, lines, first)
            faults.append(LineFault(line, column, fault.code, fault.message))
        raise InvalidLines(faults) from error


def _place(path: str, lines: Sequence[int | None], first: int) -> tuple[int, str]:
    """Line and column of a value of the draft."""
    variant, option = _OF_VARIANT.match(path), _OF_OPTION.match(path)
    if variant:
        return lines[int(variant[1])] or first, _COLUMN_OF.get(variant[2], "")
    if option:
        return first, OPTION_COLUMNS[int(option[1])][option[2] == "values"]
    return first, path.split("/")[1].replace("variants", "sku").replace("options", "option1_name")


class _Reading:
    """Reads the lines of one product and notes what is wrong with them."""

    def __init__(self, group: ProductLines, before: Product | None) -> None:
        self._group, self._before, self._first = group, before, group.lines[0]
        self.faults: list[LineFault] = []

    def draft(self, categories: Mapping[str, str]) -> tuple[ProductDraft, list[int | None]]:
        """The draft, and the line of each of its variants."""
        first, before = self._first, None if self._before is None else draft_of(self._before)
        start = before or ProductDraft(title="", currency="", variants=())
        currency = self._currency(start.currency)
        names = self._option_names(start.options)
        variants, lines = self._variants(start, currency, names)
        category = start.category
        if "category" in first.cells:
            slug = first.cells["category"]
            category = categories.get(slug) if slug else None
            if slug and category is None:
                self._fault(first, "category", "unknown", "the store has no category of this slug")
        description = first.cells.get("description", start.description)
        images = images_of(first.cells["images"]) if "images" in first.cells else start.images
        state = self._choice(first, "state", ProductState, start.state)
        title = first.cells.get("title", start.title)
        options = _options(names, start.options, variants)
        return ProductDraft(title, currency, tuple(variants), description, state, options, images, category), lines

    def _fault(self, line: Line, column: str, code: str, message: str) -> None:
        self.faults.append(LineFault(line.number, column, code, message))

    def _currency(self, start: str) -> str:
        found = self._first.cells.get("currency", "") or start
        if found not in EXPONENTS:
            self._fault(self._first, "currency", "currency", "give a code of ISO 4217, such as EUR")
        return found

    def _option_names(self, start: tuple[Option, ...]) -> list[str] | None:
        """The names that the first line gives; None where the file says nothing of options."""
        if not any(of_name in self._first.cells for of_name, _ in OPTION_COLUMNS):
            return None
        names = [self._first.cells.get(of_name, "") for of_name, _ in OPTION_COLUMNS]
        given = [name for name in names if name]
        if names[: len(given)] != given:
            self._fault(self._first, "option1_name", "gap", "name the options from the first column on")
        for line in self._group.lines:
            for name, (_, of_value) in zip(names, OPTION_COLUMNS, strict=True):
                if not name and line.cells.get(of_value):
                    self._fault(line, of_value, "option", "the first line of the product does not name this option")
        return given

    def _values(self, line: Line, names: list[str] | None, start: tuple[str, ...]) -> tuple[str, ...]:
        if names is None:
            return start
        return tuple(line.cells.get(of_value, "") for (_, of_value), _ in zip(OPTION_COLUMNS, names, strict=False))

    def _variants(
        self, start: ProductDraft, currency: str, names: list[str] | None
    ) -> tuple[list[VariantDraft], list[int | None]]:
        """Those that are there, with what the file says of them, and then the new ones; and their lines."""
        by_sku = {line.cells["sku"]: line for line in self._group.lines}
        left = [line for sku, line in by_sku.items() if sku not in {each.sku for each in start.variants}]
        found: list[VariantDraft] = []
        lines: list[int | None] = []
        for variant in start.variants:
            line = by_sku.get(variant.sku)
            if line is None:
                # A new SKU of the same choice is another name of the same variant.
                line = next((each for each in left if self._values(each, names, ()) == variant.values), None)
                if line is not None:
                    left.remove(line)
            found.append(variant if line is None else self._variant(line, variant, currency, names))
            lines.append(None if line is None else line.number)
            if currency != start.currency and (line is None or not line.cells.get("price")):
                self._fault(self._first, "currency", "alone", "give the prices of all variants with another currency")
        for line in left:
            found.append(self._variant(line, None, currency, names))
            lines.append(line.number)
        return found, lines

    def _variant(self, line: Line, before: VariantDraft | None, currency: str, names: list[str] | None) -> VariantDraft:
        price, compare_at = before.price_minor if before else 0, before.compare_at_minor if before else None
        if line.cells.get("price"):
            price = self._amount(line, "price", currency)
        elif before is None:
            self._fault(line, "price", "missing", "this is needed")
        if "compare_at" in line.cells:
            compare_at = self._amount(line, "compare_at", currency) if line.cells["compare_at"] else None
        start = before.availability if before else Availability.MANY
        return VariantDraft(
            sku=line.cells["sku"],
            values=self._values(line, names, before.values if before else ()),
            price_minor=price,
            compare_at_minor=compare_at,
            availability=self._choice(line, "availability", Availability, start),
            id=before.id if before else "",
        )

    def _amount(self, line: Line, column: str, currency: str) -> int:
        if currency not in EXPONENTS:
            return 0
        try:
            return minor_of(line.cells[column], currency)
        except InvalidMoney:
            example = "12.50" if EXPONENTS[currency] == 2 else "1250" if EXPONENTS[currency] == 0 else "1.250"
            message = f"give an amount with a decimal point and without separators of thousands, such as {example}"
            self._fault(line, column, "money", message)
            return 0

    def _choice(self, line: Line, column: str, kind: type[_Choice], start: _Choice) -> _Choice:
        text = line.cells.get(column, "")
        if not text:
            return start
        try:
            return kind(text)
        except ValueError:
            self._fault(line, column, "enum", f"give one of: {', '.join(each.value for each in kind)}")
            return start


def _options(
    names: list[str] | None, before: tuple[Option, ...], variants: Sequence[VariantDraft]
) -> tuple[Option, ...]:
    """The options: their values are those that there were, in their order, and then those that are new."""
    kept = [option.name for option in before] if names is None else names
    found = []
    for at, name in enumerate(kept):
        known = before[at].values if at < len(before) and before[at].name == name else ()
        used = (variant.values[at] for variant in variants if at < len(variant.values))
        found.append(Option(name, tuple(dict.fromkeys((*known, *used)))))
    return tuple(found)
