"""Small pieces of HTML for what Streamlit's own elements cannot say: every text in them is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import streamlit as st

from dashboards.ui.header import one_line
from dashboards.ui.rows import Tag

_NUMBER: Final = "number"


@dataclass(frozen=True)
class Moment:
    """A line of a timeline.

    Attributes:
        when: The time.
        text: What happened, in plain words.
        detail: The same in the system's own words; empty where nobody asks for them.
        tag: Where something is wrong or under way with it; None for neither.
    """

    when: str
    text: str
    detail: str
    tag: Tag | None = None


def text(value: str) -> str:
    """Text as HTML, on one line."""
    return escape(one_line(value))


def tag(mark: Tag) -> str:
    """A state in a word."""
    return f'<span class="tag {mark.tone}"><span class="dot"></span>{text(mark.text)}</span>'


def show_tags(marks: Sequence[Tag]) -> None:
    """Draw states in a row."""
    st.html(f'<p class="tags">{"".join(map(tag, marks))}</p>')


def show_facts(pairs: Iterable[tuple[str, str | Sequence[str]]]) -> None:
    """Draw names and what they are, one or several lines each; those that are empty are left out."""
    items = []
    for name, value in pairs:
        lines = [line for line in ([value] if isinstance(value, str) else value) if line]
        if lines:
            items.append(f"<div><dt>{text(name)}</dt><dd>{'<br>'.join(map(text, lines))}</dd></div>")
    st.html(f'<dl class="facts">{"".join(items)}</dl>')


def show_table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[str | tuple[str, str]]], numbers: int
) -> None:
    """Draw a table whose cells wrap, so that it fits on a phone.

    Args:
        caption: What it is a table of, for screen readers.
        head: The headings.
        rows: Cells; a pair is a text and a smaller one under it.
        numbers: How many of the columns at the right have numbers.
    """
    first = len(head) - numbers
    kind = ["" if at < first else f' class="{_NUMBER}"' for at in range(len(head))]
    top = "".join(f'<th scope="col"{kind[at]}>{text(name)}</th>' for at, name in enumerate(head))
    body = "".join(
        "<tr>" + "".join(f"<td{kind[at]}>{_cell(cell)}</td>" for at, cell in enumerate(row)) + "</tr>" for row in rows
    )
    st.html(
        f'<table class="plain"><caption>{text(caption)}</caption><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def show_timeline(label: str, moments: Iterable[Moment]) -> None:
    """Draw what has happened, the oldest first."""
    items = "".join(
        f'<li><span class="when">{text(each.when)}</span><span class="said">{text(each.text)}'
        f"{f' {tag(each.tag)}' if each.tag else ''}</span>"
        f"{_detail(each.detail)}</li>"
        for each in moments
    )
    st.html(f'<ol class="moments" aria-label="{text(label)}">{items}</ol>')


def _cell(cell: str | tuple[str, str]) -> str:
    if isinstance(cell, str):
        return text(cell)
    main, small = cell
    return text(main) + _detail(small)


def _detail(small: str) -> str:
    return f'<span class="detail">{text(small)}</span>' if small else ""
