"""Why a change of a catalog is refused: nothing was changed then, and the message repeats nothing of what was sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from marketplace.identity.tenancy import TenancyError


@dataclass(frozen=True)
class Fault:
    """What is wrong with one value of a product, a category or a line.

    Attributes:
        path: Where it stands, as a JSON pointer into the product.
        code: For programs, of a fixed set.
        message: For people.
    """

    path: str
    code: str
    message: str


class InvalidCatalog(TenancyError):
    """Some values are not valid.

    Args:
        faults: Each with what is wrong with it; at least one.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.path}: {fault.message}" for fault in self.faults))


class NoSuchProduct(TenancyError):
    """The store has no such product."""


class NoSuchCategory(TenancyError):
    """The store has no such category."""


class NoSuchImport(TenancyError):
    """The store has no such import."""


class SkuTaken(TenancyError):
    """Another product of the store has a variant of that SKU.

    Args:
        path: Of the variant, as a JSON pointer into the product.
    """

    def __init__(self, path: str) -> None:
        super().__init__("another product of the store has it")
        self.path = path


class CategoryInUse(TenancyError):
    """The category has products, or other categories below it."""


class ImportUnderWay(TenancyError):
    """Another import of the store is under way."""
