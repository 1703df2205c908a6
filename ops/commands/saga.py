"""``marketplace saga``: which orders wait for somebody, and what happened to one of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from connectors.mongo.sagas.audit import Step, Waiting
from connectors.mongo.times import milliseconds
from marketplace.money import shown_amount
from marketplace.sagas.declaration import deadline_of
from marketplace.sagas.reconcile import OrderRows
from ops.commands.one_line import fail
from ops.commands.options import DataOption, JsonOption
from ops.commands.texts import cell, printable
from ops.context import load_mongo
from ops.sagas.opening import StoreOption, open_audit


class Shown(StrEnum):
    """Which orders are listed."""

    STUCK = "stuck"
    WAITING = "waiting"


def list_sagas(
    state: Annotated[
        Shown,
        typer.Option(
            "--state",
            help="What waits for somebody ('waiting'), or has for longer than it may ('stuck', with exit code 1).",
        ),
    ] = Shown.WAITING,
    store: StoreOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List orders that wait for a service, the provider or time."""
    now = datetime.now(UTC)
    with open_audit(load_mongo(data_dir=data)) as audit:
        waiting = audit.waiting(now, stuck=state is Shown.STUCK, store=store)
        states = audit.states(store)
    if as_json:
        rows = [{**asdict(each), "service": each.service.value} for each in waiting]
        typer.echo(json.dumps({"state": state.value, "orders": rows, "states": states}))
    else:
        _print_waiting(waiting, states, state, milliseconds(now))
    if waiting and state is Shown.STUCK:
        raise typer.Exit(1)


def trace(
    order: Annotated[str, typer.Argument(help="The id of an order.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what happened to an order: every event, who handled it, and how long that took."""
    with open_audit(load_mongo(data_dir=data)) as audit:
        found = audit.order(order)
        if found is None:
            fail(f"there is no order {order[:60]}")
        rows, document = found
        steps = audit.steps(order)
    if as_json:
        typer.echo(json.dumps(_trace_document(rows, document, steps)))
    else:
        _print_trace(rows, document, steps, milliseconds(datetime.now(UTC)))


def _print_waiting(waiting: Sequence[Waiting], states: dict[str, int], shown: Shown, now_ms: int) -> None:
    if waiting:
        table = Table("order", "store", "waits for", "state", "since", "may last until", "then", box=None)
        for each in waiting:
            since, due = _ago(now_ms - each.since_ms), _moment(each.due_ms)
            cells = (each.order, each.store, each.service.value, each.state, since, due, each.then)
            table.add_row(*map(cell, cells))
        Console().print(table)
    elif shown is Shown.STUCK:
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
    table = Table("after", "event", "by", "handled by (after it was written)", box=None)
    for step in steps:
        handled = ", ".join(
            f"{service} {_span(at - step.written_ms)}"
            for service, at in sorted(step.handled_ms.items(), key=lambda pair: pair[1])
        )
        source = step.source.rpartition("/")[2]
        table.add_row(*map(cell, (_span(step.at_ms - placed_ms), step.type, source, handled or "nobody yet")))
    Console().print(table)
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
