"""``marketplace payments``: charges, refunds and webhooks that wait for an operator, and what is done about them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from connectors.errors import Refused
from connectors.mongo.client import Client, connect
from connectors.mongo.sagas.payment_review import KeptWebhook, OpenQuestion, PaymentReview
from marketplace.money import shown_amount
from ops.commands.options import DataOption, JsonOption
from ops.commands.settle_refund import settle_refund
from ops.commands.tables import print_table
from ops.commands.texts import printable
from ops.context import load_mongo
from ops.sagas.opening import StoreOption, check_store
from ops.sagas.order_ids import order_id
from saga_consumers.payments.counts import PaymentCounts
from saga_consumers.payments.store import PaymentStore

_MOST: Final = 1_000

OrderArgument = Annotated[str, typer.Argument(help="The order: its id, or the beginning of it.")]
WebhookArgument = Annotated[str, typer.Argument(help="The id of the webhook, as `webhooks` lists it.")]


def list_stuck(store: StoreOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List charges and refunds that the provider was asked for without an end of it.

    Exits with 1 where one of them waits for an operator: it was refused too often, came back, or has a problem.
    """
    with _mongo(data) as (mongo, database):
        check_store(mongo, database, store)
        found = PaymentReview(mongo, database).open_questions(store, _MOST)
    if as_json:
        typer.echo(json.dumps({"questions": [_question_row(each) for each in found]}))
    elif found:
        print_table(
            ("order", "store", "what", "state", "amount", "asked", "asked next (UTC)"),
            [
                (
                    each.order, each.store, f"refund {each.refund}" if each.refund else "charge", each.state,
                    shown_amount(each.amount_minor, each.currency), str(each.attempts), _moment(each.due_ms),
                )
                for each in found
            ],
        )  # fmt: skip
        for each in found:
            if each.problem:
                typer.echo(printable(f"  {each.order}: {each.problem}"))
    else:
        typer.echo("nothing waits for the provider or an operator")
    if any(each.waits_for_operator for each in found):
        raise typer.Exit(1)


def retry_refund(
    order: OrderArgument,
    refund: Annotated[str, typer.Argument(help="The id of a refund.", show_default="all that are not done")] = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the provider be asked for refunds of an order now: those that are stuck, and those that wait.

    The payments consumer asks. A refund that had come back is a new effect with a key of its own; any other one has the
    key that it always had, so that nothing goes back twice.
    """
    with _mongo(data) as (mongo, database):
        own = order_id(mongo, database, order)
        found = PaymentStore(mongo, database, PaymentCounts()).retry_refunds(own, refund, datetime.now(UTC))
        if not found:
            raise Refused(_nothing_to_refund(own, refund, PaymentReview(mongo, database).refunds(own)))
    if as_json:
        typer.echo(json.dumps({"refunds": [each.id for each in found]}))
        return
    names = ", ".join(each.id for each in found)
    typer.echo(printable(f"{names}: asked for now; see 'marketplace payments stuck'"))


def list_webhooks(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List webhooks that are not applied: those that are parked, and those whose payment is not there.

    Exits with 1 where one is parked, which waits for an operator.
    """
    with _mongo(data) as (mongo, database):
        found = PaymentReview(mongo, database).webhooks(_MOST)
    if as_json:
        typer.echo(json.dumps({"webhooks": [_webhook_row(each) for each in found]}))
    elif found:
        print_table(
            ("webhook", "state", "received (UTC)", "looked at", "next (UTC)"),
            [
                (each.id, each.state.value, _moment(each.received_ms), str(each.attempts), _moment(each.due_ms))
                for each in found
            ],
        )
        for each in found:
            typer.echo(printable(f"  {each.id}: {each.reason}"))
    else:
        typer.echo("all webhooks are applied")
    if any(each.due_ms is None for each in found):
        raise typer.Exit(1)


def retry_webhook(webhook: WebhookArgument, data: DataOption = None) -> None:
    """Let the payments consumer apply a webhook now."""
    with _mongo(data) as (mongo, database):
        done = PaymentReview(mongo, database).retry_webhook(webhook, datetime.now(UTC))
    if not done:
        raise Refused(f"there is no webhook {webhook[:120]!r} that is not applied")
    typer.echo("it is applied in a moment; see 'marketplace payments webhooks'")


def discard_webhook(webhook: WebhookArgument, data: DataOption = None) -> None:
    """Let a webhook never be applied; its row stays for as long as all others."""
    with _mongo(data) as (mongo, database):
        done = PaymentReview(mongo, database).discard_webhook(webhook, datetime.now(UTC))
    if not done:
        raise Refused(f"there is no webhook {webhook[:120]!r} that is not applied")
    typer.echo("discarded")


def _nothing_to_refund(order: str, refund: str, refunds: Mapping[str, str] | None) -> str:
    """Why no refund of an order is asked for: from its refunds' states by id, or None for no payment."""
    if refunds is None:
        return f"order {order} has no payment"
    if not refunds:
        return f"order {order} has no refunds"
    states = ", ".join(f"{own} ({state})" for own, state in sorted(refunds.items()))
    if refund and refund not in refunds:
        return f"order {order} has no refund {refund[:60]!r}; it has {states}"
    return f"nothing of order {order} is left to be refunded; it has {states}"


@contextmanager
def _mongo(data: Path | None) -> Iterator[tuple[Client, str]]:
    settings = load_mongo(data_dir=data)
    with connect(settings.url) as client:
        yield client, settings.database


def _question_row(each: OpenQuestion) -> dict[str, object]:
    return {**asdict(each), "waits_for_operator": each.waits_for_operator}


def _webhook_row(each: KeptWebhook) -> dict[str, object]:
    return {**asdict(each), "state": each.state.value}


def _moment(at_ms: int | None) -> str:
    return "an operator decides" if at_ms is None else f"{datetime.fromtimestamp(at_ms / 1_000, UTC):%m-%d %H:%M}"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    payments = typer.Typer(help="Charges, refunds and webhooks that wait for an operator.", no_args_is_help=True)
    payments.command("stuck")(list_stuck)
    payments.command("retry-refund")(retry_refund)
    payments.command("settle-refund")(settle_refund)
    payments.command("webhooks")(list_webhooks)
    payments.command("retry-webhook")(retry_webhook)
    payments.command("discard-webhook")(discard_webhook)
    app.add_typer(payments, name="payments")
