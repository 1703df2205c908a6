"""``marketplace saga``: which orders wait for somebody, and what happened to one of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from connectors.errors import Refused
from connectors.mongo.sagas.audit import SagaAudit, Step, Waiting
from connectors.mongo.times import milliseconds
from marketplace.money import shown_amount
from marketplace.sagas.declaration import deadline_of
from marketplace.sagas.reconcile import OrderRows
from ops.commands.options import DataOption, JsonOption, choice
from ops.commands.tables import print_table
from ops.commands.texts import printable
from ops.context import load_mongo
from ops.sagas.opening import StoreOption, check_store, open_mongo
from ops.sagas.order_ids import order_id

_WAITING: Final = "waiting"
_STUCK: Final = "stuck"


def list_sagas(
    state: Annotated[
        str,
        typer.Option(
            "--state",
            metavar=f"{_WAITING}|{_STUCK}",
            help="What waits for somebody ('waiting'), or has for longer than it may ('stuck', with exit code 1).",
        ),
    ] = _WAITING,
    store: StoreOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List orders that wait for a service, the provider or time."""
    stuck = choice("--state", state, (_WAITING, _STUCK)) == _STUCK
    now = datetime.now(UTC)
    mongo = load_mongo(data_dir=data)
    with open_mongo(mongo) as client:
        check_store(client, mongo.database, store)
        audit = SagaAudit(client, mongo.database)
        waiting = audit.waiting(now, stuck=stuck, store=store)
        states = audit.states(store)
    if as_json:
        rows = [{**asdict(each), "service": each.service.value} for each in waiting]
        typer.echo(json.dumps({"state": state, "orders": rows, "states": states}))
    else:
        _print_waiting(waiting, states, milliseconds(now), stuck=stuck)
    if waiting and stuck:
        raise typer.Exit(1)


def trace(
    order: Annotated[str, typer.Argument(help="The order: its id, or the beginning of it.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what happened to an order: every event, who handled it, and how long that took."""
    mongo = load_mongo(data_dir=data)
    with open_mongo(mongo) as client:
        own, audit = order_id(client, mongo.database, order), SagaAudit(client, mongo.database)
        found = audit.order(own)
        if found is None:
            raise Refused(f"there is no order {own}: only events of it are parked, see 'marketplace consumers parked'")
        rows, document = found
        steps = audit.steps(own)
    if as_json:
        typer.echo(json.dumps(_trace_document(rows, document, steps)))
    else:
        _print_trace(rows, document, steps, milliseconds(datetime.now(UTC)))


def _print_waiting(waiting: Sequence[Waiting], states: dict[str, int], now_ms: int, *, stuck: bool) -> None:
    if waiting:
        print_table(
            ("order", "store", "waits for", "state", "since", "may last until", "then"),
            [
                (
                    each.order, each.store, each.service.value, each.state, _ago(now_ms - each.since_ms),
                    _moment(each.due_ms), each.then,
                )
                for each in waiting
            ],
            sentences=("then",),
        )  # fmt: skip
    elif stuck:
        typer.echo("No order is stuck.")
    else:
        typer.echo("No order waits for anybody.")
    counts = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    typer.echo(printable(f"Orders: {counts or 'none'}."))


def _trace_document(rows: OrderRows, document: dict[str, Any], steps: Sequence[Step]) -> dict[str, Any]:
    return {
        "order": rows.order.id,
        "store": rows.order.store,
        "state": rows.order.state.value,
        "reason": rows.order.reason and rows.order.reason.value,
        "placed_at_ms": document["placed_at_ms"],
        "total_minor": rows.order.total_minor,
        "paid_minor": rows.order.paid_minor,
        "refunded_minor": rows.order.refunded_minor,
        "currency": rows.order.currency,
        "payment": rows.payment and {"state": rows.payment.state.value, "attempts": rows.payment.attempts},
        "reservation": rows.reservation and {"state": rows.reservation.state.value},
        "parked": sorted(rows.parked),
        "events": [{**asdict(step), "payload": json.loads(step.payload)} for step in steps],
    }


def _print_trace(rows: OrderRows, document: dict[str, Any], steps: Sequence[Step], now_ms: int) -> None:
    order, placed_ms = rows.order, document["placed_at_ms"]
    reason = f" ({order.reason})" if order.reason else ""
    total = shown_amount(order.total_minor, order.currency)
    typer.echo(
        printable(f"Order {order.id} of {order.store}: {order.state}{reason}, {total}, placed {_moment(placed_ms)}")
    )
    table = []
    for step in steps:
        handled = ", ".join(
            f"{service} {_span(at - step.written_ms)}"
            for service, at in sorted(step.handled_ms.items(), key=lambda pair: pair[1])
        )
        source = step.source.rpartition("/")[2]
        table.append((_span(step.at_ms - placed_ms), step.type, source, handled or "nobody yet"))
    handled_by = "handled by (after it was written)"
    print_table(("after", "event", "by", handled_by), table, sentences=(handled_by,))
    if not steps:
        typer.echo("Its events are older than the outbox; the topic has them for longer.")
    parts = [f"order {order.state}"]
    if rows.payment is not None:
        asked = rows.payment.attempts
        parts.append(
            f"payment {rows.payment.state} ({asked} {'question' if asked == 1 else 'questions'} to the provider)"
        )
        parts += [
            f"refund {refund.id} {refund.state}, {shown_amount(refund.amount_minor, order.currency)}, "
            f"{refund.attempts} {'attempt' if refund.attempts == 1 else 'attempts'}"
            for refund in rows.payment.refunds
        ]
    if rows.reservation is not None:
        parts.append(f"stock {rows.reservation.state}")
    typer.echo(printable("Now: " + "; ".join(parts) + "."))
    if rows.parked:
        typer.echo(printable(f"Events of it are parked at {', '.join(sorted(rows.parked))}."))
    deadline = deadline_of(order.state)
    if deadline is not None:
        left = document["state_since_ms"] + deadline.seconds * 1_000 - now_ms
        typer.echo(printable(f"It may stay so for {_ago(left)} more: {deadline.then}" if left > 0 else "It is stuck."))


def _span(ms: int) -> str:
    return f"{ms:,} ms" if ms < 10_000 else _ago(ms)


def _ago(ms: int) -> str:
    seconds = max(0, ms) // 1_000
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds} s"


def _moment(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1_000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    saga = typer.Typer(help="Orders on their way through payment and stock.", no_args_is_help=True)
    saga.command("list")(list_sagas)
    saga.command("trace")(trace)
    app.add_typer(saga, name="saga")
