"""The reconciler: compares all rows of orders, money and stock, and the outbox with its topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from connectors.kafka.client_config import KafkaConnection
from connectors.mongo.sagas.audit import SagaAudit
from connectors.mongo.times import milliseconds
from marketplace.collections import PAYMENTS
from marketplace.sagas.reconcile import (
    Finding,
    OrderRows,
    StockRows,
    Subject,
    check_order,
    check_places,
    check_sent,
    check_stock,
)
from ops.sagas.sent import read_sent


@dataclass
class Sums:
    """What was compared, in one currency.

    Attributes:
        captured_minor, refunded_minor: What the provider took and gave back.
        paid_minor, returned_minor: What orders say of the same.
    """

    captured_minor: int = 0
    refunded_minor: int = 0
    paid_minor: int = 0
    returned_minor: int = 0


@dataclass
class Verdict:
    """What the reconciler found.

    Attributes:
        findings: Every row that is wrong; empty where all adds up.
        states: Orders by state.
        money: Sums by currency.
        variants: Variants whose stock was compared.
        on_hand, reserved, sold: Their pieces; those sold are net of what came back.
        said: Events in the outbox.
        sent: Records in the topic.
    """

    findings: list[Finding] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    money: dict[str, Sums] = field(default_factory=dict)
    variants: int = 0
    on_hand: int = 0
    reserved: int = 0
    sold: int = 0
    said: int = 0
    sent: int = 0

    @property
    def orders(self) -> int:
        """How many orders were compared."""
        return sum(self.states.values())


Progress = Callable[[str, int], None]
"""Is told what is being compared, and how many of it were."""


def reconcile(
    audit: SagaAudit,
    kafka: KafkaConnection | str,
    now: Callable[[], datetime],
    store: str | None = None,
    progress: Progress = lambda what, count: None,
) -> Verdict:
    """Compare everything, while orders go on.

    Args:
        audit: Reads the database.
        kafka: Where the topic is.
        now: The time.
        store: The slug of one; None for all.
        progress: See :data:`Progress`.

    Raises:
        Unavailable: Mongo or Kafka does not answer.
        Refused: There is no topic of events.
    """
    verdict = Verdict()
    for orders in audit.orders(store):
        moment = milliseconds(now())
        for rows in orders:
            verdict.findings += check_order(rows, moment)
            _add_order(verdict, rows)
        progress("orders", verdict.orders)
    for variants in audit.stock(store):
        for stock in variants:
            verdict.findings += check_stock(stock)
            _add_stock(verdict, stock)
        progress("variants", verdict.variants)
    for collection, shop, row in audit.without_order(store):
        subject = Subject.MONEY if collection == PAYMENTS.name else Subject.STOCK
        verdict.findings.append(Finding(subject, shop, row, "its order is not there"))
    # What is said after this moment may be in the topic, and need not be.
    moment = milliseconds(now())
    said = audit.said(store)
    sent = read_sent(kafka, store, lambda done, whole: progress("records", done))
    verdict.said, verdict.sent = len(said), sum(sent.records.values())
    verdict.findings += check_sent(said, sent.records, moment)
    verdict.findings += check_places(sent.places)
    return verdict


def _add_order(verdict: Verdict, rows: OrderRows) -> None:
    order, payment = rows.order, rows.payment
    verdict.states[order.state.value] += 1
    sums = verdict.money.setdefault(order.currency, Sums())
    sums.paid_minor += order.paid_minor
    sums.returned_minor += order.refunded_minor
    if payment is not None:
        sums.captured_minor += payment.captured_minor
        sums.refunded_minor += payment.refunded_minor
    verdict.sold -= sum(movement.quantity for movement in rows.movements)


def _add_stock(verdict: Verdict, stock: StockRows) -> None:
    verdict.variants += 1
    verdict.on_hand += stock.on_hand
    verdict.reserved += stock.reserved
