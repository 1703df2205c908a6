"""`marketplace demo`: live traffic until Ctrl-C, with a status line each second."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from connectors.errors import Unavailable
from connectors.redis.live_tile import LiveTile
from marketplace.clicks.outcomes import COUNTED
from ops.demo.orders.live import LiveOrders
from ops.demo.report.progress_printer import ProgressPrinter
from ops.demo.services.background import Background
from ops.demo.services.demo_processes import DemoProcesses
from ops.demo.services.sender import Connection, Sender, Target, first_error
from ops.demo.traffic.requests import Post, Traffic
from ops.demo.traffic.shops import DemoStore

DEFAULT_RATE: Final = 1.0
"""Events per second of all shops together, on average over a day: enough to see something happen, but so few that the
thirty days before do not look empty beside the first hours."""

_QUIETEST: Final = 0.6
_BUSIEST: Final = 1.8
_CONNECTIONS: Final = 8
_VISIT_EVENTS: Final = 6.0
_MISSED_MS: Final = 5_000
_LOOK_SECONDS: Final = 0.02
_MAX_PLANNED: Final = 50_000
_WATCH_SECONDS: Final = 0.1


class LiveTraffic:
    """Sends random visits, more of them at the shops' busy hours, each request when it is due.

    Args:
        target: The collector.
        seed: The seed of the visits; when they begin depends on the clock.
        rate: Events per second, on average over a day. At night there are fewer, but always some.
    """

    def __init__(self, target: Target, seed: int, rate: float = DEFAULT_RATE) -> None:
        self._target, self._seed, self._rate = target, seed, rate
        self.sender = Sender(target, _CONNECTIONS)
        self._stopped = False

    def run(self) -> None:
        """Send until :meth:`stop`.

        Raises:
            SendFailed: The collector has not accepted events for too long.
        """
        with first_error():
            asyncio.run(self._run())

    def stop(self) -> None:
        """Stop sending. May be called from another thread."""
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
        per_ms = self._rate / _VISIT_EVENTS / 1_000
        count, next_visit = itertools.count(), float(_now_ms())
        while not self._stopped:
            now = _now_ms()
            # Visits that were due while the machine slept are skipped, not sent in a burst.
            next_visit = max(next_visit, now - _MISSED_MS)
            while next_visit <= now and len(planned) < _MAX_PLANNED:
                for post in traffic.live(now):
                    heapq.heappush(planned, (post.due_ms, next(count), post))
                next_visit += rng.expovariate(per_ms * min(_BUSIEST, max(_QUIETEST, traffic.activity(now))))
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
    """Live traffic of the demo in the foreground.

    Attributes:
        processes: The running collector and flow.
        opened: The shops.
        printer: Prints the status lines.
    """

    processes: DemoProcesses
    opened: list[DemoStore]
    printer: ProgressPrinter

    def run(self, traffic: LiveTraffic, orders: LiveOrders | None = None) -> None:
        """Send, and order, until Ctrl-C, or until an error.

        Raises:
            SendFailed, FlowFailed, DemoFailed: Live traffic cannot continue.
        """
        worker = Background(traffic.run, "live")
        worker.start()
        if orders is not None:
            Background(orders.run, "orders").start()
        try:
            self._watch(worker.is_alive, lambda: traffic.sender.sent.events)
        finally:
            traffic.stop()
            if orders is not None:
                orders.stop()
        worker.result()

    def follow(self) -> None:
        """Print the status of traffic that another process sends, until Ctrl-C.

        Raises:
            FlowFailed, DemoFailed: The flow cannot continue.
        """
        self._watch(lambda: True, None)

    def _watch(self, goes_on: Callable[[], bool], sent: Callable[[], int] | None) -> None:
        tile, said_at, before = LiveTile(self.processes.settings.urls.redis), time.monotonic(), 0
        while goes_on():
            self.processes.watch()
            time.sleep(_WATCH_SECONDS)
            if time.monotonic() - said_at >= 1:
                said_at = time.monotonic()
                now = sent() if sent is not None else 0
                rate_text = f"{now - before:>4} sent  " if sent is not None else ""
                self.printer.say(f"{time.strftime('%H:%M:%S')}  {rate_text}{self._news(tile)}")
                before = now

    def _news(self, tile: LiveTile) -> str:
        slugs = {o.store.slug for o in self.opened}
        try:
            counted = sum(
                row.outcomes.get(COUNTED.name, 0) for row in self.processes.analytics.ledger() if row.store in slugs
            )
            here = {slug: int(tile.read(slug, _now_ms())["live_visitors"]) for slug in slugs}
        except Unavailable as error:
            return f"waiting: {error}"
        busiest = max(here, key=lambda slug: here[slug])
        return f"{counted:>9,} counted  {sum(here.values()):>3,} visitors now, {here[busiest]:,} at {busiest}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
