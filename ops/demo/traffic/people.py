"""The visitors of a shop and their visits, drawn from one random number generator."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, Final

from ops.demo.traffic.places import BROWSERS, NETWORKS, NETWORKS_V6, REFERRERS
from ops.demo.traffic.season import Campaign
from ops.demo.traffic.shops import Shop

_AT_HOME: Final = 0.6
_COOKIELESS: Final = 0.15
_RETURNING: Final = 0.35
_V6: Final = 0.12
_TARGETS: Final = ("add-to-cart", "gallery-next", "size-guide", "wishlist", "reviews", "buy-now")
_NAMED: Final = 0.12
"""Of what people click, so much is sent as a named event of the shop's own instead."""

_BEGINNING: Final = 0.6
"""The same on the page of the checkout."""

_OF_PRODUCTS: Final = ("add_to_cart", "add_to_cart", "share", "search")
_OF_PAGES: Final = ("search", "newsletter")
_SEARCHES: Final = ("gift", "sale", "refill", "size m", "vegan", "tracking")
_PAGES: Final = (
    "/",
    "/collections/new",
    "/collections/best",
    "/about",
    "/shipping",
    "/blog/care",
    "/cart",
    "/checkout",
)


class Zipf:
    """Draws positions so that the n-th is drawn about 1/n as often as the first.

    Args:
        count: How many positions.
    """

    def __init__(self, count: int) -> None:
        self._range = range(count)
        self._cumulative = list(accumulate(1 / (rank + 1) for rank in self._range))

    def draw(self, rng: random.Random) -> int:
        """A position from 0."""
        return rng.choices(self._range, cum_weights=self._cumulative)[0]


@dataclass(frozen=True)
class Person:
    """A visitor's browser and address.

    Attributes:
        visitor_id: The snippet's own id; None for a client that stores none.
        opted_out: It sends DNT or Sec-GPC.
    """

    address: str
    user_agent: str
    visitor_id: str | None
    opted_out: bool = False


@dataclass(frozen=True)
class Source:
    """Where a visit comes from.

    Attributes:
        referrer: The page with the link; empty for none.
        query: What the link's address ends with, without the question mark; empty for nothing.
    """

    referrer: str
    query: str


@dataclass
class Moment:
    """An event without its times, and when it happened (true time, epoch milliseconds)."""

    at_ms: int
    event: dict[str, Any]


@dataclass(frozen=True)
class Clock:
    """The clock of a client.

    Attributes:
        ahead_ms: How far it is ahead of true time.
        sends_time: Its requests have ``sent_at``.
    """

    ahead_ms: int = 0
    sends_time: bool = True


@dataclass
class Visit:
    """A person's events in a shop, in one session or several."""

    shop: Shop
    person: Person
    moments: list[Moment]
    clock: Clock = field(default_factory=Clock)


