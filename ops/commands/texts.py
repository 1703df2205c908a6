"""Texts of other people on a terminal: shop names, addresses of pages, reasons of dead letters."""

from __future__ import annotations

import unicodedata

from rich.text import Text


def printable(text: str) -> str:
    """A text without what a terminal obeys: each control character becomes a replacement character.

    Escape sequences could set the terminal's title, hide lines or write into its clipboard. All kinds of spaces, such
    as the one in an amount of money that does not break, are plain ones.
    """
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(char: str) -> str:
    if char.isprintable():
        return char
    return " " if unicodedata.category(char) == "Zs" else "\N{REPLACEMENT CHARACTER}"


def cell(text: str) -> Text:
    """A printable text for Rich, which looks for no markup in it."""
    return Text(printable(text))
