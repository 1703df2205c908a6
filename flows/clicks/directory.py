"""The stores as the flow knows them: read now and then, the last known ones while Mongo is away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from connectors.errors import Unavailable
from connectors.mongo_stores import BadStore, StoreBook
from flows.clicks.patience import Patience
from marketplace.stores import SLUG, Store

log = logging.getLogger(__name__)

_SECONDS: Final = 5.0
_PAUSE_PER_READ: Final = 20
"""Reading all stores takes a twentieth of the time at most, however many there are."""

_SLUGS_AT_ONCE: Final = 5_000
"""A query has a largest size."""


class KnownStores:
    """The stores in Mongo, seconds old; documents that do not hold are left out, and told once per version.

    Args:
        book: Where the stores are.
        patience: Of all who ask Mongo.
        monotonic: Seconds of a monotonic clock.
    """

    def __init__(self, book: StoreBook, patience: Patience, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._book, self._patience, self._monotonic = book, patience, monotonic
        self._known: Mapping[str, Store] | None = None
        self._read_again_at = float("-inf")
        self._told: dict[str, Mapping[str, Any]] = {}

    def known(self) -> Mapping[str, Store]:
        """All stores, possibly seconds old, or as old as Mongo's absence.

        Raises:
            Unavailable: Mongo does not answer and was never read.
        """
        now = self._monotonic()
        if self._known is None:
            return self._read(now)
        if now >= self._read_again_at and self._patience.may_ask(now):
            try:
                return self._read(now)
            except Unavailable as error:
                if not self._patience.away:
                    log.warning("going on with the %d stores known so far: %s", len(self._known), error)
                self._patience.failed(self._monotonic())
        return self._known

    def look_up(self, slugs: Collection[str]) -> Mapping[str, Store]:
        """All stores, these ones as they are now.

        Raises:
            Unavailable: Mongo does not answer: whether they exist cannot be told, so the caller keeps its place.
        """
        # What cannot be a slug needs no question; anything at all may stand in a record.
        possible = sorted(slug for slug in slugs if SLUG.fullmatch(slug))
        for first in range(0, len(possible), _SLUGS_AT_ONCE):
            shelf = self._book.read(possible[first : first + _SLUGS_AT_ONCE])
            self._patience.answered()
            self._tell(shelf.bad)
            if shelf.stores:
                self._known = {**(self._known or {}), **shelf.stores}
        return self._known or {}

    def _read(self, began: float) -> Mapping[str, Store]:
        shelf = self._book.read()
        self._patience.answered()
        self._tell(shelf.bad)
        # What was mended or removed may be told again should it break again.
        self._told = {bad.slug: bad.document for bad in shelf.bad}
        self._known = shelf.stores
        ended = self._monotonic()
        self._read_again_at = ended + max(_SECONDS, _PAUSE_PER_READ * (ended - began))
        return shelf.stores

    def _tell(self, bad: list[BadStore]) -> None:
        for one in bad:
            if self._told.get(one.slug) != one.document:
                self._told[one.slug] = one.document
                log.error("a store is left out, its clicks become dead letters (unknown_store): %s", one.reason)