class Visitors:
    """Makes the visitors of one shop and their visits.

    Args:
        shop: The shop.
        rng: The source of randomness.

    Attributes:
        campaign: The campaign that brings the next visitors; None for the usual referrers.
    """

    def __init__(self, shop: Shop, rng: random.Random) -> None:
        self._shop, self._rng = shop, rng
        self._products = shop.products()
        self._ids = {slug: product for product, slug in self._products}
        self._wanted = Zipf(len(self._products))
        self._browser = Zipf(len(BROWSERS))
        self._known: list[Person] = []
        self._countries = sorted(NETWORKS)
        self.campaign: Campaign | None = None

    def person(self) -> Person:
        """A new or a returning visitor."""
        if self._known and self._rng.random() < _RETURNING:
            return self._known[int(len(self._known) * self._rng.random() ** 2)]
        person = self.stranger()
        self._known.append(person)
        return person

    def stranger(self) -> Person:
        """A new visitor."""
        rng = self._rng
        visitor_id = None if rng.random() < _COOKIELESS else f"{rng.getrandbits(128):032x}"
        return Person(self.address(), BROWSERS[self._browser.draw(rng)], visitor_id)

    def address(self) -> str:
        """A full IP address, mostly of the shop's own country."""
        rng = self._rng
        country = self._shop.home if rng.random() < _AT_HOME else rng.choice(self._countries)
        if country in NETWORKS_V6 and rng.random() < _V6:
            return f"{NETWORKS_V6[country]}:{rng.randrange(1, 0x3FFF):x}::{rng.randrange(1, 0xFFFF):x}"
        return f"{rng.choice(NETWORKS[country])}.{rng.randrange(256)}.{rng.randrange(1, 255)}"

    def visit(self, start_ms: int) -> Visit:
        """A visit of any length; about a third see one page and leave."""
        rng = self._rng
        steps = 1 if rng.random() < 0.33 else 2 + int(rng.expovariate(0.14))
        return self.visit_pages(self.person(), start_ms, min(steps, 60))

    def visit_pages(self, person: Person, start_ms: int, steps: int, pause_seconds: float = 25.0) -> Visit:
        """A visit of ``steps`` events, the first with a referrer, with pauses of ``pause_seconds`` on average."""
        moments, at_ms, page, before = [], start_ms, "", ""
        for step in range(steps):
            if step:
                at_ms += int(2_100 + self._rng.expovariate(1 / (pause_seconds * 1000)))
            event = self._landing() if step == 0 else self._next(page, before)
            page, before = event["url"], event.get("referrer", "")
            moments.append(Moment(at_ms, event))
        if person.visitor_id is not None:
            for moment in moments:
                moment.event["visitor_id"] = person.visitor_id
        return Visit(self._shop, person, moments)

    def source(self) -> Source:
        """Where a visitor comes from: the campaign, or one of the usual referrers."""
        rng = self._rng
        if self.campaign is not None:
            referrer, query = self.campaign.referrer, self.campaign.query
        else:
            _, referrer, query = rng.choices(REFERRERS, weights=[weight for weight, _, _ in REFERRERS])[0]
        return Source(referrer, query.format(n=rng.randrange(10_000)))

    def event(self, **fields: Any) -> dict[str, Any]:
        """An event with a new id."""
        return {"event_id": f"{self._rng.getrandbits(96):024x}", **fields}

    def url(self, path: str) -> str:
        """The URL of a page of the shop."""
        return f"https://{self._shop.domain}{path}"

    def _landing(self) -> dict[str, Any]:
        if self.campaign is None:
            source = self.source()
            event = self._view()
        else:
            product = self.campaign.product
            event = self._view() if product is None else self._product(product)
            source = self.source()
        event["url"] += f"?{source.query}" if source.query else ""
        return {**event, "referrer": source.referrer} if source.referrer else event

    def _next(self, page: str, before: str) -> dict[str, Any]:
        """A click on the page, with the page's referrer as the snippet sends it, or a view of another page."""
        rng = self._rng
        if rng.random() < 0.4:
            event = self.event(type="click", url=page, target=rng.choice(_TARGETS))
            if before:
                event["referrer"] = before
            if "/products/" in page:
                event["product"] = self._ids[page.partition("#")[0].partition("?")[0].rpartition("/")[2]]
            return _named_or_click(event)
        return {**self._view(), "referrer": page}

    def _view(self) -> dict[str, Any]:
        rng = self._rng
        if rng.random() < 0.3:
            return self.event(type="view", url=self.url(rng.choice(_PAGES)))
        if self.campaign is not None and self.campaign.product is not None and rng.random() < 0.5:
            return self._product(self.campaign.product)
        return self._product(self._wanted.draw(rng))

    def _product(self, rank: int) -> dict[str, Any]:
        # Addresses change with a product's name, and its id never does.
        product, slug = self._products[rank]
        return self.event(type="view", url=self.url(f"/products/{slug}"), product=product)


def _named_or_click(click: dict[str, Any]) -> dict[str, Any]:
    """A click as it is, or a named event in its place: its id decides, so that all other traffic stays the same."""
    chance, draw = int(click["event_id"][:8], 16) / 0x1_0000_0000, int(click["event_id"][8:16], 16)
    at_checkout = click["url"].partition("?")[0].endswith("/checkout")
    if chance >= (_BEGINNING if at_checkout else _NAMED):
        return click
    names = _OF_PRODUCTS if "product" in click else _OF_PAGES
    name, size = "begin_checkout" if at_checkout else names[draw % len(names)], draw // len(names)
    all_properties: dict[str, dict[str, Any]] = {
        "add_to_cart": {"quantity": 1 + size % 3, "gift": size % 5 == 0},
        "begin_checkout": {"lines": 1 + size % 4},
        "newsletter": {"place": ("footer", "popup")[size % 2]},
        "search": {"for": _SEARCHES[size % len(_SEARCHES)], "found": size % 40},
        "share": {"by": ("mail", "whatsapp", "link")[size % 3]},
    }
    event = {**click, "type": "event", "name": name, "properties": all_properties[name]}
    del event["target"]
    return event


def with_address(visit: Visit, address: str) -> Visit:
    """The same visit from another IP address."""
    return replace(visit, person=replace(visit.person, address=address))
