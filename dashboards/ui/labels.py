"""Values of dimensions as people know them; products by their titles, which are in Mongo."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from connectors.errors import Unavailable
from dashboards.data import backend
from dashboards.ui.formats import value_label

PRODUCT: Final = "product"
_WAIT_SECONDS: Final = 0.5
"""How long numbers wait for titles: without them the page shows what the shop's pages called its products."""

Label = Callable[[str], str]


def titles_of(store: str, dimension: str, values: Iterable[str]) -> dict[str, str]:
    """Titles of those values that name products; none of other dimensions, and none while Mongo is unavailable.

    Args:
        store: The slug.
        dimension: What the values are of.
        values: As they are stored.
    """
    if dimension != PRODUCT:
        return {}
    wanted = tuple(sorted({value for value in values if value}))
    try:
        return backend.product_titles.submit(store, wanted).result(_WAIT_SECONDS) if wanted else {}
    except (Unavailable, TimeoutError):
        return {}


def labels(store: str, dimension: str, values: Iterable[str]) -> Label:
    """What people know the values of a dimension as; see :func:`titles_of`."""
    titles = titles_of(store, dimension, values)
    return lambda value: titles.get(value) or value_label(dimension, value)


def plain_labels(dimension: str) -> Label:
    """The same without titles."""
    return partial(value_label, dimension)
