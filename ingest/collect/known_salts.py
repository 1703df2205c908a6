"""Visitor salts, cached until they expire, and fetched ahead of each store's midnight."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from connectors.errors import Unavailable
from connectors.mongo.salts import SaltCache
from ingest.collect.lookups import LookupFailed, Lookups
from marketplace.clicks.visitors import Salt
from marketplace.stores import Store

AHEAD: Final = timedelta(minutes=15)
"""How long before a store's midnight the next date's salt is fetched. Its 48 hours begin that much earlier:
events of that date that arrive after the salt is gone are late by almost a day anyway."""

_TOTAL_SECONDS: Final = 2.0
_AT_ONCE: Final = 8
_IN_USE_SECONDS: Final = 3_600.0
_MAX_IN_USE: Final = 10_000


class KnownSalts:
    """A cache of salts that reads missing ones from Mongo.

    Args:
        cache: The salts in memory.
        lookups: Runs the queries to Mongo.
        monotonic: Seconds of a monotonic clock.
        total_seconds: How long all salts of a request may take; those that came in time stay cached.
    """

    def __init__(
        self,
        cache: SaltCache,
        lookups: Lookups,
        monotonic: Callable[[], float],
        total_seconds: float = _TOTAL_SECONDS,
    ) -> None:
        self._cache, self._lookups, self._monotonic = cache, lookups, monotonic
        self._total_seconds = total_seconds
        self._in_use: OrderedDict[str, tuple[float, Store]] = OrderedDict()

    async def of(self, store: Store, dates: set[str], now: datetime) -> dict[str, bytes]:
        """The store's salts of these dates, by date.

        Raises:
            Unavailable: One is not cached, and Mongo did not answer in time.
        """
        if dates:
            self._use(store)
        salts = {date: salt.value for date in dates if (salt := self._cache.cached(store.slug, date, now)) is not None}
        if len(salts) == len(dates):
            return salts
        missing = sorted(dates - salts.keys())
        try:
            async with asyncio.timeout(self._total_seconds):
                for some in _chunks(missing, _AT_ONCE):
                    found = await asyncio.gather(*(self._ask(store.slug, date, now) for date in some))
                    salts.update(zip(some, (salt.value for salt in found), strict=True))
        except TimeoutError:
            raise LookupFailed("the salts of all dates did not come in time") from None
        return salts

    async def fetch_ahead(self, now: datetime) -> int:
        """Fetch the next date's salt for stores in use whose midnight is near; returns how many were fetched.

        Visitors are then accepted although Mongo hangs over midnight. Stops at the first failure: it is called again
        a minute later.
        """
        oldest = self._monotonic() - _IN_USE_SECONDS
        fetched = 0
        for used_at, store in list(self._in_use.values()):
            date = (now + AHEAD).astimezone(ZoneInfo(store.timezone)).date().isoformat()
            if used_at < oldest or self._cache.cached(store.slug, date, now) is not None:
                continue
            try:
                await self._ask(store.slug, date, now)
            except Unavailable:
                break
            fetched += 1
        return fetched

    async def _ask(self, slug: str, date: str, now: datetime) -> Salt:
        return await self._lookups.ask("salt", (slug, date), partial(self._cache.get, slug, date, now), lambda _: None)

    def _use(self, store: Store) -> None:
        self._in_use[store.slug] = (self._monotonic(), store)
        self._in_use.move_to_end(store.slug)
        if len(self._in_use) > _MAX_IN_USE:
            self._in_use.popitem(last=False)


def _chunks(dates: list[str], size: int) -> Iterable[list[str]]:
    rest = iter(dates)
    while some := list(islice(rest, size)):
        yield some
