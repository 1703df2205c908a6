"""What the storefront's pages send while somebody buys: the demo's buyers order by the API, and no browser does it.

Each cart is a visitor of its own, as the few accounts of the demo buy for many: with a source, a place and a device as
the other visitors have them. Names, properties and ids are those of the pages: see docs/reference/storefront.md.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any, Final

from ops.demo.orders.plan import Wish
from ops.demo.services.sender import Sender, Target
from ops.demo.traffic.people import Source, Visitors
from ops.demo.traffic.requests import Post
from ops.demo.traffic.season import Season
from ops.demo.traffic.shops import Shop

_LOOKS_MS: Final = (4_000, 45_000)
_READS_CART_MS: Final = (3_000, 12_000)
_TYPES_MS: Final = (20_000, 70_000)
"""An address and a card."""

_ANSWERED_MS: Final = 300


@dataclass(frozen=True)
class Offer:
    """What a product's page says of a variant.

    Attributes:
        slug: Of the product.
        price_minor: Of one piece.
        currency: A code of ISO 4217.
    """

    slug: str
    price_minor: int
    currency: str


@dataclass
class Pages:
    """The storefront's pages, as far as they send anything. Threads may share them.

    Attributes:
        target: The collector and the stores' keys.
        url: The storefront's, without a slash at the end.
        shops: Shops by the slugs of their stores.
        sent: Events in requests that the collector has answered.
        accepted: Those of them that it has taken.
    """

    target: Target
    url: str
    shops: Mapping[str, Shop]
    sent: int = 0
    accepted: int = 0
    _lock: Lock = field(default_factory=Lock, repr=False)

    def send(self, posts: Iterable[Post]) -> None:
        """Send requests; one that is not answered is sent again, with the same events.

        Raises:
            SendFailed: The collector does not take one.
        """
        sender = Sender(self.target, connections=1)
        try:
            sender.send_all(iter(posts))
        finally:
            with self._lock:
                self.sent += sender.sent.events
                self.accepted += sender.sent.accepted


class Visit:
    """Somebody who fills a cart and sends the checkout's form, in one tab of one browser.

    Args:
        pages: The storefront's.
        key: Names the cart: the same one makes the same visit, with the same ids of events.
        wishes: What is looked at, in order; not empty.
        offers: What pages say of variants.
        now_ms: When the form is sent, epoch ms; all else was in the minutes before.
    """

    def __init__(
        self, pages: Pages, key: str, wishes: Sequence[Wish], offers: Mapping[str, Offer], now_ms: int
    ) -> None:
        self._pages, self._wishes, self._offers, self._now_ms = pages, wishes, offers, now_ms
        self._rng = random.Random(f"visit {key}")
        self._person = Visitors(pages.shops[wishes[0].store], self._rng).stranger()
        # Whoever is signed in has a browser that keeps something, so it keeps the id of m.js, too.
        self._visitor_id = self._person.visitor_id or f"{self._rng.getrandbits(128):032x}"
        self._known = set[str]()
        self._at_ms, self._page, self._before = 0, "", ""
        self._events: dict[str, list[dict[str, Any]]] = {}

    def until_sent(self, added: Collection[str]) -> list[Post]:
        """The products' pages, the cart and the checkout.

        Args:
            added: Variants that could be put in.
        """
        for wish in self._wishes:
            self._look(wish, put_in=wish.variant in added)
        inside = [wish for wish in self._wishes if wish.variant in added]
        if inside:
            self._check_out(inside)
        return self._posts(self._now_ms - self._at_ms)

    def placed(self, orders: Sequence[Mapping[str, Any]], now_ms: int) -> list[Post]:
        """The first look at what was ordered.

        Args:
            orders: As the API shows them: all that were placed at once.
            now_ms: When, epoch ms.
        """
        if len(orders) == 1:
            self._turn(f"/orders/{orders[0]['id']}", "placed=1")
            self._add(orders[0]["store"], type="view")
        else:
            self._turn(f"/checkout/{orders[0]['checkout']}")
        self._count("place_order", "placed", orders, is_alone=len(orders) == 1)
        return self._posts(now_ms)

    def paid(self, orders: Sequence[Mapping[str, Any]], together: int, now_ms: int) -> list[Post]:
        """The same page says that some of the orders are paid.

        Args:
            orders: Those.
            together: How many were placed at once.
            now_ms: When, epoch ms.
        """
        self._count("purchase", "paid", orders, is_alone=together == 1)
        return self._posts(now_ms)

    def _look(self, wish: Wish, *, put_in: bool) -> None:
        offer, source = self._offers[wish.variant], self._source_of(wish.store)
        path, query = f"/{wish.store}/{offer.slug}", "" if source is None else source.query
        self._turn(path, query)
        if source is not None:
            self._before = source.referrer
        self._add(wish.store, type="view", product=wish.product)
        self._pass(_LOOKS_MS)
        self._add(wish.store, type="click", target="add-to-cart", product=wish.product)
        if put_in:
            self._at_ms += _ANSWERED_MS
            value = _value(wish.quantity * offer.price_minor, offer.currency, wish.quantity)
            self._add(wish.store, type="event", name="add_to_cart", properties=value, product=wish.product)
        self._pass(_LOOKS_MS)

    def _check_out(self, inside: Sequence[Wish]) -> None:
        stores = list(dict.fromkeys(wish.store for wish in inside))
        # The cart and the checkout are pages of a store where all in them is of that one.
        own = stores[0] if len(stores) == 1 else ""
        if own:
            self._turn("/cart")
            self._add(own, type="view")
            self._pass(_READS_CART_MS)
            self._add(own, type="click", target="checkout")
            self._at_ms += _ANSWERED_MS
            self._turn("/checkout")
            self._add(own, type="view")
        else:
            self._pass(_READS_CART_MS)
            self._turn("/checkout")
        for store in stores:
            parts = [(wish.quantity, self._offers[wish.variant]) for wish in inside if wish.store == store]
            minor, pieces = sum(count * each.price_minor for count, each in parts), sum(count for count, _ in parts)
            event = {"name": "begin_checkout", "properties": _value(minor, parts[0][1].currency, pieces)}
            event_id = f"order-{self._rng.getrandbits(96):024x}-begin"
            self._add(store, with_referrer=bool(own), type="event", event_id=event_id, **event)
        self._pass(_TYPES_MS)
        if own:
            self._add(own, type="click", target="place-order")

    def _count(self, name: str, what: str, orders: Sequence[Mapping[str, Any]], *, is_alone: bool) -> None:
        for order in orders:
            lines = order["lines"]
            event: dict[str, Any] = {"product": lines[0]["product"]} if len(lines) == 1 else {}
            event["properties"] = _value(
                order["total_minor"], order["currency"], sum(line["quantity"] for line in lines)
            )
            if not is_alone:
                # A page that is of no store sends it with the time of the order.
                event["occurred_at"] = _epoch_ms(order["placed_at"])
            event_id = f"order-{order['id']}-{what}"
            self._add(order["store"], with_referrer=is_alone, type="event", name=name, event_id=event_id, **event)

    def _source_of(self, store: str) -> Source | None:
        """Where the link to a store's first page is; None for its other pages. Each store is found on its own."""
        if store in self._known:
            return None
        self._known.add(store)
        shop = self._pages.shops[store]
        visitors = Visitors(shop, self._rng)
        visitors.campaign = Season((shop,), self._now_ms).campaign(shop, self._now_ms, self._rng.random())
        return visitors.source()

    def _turn(self, path: str, query: str = "") -> None:
        """Go on to another page."""
        self._before, self._page = self._page, f"{self._pages.url}{path}{query and '?'}{query}"

    def _add(self, store: str, *, with_referrer: bool = True, **fields: Any) -> None:
        event = {"event_id": f"{self._rng.getrandbits(96):024x}", "at": self._at_ms, "url": self._page, **fields}
        event["visitor_id"] = self._visitor_id
        if with_referrer and self._before:
            event["referrer"] = self._before.partition("?")[0]
        self._events.setdefault(store, []).append(event)

    def _pass(self, span_ms: tuple[int, int]) -> None:
        self._at_ms += self._rng.randrange(*span_ms)

    def _posts(self, start_ms: int) -> list[Post]:
        """All that was added, as a request for each store; the times are from ``start_ms`` on."""
        posts = []
        for store, added in self._events.items():
            events = tuple({"occurred_at": start_ms + at, **event} for event in added for at in (event.pop("at"),))
            posts.append(
                Post(
                    self._pages.shops[store], self._person.address, self._person.user_agent,
                    opted_out=False, events=events, ahead_ms=0,
                )
            )  # fmt: skip
        self._events, self._at_ms = {}, 0
        return posts


def _value(minor: int, currency: str, quantity: int) -> dict[str, str]:
    # The pages' script makes texts of all properties.
    return {"value_minor": str(minor), "currency": currency, "quantity": str(quantity)}


def _epoch_ms(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)
