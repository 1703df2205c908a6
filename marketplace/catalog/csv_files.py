"""Products as CSV files, both ways: a line for each variant, and nothing that a spreadsheet takes for a formula.

A file that was exported and is imported changes nothing, and exported again it is the same to the byte.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from marketplace.catalog.categories import Tree
from marketplace.catalog.products import Image, Product
from marketplace.catalog.refusals import Fault, InvalidCatalog
from marketplace.money import plain_amount

MAX_BYTES: Final = 16 << 20
MAX_LINES: Final = 50_000
MAX_LINES_OF_PRODUCT: Final = 100

OPTION_COLUMNS: Final = tuple((f"option{at}_name", f"option{at}_value") for at in (1, 2, 3))
COLUMNS: Final = (
    "slug", "title", "description", "state", "currency", "category", "images",
    *(column for pair in OPTION_COLUMNS for column in pair),
    "sku", "price", "compare_at", "availability",
)  # fmt: skip
"""All columns, in the order in which they are exported."""

REQUIRED: Final = ("slug", "sku")
PRODUCT_COLUMNS: Final = (
    *("title", "description", "state", "currency", "category", "images"),
    *(name for name, _ in OPTION_COLUMNS),
)
"""Those that say something of the whole product: its first line says it, and further ones repeat it or are empty."""

_NUMBERS: Final = frozenset({"price", "compare_at"})
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""What a spreadsheet may run begins with one of these, also in their wide forms; quotes before them are ours."""

_CELL_CHARS: Final = 50_000


@dataclass(frozen=True)
class Line:
    """A line of a file.

    Attributes:
        number: From 1; of a line whose cells have ends of lines, the first.
        cells: By column, without spaces around them; columns that the file does not have are missing.
    """

    number: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class LineFault:
    """What is wrong with a line.

    Attributes:
        line: Its number.
        column: Of the value; empty where it is the whole line.
        code: For programs, of a fixed set.
        message: For people; it repeats nothing of the file.
    """

    line: int
    column: str
    code: str
    message: str


@dataclass(frozen=True)
class ProductLines:
    """The lines of one product.

    Attributes:
        slug: The product's, or an earlier one.
        lines: At least one; the first one says what the whole product is.
        faults: What is wrong with them already; they are not imported then.
    """

    slug: str
    lines: tuple[Line, ...]
    faults: tuple[LineFault, ...] = ()


def guarded(text: str) -> str:
    """A text that no spreadsheet takes for a formula; :func:`unguarded` gives it back."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """The text that was guarded; one that was not is itself."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def written(products: Iterable[Product], tree: Tree, *, head: bool = True) -> str:
    """Products as lines of a file.

    Args:
        products: In the order of the lines.
        tree: The categories of their store.
        head: Whether the first line names the columns.
    """
    slugs = {category.id: category.slug for category in tree}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    if head:
        writer.writerow(COLUMNS)
    for product in products:
        for first, cells in _rows(product, slugs.get(product.category or "", "")):
            shown = cells if first else {**cells, **dict.fromkeys(PRODUCT_COLUMNS, "")}
            writer.writerow([shown[name] if name in _NUMBERS else guarded(shown[name]) for name in COLUMNS])
    return text.getvalue()


def _rows(product: Product, category: str) -> Iterator[tuple[bool, dict[str, str]]]:
    names = [option.name for option in product.options]
    for at, variant in enumerate(product.variants):
        cells = dict.fromkeys(COLUMNS, "") | {
            "slug": product.slug,
            "title": product.title,
            "description": product.description,
            "state": product.state.value,
            "currency": product.currency,
            "category": category,
            "images": "\n".join(f"{image.url} {image.alt}".rstrip() for image in product.images),
            "sku": variant.sku,
            "price": plain_amount(variant.price_minor, product.currency),
            "availability": variant.availability.value,
        }
        if variant.compare_at_minor is not None:
            cells["compare_at"] = plain_amount(variant.compare_at_minor, product.currency)
        for (of_name, of_value), name, value in zip(OPTION_COLUMNS, names, variant.values, strict=False):
            cells |= {of_name: name, of_value: value}
        yield at == 0, cells


