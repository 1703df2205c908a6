"""Buyers and sellers of the demo at work: orders through the API, and what becomes of them."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final

import httpx

from connectors.errors import Unavailable
from ops.demo.orders.buyers import Buyer
from ops.demo.orders.client import Person, client_of
from ops.demo.orders.numbers import ENDED
from ops.demo.orders.pages import Offer, Pages, Visit
from ops.demo.orders.places import Places
from ops.demo.orders.plan import PlannedOrder, Then, Wish
from ops.demo.services.background import retry_unavailable
from ops.demo.services.demo_processes import DemoFailed

_STEP_SECONDS: Final = 0.05
_LONGEST_STEP_SECONDS: Final = 0.5
_PAID: Final = frozenset({"paid", "confirmed"})
"""States in which the page of an order says that it is paid."""

_END_SECONDS: Final = 90.0
COUNTED: Final = 8
"""Variants of each shop whose stock is counted, at most."""

_BESIDE: Final = 4
"""Products of each shop that are ordered beside these; to look at more at once costs more than a free plan allows."""

_ENOUGH: Final = 400


@dataclass
class Played:
    """What happened.

    Attributes:
        placed: Ids of the orders that were placed, by the slug of their store.
        refused: Checkouts that placed nothing, by why: ``lacking`` where others had the goods.
        replayed: Answers that were given a second time.
        paid: Ids of the orders whose page has said that they are paid, and sent it.
        mistakes: What should not have happened, a sentence each.
    """

    placed: dict[str, str] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    replayed: int = 0
    paid: set[str] = field(default_factory=set)
    mistakes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Placed:
    """What came of a cart.

    Attributes:
        orders: As the API has answered.
        then: What becomes of them.
        visit: Of whoever has ordered; None where nothing counts.
    """

    orders: Sequence[dict[str, Any]]
    then: Then
    visit: Visit | None


class Market:
    """What can be bought, and whose stock is counted.

    Args:
        sellers: Who sells, by the slugs of their stores.
        counted: Of how many variants of each shop stock is counted, if it is.

    Attributes:
        variants: What can be bought, the best-rated ones first.
        offers: What their products' pages say, by the ids of variants.
        counted: Ids of the variants whose stock is counted.
    """

    def __init__(self, sellers: dict[str, Person], counted: int = COUNTED) -> None:
        self.sellers, self._to_count = sellers, counted
        self.variants: list[Wish] = []
        self.offers: dict[str, Offer] = {}
        self.counted: set[str] = set()

    def open(self, run: str, few: int) -> Wish:
        """Count the stock of the best-rated products of each shop; returns one of which there are few.

        Args:
            run: Names this run: deliveries of another one are other deliveries.
            few: How many there are of what there are few of.

        Raises:
            DemoFailed: The API does not answer, or a shop sells nothing.
        """
        by_store = self.look()
        for slug, wishes in by_store.items():
            for place, wish in enumerate(wishes[: self._to_count]):
                self._receive(slug, wish, few if place == 0 else _ENOUGH, run)
        scarce = next(iter(by_store.values()))[0]
        self.variants.remove(scarce)
        return scarce

    def look(self) -> dict[str, list[Wish]]:
        """Find what can be bought; returns it by the slugs of the shops.

        Raises:
            DemoFailed: The API does not answer, or a shop sells nothing.
        """
        by_store = {slug: self._for_sale(slug) for slug in self.sellers}
        self.variants = [wish for wishes in zip(*by_store.values(), strict=False) for wish in wishes]
        return by_store

    def _for_sale(self, slug: str) -> list[Wish]:
        best: dict[str, str | int] = {"sort": "rating", "limit": self._to_count + _BESIDE}
        found = _json(self.sellers[slug].ask("GET", f"/v1/shops/{slug}/search", params=best))
        wishes = []
        for hit in found["hits"]:
            product = _json(self.sellers[slug].ask("GET", f"/v1/shops/{slug}/products/{hit['slug']}"))
            variant = product["variants"][0]
            if variant["availability"] != "none":
                wishes.append(Wish(slug, product["id"], variant["id"], 1))
                self.offers[variant["id"]] = Offer(product["slug"], variant["price_minor"], product["currency"])
        if len(wishes) < self._to_count:
            raise DemoFailed(f"the shop {slug} sells too little to order from")
        return wishes

    def _receive(self, slug: str, wish: Wish, quantity: int, run: str) -> None:
        body = {"product": wish.product, "quantity": quantity, "reason": "Delivery of the demo"}
        path = f"/v1/stores/{slug}/stock/{wish.variant}/receive"
        _json(self.sellers[slug].ask("POST", path, body, key=f"{run}-receive-{wish.variant}"))
        self.sellers[slug].ask("PUT", f"/v1/stores/{slug}/stock/{wish.variant}/threshold", {"low_at": 5})
        self.counted.add(wish.variant)


@contextmanager
def signed_in(api: str, buyers: Sequence[Buyer]) -> Iterator[list[Person]]:
    """The buyers, each signed in once.

    Raises:
        DemoFailed: The API does not answer, or does not know them.
    """
    with ExitStack() as people:
        yield [people.enter_context(closing(Person(api, each.email, each.password))) for each in buyers]


class Play:
    """Plays planned orders.

    Args:
        places: Where orders go, and the provider that makes tokens of numbers.
        buyers: The demo's.
        people: The same, signed in.
        market: Where they buy.
        pages: What the storefront's pages send meanwhile; None where nothing counts.
        done: Called after each order with how many are done.
    """

    def __init__(
        self,
        places: Places,
        buyers: Sequence[Buyer],
        people: Sequence[Person],
        market: Market,
        pages: Pages | None = None,
        done: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._places, self._buyers, self._people, self._market = places, buyers, people, market
        self._pages, self._provider = pages, client_of(places.provider)
        self._done, self._count, self._lock = done, 0, Lock()
        self._stopped = False
        self.played = Played()

    def run(self, planned: Sequence[PlannedOrder]) -> Played:
        """Let each buyer place the own orders one after the other, and all buyers at one time.

        Raises:
            DemoFailed: The API or the provider does not answer.
            SendFailed: The collector does not take what pages send.
        """
        by_buyer = [[each for each in planned if each.buyer == place] for place in range(len(self._buyers))]
        with ThreadPoolExecutor(len(self._buyers)) as threads:
            running = [
                threads.submit(self._shop, buyer, person, orders)
                for buyer, person, orders in zip(self._buyers, self._people, by_buyer, strict=True)
                if orders
            ]
            try:
                for each in running:
                    each.result()
            except BaseException:
                self.stop()
                raise
            finally:
                self._provider.close()
        return self.played

    def stop(self) -> None:
        """Place no further order. May be called from another thread."""
        self._stopped = True

    def _shop(self, buyer: Buyer, person: Person, planned: Sequence[PlannedOrder]) -> None:
        later = list[_Placed]()
        for each in planned:
            if self._stopped:
                return
            placed = self._order(person, buyer, each)
            if placed is not None:
                later.append(placed)
            with self._lock:
                self._count += 1
                self._done(self._count)
        for placed in later:
            if placed.visit is not None or placed.then is not Then.NOTHING:
                self._afterwards(person, placed)

    def _order(self, person: Person, buyer: Buyer, planned: PlannedOrder) -> _Placed | None:
        key, added = uuid.uuid4().hex, set[str]()
        for wish in planned.wishes:
            body = {"product": wish.product, "variant": wish.variant, "quantity": wish.quantity}
            if person.ask("POST", "/v1/cart/lines", body).is_success:
                added.add(wish.variant)
            else:
                self._note_refusal("not_for_sale")
        visit = self._visit(key, planned, added)
        cart = _json(person.ask("GET", "/v1/cart"))
        if not cart["lines"]:
            return None
        body = {
            "cart_version": cart["version"],
            "changes_id": cart.get("changes_id"),
            "delivery": {
                "name": buyer.name, "street": "Market Road 1", "postcode": "10115", "city": "Berlin", "country": "DE",
            },
            "payment": {"method": self._token(planned.card)},
        }  # fmt: skip
        answers = self._send(person, body, key, twice=planned.twice)
        if {each.status_code for each in answers} == {201} and len({each.text for each in answers}) == 1:
            orders: list[dict[str, Any]] = answers[0].json()["orders"]
            with self._lock:
                self.played.placed |= {order["id"]: order["store"] for order in orders}
                self.played.replayed += sum("idempotent-replayed" in each.headers for each in answers)
            if self._pages is not None and visit is not None:
                self._pages.send(visit.placed(orders, _now_ms()))
            return _Placed(orders, planned.then, visit)
        self._refused(person, answers)
        return None

    def _visit(self, key: str, planned: PlannedOrder, added: Collection[str]) -> Visit | None:
        if self._pages is None:
            return None
        visit = Visit(self._pages, key, planned.wishes, self._market.offers, _now_ms())
        self._pages.send(visit.until_sent(added))
        return visit

    def _send(self, person: Person, body: object, key: str, *, twice: bool) -> list[httpx.Response]:
        if not twice:
            return [person.ask("POST", "/v1/orders", body, key=key)]
        with ThreadPoolExecutor(2) as both:
            sent = [both.submit(person.ask, "POST", "/v1/orders", body, key=key) for _ in range(2)]
            return [each.result() for each in sent]

    def _refused(self, person: Person, answers: Sequence[httpx.Response]) -> None:
        if {each.status_code for each in answers} != {409}:
            with self._lock:
                said = "; ".join(f"{each.status_code} {each.text[:200]}" for each in answers)
                self.played.mistakes.append(f"a checkout was answered with {said}")
        problem = answers[-1].json()
        reason = "lacking" if problem.get("lacking") else "changed" if problem.get("changes") else "conflict"
        self._note_refusal(reason)
        # Whoever cannot have something goes on without it.
        person.ask("DELETE", "/v1/cart")

    def _note_refusal(self, reason: str) -> None:
        with self._lock:
            self.played.refused[reason] += 1

    def _token(self, number: str) -> str:
        card = {"number": number, "exp": "12/30", "cvc": "123"}

        def make() -> str:
            try:
                made = self._provider.post("/v1/methods", json=card)
            except httpx.HTTPError as error:
                raise Unavailable(f"the payment provider does not answer: {type(error).__name__}") from error
            token: str = _json(made)["token"]
            return token

        return retry_unavailable(make)

    def _afterwards(self, person: Person, placed: _Placed) -> None:
        """Look at the page of what was ordered until it has ended, and do what was planned then."""
        deadline, pause, shown = time.monotonic() + _END_SECONDS, _STEP_SECONDS, set[str]()
        while True:
            orders = _json(person.ask("GET", f"/v1/checkouts/{placed.orders[0]['checkout']}"))["orders"]
            paid = [each for each in orders if each["state"] in _PAID and each["id"] not in shown]
            if paid and self._pages is not None and placed.visit is not None:
                shown |= {each["id"] for each in paid}
                self._pages.send(placed.visit.paid(paid, len(orders), _now_ms()))
            if {each["state"] for each in orders} <= ENDED or time.monotonic() > deadline:
                break
            time.sleep(pause)
            pause = min(_LONGEST_STEP_SECONDS, 1.5 * pause)
        with self._lock:
            self.played.paid |= shown
        for order in orders:
            if order["state"] == "confirmed" and placed.then is not Then.NOTHING:
                self._act(person, order, placed.then)

    def _act(self, person: Person, order: dict[str, Any], then: Then) -> None:
        own, slug, key = order["id"], order["store"], f"then-{order['id']}"
        seller = self._market.sellers[slug]
        first = [{"number": order["lines"][0]["number"], "quantity": 1}]
        if then is Then.BUYER_CANCELS:
            done = person.ask("POST", f"/v1/orders/{own}/cancel", key=key)
        elif then is Then.LINE_BACK:
            done = person.ask("POST", f"/v1/orders/{own}/refunds", {"lines": first, "reason": "One too many"}, key=key)
        elif then is Then.SELLER_REFUNDS:
            body = {"lines": None, "reason": "Damaged in the warehouse"}
            done = seller.ask("POST", f"/v1/stores/{slug}/orders/{own}/refunds", body, key=key)
        else:
            seller.ask("PUT", f"/v1/stores/{slug}/orders/{own}/fulfilment", {"state": "packed"})
            body = {"state": "shipped", "carrier": "Parcel Post", "tracking": own[:12].upper()}
            done = seller.ask("PUT", f"/v1/stores/{slug}/orders/{own}/fulfilment", body)
        if not done.is_success:
            with self._lock:
                self.played.mistakes.append(f"{then} of {own} was answered with {done.status_code} {done.text[:200]}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _json(found: httpx.Response) -> dict[str, Any]:
    if not found.is_success:
        raise DemoFailed(f"{found.request.method} {found.request.url.path}: {found.status_code} {found.text[:300]}")
    body: dict[str, Any] = found.json()
    return body
