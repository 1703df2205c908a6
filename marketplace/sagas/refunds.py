"""Refunds of a payment: how one is asked for, what the provider's word and an operator's change of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from marketplace.sagas.events import EventType, PaymentRefunded, PaymentRefundReversed
from marketplace.sagas.payment_state import (
    Payment,
    PaymentDecision,
    PaymentState,
    RefundIntent,
    RefundState,
    backoff_ms,
    booked,
    changed,
    check_money,
    numbered,
    said_of,
)
from marketplace.sagas.provider_calls import Mismatch, Outcome, Report

MAX_REFUND_ATTEMPTS: Final = 12
"""Some seven hours; after that a refund waits for an operator."""


UNDER_WAY_MS: Final = 120_000
"""A question that was asked for longer ago has been answered, or was lost on the way to the provider."""

_NOT_AT_THE_PROVIDER: Final = frozenset({Outcome.NOT_FOUND, Outcome.DECLINED, Outcome.REVERSED})
_WHY_NOT: Final = {
    Outcome.SUCCEEDED: "the provider has done it already: 'marketplace payments retry-refund' lets that be heard",
    Outcome.PENDING: "the provider is doing it at this moment",
}


class CannotSettle(Exception):
    """A refund is not what went back by hand; the message says why. Nothing was changed."""


class OverRefund(Exception):
    """More is to go back than was taken: an invariant is broken. Nothing was changed."""


def request_refund(payment: Payment, refund: str, amount_minor: int, now_ms: int) -> PaymentDecision:
    """Money is to go back; asked for twice it goes back once.

    Raises:
        OverRefund: It is more than is left.
    """
    if payment.state is not PaymentState.COMPLETED or any(each.id == refund for each in payment.refunds):
        return PaymentDecision(payment)
    asked = sum(each.amount_minor for each in payment.refunds)
    if asked + amount_minor > payment.captured_minor:
        raise OverRefund(
            f"payment {payment.id}: {amount_minor} more than the {payment.captured_minor - asked} that are left"
        )
    if not amount_minor:
        # Goods that cost nothing come back as well, and no provider gives nothing back.
        done = RefundIntent(refund, 0, RefundState.DONE, requested_ms=now_ms)
        after = changed(payment, refunds=(*payment.refunds, done))
        said = PaymentRefunded(payment.id, refund, 0)
        return PaymentDecision(after, (said_of(after, EventType.PAYMENT_REFUNDED, said, now_ms),))
    intent = RefundIntent(refund, amount_minor, due_ms=now_ms, requested_ms=now_ms)
    return PaymentDecision(changed(payment, refunds=(*payment.refunds, intent)))


def on_report(payment: Payment, refund: RefundIntent, report: Report, now_ms: int) -> PaymentDecision:
    """What the provider's word about a refund changes.

    Raises:
        Mismatch: It speaks of another amount or currency, or of what went back by hand.
    """
    if refund.settled:
        if report.outcome is Outcome.SUCCEEDED:
            raise Mismatch(f"payment {payment.id}: refund {refund.id} went back by hand, and by the provider as well")
        return PaymentDecision(payment)
    if report.outcome is Outcome.REVERSED:
        return _reversed(payment, refund, now_ms)
    if refund.state is RefundState.DONE:
        return PaymentDecision(payment)
    if report.outcome is Outcome.SUCCEEDED:
        check_money(payment, report, refund.amount_minor)
        return _gone(payment, refund, now_ms)
    if report.outcome is Outcome.DECLINED and refund.attempts >= MAX_REFUND_ATTEMPTS:
        stuck = replace(refund, state=RefundState.STUCK, due_ms=None)
        return PaymentDecision(changed(payment, refunds=_with(payment, stuck)))
    return PaymentDecision(payment)


def _gone(payment: Payment, refund: RefundIntent, now_ms: int) -> PaymentDecision:
    after = changed(payment, refunds=_with(payment, replace(refund, state=RefundState.DONE, due_ms=None)))
    said = PaymentRefunded(payment.id, refund.id, refund.amount_minor, refund.reversals)
    return PaymentDecision(
        after,
        (said_of(after, EventType.PAYMENT_REFUNDED, said, now_ms),),
        booked(after, f"refund:{numbered(refund.id, refund.reversals)}", -refund.amount_minor),
    )


def _reversed(payment: Payment, refund: RefundIntent, now_ms: int) -> PaymentDecision:
    reversals = refund.reversals + 1
    # The card takes no money, and the next try would end like this one: an operator finds out how the buyer gets it.
    stuck = replace(refund, state=RefundState.STUCK, due_ms=None, reversals=reversals)
    after = changed(payment, refunds=_with(payment, stuck))
    if refund.state is not RefundState.DONE:
        return PaymentDecision(after)
    said = PaymentRefundReversed(payment.id, refund.id, refund.amount_minor, reversals)
    return PaymentDecision(
        after,
        (said_of(after, EventType.PAYMENT_REFUND_REVERSED, said, now_ms),),
        booked(after, f"reversal:{numbered(refund.id, refund.reversals)}", refund.amount_minor),
    )


def retry_refund(payment: Payment, refund: str, now_ms: int) -> PaymentDecision:
    """An operator lets a refund be asked for now: one that is stuck, or one whose next question is due later."""
    found = next((each for each in payment.refunds if each.id == refund), None)
    if found is None or found.state is RefundState.DONE:
        return PaymentDecision(payment)
    attempts = 0 if found.state is RefundState.STUCK else found.attempts
    again = replace(found, state=RefundState.REQUESTED, attempts=attempts, due_ms=now_ms)
    return PaymentDecision(payment if again == found else changed(payment, refunds=_with(payment, again)))


def settle_refund(
    payment: Payment, refund: str, word: Report, reason: str, reference: str, now_ms: int
) -> PaymentDecision:
    """An operator says that the money of a refund went back by hand, past us: it ends as if the provider had said so.

    Args:
        payment: As it was when the provider was asked.
        refund: The id of the refund.
        word: What the provider said of the refund's key just now.
        reason: Why, for those who look at it later.
        reference: The provider's own id of what went back by hand; empty where that is not known.
        now_ms: The time.

    Raises:
        CannotSettle: There is no such refund, it is done, or the provider has to do with it still.
        OverRefund: It is more than is left.
    """
    found = next((each for each in payment.refunds if each.id == refund), None)
    if found is None:
        raise CannotSettle("there is no such refund")
    if found.state is RefundState.DONE:
        raise CannotSettle("it is done already" + (": an operator has said so" if found.settled else ""))
    if found.due_ms is not None:
        if found.due_ms <= now_ms:
            raise CannotSettle("the payments consumer asks the provider for it at this moment: wait for the answer")
        asked_ms = found.due_ms - backoff_ms(found.attempts)
        if now_ms - asked_ms < UNDER_WAY_MS:
            seconds = (UNDER_WAY_MS - now_ms + asked_ms + 999) // 1_000
            raise CannotSettle(f"the provider was asked for it, and may do it yet: try again in {seconds} s")
    if word.key != payment.refund_key(refund) or word.outcome not in _NOT_AT_THE_PROVIDER:
        raise CannotSettle(_WHY_NOT.get(word.outcome, "the provider does not say what became of it"))
    if payment.refunded_minor + found.amount_minor > payment.captured_minor:
        raise OverRefund(f"payment {payment.id}: {found.amount_minor} is more than is left")
    return _gone(payment, replace(found, settled=reason, reference=reference), now_ms)


def _with(payment: Payment, other: RefundIntent) -> tuple[RefundIntent, ...]:
    return tuple(other if each.id == other.id else each for each in payment.refunds)
