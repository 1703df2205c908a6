"""Orders of the demo from the first cart to the last verdict."""

from __future__ import annotations

import math
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from connectors.errors import Unavailable
from connectors.mongo.client import connect
from connectors.mongo.sagas.audit import SagaAudit
from marketplace.sagas.reconcile import is_settled
from ops.demo.orders.buyers import Buyer, ensure_buyers
from ops.demo.orders.client import Person
from ops.demo.orders.numbers import OrderNumbers
from ops.demo.orders.pages import Pages
from ops.demo.orders.places import Places
from ops.demo.orders.plan import plan
from ops.demo.orders.play import COUNTED, Market, Play, Played, signed_in
from ops.demo.orders.recount import Recount, read_operations, read_told, recount
from ops.demo.report.progress_printer import ProgressPrinter
from ops.demo.services.background import Background, retry_unavailable
from ops.demo.services.demo_accounts import DemoAccount
from ops.demo.services.demo_processes import DemoFailed
from ops.sagas.reconciler import Verdict, reconcile
from runtime.sections import Settings

_SETTLE_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.2
_SHOWN: Final = 5
_FEWEST_COUNTED: Final = 3
_MONGO_SECONDS: Final = 10.0


class OrdersRun:
    """Places orders and compares what became of them.

    Args:
        settings: Where the parts are.
        places: Where orders go.
        sellers: Accounts of those who sell.
        printer: Reports progress.
        seed: Of the chance.
        count: How many orders are planned.
        pages: What the storefront's pages send meanwhile; None where nothing counts.
    """

    def __init__(
        self,
        settings: Settings,
        places: Places,
        sellers: Sequence[DemoAccount],
        printer: ProgressPrinter,
        seed: int,
        count: int,
        pages: Pages | None = None,
    ) -> None:
        self._settings, self._places, self._sellers, self._pages = settings, places, sellers, pages
        self._printer, self._seed, self._count = printer, seed, count

    def play(self, watch: Callable[[], None] = lambda: None) -> OrderNumbers:
        """Place the orders, wait until all of them have ended, and compare.

        Args:
            watch: Called again and again meanwhile; it looks after the demo's processes.

        Raises:
            DemoFailed: A service does not answer, or orders do not end in time.
            SendFailed: The collector does not take what pages send.
            Unavailable: A part was unavailable for too long.
        """
        with ExitStack() as people:
            market, buyers = self._open(people)
            signed = people.enter_context(signed_in(self._places.api, buyers))
            with self._printer.counting("orders", f"Placing {self._count:,} orders", self._count):
                played = self._place(market, buyers, signed, watch)
            with self._printer.phase("settle", "Waiting until every order has ended"):
                self._settle(watch)
            with self._printer.phase("reconcile", "Comparing orders, money, stock and events"):
                return retry_unavailable(lambda: self._conclude(played, market), watch)

    def _open(self, people: ExitStack) -> tuple[Market, list[Buyer]]:
        with self._printer.phase("stock", "Counting the shops' stock"):
            sellers = dict[str, Person]()
            for each in self._sellers:
                if each.who != "analyst":
                    person = people.enter_context(closing(Person(self._places.api, each.email, each.password)))
                    sellers |= dict.fromkeys(each.stores, person)
            # Few orders need few of them: to count one takes as long as to order one.
            market = Market(sellers, min(COUNTED, max(_FEWEST_COUNTED, self._count // 4)))
            self._scarce = market.open(uuid.uuid4().hex[:8], few=max(1, self._count // 12))
            buyers = retry_unavailable(lambda: ensure_buyers(self._settings, datetime.now(UTC)))
        return market, buyers

    def _place(self, market: Market, buyers: list[Buyer], people: list[Person], watch: Callable[[], None]) -> Played:
        planned = plan(self._seed, self._count, len(buyers), market.variants, self._scarce)
        play = Play(self._places, buyers, people, market, self._pages, self._show)
        worker = Background(lambda: play.run(planned), "orders")
        worker.start()
        try:
            while worker.is_alive():
                watch()
                worker.join(_POLL_SECONDS)
        except BaseException:
            play.stop()
            raise
        return worker.result()

    def _show(self, count: int) -> None:
        self._printer.count(count, f"{count:,} orders")

    def _settle(self, watch: Callable[[], None]) -> None:
        deadline = time.monotonic() + _SETTLE_SECONDS
        with closing(connect(self._settings.urls.mongo, _MONGO_SECONDS)) as client:
            audit = SagaAudit(client, self._settings.database)
            while True:
                watch()
                try:
                    if all(is_settled(rows) for page in audit.orders() for rows in page):
                        return
                except Unavailable:
                    pass  # the supervisor restarts it
                if time.monotonic() > deadline:
                    raise DemoFailed("orders have not ended: 'marketplace saga list' says what they wait for")
                time.sleep(_POLL_SECONDS)

    def _conclude(self, played: Played, market: Market) -> OrderNumbers:
        numbers = OrderNumbers(placed=len(played.placed), refused=dict(played.refused), replayed=played.replayed)
        numbers.mistakes = list(played.mistakes)
        orders = self._read(played, market)
        if self._pages is not None:
            numbers.events, numbers.events_accepted = self._pages.sent, self._pages.accepted
            numbers.paid = dict(Counter(played.placed[own] for own in played.paid))
            confirmed = {own for own, order in orders.items() if order["state"] == "confirmed"}
            numbers.mistakes += [f"no page has said that {own} is paid" for own in sorted(confirmed - played.paid)]
        for order in orders.values():
            numbers.states[order["state"]] = numbers.states.get(order["state"], 0) + 1
            if order["state"] == "cancelled":
                numbers.reasons[order["reason"]] = numbers.reasons.get(order["reason"], 0) + 1
        with closing(connect(self._settings.urls.mongo, _MONGO_SECONDS)) as client:
            audit = SagaAudit(client, self._settings.database)
            verdict = reconcile(audit, self._settings.kafka, lambda: datetime.now(UTC))
            numbers.stuck = len(audit.waiting(datetime.now(UTC), stuck=True))
        numbers.reconciler = _of_verdict(verdict)
        numbers.recount = _of_recount(self._recount(orders, market))
        numbers.accepted_to_confirmed_ms = _percentiles(self._confirmed_after(played, market))
        return numbers

    def _read(self, played: Played, market: Market) -> dict[str, dict[str, Any]]:
        return {
            own: market.sellers[slug].ask("GET", f"/v1/stores/{slug}/orders/{own}").json()
            for own, slug in played.placed.items()
        }

    def _recount(self, orders: dict[str, dict[str, Any]], market: Market) -> Recount:
        try:
            operations = read_operations(self._places.provider, self._places.provider_key)
        except httpx.HTTPError as error:
            raise Unavailable(f"the payment provider does not answer: {type(error).__name__}") from error
        return recount(orders, read_told(self._settings.kafka), operations, market.counted)

    def _confirmed_after(self, played: Played, market: Market) -> list[int]:
        with closing(connect(self._settings.urls.mongo, _MONGO_SECONDS)) as client:
            audit = SagaAudit(client, self._settings.database)
            found = []
            for own in played.placed:
                steps = {step.type: step.at_ms for step in audit.steps(own)}
                if "ORDER_CONFIRMED" in steps:
                    found.append(steps["ORDER_CONFIRMED"] - steps["ORDER_CREATED"])
        return found


def _of_verdict(verdict: Verdict) -> dict[str, Any]:
    first = [f"{each.subject}: {each.store} {each.row}: {each.says}" for each in verdict.findings[:_SHOWN]]
    return {
        "clean": not verdict.findings, "orders": verdict.orders, "findings": len(verdict.findings), "first": first,
        "events": verdict.said,
    }  # fmt: skip


def _of_recount(found: Recount) -> dict[str, Any]:
    return {
        "compared": found.compared, "differences": len(found.differences), "first": found.differences[:_SHOWN],
    }  # fmt: skip


def _percentiles(values: list[int]) -> dict[str, int]:
    """Median and 99th percentile, by the nearest rank."""
    ordered = sorted(values)
    if not ordered:
        return {"samples": 0}
    rank = {name: ordered[max(0, math.ceil(share * len(ordered)) - 1)] for name, share in (("p50", 0.5), ("p99", 0.99))}
    return {"samples": len(ordered), **rank}
