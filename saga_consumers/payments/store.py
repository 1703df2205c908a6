"""The transactions of the payments service, and the one function by which the provider's word is applied."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from connectors.mongo.client import Client
from connectors.mongo.sagas.payments import PaymentRows, WaitingWebhook, WebhookState
from connectors.mongo.sagas.steps import SagaSteps, Session
from connectors.mongo.times import milliseconds
from marketplace.sagas import payments
from marketplace.sagas.events import Event
from marketplace.sagas.payments import Call, Mismatch, Payment, RefundIntent, RefundState, Report, payment_of_key
from saga_consumers.consumer import Absent, check_store
from saga_consumers.payments import decide
from saga_consumers.payments.counts import PaymentCounts

_log = logging.getLogger(__name__)
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
        counts: Counts what becomes of what the provider says.
    """

    def __init__(self, client: Client, database: str, counts: PaymentCounts) -> None:
        self._counts = counts
        self._steps = SagaSteps(client, database, payments.SERVICE)
        self.rows = PaymentRows(client, database)

    def react(self, event: Event, now: datetime, trace_parent: str = "") -> tuple[bool, str]:
        """Handle an event.

        Returns:
            Whether it was handled now, and the id of the payment where the provider is to be asked at once.

        Raises:
            Unavailable: Mongo does not answer; it may have been handled.
            Absent: Its payment is not there.
            Reject: It is never handled.
        """
        if event.type not in decide.LISTENS:
            return True, ""
        now_ms, due = milliseconds(now), ""

        def work(session: Session) -> tuple[Event, ...]:
            nonlocal due
            due = ""
            kept = self.rows.of_order(event.order, session)
            if kept is None:
                raise Absent("no_payment", f"there is no payment of the order {event.order[:60]!r}")
            check_store(event, kept.payment.store)
            decision = decide.on_event(kept.payment, event, now_ms)
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
        now_ms, asked = milliseconds(now), list[Asking]()

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

    def retry_refunds(self, order: str, refund: str, now: datetime) -> list[RefundIntent]:
        """Let refunds of an order be asked for now, as an operator wants it; the sweep that follows asks.

        Args:
            order: Its id.
            refund: The id of one; empty for all of them that are not done.
            now: The time.

        Returns:
            Those that are asked for now; none where the order has no such refund, or it is done.

        Raises:
            Unavailable: Mongo does not answer; it may have happened.
        """
        now_ms, found = milliseconds(now), list[RefundIntent]()

        def work(session: Session) -> tuple[Event, ...]:
            found.clear()
            kept = self.rows.of_order(order, session)
            if kept is None:
                return ()
            after, wanted = kept.payment, {each.id for each in kept.payment.refunds if refund in ("", each.id)}
            for each in sorted(wanted):
                after = payments.retry_refund(after, each, now_ms).payment
            found.extend(each for each in after.refunds if each.id in wanted and each.state is RefundState.REQUESTED)
            if after != kept.payment:
                self.rows.save(kept, after, (), now, session)
            return ()

        self._steps.act(now, work)
        return found

    def apply(self, report: Report, now: datetime, webhook: WaitingWebhook | None = None) -> Applied:
        """Apply what the provider says: answers, look-ups and webhooks all come here, however often.

        Args:
            report: What it says.
            now: The time.
            webhook: How it came, where it was a webhook; its row is ended in the same transaction.

        Raises:
            Unavailable: Mongo does not answer; it may have been applied.
        """
        payment, now_ms = payment_of_key(report.key), milliseconds(now)
        outcome, alarms = Applied.KNOWN, list[str]()

        def work(session: Session) -> tuple[Event, ...]:
            nonlocal outcome
            outcome, alarms[:] = Applied.KNOWN, []
            kept = self.rows.get(payment, session)
            if kept is None:
                outcome = Applied.UNKNOWN_PAYMENT
                return ()
            decision = payments.apply_report(kept.payment, report, now_ms)
            if decision.payment != kept.payment:
                outcome, alarms[:] = Applied.CHANGED, decide.alarms(kept.payment, decision.payment)
                self.rows.save(kept, decision.payment, decision.entries, now, session, solved=True)
            if webhook is not None:
                self.rows.end_webhook(webhook.id, WebhookState.APPLIED, now, session=session)
            return decision.events

        try:
            self._steps.act(now, work, self.rows.trace_of(payment))
        except Mismatch as error:
            self.note_mismatch(payment, str(error), now, webhook)
            return Applied.MISMATCH
        for alarm in alarms:
            self._counts.alarm()
            _log.error("%s: an operator decides", alarm)
        self._counts.applied(outcome.value)
        if outcome is Applied.UNKNOWN_PAYMENT and webhook is not None:
            pause = _WEBHOOK_PAUSES_SECONDS[min(webhook.attempts, len(_WEBHOOK_PAUSES_SECONDS) - 1)]
            self.rows.delay_webhook(webhook.id, now + timedelta(seconds=pause), "there is no such payment yet")
        return outcome

    def note_mismatch(self, payment: str, problem: str, now: datetime, webhook: WaitingWebhook | None = None) -> None:
        """The provider speaks of other money than the payment: an operator decides, and the payment is as it was.

        Args:
            payment: Its id; empty where that is not known.
            problem: A sentence.
            now: The time.
            webhook: How it came, where it was a webhook; it is parked.

        Raises:
            Unavailable: Mongo does not answer.
        """
        self._counts.applied(Applied.MISMATCH.value)
        _log.error("%s: an operator decides", problem)
        self.note_problem(payment, problem, now)
        if webhook is not None:
            self.rows.end_webhook(webhook.id, WebhookState.PARKED, now, problem)

    def note_problem(self, payment: str, problem: str, now: datetime) -> None:
        """Write on a payment what an operator has to look at.

        Raises:
            Unavailable: Mongo does not answer.
        """
        if payment:
            self.rows.note_problem(payment, problem, now)
