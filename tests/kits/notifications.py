"""Orders, what becomes of them, and what is to be said of it, for tests of notifications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from connectors.mongo.sagas.notifications import notification_document
from marketplace.notifications.facts import Facts, Line
from marketplace.notifications.notices import Notice, Template
from marketplace.sagas import orders
from marketplace.sagas.events import (
    Event,
    EventType,
    Payload,
    PaymentCompleted,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundReversed,
    StockCountUpdated,
    StockInsufficient,
    event_id,
)
from marketplace.sagas.orders import Order, OrderLine, OrderState, Reason

STORE: Final = "anns-shop"
BUYER: Final = "bea"
OWNER: Final = "ann"
ORDER: Final = "9c51d06e4b7fa8c1e2d3b4a596873f2a"
PLACED: Final = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
PLACED_MS: Final = int(PLACED.timestamp() * 1_000)
HOSTILE: Final = "<script>alert(1)</script>\r\nBcc: all@shop.example\x1b[31m\u202eevil\u2066"
ARABIC: Final = "قهوة عربية محمصة"


def order(order_id: str = ORDER, **fields: Any) -> Order:
    """An order of two mugs and a plate for 33.50 euros that waits for its payment."""
    lines = (
        OrderLine(1, "p1", "v1", "Blue mug", 2, 1_250, sku="MUG", options="Size: L"),
        OrderLine(2, "p2", "v2", "Plate", 1, 850, sku="PLATE"),
    )
    made = Order(order_id, STORE, BUYER, "c1", "EUR", lines, OrderState.PENDING, PLACED_MS + 900_000)
    return replace(made, **fields)


def of_others(kind: EventType, payload: Payload, about: Order, number: int) -> Event:
    """An event of another service than that of orders."""
    service = kind.value.partition("_")[0].lower()
    return Event(event_id(about.id, service, number), kind, about.id, about.store, PLACED_MS + number, payload)


class Story:
    """An order and all that was said of it, in the order in which it was said; each step is decided by the rules.

    Attributes:
        order: As it is now.
        said: All events, those of other services among them.
        was: The order after each event.
    """

    def __init__(self, begun: Order | None = None) -> None:
        self.order = begun or order()
        self.said: list[Event] = []
        self.was: list[Order] = []

    def _decided(self, made: orders.OrderDecision) -> Story:
        self.order = made.order
        self.said += made.events
        self.was += [made.order] * len(made.events)
        return self

    def hears(self, kind: EventType, payload: Payload) -> Story:
        """Another service says something."""
        event = of_others(kind, payload, self.order, len(self.said) + 1)
        self.said.append(event)
        self.was.append(self.order)
        return self._decided(orders.on_event(self.order, event, event.at_ms))

    def pays(self) -> Story:
        """The provider has the money."""
        paid = PaymentCompleted("pay", self.order.total_minor, self.order.currency)
        return self.hears(EventType.PAYMENT_COMPLETED, paid)

    def is_declined(self) -> Story:
        """The provider declines."""
        return self.hears(EventType.PAYMENT_FAILED, PaymentFailed("pay", "insufficient_funds"))

    def gets_stock(self) -> Story:
        """The goods are deducted."""
        return self.hears(EventType.STOCK_COUNT_UPDATED, StockCountUpdated(self.order.items))

    def gets_no_stock(self) -> Story:
        """The goods are gone."""
        return self.hears(EventType.STOCK_INSUFFICIENT, StockInsufficient(self.order.items))

    def gets_back(self, refund: str = "") -> Story:
        """Money went back: of a refund, or of the last one that was asked for."""
        found = next(each for each in reversed(self.order.refunds) if refund in ("", each.id))
        payload = PaymentRefunded("pay", found.id, found.amount_minor, found.reversals)
        return self.hears(EventType.PAYMENT_REFUNDED, payload)

    def comes_back(self) -> Story:
        """The money of the last refund did not arrive."""
        found = self.order.refunds[-1]
        payload = PaymentRefundReversed("pay", found.id, found.amount_minor, found.reversals + 1)
        return self.hears(EventType.PAYMENT_REFUND_REVERSED, payload)

    def cancels(self, who: Reason = Reason.BUYER) -> Story:
        """Somebody cancels the whole order."""
        return self._decided(orders.cancel(self.order, who, PLACED_MS + len(self.said) + 1))

    def refunds(self, counts: dict[int, int]) -> Story:
        """The store refunds some of it."""
        return self._decided(orders.refund_lines(self.order, counts, PLACED_MS + len(self.said) + 1))

    def runs_out(self) -> Story:
        """Nobody pays in time."""
        return self._decided(orders.on_deadline(self.order, self.order.pay_by_ms))

    @property
    def heard(self) -> list[tuple[Event, Order]]:
        """Each event with the order as it was when it was written."""
        return list(zip(self.said, self.was, strict=True))


def confirmed() -> Story:
    """An order that is paid and has its goods."""
    return Story().pays().gets_stock()


def stories() -> dict[str, Story]:
    """All ways of an order that differ for who is notified."""
    return {
        "confirmed": confirmed(),
        "declined": Story().is_declined(),
        "unpaid": Story().runs_out(),
        "cancelled before it was paid": Story().cancels(),
        "without stock": Story().pays().gets_no_stock().gets_back(),
        "cancelled by its buyer": confirmed().cancels().gets_back(),
        "cancelled by its store": confirmed().cancels(Reason.SELLER).gets_back(),
        "refunded in part": confirmed().refunds({1: 1}).gets_back(),
        "refunded in part and then cancelled": confirmed().refunds({1: 1}).gets_back().cancels().gets_back(),
        "refunded by the line to its end": confirmed().refunds({1: 2}).gets_back().refunds({2: 1}).gets_back(),
        "paid after it had run out": Story().runs_out().pays().gets_stock(),
        "paid after it had run out, without stock": Story().runs_out().pays().gets_no_stock().gets_back(),
        "paid after it was cancelled": Story().cancels().pays().gets_back(),
        "refunded in part, and it came back": confirmed().refunds({1: 1}).gets_back().comes_back(),
        "refunded in part, and it came back and went again": (
            confirmed().refunds({1: 1}).gets_back().comes_back().gets_back()
        ),
        "cancelled, and the money came back": confirmed().cancels().gets_back().comes_back(),
        "cancelled, and the money came back and went again": (
            confirmed().cancels().gets_back().comes_back().gets_back()
        ),
    }


def facts(**fields: Any) -> Facts:
    """Of an order of Ann's shop."""
    lines = (Line("Blue mug", "Size: L", 2, 2_500), Line("Plate", "", 1, 850))
    made = Facts(STORE, "Ann's shop", "Europe/Berlin", ORDER, "EUR", 3_350, placed_at_ms=PLACED_MS, lines=lines)
    values = {name: getattr(made, name) for name in made.__struct_fields__}
    return Facts(**{**values, **fields})


