"""What the services of an order say to each other: event types, and the payload of each.

All events of an order are in one topic under one key, its id, so that every service sees them in one order. A payload
only ever gains fields with defaults; anything else is another type.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec

from marketplace.money import MAX_MINOR


class EventType(StrEnum):
    """What happened. Those of ``ORDER_`` are the orders service's, and so on."""

    ORDER_CREATED = "ORDER_CREATED"
    ORDER_PAYMENT_COMPLETED = "ORDER_PAYMENT_COMPLETED"
    ORDER_REFUND_REQUESTED = "ORDER_REFUND_REQUESTED"
    ORDER_CONFIRMED = "ORDER_CONFIRMED"
    ORDER_CANCELLED = "ORDER_CANCELLED"
    PAYMENT_COMPLETED = "PAYMENT_COMPLETED"
    PAYMENT_FAILED = "PAYMENT_FAILED"
    PAYMENT_REFUNDED = "PAYMENT_REFUNDED"
    PAYMENT_REFUND_REVERSED = "PAYMENT_REFUND_REVERSED"
    STOCK_COUNT_UPDATED = "STOCK_COUNT_UPDATED"
    STOCK_INSUFFICIENT = "STOCK_INSUFFICIENT"


Minor = Annotated[int, msgspec.Meta(ge=0, le=MAX_MINOR)]
"""An amount. A record with another one is no event: what is below zero would make room for more than was taken."""

Quantity = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
"""A number of pieces."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """What every payload is; unknown fields are those of a later version, and are left alone."""


class OrderedItem(msgspec.Struct, frozen=True):
    """So many of a variant."""

    variant: str
    quantity: Quantity


class OrderCreated(Payload, frozen=True):
    """An order was placed: its stock is reserved, its payment waits."""

    checkout: str
    buyer: str
    currency: str
    total_minor: Minor
    items: tuple[OrderedItem, ...]
    pay_by_ms: int


class OrderPaymentCompleted(Payload, frozen=True):
    """An order is paid: its stock is to be deducted, also where its reservation has ended meanwhile."""

    items: tuple[OrderedItem, ...]


class OrderRefundRequested(Payload, frozen=True):
    """Money is to go back, and what is returned to stock with it.

    ``by`` says which side asked for it: ``buyer`` or ``seller``; empty where an earlier version wrote it.
    """

    refund: str
    amount_minor: Minor
    restocked: tuple[OrderedItem, ...] = ()
    reason: str = ""
    by: str = ""


class OrderConfirmed(Payload, frozen=True):
    """An order is paid and its goods are its buyer's."""

    buyer: str
    total_minor: Minor
    currency: str


class OrderCancelled(Payload, frozen=True):
    """An order ended without goods; ``refunded_minor`` went back."""

    buyer: str
    reason: str
    refunded_minor: Minor = 0


class PaymentCompleted(Payload, frozen=True):
    """The provider has the money."""

    payment: str
    amount_minor: Minor
    currency: str


class PaymentFailed(Payload, frozen=True):
    """The provider will never have it for this payment."""

    payment: str
    reason: str


class PaymentRefunded(Payload, frozen=True):
    """Money went back; ``refund`` is the id of the request, or ``stock`` where goods were missing.

    ``reversals`` says how often the same refund had come back before.
    """

    payment: str
    refund: str
    amount_minor: Minor
    reversals: Count = 0


class PaymentRefundReversed(Payload, frozen=True):
    """Money that had gone back did not reach the buyer: it is owed again.

    ``reversals`` says how often that has happened to this refund, this time included.
    """

    payment: str
    refund: str
    amount_minor: Minor
    reversals: Count


class StockCountUpdated(Payload, frozen=True):
    """The order's goods were deducted from stock."""

    items: tuple[OrderedItem, ...]


class StockInsufficient(Payload, frozen=True):
    """The order's goods cannot be had, none of them was deducted."""

    missing: tuple[OrderedItem, ...]


PAYLOADS: Final[Mapping[EventType, type[Payload]]] = {
    EventType.ORDER_CREATED: OrderCreated,
    EventType.ORDER_PAYMENT_COMPLETED: OrderPaymentCompleted,
    EventType.ORDER_REFUND_REQUESTED: OrderRefundRequested,
    EventType.ORDER_CONFIRMED: OrderConfirmed,
    EventType.ORDER_CANCELLED: OrderCancelled,
    EventType.PAYMENT_COMPLETED: PaymentCompleted,
    EventType.PAYMENT_FAILED: PaymentFailed,
    EventType.PAYMENT_REFUNDED: PaymentRefunded,
    EventType.PAYMENT_REFUND_REVERSED: PaymentRefundReversed,
    EventType.STOCK_COUNT_UPDATED: StockCountUpdated,
    EventType.STOCK_INSUFFICIENT: StockInsufficient,
}


STOCK_REFUND: Final = "stock"
"""The id of the refund of an order whose goods were missing: nobody asks for it, and two services know of it."""


LATE_REFUND: Final = "late"
"""The id of the refund of a payment that came after somebody had cancelled its order: nobody asks for it."""


class Event(msgspec.Struct, frozen=True):
    """An event of an order.

    Attributes:
        id: Made of the order, the service and the version of what it decided about: the same decision, made again
            after a crash, has the same id.
        type: What happened.
        order: The id of the order, which is the key.
        store: The slug of its store.
        at_ms: When it was decided, epoch milliseconds.
        payload: By its type.
    """

    id: str
    type: EventType
    order: str
    store: str
    at_ms: int
    payload: Payload


def event_id(order: str, service: str, version: int, number: int = 0) -> str:
    """The id of an event.

    Args:
        order: The id of the order.
        service: Who says it.
        version: Of what the service decided about, after the decision.
        number: From 0, where one decision says several things.
    """
    return f"{order}:{service}:{version}:{number}"


def version_of(event: str) -> int:
    """The version of what a service decided about, by the id of the event; 0 where the id does not say."""
    parts = event.rsplit(":", 2)
    return int(parts[1]) if len(parts) == 3 and parts[1].isascii() and parts[1].isdecimal() else 0


class UnknownEvent(ValueError):
    """A record is no event that this version knows; the message says why.

    Args:
        text: Why, as a sentence.
        reason: The same as one of few codes: ``no_key``, ``bad_payload``, ``bad_headers``, ``unknown_type`` or
            ``unknown_version``.
    """

    def __init__(self, text: str, reason: str = "bad_payload") -> None:
        super().__init__(text)
        self.reason = reason


def encode_payload(payload: Payload) -> bytes:
    """A payload as JSON."""
    return msgspec.json.encode(payload)


def decode_payload(kind: str, value: bytes) -> Payload:
    """The payload of a record.

    Raises:
        UnknownEvent: There is no such type, or it is none of it.
    """
    try:
        wanted: Any = PAYLOADS[EventType(kind)]
    except ValueError as error:
        raise UnknownEvent(f"there is no event {kind[:60]!r}", "unknown_type") from error
    try:
        found: Payload = msgspec.json.decode(value, type=wanted)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnknownEvent(f"{kind}: {error}") from error
    except RecursionError as error:
        # Also in a field that is not known: it is read to be passed over.
        raise UnknownEvent(f"{kind}: it is nested too deeply") from error
    return found