def images_of(cell: str) -> tuple[Image, ...]:
    """The pictures of a cell: one a line, an address and what it shows."""
    lines = (line.strip() for line in cell.splitlines())
    pairs = (line.partition(" ") for line in lines if line)
    return tuple(Image(url, alt.strip()) for url, _, alt in pairs)


def read(content: bytes) -> list[ProductLines]:
    """The lines of a file, by product, in the order in which their products come first.

    Args:
        content: UTF-8, with or without a byte order mark; cells with commas or semicolons between them.

    Raises:
        InvalidCatalog: It is no such file, or has other columns: nothing of it can be imported.
    """
    lines: dict[str, list[Line]] = {}
    faults: dict[str, list[LineFault]] = {}
    owner: dict[str, str] = {}
    # Looking for a SKU in all earlier lines of its product would take minutes for a file of one product.
    earlier: set[tuple[str, str]] = set()
    for number, cells, wrong in _lines(_text(content)):
        slug, sku, line = cells.get("slug", ""), cells.get("sku", ""), Line(number, cells)
        lines.setdefault(slug, []).append(line)
        found, is_there = faults.setdefault(slug, []), (slug, sku) in earlier
        earlier.add((slug, sku))
        if wrong:
            found.append(LineFault(number, "", *wrong))
            continue
        if not slug:
            found.append(LineFault(number, "slug", "missing", "this is needed"))
        if not sku:
            found.append(LineFault(number, "sku", "missing", "this is needed"))
        elif owner.setdefault(sku, slug) != slug or is_there:
            found.append(LineFault(number, "sku", "twice", "an earlier line has this SKU"))
        found.extend(_differences(lines[slug][0], line))
        if len(lines[slug]) == MAX_LINES_OF_PRODUCT + 1:
            found.append(LineFault(number, "", "too_long", f"a product has at most {MAX_LINES_OF_PRODUCT} lines"))
    return [ProductLines(slug, tuple(several), tuple(faults[slug])) for slug, several in lines.items()]


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidCatalog([Fault("", "encoding", "the file is not UTF-8")]) from error
    if "\x00" in text:
        raise InvalidCatalog([Fault("", "encoding", "the file has a NUL")])
    return text


def _lines(text: str) -> Iterator[tuple[int, dict[str, str], tuple[str, str] | None]]:
    """Number and cells of each line, and what is wrong with the line as a whole."""
    head = text.partition("\n")[0]
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=";" if head.count(";") > head.count(",") else ",", strict=True
    )
    count, begins = 0, 1
    try:
        names = _columns(next(reader, []))
        begins = reader.line_num + 1
        for row in reader:
            number, begins = begins, reader.line_num + 1
            if not any(cell.strip() for cell in row):
                continue
            count += 1
            if count > MAX_LINES:
                raise InvalidCatalog([Fault("", "too_long", f"a file has at most {MAX_LINES} lines")])
            cells = dict.fromkeys(names, "") | {
                name: unguarded(cell.strip(" ")) for name, cell in zip(names, row, strict=False)
            }
            wrong = None
            if len(row) != len(names):
                wrong = "cells", "this line has more or fewer cells than the first one"
            elif max(map(len, row)) > _CELL_CHARS:
                wrong = "too_long", f"a cell has at most {_CELL_CHARS} characters"
            yield number, cells, wrong
    except csv.Error as error:
        message = f"line {begins} cannot be read: look at its quotes, and at the length of its cells"
        raise InvalidCatalog([Fault("", "csv", message)]) from error


def _columns(row: Sequence[str]) -> list[str]:
    names = [cell.strip().casefold() for cell in row]
    faults = [
        Fault("", "column", f"the column {known} is missing from the first line")
        for known in REQUIRED
        if known not in names
    ]
    unknown = [at for at, name in enumerate(names, 1) if name not in COLUMNS]
    faults += [Fault("", "column", f"there is no such column as the {at}. of the first line") for at in unknown[:10]]
    if len(set(names)) < len(names) and not faults:
        faults.append(Fault("", "column", "a column is there twice"))
    if faults:
        raise InvalidCatalog(faults)
    return names


def _differences(first: Line, line: Line) -> Iterator[LineFault]:
    for column in PRODUCT_COLUMNS:
        given = line.cells.get(column, "")
        if given and given != first.cells.get(column, ""):
            yield LineFault(line.number, column, "differs", "the first line of the product says something else")