def low(**fields: Any) -> Facts:
    """Of a variant of which there is too little."""
    made: dict[str, Any] = {
        "order": "", "currency": "", "total_minor": 0, "placed_at_ms": 0, "lines": (), "product": "p1",
        "title": "Blue mug", "options": "L", "sku": "MUG", "available": 2,
    }  # fmt: skip
    return facts(**{**made, **fields})


GOES_TO: Final = ("Bea Buyer", "Hill Road 7", "10115 Berlin", "Germany")
MAILS: Final[dict[str, tuple[Template, Facts]]] = {
    "order_confirmed": (Template.ORDER_CONFIRMED, facts(goes_to=GOES_TO)),
    "order_confirmed_of_a_hostile_store": (
        Template.ORDER_CONFIRMED,
        facts(
            store_title=HOSTILE, lines=(Line(HOSTILE * 9, HOSTILE, 1, 3_350),), more_lines=7, goes_to=(HOSTILE, ARABIC)
        ),
    ),
    "order_confirmed_from_right_to_left": (
        Template.ORDER_CONFIRMED,
        facts(store_title=ARABIC, zone="Africa/Cairo", lines=(Line(ARABIC, "", 1, 3_350),), currency="KWD"),
    ),
    "order_cancelled_unpaid": (Template.ORDER_CANCELLED, facts(reason="unpaid")),
    "order_cancelled_declined": (Template.ORDER_CANCELLED, facts(reason="declined", decline="insufficient_funds")),
    "order_cancelled_by_buyer": (Template.ORDER_CANCELLED, facts(reason="buyer", amount_minor=3_350)),
    "order_cancelled_by_seller": (Template.ORDER_CANCELLED, facts(reason="seller", amount_minor=3_350)),
    "order_cancelled_no_stock": (Template.ORDER_CANCELLED, facts(reason="no_stock", amount_minor=3_350)),
    "order_refunded": (
        Template.ORDER_REFUNDED,
        facts(amount_minor=1_250, refunded=(Line("Blue mug", "Size: L", 1, 1_250),)),
    ),
    "payment_returned": (Template.PAYMENT_RETURNED, facts(reason="buyer", amount_minor=3_350)),
    "refund_reversed": (Template.REFUND_REVERSED, facts(amount_minor=1_250, refund="r1", reversals=1)),
    "order_shipped": (Template.ORDER_SHIPPED, facts(carrier="DHL", tracking="00340434161094042557")),
    "new_order": (Template.NEW_ORDER, facts()),
    "store_order_cancelled": (Template.STORE_ORDER_CANCELLED, facts(reason="buyer", amount_minor=3_350)),
    "store_refund_reversed": (Template.STORE_REFUND_REVERSED, facts(amount_minor=1_250, refund="r1", reversals=1)),
    "low_stock": (Template.LOW_STOCK, low()),
    "low_stock_nothing_left": (Template.LOW_STOCK, low(available=0, title=ARABIC, options="", sku="")),
}
"""Mails that are kept as examples in ``tests/golden/mails``."""


READ: Final = "f1" * 16
"""The id of a notification of an account."""


async def put_notifications(rows: Any, users: Sequence[str], store: str) -> None:
    """Write a notification of each account, and one of a store. The first account's has the id :data:`READ`.

    Args:
        rows: The collection, of a client of asyncio.
        users: Ids of accounts.
        store: The slug.
    """
    documents = []
    for at, user in enumerate(users):
        notice = Notice(f"user:{user}", Template.ORDER_CONFIRMED, f"{user}:1")
        document = notification_document(notice, facts(), PLACED_MS + at)
        documents.append({**document, **({"_id": READ} if at == 0 else {})})
    documents.append(notification_document(Notice(f"store:{store}", Template.LOW_STOCK, "v1:1"), low(), PLACED_MS))
    await rows.insert_many(documents)
