"""The transactions of the payments service, and the one function by which the provider's word is applied."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from connectors.mongo.client import Client
from connectors.mongo.sagas.payments import KeptPayment, PaymentRows, WaitingWebhook, WebhookState
from connectors.mongo.sagas.steps import SagaSteps, Session
from marketplace.sagas import payments
from marketplace.sagas.events import Event
from marketplace.sagas.payments import Call, Mismatch, Payment, Report, payment_of_key
from saga_consumers.payments.decide import decide, on_missing

_WEBHOOK_PAUSES_SECONDS: Final = (1, 2, 5, 15, 60, 300, 900, 3_600)
"""How long a webhook waits for its payment; the last one repeats, until the row expires."""


class Applied(StrEnum):
    """What became of something that the provider said."""

    CHANGED = "changed"
    KNOWN = "known"
    """It changes nothing: it was known, or is out of date."""
    MISMATCH = "mismatch"
    UNKNOWN_PAYMENT = "unknown_payment"


@dataclass(frozen=True)
class Asking:
    """A question that is written down, and is to be asked now.

    Attributes:
        payment: As it is then.
        call: What is asked.
    """

    payment: Payment
    call: Call


class PaymentStore:
    """Payments in Mongo; safe to share between threads.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Client, database: str) -> None:
        self._steps = SagaSteps(client, database, payments.SERVICE)
        self.rows = PaymentRows(client, database)

    def react(self, event: Event, now: datetime, trace_parent: str = "") -> tuple[bool, str]:
        """Handle an event.

        Returns:
            Whether it was handled now, and the id of the payment where the provider is to be asked at once.

        Raises:
            Unavailable: Mongo does not answer; it may have been handled.
            Retry: Its payment is not there yet.
            Reject: It is never handled.
        """
        now_ms, due = _ms(now), ""

        def work(session: Session) -> tuple[Event, ...]:
            nonlocal due
            due = ""
            kept = self.rows.of_order(event.order, session)
            if kept is None:
                raise on_missing(event, now_ms)
            decision = decide(kept.payment, event, now_ms)
            if decision.payment != kept.payment:
                self.rows.save(kept, decision.payment, decision.entries, now, session, trace_parent)
                due = kept.payment.id if payments.due_calls(decision.payment, now_ms) else ""
            return decision.events

        handled = self._steps.react(event, now, work, trace_parent)
        return handled, due if handled else ""

    def begin(self, payment: str, now: datetime) -> list[Asking]:
        """Write down what the provider is asked now about a payment.

        Of several processes that find the same payment due, one writes it down; the others find nothing due any more.

        Raises:
            Unavailable: Mongo does not answer, or another process was faster: ask nothing.
        """
        now_ms, asked = _ms(now), list[Asking]()

        def work(session: Session) -> tuple[Event, ...]:
            asked.clear()
            kept = self.rows.get(payment, session)
            if kept is None:
                return ()
            after = kept.payment
            for call in payments.due_calls(kept.payment, now_ms):
                after = payments.asking(after, call, now_ms)
                asked.append(Asking(after, call))
            if asked:
                self.rows.save(kept, after, (), now, session)
            return ()

        self._steps.act(now, work)
        return asked

    def apply(self, report: Report, now: datetime, webhook: WaitingWebhook | None = None) -> Applied:
        """Apply what the provider says: answers, look-ups and webhooks all come here, however often.

        Args:
            report: What it says.
            now: The time.
            webhook: How it came, where it was a webhook; its row is ended in the same transaction.

        Raises:
            Unavailable: Mongo does not answer; it may have been applied.
        """
        payment = payment_of_key(report.key)
        trace_parent = self.rows.trace_of(payment)
        outcome = Applied.KNOWN

        def work(session: Session) -> tuple[Event, ...]:
            nonlocal outcome
            outcome = Applied.KNOWN
            kept = self.rows.get(payment, session)
            if kept is None:
                outcome = Applied.UNKNOWN_PAYMENT
                return ()
            events = self._apply(kept, report, now, session)
            if events is not None:
                outcome = Applied.CHANGED
            if webhook is not None:
                self.rows.end_webhook(webhook.id, WebhookState.APPLIED, now, session=session)
            return events or ()

        try:
            self._steps.act(now, work, trace_parent)
        except Mismatch as error:
            self.report_mismatch(payment, str(error), now, webhook)
            return Applied.MISMATCH
        if outcome is Applied.UNKNOWN_PAYMENT and webhook is not None:
            pause = _WEBHOOK_PAUSES_SECONDS[min(webhook.attempts, len(_WEBHOOK_PAUSES_SECONDS) - 1)]
            self.rows.delay_webhook(webhook.id, now + timedelta(seconds=pause), "there is no such payment yet")
        return outcome

    def report_mismatch(self, payment: str, problem: str, now: datetime, webhook: WaitingWebhook | None) -> None:
        """The provider speaks of other money than the payment: an operator decides, and the payment is as it was.

        Raises:
            Unavailable: Mongo does not answer.
        """
        if webhook is not None:
            self.rows.end_webhook(webhook.id, WebhookState.PARKED, now, problem)
        if payment:
            self.rows.note_problem(payment, problem, now)

    def _apply(
        self, kept: KeptPayment, report: Report, now: datetime, session: Session
    ) -> tuple[Event, ...] | None:
        decision = payments.apply_report(kept.payment, report, _ms(now))
        if decision.payment == kept.payment:
            return None
        self.rows.save(kept, decision.payment, decision.entries, now, session)
        return decision.events


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000)
