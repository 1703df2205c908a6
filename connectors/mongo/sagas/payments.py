"""Payments, their ledger and what the provider said by itself, as the payments service reads and writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError

from connectors.errors import Unavailable
from connectors.mongo.client import Client, unavailable
from connectors.mongo.sagas.documents import (
    Document,
    changed_fields,
    entry_document,
    payment_document,
    payment_of,
)
from connectors.mongo.sagas.due import OLDEST_FIRST, Due, due_query, due_rows, oldest_due_ms
from connectors.mongo.times import milliseconds
from marketplace.collections import LEDGER_ENTRIES, PAYMENT_WEBHOOKS, PAYMENTS
from marketplace.sagas.payment_state import Entry, Payment

TRACE: Final = "traceparent"
"""The trace of the last event that reached a payment: what is said after an answer of the provider belongs to it."""


class WebhookState(StrEnum):
    """Where a webhook is."""

    WAITING = "waiting"
    APPLIED = "applied"
    """What it says holds; most say what was known."""
    PARKED = "parked"
    """It speaks of other money than the payment, or cannot be read: an operator decides."""
    DISCARDED = "discarded"
    """An operator has decided that it is not applied."""


@dataclass(frozen=True)
class KeptPayment:
    """A payment with all that is kept of it."""

    payment: Payment
    document: Document


@dataclass(frozen=True)
class WaitingWebhook:
    """A webhook that is to be applied.

    Attributes:
        id: Of its row.
        provider: Whose.
        raw: Its exact bytes.
        attempts: How often its payment was not there.
        due_ms: Since when, epoch milliseconds.
    """

    id: str
    provider: str
    raw: bytes
    attempts: int
    due_ms: int


class PaymentRows:
    """The rows of payments; safe to share between threads.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Client, database: str) -> None:
        self._payments, self._entries, self._webhooks = (
            client[database][each.name] for each in (PAYMENTS, LEDGER_ENTRIES, PAYMENT_WEBHOOKS)
        )

    def of_order(self, order: str, session: ClientSession) -> KeptPayment | None:
        """The payment of an order; None where there is none."""
        return _kept(self._payments.find_one({"order": order}, session=session))

    def get(self, payment: str, session: ClientSession) -> KeptPayment | None:
        """A payment; None where there is none."""
        return _kept(self._payments.find_one({"_id": payment}, session=session))

    def trace_of(self, payment: str) -> str:
        """The trace that a payment belongs to; empty for none.

        Raises:
            Unavailable: Mongo does not answer.
        """
        try:
            found = self._payments.find_one({"_id": payment}, {TRACE: 1}) or {}
        except PyMongoError as error:
            raise unavailable(error) from error
        return str(found.get(TRACE, ""))

    def save(
        self,
        kept: KeptPayment,
        after: Payment,
        entries: tuple[Entry, ...],
        now: datetime,
        session: ClientSession,
        trace_parent: str = "",
        *,
        solved: bool = False,
    ) -> None:
        """Write a payment that was decided about, and what is booked with it.

        Args:
            kept: As it was read.
            after: As it is to be.
            entries: What is booked.
            now: The time.
            session: Of the transaction.
            trace_parent: The trace that it belongs to from now on; empty where that does not change.
            solved: Whether what an operator had to look at is over.

        Raises:
            Unavailable: Somebody else has written it since it was read.
        """
        now_ms = milliseconds(now)
        fields = changed_fields(kept.document, payment_document(after, now_ms, kept.document))
        if trace_parent:
            fields[TRACE] = trace_parent
        known = {"_id": after.id, "version": kept.payment.version}
        change: dict[str, Any] = {"$set": fields}
        if solved and "problem" in kept.document:
            change["$unset"] = {"problem": "", "problem_at_ms": ""}
        if not self._payments.update_one(known, change, session=session).matched_count:
            raise Unavailable(f"payment {after.id} was changed meanwhile")
        if entries:
            rows = [entry_document(entry, after, now_ms) for entry in entries]
            self._entries.insert_many(rows, session=session)

    def note_problem(self, payment: str, problem: str, now: datetime) -> None:
        """Write on a payment what an operator has to look at; what is decided about it does not change.

        Raises:
            Unavailable: Mongo does not answer.
        """
        try:
            self._payments.update_one(
                {"_id": payment}, {"$set": {"problem": problem, "problem_at_ms": milliseconds(now)}}
            )
        except PyMongoError as error:
            raise unavailable(error) from error

    def due(self, now: datetime, limit: int) -> list[Due]:
        """Payments about which the provider is to be asked: see :func:`due_rows`."""
        return due_rows(self._payments, milliseconds(now), limit)

    def oldest_due_ms(self) -> int | None:
        """When the first of them was or will be due, or the first webhook; None where nothing waits.

        Raises:
            Unavailable: Mongo does not answer.
        """
        found = (oldest_due_ms(self._payments), oldest_due_ms(self._webhooks))
        return min((each for each in found if each is not None), default=None)

    def waiting_webhooks(self, now: datetime, limit: int, after: tuple[int, str] | None = None) -> list[WaitingWebhook]:
        """Webhooks that are to be applied, in the order in which they came.

        Args:
            now: The time.
            limit: At most so many.
            after: See :func:`due_query`.

        Raises:
            Unavailable: Mongo does not answer.
        """
        wanted = due_query(milliseconds(now), after)
        try:
            found = self._webhooks.find(wanted).sort(list(OLDEST_FIRST)).limit(limit)
            return [
                WaitingWebhook(str(each["_id"]), each["provider"], bytes(each["raw"]), each["attempts"], each["due_ms"])
                for each in found
            ]
        except PyMongoError as error:
            raise unavailable(error) from error

    def end_webhook(
        self, webhook: str, state: WebhookState, now: datetime, reason: str = "", session: ClientSession | None = None
    ) -> None:
        """A webhook is applied or parked.

        Raises:
            Unavailable: Mongo does not answer, where there is no session.
        """
        change = {"state": state.value, "due_ms": None, "reason": reason, "ended_at_ms": milliseconds(now)}
        self._change_webhook(webhook, {"$set": change}, session)

    def delay_webhook(self, webhook: str, due: datetime, reason: str) -> None:
        """A webhook waits: its payment is not there yet.

        Raises:
            Unavailable: Mongo does not answer.
        """
        change = {"$set": {"due_ms": milliseconds(due), "reason": reason}, "$inc": {"attempts": 1}}
        self._change_webhook(webhook, change, None)

    def _change_webhook(self, webhook: str, change: Mapping[str, Any], session: ClientSession | None) -> None:
        # Another process may have ended it: what is over stays over.
        question = {"_id": webhook, "state": WebhookState.WAITING.value}
        if session is not None:
            self._webhooks.update_one(question, change, session=session)
            return
        try:
            self._webhooks.update_one(question, change)
        except PyMongoError as error:
            raise unavailable(error) from error


def webhook_document(webhook: str, provider: str, raw: bytes, now: datetime) -> Document:
    """A webhook as it is kept until it is applied: the bytes are those that were signed."""
    return {
        "_id": webhook,
        "provider": provider,
        "raw": raw,
        "state": WebhookState.WAITING.value,
        "attempts": 0,
        "reason": "",
        "due_ms": milliseconds(now),
        "received_at": now,
    }


def _kept(document: Document | None) -> KeptPayment | None:
    return None if document is None else KeptPayment(payment_of(document), document)
