"""A storefront in which things are ordered and paid for: its market, a provider, and what consumers do, by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from connectors.mongo.client import Client, connect
from marketplace.collections import ORDERS, OUTBOX, PRODUCTS, STOCK, STOCK_MOVEMENTS
from marketplace.sagas.events import EventType
from ops.stack import Stack
from saga_consumers.consumer import Parts, SagaConsumer
from saga_consumers.registry import CONSUMERS
from tests.kits.buyers import Buyer, Page
from tests.kits.payments import Sandbox, sandbox
from tests.kits.sagas import event_in
from tests.kits.stack import polled
from tests.kits.storefront import Market, id_of, market

ADDRESS: Final = {
    "name": "Bea Buyer", "street": "Hill Road 7", "extra": "", "postcode": "10115", "city": "Berlin", "country": "DE",
}  # fmt: skip
GOOD: Final = "4242 4242 4242 4242"
DECLINED: Final = "4000000000000028"


def card(number: str = GOOD) -> dict[str, str]:
    """The fields of a card."""
    return {"number": number, "expiry": "12/34", "cvc": "123"}


@dataclass
class Till:
    """A storefront with a provider, and the consumers of its orders, which do something only when they are asked to.

    Attributes:
        market: The storefront.
        provider: Whom it is paid through.
        client: Of its database.
        consumers: All of them, as they run in production.
    """

    market: Market
    provider: Sandbox
    client: Client
    consumers: list[SagaConsumer]
    _seen: set[str] = field(default_factory=set)

    @property
    def mongo(self) -> Any:
        return self.client[self.market.database]

    def settle(self, *, until: EventType | None = None) -> None:
        """Let consumers do all that there is to do; after the first event of a kind nothing more."""
        while rows := self._new():
            for row in rows:
                self._seen.add(row["_id"])
                for consumer in self.consumers:
                    consumer.handle(event_in(row), datetime.now(UTC), "")
                if row["type"] == until:
                    return
            self._pay()

    def order(self, own: str) -> Any:
        """The document of an order."""
        return self.mongo[ORDERS.name].find_one({"_id": own})

    def orders(self, **question: Any) -> int:
        """How many there are."""
        return int(self.mongo[ORDERS.name].count_documents(question))

    def set_order(self, own: str, fields: Mapping[str, Any]) -> None:
        """Change an order past all rules, as something that its page is to show."""
        self.mongo[ORDERS.name].update_one({"_id": own}, {"$set": dict(fields), "$inc": {"version": 1}})

    def put_stock(self, slug: str, on_hand: int) -> None:
        """Let the only variant of a product be counted."""
        variant, found = id_of(f"{slug}-1"), self.mongo[PRODUCTS.name].find_one({"_id": id_of(slug)})
        row = {"_id": variant, "store": found["store"], "product": found["_id"], "on_hand": on_hand, "reserved": 0}
        self.mongo[STOCK.name].replace_one({"_id": variant}, {**row, "low_at": None, "changed_at_ms": 0}, upsert=True)
        moved = {"variant": variant, "quantity": on_hand, "kind": "received", "cause": "first", "store": row["store"]}
        self.mongo[STOCK_MOVEMENTS.name].insert_one({**moved, "on_hand": on_hand, "at_ms": 0, "by": "", "note": ""})
        shown = "few" if 0 < on_hand <= 5 else "many" if on_hand else "none"
        self.mongo[PRODUCTS.name].update_one({"_id": found["_id"]}, {"$set": {"variants.0.availability": shown}})

    def _pay(self) -> None:
        for consumer in self.consumers:
            wait = getattr(getattr(consumer.handle, "__self__", None), "wait", None)
            if wait is not None:
                assert wait(20)

    def _new(self) -> list[dict[str, Any]]:
        found = self.mongo[OUTBOX.name].find({"_id": {"$nin": list(self._seen)}})
        return sorted(found, key=lambda row: (row["created_at"], row["_id"]))


@contextmanager
def till(stack: Stack, folder: Path, **settings: str) -> Iterator[Till]:
    """A storefront whose orders are paid by a sandbox."""
    with ExitStack() as open_now:
        provider = open_now.enter_context(sandbox(folder / "provider"))
        paid = {"MARKETPLACE_PAYMENTS_URL": provider.url}
        shop = open_now.enter_context(market(stack, folder, **{**paid, **settings}))
        client = open_now.enter_context(connect(polled(stack.urls.mongo)))
        secrets = {"MARKETPLACE_PAYMENTS_SECRETS_FILE": str(provider.secrets_file)}
        parts = Parts(client, shop.database, {**paid, **secrets})
        consumers = [spec.open(parts) for spec in CONSUMERS]
        for consumer in consumers:
            open_now.callback(consumer.close)
        yield Till(shop, provider, client, consumers)


def put(buyer: Buyer, path: str, **changes: str) -> Page:
    """Put a product into the cart."""
    page = buyer.get(path)
    return buyer.send(page, next(f for f in page.read.forms if f.fields.get("do") == "add"), **changes)


def order(buyer: Buyer, **changes: str) -> Page:
    """Fill in the checkout and send it; gives the page that it leads to."""
    page = buyer.get("/shop/checkout")
    return buyer.send(page, page.form("place-order"), **{**ADDRESS, **card(), **changes})


def order_of(page: Page) -> str:
    """The id of the order whose page it is."""
    return page.url.partition("/shop/orders/")[2].partition("?")[0]
