"""`marketplace demo`: the shops are open until Ctrl-C, and a line a second says what happens."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import time
from dataclasses import dataclass
from typing import Final

from connectors.errors import Unavailable
from connectors.live_tile import LiveTile
from marketplace.outcomes import COUNTED
from ops.demo.background import Background
from ops.demo.company import Company, Opened
from ops.demo.narrator import Narrator
from ops.demo.sender import Connection, Sender, Target, first_error
from ops.demo.traffic import Post, Traffic

LIVE_RATE: Final = 50.0
_CONNECTIONS: Final = 8
_VISIT_EVENTS: Final = 6.0
_LOOK_SECONDS: Final = 0.02
_MAX_PLANNED: Final = 50_000


class LiveTraffic:
    """Visits that begin by chance at a steady rate, each request sent when it is due.

    Args:
        target: The collector.
        seed: Of the visits; when they begin depends on the clock.
        rate: Events per second, on average.
    """

    def __init__(self, target: Target, seed: int, rate: float = LIVE_RATE) -> None:
        self._target, self._seed, self._rate = target, seed, rate
        self.sender = Sender(target, _CONNECTIONS)
        self._stopped = False

    def run(self) -> None:
        """Send until :meth:`stop`.

        Raises:
            SendFailed: The collector does not take events for too long.
        """
        with first_error():
            asyncio.run(self._run())

    def stop(self) -> None:
        """Send nothing new. May be called from another thread."""
        self._stopped = True
        self.sender.stop()

    async def _run(self) -> None:
        due: asyncio.Queue[Post | None] = asyncio.Queue(1_000)
        async with asyncio.TaskGroup() as group:
            for _ in range(_CONNECTIONS):
                group.create_task(self._deliver(due))
            await self._plan(due)
            for _ in range(_CONNECTIONS):
                await due.put(None)

    async def _plan(self, due: asyncio.Queue[Post | None]) -> None:
        rng, traffic = random.Random(self._seed), Traffic(self._seed, _now_ms())
        planned: list[tuple[int, int, Post]] = []
        count, next_visit = itertools.count(), float(_now_ms())
        while not self._stopped:
            now = _now_ms()
            while next_visit <= now and len(planned) < _MAX_PLANNED:
                for post in traffic.live(now):
                    heapq.heappush(planned, (post.due_ms, next(count), post))
                next_visit += rng.expovariate(self._rate / _VISIT_EVENTS) * 1_000
            while planned and planned[0][0] <= now:
                await due.put(heapq.heappop(planned)[2])
            await asyncio.sleep(_LOOK_SECONDS)

    async def _deliver(self, due: asyncio.Queue[Post | None]) -> None:
        connection = Connection(self._target)
        try:
            while (post := await due.get()) is not None:
                await self.sender.deliver(connection, post)
        finally:
            connection.close()


@dataclass
class LiveRun:
    """The open shops.

    Attributes:
        company: The running collector and flow.
        opened: The shops.
        narrator: Told what happens.
        seed: Of the traffic.
    """

    company: Company
    opened: list[Opened]
    narrator: Narrator
    seed: int

    def run(self, traffic: LiveTraffic) -> None:
        """Until Ctrl-C, or until something cannot go on.

        Raises:
            SendFailed, FlowFailed: It cannot go on.
        """
        worker = Background(traffic.run, "live")
        worker.start()
        tile, said_at, before = LiveTile(self.company.settings.urls.redis), time.monotonic(), 0
        try:
            while worker.is_alive():
                self.company.watch()
                worker.join(0.1)
                if time.monotonic() - said_at >= 1:
                    said_at = time.monotonic()
                    sent = traffic.sender.sent.events
                    self.narrator.say(f"{time.strftime('%H:%M:%S')}  {sent - before:>4} sent  {self._news(tile)}")
                    before = sent
        finally:
            traffic.stop()
        worker.result()

    def _news(self, tile: LiveTile) -> str:
        slugs = {o.store.slug for o in self.opened}
        try:
            counted = sum(
                row.outcomes.get(COUNTED.name, 0) for row in self.company.analytics.ledger() if row.store in slugs
            )
            here = {slug: int(tile.read(slug, _now_ms())["live_visitors"]) for slug in slugs}
        except Unavailable as error:
            return f"waiting: {error}"
        busiest = max(here, key=lambda slug: here[slug])
        return f"{counted:>9,} counted  {sum(here.values()):>5,} visitors now, {here[busiest]:,} of them at {busiest}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
