"""Addresses of the storefront's pages."""

from __future__ import annotations

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
    plain = path.isascii() and path.isprintable() and "\\" not in path and "//" not in path.partition("?")[0]
    return path if plain and is_page(path.partition("?")[0]) else otherwise


def with_query(path: str, **query: str) -> str:
    """A path with parameters, as far as they are not empty."""
    pairs = urlencode({name: value for name, value in query.items() if value})
    return f"{path}?{pairs}" if pairs else path
