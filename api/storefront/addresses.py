"""Addresses of the storefront's pages."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlencode

PATH: Final = "/shop"

ORDERS: Final = f"{PATH}/orders"
"""The own orders; the page of one is below it, by its id."""


def is_page(path: str) -> bool:
    """Whether a path is of the storefront: errors there are pages, too."""
    return path == PATH or path.startswith(f"{PATH}/")


def safe_path(path: str, otherwise: str = PATH) -> str:
    """A path of the storefront that a browser may be sent to; another one where it is none."""
    page = re.split("[?#]", path, maxsplit=1)[0]
    plain = path.isascii() and path.isprintable() and "\\" not in path and "//" not in page
    # Browsers take away segments of dots, also those that are written as %2e.
    climbs = not {".", ".."}.isdisjoint(page.lower().replace("%2e", ".").split("/"))
    return path if plain and not climbs and is_page(page) else otherwise


def with_query(path: str, **query: str) -> str:
    """A path with parameters, as far as they are not empty."""
    pairs = urlencode({name: value for name, value in query.items() if value})
    return f"{path}?{pairs}" if pairs else path
