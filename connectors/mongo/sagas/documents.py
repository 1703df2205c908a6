"""Orders, payments, reservations and events as documents: the API writes the first ones, consumers all later ones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from marketplace.sagas.events import Event, encode_payload
from marketplace.sagas.inventory import Movement, Reservation, ReservationState
from marketplace.sagas.order_state import Order
from marketplace.sagas.payment_state import Entry, Payment
from marketplace.sagas.wire import AGGREGATE, headers

Document = dict[str, Any]


def order_document(order: Order, now_ms: int, before: Mapping[str, Any] | None = None) -> Document:
    """An order as it is kept.

    Args:
        order: As it is now.
        now_ms: The time.
        before: Its document; what only others write of it is left as it is. None for a new order.
    """
    kept = {"placed_at_ms": now_ms, "state_since_ms": now_ms} if before is None else dict(before)
    fields = _fields(order)
    if before is not None and before["state"] != fields["state"]:
        kept["state_since_ms"] = now_ms
    return {**kept, **fields, "total_minor": order.total_minor, "due_ms": order.deadline_ms, "changed_at_ms": now_ms}


def order_of(document: Mapping[str, Any]) -> Order:
    """The order of a document."""
    return msgspec.convert({**document, "id": document["_id"]}, Order)


def changed_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> Document:
    """The fields of a document that are to be written: what others write of it at the same time stays theirs."""
    return {name: value for name, value in after.items() if name not in before or before[name] != value}


def payment_document(payment: Payment, now_ms: int, before: Mapping[str, Any] | None = None) -> Document:
    """A payment as it is kept; see :func:`order_document`."""
    kept = {"created_at_ms": now_ms, "state_since_ms": now_ms} if before is None else dict(before)
    fields = _fields(payment)
    if before is not None and before["state"] != fields["state"]:
        kept["state_since_ms"] = now_ms
    return {**kept, **fields, "due_ms": payment.next_due_ms, "charge_due_ms": payment.due_ms, "changed_at_ms": now_ms}


def payment_of(document: Mapping[str, Any]) -> Payment:
    """The payment of a document, whose ``due_ms`` is that of its next question of any kind."""
    return msgspec.convert({**document, "id": document["_id"], "due_ms": document["charge_due_ms"]}, Payment)


def reservation_document(reservation: Reservation) -> Document:
    """A reservation as it is kept; ``due_ms`` is there only while it bounds others."""
    fields = msgspec.to_builtins(reservation)
    waits = reservation.state is ReservationState.HELD
    return {"_id": fields.pop("order"), **fields, "due_ms": reservation.expires_ms if waits else None}


def reservation_of(document: Mapping[str, Any]) -> Reservation:
    """The reservation of a document."""
    return msgspec.convert({**document, "order": document["_id"]}, Reservation)


def movement_document(
    movement: Movement, store: str, on_hand: int, now_ms: int, *, by: str = "", note: str = ""
) -> Document:
    """A line of the ledger of stock.

    Args:
        movement: What moved.
        store: The slug.
        on_hand: What is there after it.
        now_ms: The time.
        by: The id of the account that moved it; empty for an order.
        note: What a person said.
    """
    fields = msgspec.to_builtins(movement)
    return {
        "_id": fields.pop("id"), **fields, "store": store, "on_hand": on_hand, "at_ms": now_ms, "by": by, "note": note,
    }  # fmt: skip


def entry_document(entry: Entry, payment: Payment, now_ms: int) -> Document:
    """A line of the ledger of money."""
    fields = msgspec.to_builtins(entry)
    return {
        "_id": fields.pop("id"), **fields, "payment": payment.id, "order": payment.order, "at_ms": now_ms,
    }  # fmt: skip


def outbox_document(event: Event, service: str, now: datetime, trace_parent: str = "") -> Document:
    """An event as it waits to be sent: a connector makes the record of :mod:`marketplace.sagas.wire` of it.

    Args:
        event: The event.
        service: Who says it.
        now: When it is written.
        trace_parent: The trace that it belongs to.
    """
    return {
        "_id": event.id,
        "aggregatetype": AGGREGATE,
        "aggregateid": event.order,
        "type": event.type.value,
        "payload": encode_payload(event.payload).decode(),
        **headers(event, service, trace_parent),
        "created_at": now,
    }


def inbox_id(consumer: str, event_id: str) -> str:
    """The id of what a consumer has handled."""
    return f"{consumer}:{event_id}"


def inbox_document(consumer: str, event: Event, now: datetime) -> Document:
    """That a consumer has handled an event."""
    return {"_id": inbox_id(consumer, event.id), "consumer": consumer, "order": event.order, "handled_at": now}


def _fields(value: Order | Payment) -> Document:
    fields = msgspec.to_builtins(value)
    return {"_id": fields.pop("id"), **fields}
