"""Orders of the demo that go on for as long as its shops are open."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Final

from connectors.errors import Unavailable
from ops.demo.orders.buyers import Buyer, ensure_buyers
from ops.demo.orders.pages import Pages
from ops.demo.orders.places import Places
from ops.demo.orders.plan import PlannedOrder, Then, plan
from ops.demo.orders.play import Market, Play, signed_in
from ops.demo.services.background import retry_unavailable
from ops.demo.services.demo_processes import DemoFailed
from ops.demo.services.sender import SendFailed
from runtime.sections import Settings

log = logging.getLogger("ops.demo.orders")

ORDERS_PER_MINUTE: Final = 6.0
_AT_ONCE: Final = 200
_AGAIN_SECONDS: Final = 30.0
_BUYERS: Final = ("Ines", "Jonas")
"""Others than those of the history, who may be at work at the same time."""


class LiveOrders:
    """Places an order now and then.

    Args:
        settings: Mongo's URL and the database.
        places: Where orders go.
        pages: What the storefront's pages send meanwhile, and the shops.
        seed: Of the chance.
        per_minute: How many, on average.

    Attributes:
        placed: How many were.
    """

    def __init__(self, settings: Settings, places: Places, pages: Pages, seed: int, per_minute: float) -> None:
        self._settings, self._places, self._pages = settings, places, pages
        self._seed, self._per_minute = seed, per_minute
        self._stop = threading.Event()
        self.placed = 0

    def run(self) -> None:
        """Order until :meth:`stop`; where a service does not answer, begin again after a while."""
        while not self._stop.is_set():
            try:
                self._order()
            except (DemoFailed, SendFailed, Unavailable) as error:
                log.warning("orders pause for %.0f s: %s", _AGAIN_SECONDS, error)
                self._stop.wait(_AGAIN_SECONDS)

    def stop(self) -> None:
        """Stop ordering. May be called from another thread."""
        self._stop.set()

    def _order(self) -> None:
        buyers = retry_unavailable(lambda: ensure_buyers(self._settings, datetime.now(UTC), _BUYERS))
        with signed_in(self._places.api, buyers) as people:
            market = Market(dict.fromkeys(self._pages.shops, people[0]))
            market.look()
            chance = random.Random(f"live {self._seed}")
            for planned in self._planned(buyers, market):
                if self._stop.wait(chance.expovariate(self._per_minute / 60)):
                    return
                play = Play(self._places, buyers, people, market, self._pages)
                self.placed += len(play.run([planned]).placed)

    def _planned(self, buyers: Sequence[Buyer], market: Market) -> Iterator[PlannedOrder]:
        chance = random.Random(f"then {self._seed}")
        for part in count(self._seed):
            for each in plan(part, _AT_ONCE, len(buyers), market.variants, market.variants[0]):
                # Nobody who sells is at work here.
                then = each.then if each.then in (Then.BUYER_CANCELS, Then.LINE_BACK) else Then.NOTHING
                yield PlannedOrder(chance.randrange(len(buyers)), each.wishes, each.card, each.twice, then)
