"""Whether money, stock and events of orders add up: the reconciler's rules, over rows that were read at one moment.

Services hear of each other's steps a moment later. What one service knows by itself has to be right at every moment;
what two of them say is compared only where no event between them is on its way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from marketplace.sagas.declaration import TERMINAL, Service, listeners
from marketplace.sagas.events import EventType
from marketplace.sagas.inventory import Movement, MovementKind, Reservation, ReservationState
from marketplace.sagas.order_state import Order, OrderState
from marketplace.sagas.payment_state import Entry, Payment, PaymentState

GRACE_MS: Final = 60_000
"""An event may be on its way for so long; one that takes longer is a finding."""

PROVIDER: Final = "provider"
_KNOWN: Final = frozenset(kind.value for kind in EventType)


class Subject(StrEnum):
    """What does not add up."""

    MONEY = "money"
    STOCK = "stock"
    STATE = "state"
    OUTBOX = "outbox"
    INBOX = "inbox"


@dataclass(frozen=True)
class Finding:
    """A row that is wrong.

    Attributes:
        subject: What does not add up.
        store: The slug.
        row: Its id: an order, a variant or an event.
        says: The fault, as a sentence.
    """

    subject: Subject
    store: str
    row: str
    says: str


@dataclass(frozen=True)
class Said:
    """An event that somebody said.

    Attributes:
        id: Its id.
        type: What happened; it may be of a later version, which this one does not know.
        at_ms: When it was written, epoch milliseconds.
    """

    id: str
    type: str
    at_ms: int


@dataclass(frozen=True)
class OrderRows:
    """All that is kept of an order, read at one moment.

    Attributes:
        order: The order.
        payment: Its payment.
        reservation: Its reservation.
        entries: Lines of the ledger of money.
        movements: Lines of the ledger of stock.
        said: Its events.
        heard: Which service has handled which event.
        parked: Services at which events of it wait for an operator.
    """

    order: Order
    payment: Payment | None
    reservation: Reservation | None
    entries: tuple[Entry, ...] = ()
    movements: tuple[Movement, ...] = ()
    said: tuple[Said, ...] = ()
    heard: frozenset[tuple[str, str]] = frozenset()
    parked: frozenset[str] = frozenset()


@dataclass(frozen=True)
class StockRows:
    """What is kept of the stock of a variant, read at one moment.

    Attributes:
        variant: Its id.
        store: The slug.
        on_hand, reserved: What its document says.
        moved: The sum of its movements.
        held: The sum of what reservations hold of it.
    """

    variant: str
    store: str
    on_hand: int
    reserved: int
    moved: int
    held: int


def check_order(rows: OrderRows, now_ms: int) -> list[Finding]:
    """What is wrong with an order."""
    order = rows.order
    found = [(Subject.MONEY, says) for says in _own_money(order)]
    found += [(Subject.STATE, f"it has no {name}") for name, row in _parts(rows).items() if row is None]
    if rows.payment is not None:
        found += [(Subject.MONEY, says) for says in _payment_money(order, rows.payment, rows.entries)]
    if rows.reservation is not None:
        found += [(Subject.STOCK, says) for says in _own_stock(rows.reservation, rows.movements)]
    waiting = list(_unheard(rows))
    late = [
        (service, said)
        for service, said in waiting
        if now_ms - said.at_ms > GRACE_MS and service.value not in rows.parked
    ]
    found += [(Subject.INBOX, f"{service} has not handled {said.type} {said.id}") for service, said in late]
    found += [(Subject.INBOX, f"events of it are parked at {service}") for service in sorted(rows.parked)]
    settled = not waiting and not rows.parked
    if settled:
        found += [(Subject.STATE, says) for says in _stalled(order, rows.payment)]
    if settled and rows.payment is not None:
        found += [(Subject.MONEY, says) for says in _compared_money(order, rows.payment)]
    if settled and rows.reservation is not None:
        found += [(Subject.STOCK, says) for says in _compared_stock(order, rows.reservation)]
    return [Finding(subject, order.store, order.id, says) for subject, says in found]


def is_settled(rows: OrderRows) -> bool:
    """Whether an order waits for nobody: all that was said of it is handled, and no money is on the way."""
    states = [rows.order.state, *(part.state for part in _parts(rows).values() if part is not None)]
    due = rows.payment is not None and rows.payment.next_due_ms is not None
    return not due and not rows.parked and TERMINAL.issuperset(states) and next(_unheard(rows), None) is None


def check_stock(rows: StockRows) -> list[Finding]:
    """What is wrong with the stock of a variant."""
    found = []
    if rows.on_hand != rows.moved:
        found.append(f"{rows.on_hand} are there, and its movements add up to {rows.moved}")
    if rows.reserved != rows.held:
        found.append(f"{rows.reserved} are reserved, and its reservations add up to {rows.held}")
    if rows.on_hand < 0:
        found.append(f"{rows.on_hand} are there")
    if rows.reserved < 0:
        found.append(f"{rows.reserved} are reserved")
    if rows.on_hand < rows.reserved:
        found.append(f"{rows.reserved} are reserved of {rows.on_hand} that are there")
    return [Finding(Subject.STOCK, rows.store, rows.variant, says) for says in found]


def check_sent(said: Mapping[str, tuple[str, Said]], sent: Collection[str], now_ms: int) -> list[Finding]:
    """What is wrong between the outbox and the topic, which keeps records for longer than the outbox its rows.

    Args:
        said: By id: the slug of the store, and the event.
        sent: The ids of the events in the topic.
        now_ms: The time, before the topic was read.
    """
    return [
        Finding(Subject.OUTBOX, store, event.id, f"{event.type} was never sent")
        for event_id, (store, event) in said.items()
        if event_id not in sent and event.at_ms < now_ms - GRACE_MS
    ]


def check_places(places: Mapping[str, Collection[tuple[int, str]]]) -> list[Finding]:
    """Orders whose events are in several partitions, where nobody keeps their order.

    Args:
        places: By order: the partitions in which its events are, and the slug of its store.
    """
    return [
        Finding(Subject.OUTBOX, min(store for _, store in found), order, f"its events are in {len(found)} partitions")
        for order, found in places.items()
        if len({partition for partition, _ in found}) > 1
    ]


def _parts(rows: OrderRows) -> dict[str, Payment | Reservation | None]:
    return {"payment": rows.payment, "reservation": rows.reservation}


def _own_money(order: Order) -> Iterator[str]:
    total, paid, back = order.total_minor, order.paid_minor, order.refunded_minor
    if paid not in (0, total):
        yield f"{paid} of {total} are paid"
    if not 0 <= back <= paid:
        yield f"{back} were refunded of {paid} that were paid"
    done = sum(refund.amount_minor for refund in order.refunds if refund.done)
    if done != back:
        yield f"{back} were refunded, and its refunds add up to {done}"
    if order.state is OrderState.CONFIRMED and paid != total:
        yield f"it is confirmed, and {paid} of {total} are paid"
    if order.state is OrderState.CANCELLED and paid != back:
        yield f"it is cancelled, and {back} of {paid} that were paid were refunded"
    if any(not 0 <= line.returned <= line.quantity for line in order.lines):
        yield "more of a line was returned than was bought"


def _payment_money(order: Order, payment: Payment, entries: tuple[Entry, ...]) -> Iterator[str]:
    if (payment.amount_minor, payment.currency) != (order.total_minor, order.currency):
        yield (
            f"its payment is {payment.amount_minor} {payment.currency}, and its total {order.total_minor} "
            f"{order.currency}"
        )
    captured, back = payment.captured_minor, payment.refunded_minor
    if back > captured:
        yield f"its payment gave back {back} of {captured}"
    sums: Counter[str] = Counter()
    for entry in entries:
        sums[entry.currency] += entry.amount_minor
    for currency, total in sums.items():
        if total:
            yield f"its ledger entries in {currency} add up to {total}"
    kept = sum(entry.amount_minor for entry in entries if entry.account == PROVIDER)
    if kept != captured - back:
        yield f"its ledger says that the provider has {kept}, and its payment {captured - back}"
    if order.paid_minor > captured:
        yield f"{order.paid_minor} are paid, and the provider took {captured}"


def _compared_money(order: Order, payment: Payment) -> Iterator[str]:
    if order.paid_minor < payment.captured_minor:
        yield f"the provider took {payment.captured_minor}, and {order.paid_minor} are paid"
    # A refund that came back is no refund any more: either number may be the newer one.
    if order.refunded_minor != payment.refunded_minor:
        yield f"the provider gave back {payment.refunded_minor}, and {order.refunded_minor} were refunded"


def _stalled(order: Order, payment: Payment | None) -> Iterator[str]:
    """What waits for somebody who will not act, because what would be heard of it was heard, or was never sent."""
    if order.state is OrderState.PAID:
        yield "it is paid, and nobody deducts its goods"
    if payment is None:
        return
    if payment.state is PaymentState.WAITING and order.state is not OrderState.PENDING:
        yield f"it is {order.state}, and nobody asks for its payment or gives it up"
    known = {refund.id for refund in payment.refunds}
    for refund in order.refunds:
        if not refund.done and refund.id not in known:
            yield f"refund {refund.id} of {refund.amount_minor} was asked for, and its payment does not know of it"


def _own_stock(reservation: Reservation, movements: tuple[Movement, ...]) -> Iterator[str]:
    sold: Counter[str] = Counter()
    back: Counter[str] = Counter()
    for movement in movements:
        if movement.kind is MovementKind.SOLD:
            sold[movement.variant] -= movement.quantity
        elif movement.kind is MovementKind.RETURNED:
            back[movement.variant] += movement.quantity
    taken = reservation.state is ReservationState.TAKEN
    wanted = {item.variant: item.quantity for item in reservation.items} if taken else {}
    if dict(sold) != wanted:
        yield f"{_counts(sold)} were deducted, and its reservation is {reservation.state} with {_counts(wanted)}"
    if any(back[variant] > sold[variant] for variant in back):
        yield f"{_counts(back)} came back of {_counts(sold)}"


def _compared_stock(order: Order, reservation: Reservation) -> Iterator[str]:
    state = reservation.state
    if order.state is OrderState.CONFIRMED and state is not ReservationState.TAKEN:
        yield f"it is confirmed, and its reservation is {state}"
    if order.state is OrderState.CANCELLED and state is ReservationState.HELD:
        yield "it is cancelled, and its reservation is held"
    if state is ReservationState.TAKEN and not order.paid_minor:
        yield "its goods were deducted, and nothing is paid"


def _unheard(rows: OrderRows) -> Iterator[tuple[Service, Said]]:
    for said in rows.said:
        # Who listens to what a later version says is for that one to know.
        for service in sorted(listeners(EventType(said.type))) if said.type in _KNOWN else ():
            if (service.value, said.id) not in rows.heard:
                yield service, said


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{count} of {variant}" for variant, count in sorted(found.items())) or "nothing"
