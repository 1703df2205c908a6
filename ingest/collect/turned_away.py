"""Counts of requests that were refused by a store's limits; they are saved in the background."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final
from zoneinfo import ZoneInfo

from connectors.errors import Unavailable
from connectors.mongo.turned_away import TurnedAway, TurnedAwayRepository, utc
from marketplace.clicks.cost import Reason
from marketplace.stores import Store
from runtime.breaker import CircuitBreaker
from runtime.worker_pool import PoolFull, WorkerPool

SAVE_SECONDS: Final = 10.0
_MOST_COUNTS: Final = 10_000
_QUARTER_MS: Final = 900_000
_log = logging.getLogger(__name__)

Key = tuple[str, str, Reason]
"""Store slug, local hour and reason."""


class TurnedAwayCounts:
    """Counts by store, hour and reason, until they are saved.

    Args:
        repository: Where they are saved.
        epoch_ms: The wall clock.
        monotonic: Seconds of a monotonic clock.
        most: The most unsaved counts; further ones are dropped with a warning.
    """

    def __init__(
        self,
        repository: TurnedAwayRepository,
        epoch_ms: Callable[[], int],
        monotonic: Callable[[], float],
        most: int = _MOST_COUNTS,
    ) -> None:
        self._repository, self._epoch_ms, self._monotonic, self._most = repository, epoch_ms, monotonic, most
        self._counts: dict[Key, tuple[int, int]] = {}
        self._breaker = CircuitBreaker()
        # A separate thread: a save that hangs must not delay look-ups.
        self._thread = WorkerPool(1, 0, "turned-away")

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, store: Store, reason: Reason, events: int) -> None:
        """Count a refused request."""
        self._add((store.slug, _local_hour(store.timezone, self._epoch_ms() // _QUARTER_MS), reason), 1, events)

    async def run(self) -> None:
        """Save every ten seconds, until it is cancelled."""
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            try:
                await self.save()
            except Exception:
                _log.exception("turned away: the counts cannot be saved")

    async def save(self) -> bool:
        """Save the counts; returns True when none is left, False when Mongo does not answer: call again later."""
        if not self._counts:
            return True
        ticket = self._breaker.admit(self._monotonic())
        if not ticket:
            return False
        waiting, self._counts = self._counts, {}
        counts = [TurnedAway(*key, *numbers) for key, numbers in waiting.items()]
        try:
            add = partial(self._repository.add, counts, utc(self._epoch_ms()))
            await asyncio.wrap_future(self._thread.submit(add))
        except BaseException as error:
            self._breaker.failed(self._monotonic(), ticket)
            for key, (requests, events) in waiting.items():
                self._add(key, requests, events)
            if not isinstance(error, Unavailable | PoolFull):
                raise
            _log.warning("turned away: %s", error)
            return False
        self._breaker.succeeded()
        return not self._counts

    def close(self) -> None:
        """Let the thread end."""
        self._thread.close()

    def _add(self, key: Key, requests: int, events: int) -> None:
        counted = self._counts.get(key)
        if counted is None and len(self._counts) >= self._most:
            _log.warning("turned away: too many counts wait for Mongo; one is dropped")
            return
        before = counted or (0, 0)
        self._counts[key] = (before[0] + requests, before[1] + events)


@lru_cache(maxsize=1_024)
def _local_hour(timezone: str, quarter: int) -> str:
    """The hour in a store's time zone; all UTC offsets are multiples of a quarter of an hour."""
    return utc(quarter * _QUARTER_MS).astimezone(ZoneInfo(timezone)).strftime("%Y-%m-%dT%H")
