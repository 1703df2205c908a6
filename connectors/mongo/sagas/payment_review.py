"""Payments and webhooks that wait for an operator, or for a provider that has not said what is wanted of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pymongo.errors import PyMongoError

from connectors.mongo.client import Client, unavailable
from connectors.mongo.sagas.documents import payment_of
from connectors.mongo.sagas.payments import WebhookState
from connectors.mongo.times import milliseconds
from marketplace.collections import PAYMENT_WEBHOOKS, PAYMENTS
from marketplace.sagas.payment_state import Payment, PaymentState, RefundIntent, RefundState

_OPEN_REFUNDS: Final = [RefundState.REQUESTED.value, RefundState.STUCK.value]
_ENDED: Final = frozenset({WebhookState.APPLIED, WebhookState.DISCARDED})


@dataclass(frozen=True)
class OpenQuestion:
    """A charge or a refund that the provider was asked for, and has not said yes or no to.

    Attributes:
        order, store, payment: Of which.
        refund: Its id; empty for the charge.
        state: Of the charge or the refund.
        amount_minor, currency: How much.
        attempts: How often the provider was asked.
        due_ms: When it is asked next, epoch milliseconds; None where an operator decides.
        problem: What the provider refused or said of other money; empty for nothing.
    """

    order: str
    store: str
    payment: str
    refund: str
    state: str
    amount_minor: int
    currency: str
    attempts: int
    due_ms: int | None
    problem: str

    @property
    def waits_for_operator(self) -> bool:
        """Whether nobody else will end it."""
        return self.due_ms is None or bool(self.problem)


@dataclass(frozen=True)
class KeptWebhook:
    """A webhook that is not applied.

    Attributes:
        id: Of its row.
        provider: Whose.
        state: Where it is.
        reason: Why it is there.
        attempts: How often its payment was not there.
        received_ms: When it came, epoch milliseconds.
        due_ms: When it is looked at next, epoch milliseconds; None where an operator decides.
    """

    id: str
    provider: str
    state: WebhookState
    reason: str
    attempts: int
    received_ms: int
    due_ms: int | None


class PaymentReview:
    """What an operator sees of payments. Every call raises ``Unavailable`` where Mongo does not answer.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Client, database: str) -> None:
        self._payments, self._webhooks = (client[database][each.name] for each in (PAYMENTS, PAYMENT_WEBHOOKS))

    def open_questions(self, store: str | None, limit: int) -> list[OpenQuestion]:
        """Charges and refunds that the provider was asked for without an end of it, by order.

        Args:
            store: The slug of one; None for all.
            limit: At most so many payments of each kind.
        """
        own = {} if store is None else {"store": store}
        wanted = ({"refunds.state": {"$in": _OPEN_REFUNDS}}, {"state": PaymentState.CHARGING.value})
        try:
            rows = {
                row["_id"]: row for each in wanted for row in self._payments.find({**each, **own}).limit(limit)
            }  # fmt: skip
        except PyMongoError as error:
            raise unavailable(error) from error
        found = (question for row in rows.values() for question in _questions(row))
        return sorted(found, key=lambda each: (not each.waits_for_operator, each.order, each.refund))

    def payment(self, name: str) -> Payment | None:
        """A payment by its id, or by the id of its order; None where there is none.

        Args:
            name: Either of them.
        """
        try:
            row = self._payments.find_one({"$or": [{"_id": name}, {"order": name}]})
        except PyMongoError as error:
            raise unavailable(error) from error
        return None if row is None else payment_of(row)

    def refunds(self, order: str) -> dict[str, str] | None:
        """The states of an order's refunds by their ids; None where the order has no payment.

        Args:
            order: Its id.
        """
        try:
            row = self._payments.find_one({"order": order})
        except PyMongoError as error:
            raise unavailable(error) from error
        return None if row is None else {each.id: each.state.value for each in payment_of(row).refunds}

    def webhooks(self, limit: int) -> list[KeptWebhook]:
        """Webhooks that are parked, and those whose payment was not there when they were looked at, the oldest first.

        Args:
            limit: At most so many of each kind.
        """
        parked: dict[str, Any] = {"state": WebhookState.PARKED.value}
        waiting: dict[str, Any] = {"state": WebhookState.WAITING.value, "attempts": {"$gt": 0}}
        try:
            found = [self._webhooks.find(each).sort("received_at", 1).limit(limit) for each in (parked, waiting)]
            rows = [row for each in found for row in each]
        except PyMongoError as error:
            raise unavailable(error) from error
        return [
            KeptWebhook(
                str(row["_id"]), row["provider"], WebhookState(row["state"]), row["reason"], row["attempts"],
                milliseconds(row["received_at"]), row["due_ms"],
            )
            for row in rows
        ]  # fmt: skip

    def retry_webhook(self, webhook: str, now: datetime) -> bool:
        """Let a webhook be applied now; returns False where there is none that is not applied or discarded."""
        change = {"state": WebhookState.WAITING.value, "due_ms": milliseconds(now), "attempts": 0, "reason": ""}
        return self._change(webhook, change)

    def discard_webhook(self, webhook: str, now: datetime) -> bool:
        """Let a webhook never be applied; see :meth:`retry_webhook`. Its row stays as long as every other one."""
        ended = {"ended_at_ms": milliseconds(now)}
        return self._change(webhook, {"state": WebhookState.DISCARDED.value, "due_ms": None, **ended})

    def _change(self, webhook: str, change: dict[str, Any]) -> bool:
        question = {"_id": webhook, "state": {"$nin": sorted(state.value for state in _ENDED)}}
        try:
            return self._webhooks.update_one(question, {"$set": change}).matched_count > 0
        except PyMongoError as error:
            raise unavailable(error) from error


def _questions(row: dict[str, Any]) -> Iterator[OpenQuestion]:
    payment, problem = payment_of(row), str(row.get("problem", ""))
    if payment.state is PaymentState.CHARGING and (payment.attempts > 1 or problem):
        yield _question(payment, payment, "", problem)
    for refund in payment.refunds:
        if refund.state is RefundState.STUCK or (refund.state is RefundState.REQUESTED and refund.attempts):
            yield _question(payment, refund, refund.id, problem)


def _question(payment: Payment, asked: Payment | RefundIntent, refund: str, problem: str) -> OpenQuestion:
    return OpenQuestion(
        order=payment.order,
        store=payment.store,
        payment=payment.id,
        refund=refund,
        state=asked.state.value,
        amount_minor=asked.amount_minor,
        currency=payment.currency,
        attempts=asked.attempts,
        due_ms=asked.due_ms,
        problem=problem,
    )
