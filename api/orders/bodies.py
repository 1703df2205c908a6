"""Orders as they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from api.orders.schemas import (
    AddressBody,
    BuyerBody,
    CheckoutBody,
    EventBody,
    FulfilmentBody,
    HandledBody,
    OrderBody,
    OrderLineBody,
    PaymentBody,
    PaymentRefundBody,
    RefundBody,
    StoreOrderBody,
    StoreOrderCase,
)
from api.web.times import epoch_ms, rfc3339
from connectors.mongo.order_reads import Happened, PaymentView
from connectors.mongo.orders import Checkout, KeptOrder
from marketplace.orders.requests import Party, can_cancel

Names = Mapping[str, tuple[str, str]]
"""Names and addresses of accounts, by id."""


def order_body(kept: KeptOrder) -> OrderBody:
    """An order as its buyer sees it."""
    return OrderBody(**_fields(kept, Party.BUYER))


def checkout_body(checkout: Checkout) -> CheckoutBody:
    """Orders that were placed together."""
    return CheckoutBody(id=checkout.id, orders=list(map(order_body, checkout.orders)))


def store_order_body(kept: KeptOrder, names: Names) -> StoreOrderBody:
    """An order as its store sees it."""
    return StoreOrderBody(**_fields(kept, Party.SELLER), buyer=_buyer(kept, names))


def case_body(kept: KeptOrder, names: Names, payment: PaymentView | None, timeline: list[Happened]) -> StoreOrderCase:
    """An order with its payment and its events."""
    return StoreOrderCase(
        **_fields(kept, Party.SELLER),
        buyer=_buyer(kept, names),
        payment=None if payment is None else _payment(payment),
        timeline=[_event(each) for each in timeline],
    )


def _fields(kept: KeptOrder, who: Party) -> dict[str, Any]:
    order, fulfilment = kept.order, kept.fulfilment
    return {
        "id": order.id,
        "store": order.store,
        "checkout": order.checkout,
        "state": order.state.value,
        "reason": None if order.reason is None else order.reason.value,
        "currency": order.currency,
        "total_minor": order.total_minor,
        "paid_minor": order.paid_minor,
        "refunded_minor": order.refunded_minor,
        "lines": [OrderLineBody(**asdict(line), total_minor=line.total_minor) for line in order.lines],
        "refunds": [RefundBody(id=each.id, amount_minor=each.amount_minor, done=each.done) for each in order.refunds],
        "delivery": AddressBody(**asdict(kept.delivery)),
        "fulfilment": FulfilmentBody(
            state=fulfilment.state.value,
            carrier=fulfilment.carrier or None,
            tracking=fulfilment.tracking or None,
            changed_at=rfc3339(fulfilment.changed_at_ms) if fulfilment.changed_at_ms else None,
        ),
        "pay_by": rfc3339(order.pay_by_ms),
        "placed_at": rfc3339(kept.placed_at_ms),
        "changed_at": rfc3339(kept.changed_at_ms),
        "version": order.version,
        "cancellable": can_cancel(order, fulfilment, who),
    }


def _buyer(kept: KeptOrder, names: Names) -> BuyerBody:
    name, email = names.get(kept.order.buyer, (None, None))
    return BuyerBody(id=kept.order.buyer, name=name, email=email)


def _payment(payment: PaymentView) -> PaymentBody:
    return PaymentBody(
        id=payment.id,
        state=payment.state,
        reference=payment.reference or None,
        attempts=payment.attempts,
        captured_minor=payment.captured_minor,
        refunds=[PaymentRefundBody(id=id, amount_minor=amount, state=state) for id, amount, state in payment.refunds],
    )


def _event(event: Happened) -> EventBody:
    handled = sorted(event.handled.items(), key=lambda each: (each[1], each[0]))
    return EventBody(
        id=event.id,
        type=event.type,
        at=rfc3339(epoch_ms(event.at)),
        service=event.service,
        handled=[HandledBody(consumer=consumer, at=rfc3339(at)) for consumer, at in handled],
    )
