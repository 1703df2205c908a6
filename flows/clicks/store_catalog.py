"""The stores as the flow knows them: read by a thread now and then, the last known ones while Mongo is unavailable."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from connectors.errors import Unavailable
from connectors.mongo.stores import BadStore, StoreRepository
from marketplace.stores import SLUG, Store
from runtime.breaker import CircuitBreaker

log = logging.getLogger(__name__)

_SECONDS: Final = 5.0
_PAUSE_PER_READ: Final = 20
"""Reading all stores takes a twentieth of the time at most, however many there are."""

_SLUGS_AT_ONCE: Final = 5_000
"""A query has a largest size."""


class StoreCatalog:
    """The stores in Mongo, seconds old; documents that are no stores are left out, and logged once per version.

    No batch waits for a Mongo that hangs: one thread calls :meth:`refresh`, another asks for what is known.

    Args:
        repository: Where the stores are.
        breaker: Of all who ask Mongo.
        monotonic: Seconds of a monotonic clock.
    """

    def __init__(
        self, repository: StoreRepository, breaker: CircuitBreaker, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._repository, self._breaker, self._monotonic = repository, breaker, monotonic
        self._known: Mapping[str, Store] | None = None
        self._read_again_at = float("-inf")
        self._lock = threading.Lock()
        self._logged: dict[str, Mapping[str, Any]] = {}

    def known(self) -> Mapping[str, Store]:
        """All stores, possibly seconds old, or as old as Mongo's absence; the first call reads them.

        Raises:
            Unavailable: Mongo does not answer and was never read.
        """
        if self._known is None:
            return self._read()
        return self._known

    def refresh(self) -> None:
        """Read the stores again where they are old; goes on with those that are known where Mongo does not answer."""
        now = self._monotonic()
        ticket = self._breaker.admit(now) if self._known is not None and now >= self._read_again_at else 0
        if not ticket:
            return
        try:
            self._read()
        except Unavailable as error:
            if not self._breaker.open:
                log.warning("going on with the %d stores known so far: %s", len(self._known or ()), error)
            self._breaker.failed(self._monotonic(), ticket)

    def look_up(self, slugs: Collection[str]) -> Mapping[str, Store]:
        """All stores, these ones as they are now.

        Raises:
            Unavailable: Mongo does not answer: whether they exist is not known, so the caller keeps its place.
        """
        # What cannot be a slug needs no question; anything at all may stand in a record.
        possible = sorted(slug for slug in slugs if SLUG.fullmatch(slug))
        found: dict[str, Store] = {}
        for first in range(0, len(possible), _SLUGS_AT_ONCE):
            listing = self._repository.read(possible[first : first + _SLUGS_AT_ONCE])
            self._breaker.succeeded()
            self._log(listing.bad)
            found |= listing.stores
        with self._lock:
            # What was found stands in the answer, whatever an older reading puts in the place of all stores meanwhile.
            known = {**(self._known or {}), **found}
            if found:
                self._known = known
        return known

    def _read(self) -> Mapping[str, Store]:
        began = self._monotonic()
        listing = self._repository.read()
        self._breaker.succeeded()
        self._log(listing.bad)
        with self._lock:
            # What was corrected or removed may be logged again should it break again.
            self._logged = {bad.slug: bad.document for bad in listing.bad}
            self._known = listing.stores
        ended = self._monotonic()
        self._read_again_at = ended + max(_SECONDS, _PAUSE_PER_READ * (ended - began))
        return listing.stores

    def _log(self, bad: list[BadStore]) -> None:
        with self._lock:
            new = [one for one in bad if self._logged.get(one.slug) != one.document]
            self._logged |= {one.slug: one.document for one in new}
        if new:
            # One line for all: lines of one kind are bounded.
            reasons = "; ".join(one.reason for one in new)
            log.error("a store is left out, its clicks become dead letters (unknown_store): %s", reasons)
