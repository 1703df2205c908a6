"""``marketplace payments settle-refund``: an operator has sent the money of a refund back by hand, and says so."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from connectors.errors import Refused
from connectors.mongo.client import Client, connect
from connectors.mongo.sagas.payment_review import PaymentReview
from connectors.payments.registry import provider_of
from marketplace.money import shown_amount
from marketplace.sagas.payment_state import Payment, RefundIntent, RefundState
from marketplace.sagas.provider_calls import Mismatch, Report
from marketplace.sagas.refunds import CannotSettle, OverRefund
from marketplace.texts import is_line
from ops.commands.options import DataOption, JsonOption
from ops.commands.texts import printable
from ops.context import load_mongo, load_payments
from ops.sagas.order_ids import order_id
from saga_consumers.payments.counts import PaymentCounts
from saga_consumers.payments.store import PaymentStore

_MOST_CHARS: Final = 200


def settle_refund(
    payment: Annotated[str, typer.Argument(help="The payment, or its order: the id, or the beginning of an order's.")],
    refund: Annotated[str, typer.Argument(help="The id of a refund.", show_default="the one that is not done")] = "",
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it went back by hand; kept with the refund.")],
    provider_reference: Annotated[
        str,
        typer.Option(
            metavar="REF", help="The provider's own id of what went back; kept with the refund.", show_default="none"
        ),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that the money of a refund went back by hand, in the provider's own console.

    The refund ends as if the provider had said so: it is booked, the order goes on, and the buyer hears of it. The
    provider is looked up first: what it has done itself, or is doing, is not settled. This cannot be undone.
    """
    reason = _text("--reason", reason)
    reference = provider_reference and _text("--provider-reference", provider_reference)
    settings = load_mongo(data_dir=data)
    with connect(settings.url) as mongo:
        found = _payment(mongo, settings.database, payment)
        wanted = _wanted(found, refund)
        word = _word_of_provider(found, wanted, data)
        _ask_first(found, wanted, yes=yes)
        store = PaymentStore(mongo, settings.database, PaymentCounts())
        try:
            done = store.settle_refund(found, wanted.id, word, reason, reference, datetime.now(UTC))
        except (CannotSettle, OverRefund) as error:
            raise Refused(f"refund {wanted.id} of payment {found.id}: {error}") from error
    if as_json:
        row = {"payment": found.id, "order": found.order, "refund": done.id, "amount_minor": done.amount_minor}
        typer.echo(json.dumps({**row, "currency": found.currency, "reason": done.settled, "reference": done.reference}))
        return
    amount = shown_amount(done.amount_minor, found.currency)
    typer.echo(printable(f"{done.id}: {amount} went back by hand; order {found.order} goes on"))


def _payment(mongo: Client, database: str, name: str) -> Payment:
    review = PaymentReview(mongo, database)
    found = review.payment(name.strip()) or review.payment(own := order_id(mongo, database, name))
    if found is None:
        raise Refused(f"order {own} has no payment")
    return found


def _wanted(payment: Payment, refund: str) -> RefundIntent:
    """The refund that is meant: the one that is named, or the only one that is not done."""
    states = ", ".join(f"{each.id} ({each.state})" for each in payment.refunds)
    if not payment.refunds:
        raise Refused(f"payment {payment.id} has no refunds")
    if refund:
        found = [each for each in payment.refunds if each.id == refund]
        if not found:
            raise Refused(f"payment {payment.id} has no refund {refund[:60]!r}; it has {states}")
    else:
        found = [each for each in payment.refunds if each.state is not RefundState.DONE]
        if len(found) > 1:
            raise Refused(f"payment {payment.id} has several refunds that are not done, name one: {states}")
        if not found:
            raise Refused(f"nothing of payment {payment.id} is left to be refunded; it has {states}")
    return found[0]


def _word_of_provider(payment: Payment, refund: RefundIntent, data: Path | None) -> Report:
    settings = load_payments(data_dir=data)
    provider = provider_of(
        settings.provider, settings.url, settings.account, settings.known_secrets(), live=settings.live
    )
    with closing(provider):
        try:
            return provider.look_up(payment.refund_key(refund.id))
        except Mismatch as error:
            raise Refused(str(error)) from error


def _ask_first(payment: Payment, refund: RefundIntent, *, yes: bool) -> None:
    if yes:
        return
    amount = shown_amount(refund.amount_minor, payment.currency)
    what = printable(f"refund {refund.id} of order {payment.order}: {amount} went back by hand")
    if not sys.stdin.isatty():
        raise Refused(f"{what}: give --yes to say so")
    typer.confirm(f"{what}. It is booked, and cannot be undone. Go on?", abort=True, err=True)


def _text(option: str, text: str) -> str:
    if not is_line(text.strip(), _MOST_CHARS):
        raise Refused(f"{option}: give 1 to {_MOST_CHARS} characters in one line")
    return text.strip()
