"""Texts of other people on a terminal: shop names, addresses of pages, reasons of dead letters."""

from __future__ import annotations

from rich.text import Text


def printable(text: str) -> str:
    """A text without what a terminal obeys: each control character becomes a replacement character.

    Escape sequences could set the terminal's title, hide lines or write into its clipboard.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def cell(text: str) -> Text:
    """A printable text for Rich, which looks for no markup in it."""
    return Text(printable(text))
