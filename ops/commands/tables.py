"""Tables on a terminal: nothing in them is cut, and what people copy out of them stays in one piece."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ops.commands.texts import cell

_SENTENCE_CHARS: Final = 24
"""A column of sentences is at least so wide on a terminal."""
_PADDING: Final = 2
_WIDE_CHARS: Final = 200


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[str | Text]], *, sentences: Collection[str] = ()
) -> None:
    """Print a table in which every text is whole.

    Where it goes to a file or a pipe, each row is one line, as wide as it has to be. On a terminal that is too narrow
    only sentences are wrapped; where that is not enough, the terminal folds the lines.

    Args:
        headings: Of the columns.
        rows: A text for each column; nothing in one is a command or markup.
        sentences: Headings of columns that may be wrapped.
    """
    texts = [[each if isinstance(each, Text) else cell(each) for each in row] for row in rows]
    on_terminal, needed = sys.stdout.isatty(), 0
    table = Table(box=None)
    for number, heading in enumerate(headings):
        lines = [heading, *(line for row in texts for line in row[number].plain.split("\n"))]
        chars, wraps = max(map(cell_len, lines)), on_terminal and heading in sentences
        if wraps:
            chars = min(chars, max(cell_len(heading), _SENTENCE_CHARS))
        table.add_column(cell(heading), no_wrap=not wraps, overflow="fold", min_width=chars)
        needed += chars + _PADDING
    for row in texts:
        table.add_row(*row)
    # With a height, too: a terminal that Rich knows nothing of would have 80 columns whatever is needed.
    console = Console(width=max(Console().width, needed) if on_terminal else needed, height=25)
    console.print(table)


def wide_console() -> Console:
    """A console for a table of another kind, which is not cut where it goes to a file or a pipe."""
    return Console(width=None if sys.stdout.isatty() else _WIDE_CHARS)


def numbers_table(title: str, timezone: str, *, estimated: bool) -> Table:
    """An empty table of a store's numbers.

    Args:
        title: The store's name for people.
        timezone: In which its days are counted.
        estimated: Whether there are numbers in it that are no exact ones.
    """
    return Table(
        title=f"{cell(title)} ({timezone})",
        title_justify="left",
        box=None,
        # One space between numbers: nine columns of them fit into eighty characters.
        padding=(0, 1, 0, 0),
        caption="~ estimated, with a standard error of 0.3 %; all others are exact" if estimated else None,
        caption_justify="left",
    )
