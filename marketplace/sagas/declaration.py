"""The saga of an order, declared once: who reacts to what, in which state, and until when each state may last.

Nobody conducts it. Tests compare what the services decide with this declaration, commands find by it what is stuck, and
the diagram in the documentation is drawn of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from marketplace.sagas.events import EventType
from marketplace.sagas.inventory import GRACE_SECONDS, ReservationState
from marketplace.sagas.order_state import PAY_SECONDS, OrderState
from marketplace.sagas.payment_state import PaymentState, RefundState


class Service(StrEnum):
    """A consumer of the events of orders; its group is ``saga.<service>``."""

    ORDERS = "orders"
    PAYMENTS = "payments"
    INVENTORY = "inventory"
    NOTIFICATIONS = "notifications"


class Trigger(StrEnum):
    """What makes a service act beside events."""

    REQUEST = "request"
    """Somebody asks for it by the API."""
    DEADLINE = "deadline"
    """Its time has come."""
    PROVIDER = "provider"
    """The payment provider says something: in an answer, a webhook or a look-up."""


State = OrderState | PaymentState | RefundState | ReservationState


@dataclass(frozen=True)
class Transition:
    """One step of one service.

    Attributes:
        service: Whose.
        on: What it reacts to.
        before: The state in which it does.
        after: The state that follows.
        says: The event that it sends; None for none.
        why: A sentence.
    """

    service: Service
    on: EventType | Trigger
    before: State
    after: State
    says: EventType | None
    why: str


@dataclass(frozen=True)
class Deadline:
    """How long a state may last, and what ends it.

    Attributes:
        service: Who acts, and whose state it is.
        state: The waiting state.
        seconds: From when on it is stuck, if nobody acts.
        then: A sentence.
    """

    service: Service
    state: State
    seconds: int
    then: str


_E, _T = EventType, Trigger
_P, _O, _R = PaymentState, OrderState, ReservationState

_Row = tuple[EventType | Trigger, State, State, EventType | None, str]

_OF_PAYMENTS: Final[tuple[_Row, ...]] = (
    (_E.ORDER_CREATED, _P.WAITING, _P.CHARGING, None, "The provider is asked."),
    (_T.PROVIDER, _P.CHARGING, _P.COMPLETED, _E.PAYMENT_COMPLETED, "It has the money."),
    (_T.PROVIDER, _P.CHARGING, _P.FAILED, _E.PAYMENT_FAILED, "It declines."),
    (_T.PROVIDER, _P.FAILED, _P.COMPLETED, _E.PAYMENT_COMPLETED, "It has the money after all."),
    (_T.PROVIDER, _P.VOIDED, _P.COMPLETED, _E.PAYMENT_COMPLETED, "A question was on its way still: it has the money."),
    (_T.PROVIDER, _P.CHARGING, _P.VOIDED, None, "It was never asked, and the order has ended."),
    (_T.PROVIDER, _P.COMPLETED, _P.COMPLETED, _E.PAYMENT_REFUNDED, "Money has gone back."),
    (_T.PROVIDER, _P.COMPLETED, _P.COMPLETED, _E.PAYMENT_REFUND_REVERSED, "It did not arrive: an operator decides."),
    (_T.PROVIDER, _P.CHARGING, _P.CHARGING, None, "It never heard of it: it is asked again."),
    (_T.PROVIDER, _P.COMPLETED, _P.COMPLETED, None, "It refuses a refund too often: an operator decides."),
    (_E.ORDER_CANCELLED, _P.WAITING, _P.VOIDED, None, "Nobody is charged."),
    (_E.ORDER_CANCELLED, _P.CHARGING, _P.VOIDED, None, "Nobody was asked yet."),
    (_E.ORDER_CANCELLED, _P.CHARGING, _P.CHARGING, None, "What the provider did decides."),
    (_E.ORDER_CANCELLED, _P.FAILED, _P.FAILED, None, "Noted."),
    (_E.ORDER_CANCELLED, _P.COMPLETED, _P.COMPLETED, None, "Noted."),
    (_E.STOCK_INSUFFICIENT, _P.COMPLETED, _P.COMPLETED, None, "The money goes back."),
    (_E.ORDER_REFUND_REQUESTED, _P.COMPLETED, _P.COMPLETED, None, "Money goes back."),
    (_E.ORDER_REFUND_REQUESTED, _P.COMPLETED, _P.COMPLETED, _E.PAYMENT_REFUNDED, "The goods had cost nothing."),
    (_T.REQUEST, _P.COMPLETED, _P.COMPLETED, None, "An operator lets a refund be asked for again."),
    (_T.REQUEST, _P.COMPLETED, _P.COMPLETED, _E.PAYMENT_REFUNDED, "An operator has sent the money back by hand."),
)  # fmt: skip

_OF_ORDERS: Final[tuple[_Row, ...]] = (
    (_E.PAYMENT_COMPLETED, _O.PENDING, _O.PAID, _E.ORDER_PAYMENT_COMPLETED, "It is paid."),
    (_E.PAYMENT_COMPLETED, _O.CANCELLED, _O.PAID, _E.ORDER_PAYMENT_COMPLETED, "Late: it gets what is there."),
    (_E.PAYMENT_COMPLETED, _O.CANCELLED, _O.REFUNDING, _E.ORDER_REFUND_REQUESTED, "Late, and unwanted."),
    (_E.PAYMENT_FAILED, _O.PENDING, _O.CANCELLED, _E.ORDER_CANCELLED, "It was declined."),
    (_T.DEADLINE, _O.PENDING, _O.CANCELLED, _E.ORDER_CANCELLED, "Nobody paid."),
    (_T.REQUEST, _O.PENDING, _O.CANCELLED, _E.ORDER_CANCELLED, "The buyer or the seller cancels."),
    (_E.STOCK_COUNT_UPDATED, _O.PAID, _O.CONFIRMED, _E.ORDER_CONFIRMED, "The goods are the buyer's."),
    (_E.STOCK_INSUFFICIENT, _O.PAID, _O.REFUNDING, None, "The goods are gone."),
    (_T.REQUEST, _O.CONFIRMED, _O.REFUNDING, _E.ORDER_REFUND_REQUESTED, "All of it goes back."),
    (_T.REQUEST, _O.CONFIRMED, _O.CONFIRMED, _E.ORDER_REFUND_REQUESTED, "Some of it goes back."),
    (_E.PAYMENT_REFUNDED, _O.PAID, _O.CANCELLED, _E.ORDER_CANCELLED, "The goods are gone, and the money is back."),
    (_E.PAYMENT_REFUNDED, _O.CONFIRMED, _O.CONFIRMED, None, "Some of the money has gone back."),
    (_E.PAYMENT_REFUNDED, _O.REFUNDING, _O.REFUNDING, None, "The rest is on its way."),
    (_E.PAYMENT_REFUNDED, _O.REFUNDING, _O.CANCELLED, _E.ORDER_CANCELLED, "All of the money has gone back."),
    (_E.PAYMENT_REFUNDED, _O.CANCELLED, _O.CANCELLED, None, "It came back and has gone again."),
    (_E.PAYMENT_REFUND_REVERSED, _O.PAID, _O.REFUNDING, None, "The goods are gone, and the money is owed again."),
    (_E.PAYMENT_REFUND_REVERSED, _O.CONFIRMED, _O.CONFIRMED, None, "Some of the money is owed again."),
    (_E.PAYMENT_REFUND_REVERSED, _O.REFUNDING, _O.REFUNDING, None, "Some of the money is owed again."),
    (_E.PAYMENT_REFUND_REVERSED, _O.CANCELLED, _O.REFUNDING, None, "The money is owed again."),
)  # fmt: skip

_OF_INVENTORY: Final[tuple[_Row, ...]] = (
    (_E.ORDER_PAYMENT_COMPLETED, _R.HELD, _R.TAKEN, _E.STOCK_COUNT_UPDATED, "The goods are deducted."),
    (_E.ORDER_PAYMENT_COMPLETED, _R.RELEASED, _R.TAKEN, _E.STOCK_COUNT_UPDATED, "They were there still."),
    (_E.ORDER_PAYMENT_COMPLETED, _R.HELD, _R.REFUSED, _E.STOCK_INSUFFICIENT, "Others have them by now."),
    (_E.ORDER_PAYMENT_COMPLETED, _R.RELEASED, _R.REFUSED, _E.STOCK_INSUFFICIENT, "Others have them."),
    (_E.ORDER_CANCELLED, _R.HELD, _R.RELEASED, None, "Others can have them."),
    (_T.DEADLINE, _R.HELD, _R.RELEASED, None, "Others can have them."),
    (_E.ORDER_REFUND_REQUESTED, _R.TAKEN, _R.TAKEN, None, "Goods come back."),
)  # fmt: skip

NOTIFIES: Final[Mapping[EventType, str]] = {
    _E.ORDER_CONFIRMED: "Buyer and seller hear of the order.",
    _E.ORDER_CANCELLED: "The buyer hears why, and what went back; the seller, if the order was confirmed before.",
    _E.PAYMENT_REFUNDED: "The buyer hears that some of the money has gone back.",
    _E.PAYMENT_REFUND_REVERSED: "Buyer and seller hear that money did not arrive, and is owed again.",
}
"""What notifications makes of events; it has no states of its own and says nothing to the others."""

TRANSITIONS: Final = tuple(
    Transition(service, *row)
    for service, rows in (
        (Service.PAYMENTS, _OF_PAYMENTS),
        (Service.ORDERS, _OF_ORDERS),
        (Service.INVENTORY, _OF_INVENTORY),
    )
    for row in rows
)
"""Every step; whatever is not here changes nothing."""

_ASKED_ON: Final = "The provider is asked again and again, and an operator looks."

DEADLINES: Final = (
    Deadline(Service.ORDERS, _O.PENDING, PAY_SECONDS, "It is cancelled, and its stock is released."),
    Deadline(Service.ORDERS, _O.PAID, 5 * 60, "An operator looks why inventory does not answer."),
    Deadline(Service.ORDERS, _O.REFUNDING, 24 * 3_600, "An operator looks why the provider does not refund."),
    Deadline(Service.PAYMENTS, _P.WAITING, PAY_SECONDS, "Its order is cancelled, which voids it."),
    Deadline(Service.PAYMENTS, _P.CHARGING, 24 * 3_600, _ASKED_ON),
    Deadline(Service.PAYMENTS, RefundState.REQUESTED, 24 * 3_600, _ASKED_ON),
    Deadline(Service.PAYMENTS, RefundState.STUCK, 0, "An operator decides: marketplace payments retry-refund."),
    Deadline(Service.INVENTORY, _R.HELD, PAY_SECONDS + GRACE_SECONDS, "It is released."),
)
"""Every state that waits for somebody."""

TERMINAL: Final[frozenset[State]] = frozenset(
    {
        OrderState.CONFIRMED,
        OrderState.CANCELLED,
        PaymentState.COMPLETED,
        PaymentState.FAILED,
        PaymentState.VOIDED,
        RefundState.DONE,
        ReservationState.TAKEN,
        ReservationState.RELEASED,
        ReservationState.REFUSED,
    }
)
"""States that wait for nobody."""


def listeners(kind: EventType) -> frozenset[Service]:
    """Who reacts to an event."""
    notified = {Service.NOTIFICATIONS} if kind in NOTIFIES else frozenset()
    return frozenset(step.service for step in TRANSITIONS if step.on is kind) | notified


def heard_by(service: Service) -> frozenset[EventType]:
    """The events that a service reacts to; it looks at no others."""
    return frozenset(kind for kind in EventType if service in listeners(kind))


def speakers(kind: EventType) -> frozenset[Service]:
    """Who sends an event; the first one of an order comes from where it is placed."""
    return frozenset(step.service for step in TRANSITIONS if step.says is kind)


def deadline_of(state: State) -> Deadline | None:
    """How long a state may last; None for one that waits for nobody."""
    return next((each for each in DEADLINES if each.state is state), None)
