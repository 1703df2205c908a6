"""What sweeps have in common: many rows that are due, of which none keeps the others waiting."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from connectors.errors import Fenced, Refused, Unavailable
from marketplace.errors import Stop

_log = logging.getLogger(__name__)

_FOR_ALL = (Unavailable, Refused, Fenced, Stop)
"""What one row meets and all others would meet as well."""


class DueRow(Protocol):
    """A row whose time has come: its id, and since when, in epoch milliseconds."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def due_ms(self) -> int:
        """Since when."""


Row = TypeVar("Row", bound=DueRow)


class SomeFailed(Exception):
    """Of several rows that are due some cannot be acted on; the others were.

    Args:
        text: How many, and why the first of them.
        acted: How many were acted on.
        failed: The ids of those that were not.
    """

    def __init__(self, text: str, acted: int, failed: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.acted, self.failed = acted, tuple(failed)


def each_of(kind: str, ids: Iterable[str], act: Callable[[str], bool]) -> int:
    """Act on each row, and return on how many there was something to do.

    Args:
        kind: What they are, for messages.
        ids: The rows.
        act: Acts on one; returns whether there was something to do.

    Raises:
        SomeFailed: Rows that cannot be acted on, after all others were.
        Unavailable: Mongo does not answer; the rest waits.
    """
    acted, failed, first = 0, list[str](), ""
    for each in ids:
        try:
            acted += act(each)
        except _FOR_ALL:
            raise
        except Exception as error:
            failed.append(each)
            first = first or f"{kind} {each}: {type(error).__name__}: {error}"
            _log.exception("%s %s is due and cannot be acted on", kind, each)
    if failed:
        raise SomeFailed(f"{len(failed)} of those that are due cannot be acted on: {first}", acted, failed)
    return acted


def each_due(
    kind: str,
    page: Callable[[tuple[int, str] | None], Sequence[Row]],
    act: Callable[[Row], bool],
    most: int,
) -> int:
    """Act on rows that are due, a page of them at a time.

    One page is enough where all of it can be acted on, because those rows are due no more. Behind rows that cannot be,
    which stay the oldest for ever, the next page is looked at as well.

    Args:
        kind: What they are, for messages.
        page: Those behind a time and an id, the oldest first; from the beginning where it is given None.
        act: See :func:`each_of`.
        most: Of a page.

    Raises:
        SomeFailed: As for :func:`each_of`.
        Unavailable: As for :func:`each_of`.
    """
    acted, failed, first = 0, list[str](), ""
    after: tuple[int, str] | None = None
    rows: dict[str, Row] = {}

    def act_on(row: str) -> bool:
        return act(rows[row])

    more = True
    while more:
        rows, more = {each.id: each for each in page(after)}, False
        try:
            acted += each_of(kind, rows, act_on)
        except SomeFailed as error:
            acted, first = acted + error.acted, first or str(error)
            failed += error.failed
            last = next(reversed(rows.values()))
            after, more = (last.due_ms, last.id), len(rows) == most
    if failed:
        raise SomeFailed(first, acted, failed)
    return acted


def in_turn(*sweeps: Callable[[], int]) -> int:
    """Several sweeps of one consumer, of which none keeps the next one waiting; returns on how many rows they acted.

    Raises:
        SomeFailed: Some of them met rows that cannot be acted on, or something that nobody foresaw, after all of them.
        Unavailable: Mongo does not answer; the rest waits.
    """
    acted, failed, texts = 0, list[str](), list[str]()
    for sweep in sweeps:
        try:
            acted += sweep()
        except _FOR_ALL:
            raise
        except SomeFailed as error:
            acted += error.acted
            failed += error.failed
            texts.append(str(error))
        except Exception as error:
            _log.exception("a part of a sweep failed")
            texts.append(f"{type(error).__name__}: {error}")
    if texts:
        raise SomeFailed("; ".join(texts), acted, failed)
    return acted
