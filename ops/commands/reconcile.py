"""``marketplace reconcile``: whether orders, money, stock and events add up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import typer
from rich.console import Console

from connectors.mongo.sagas.audit import SagaAudit
from marketplace.money import shown_amount
from ops.commands.options import DataOption, JsonOption
from ops.commands.texts import cell, printable
from ops.context import load_settings
from ops.sagas.opening import StoreOption, check_store, open_mongo
from ops.sagas.reconciler import Progress, Verdict, reconcile
from runtime.sections import MongoSettings

_SHOWN_FINDINGS: Final = 50


def reconcile_all(store: StoreOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Compare orders, payments, both ledgers, stock, outbox and topic, while orders go on.

    Exits with 1 where a row is wrong.
    """
    settings = load_settings(data_dir=data, needs=("kafka", "mongo"))
    with open_mongo(MongoSettings(settings.urls.mongo, settings.database)) as client, _progress(as_json) as progress:
        check_store(client, settings.database, store)
        audit = SagaAudit(client, settings.database)
        verdict = reconcile(audit, settings.kafka, lambda: datetime.now(UTC), store, progress)
    if as_json:
        typer.echo(json.dumps(_verdict_document(verdict)))
    else:
        _print_verdict(verdict)
    if verdict.findings:
        raise typer.Exit(1)


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda what, count: None
        return
    with console.status("Comparing") as status:
        yield lambda what, count: status.update(f"Comparing: {count:,} {what}")


def _verdict_document(verdict: Verdict) -> dict[str, Any]:
    return {
        "clean": not verdict.findings,
        "findings": [{**asdict(each), "subject": each.subject.value} for each in verdict.findings],
        "orders": dict(verdict.states),
        "money": {currency: asdict(sums) for currency, sums in sorted(verdict.money.items())},
        "stock": {
            "variants": verdict.variants, "on_hand": verdict.on_hand, "reserved": verdict.reserved,
            "sold": verdict.sold,
        },
        "events": {"outbox": verdict.said, "topic": verdict.sent},
    }  # fmt: skip


def _print_verdict(verdict: Verdict) -> None:
    console = Console(soft_wrap=True)
    for finding in verdict.findings[:_SHOWN_FINDINGS]:
        console.print(cell(f"{finding.subject}: {finding.store} {finding.row}: {finding.says}"), highlight=False)
    if (more := len(verdict.findings) - _SHOWN_FINDINGS) > 0:
        typer.echo(f"... and {more:,} more; --json has all of them")
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(verdict.states.items()))
    lines = [f"{verdict.orders:,} orders" + (f": {states}" if states else "")]
    for currency, sums in sorted(verdict.money.items()):
        taken, back = (shown_amount(minor, currency) for minor in (sums.captured_minor, sums.refunded_minor))
        lines.append(f"money: {taken} charged, {back} refunded")
    lines.append(
        f"stock: {verdict.on_hand:,} pieces of {verdict.variants:,} variants, {verdict.reserved:,} of them reserved; "
        f"{verdict.sold:,} sold"
    )
    lines.append(f"events: {verdict.said:,} in the outbox, {verdict.sent:,} records in the topic")
    for line in lines:
        typer.echo(printable(line))
    wrong = len(verdict.findings)
    typer.echo(f"{wrong:,} {'row is' if wrong == 1 else 'rows are'} wrong." if wrong else "Everything adds up.")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reconcile")(reconcile_all)
