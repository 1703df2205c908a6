"""``marketplace consumers``: run the consumers of orders' events, and decide about events that they rejected."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from connectors.errors import Refused
from connectors.mongo.client import connect
from connectors.mongo.sagas.parking import Parked, ParkedEvents
from marketplace.sagas.declaration import Service, heard_by
from marketplace.sagas.events import EventType
from ops.commands.options import DataOption, JsonOption
from ops.commands.tables import print_table
from ops.commands.texts import printable
from ops.consumer_service import NEEDS, read_payments
from ops.consumer_service import run as run_consumers
from ops.context import load_mongo, load_settings
from ops.sagas.health import ConsumerHealth, consumers_health
from ops.sagas.order_ids import order_id
from ops.service_settings import ConsumerSettings
from ops.stack import SupervisorHangsError, running_state
from ops.stack.registry import CONSUMERS_SERVICE
from runtime.sections import MongoSettings
from runtime.settings import MissingUrl, load
from runtime.signals import stop_on_signals
from saga_consumers import parked as parking
from saga_consumers.consumer import Parts, SagaConsumer
from saga_consumers.registry import CONSUMERS, consumer_named
from saga_consumers.runner import group_of

_MOST_KEYS: Final = 1_000

NameArgument = Annotated[str, typer.Argument(help="The consumer, e.g. orders.")]
KeyArgument = Annotated[str, typer.Argument(help="The order: its id, or the beginning of it.")]


def list_consumers(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the consumers, and how they are: processes that run one, events that it has not read, events it has parked.

    Where Kafka or Mongo does not say it, a column has a question mark, and a line says why.
    """
    services = [spec.service for spec in CONSUMERS]
    try:
        settings = load_settings(data_dir=data, needs=NEEDS)
    except (MissingUrl, SupervisorHangsError) as error:
        found, problems = {each: ConsumerHealth() for each in services}, [f"how they are is not known: {error}"]
    else:
        mongo = MongoSettings(settings.urls.mongo, settings.database)
        found, problems = consumers_health(services, settings.kafka, mongo)
    if as_json:
        rows = [
            {
                "name": spec.service.value,
                "group": group_of(spec.service),
                "listens": [kind.value for kind in EventType if kind in heard_by(spec.service)],
                "does": spec.does,
                **asdict(found[spec.service]),
            }
            for spec in CONSUMERS
        ]
        typer.echo(json.dumps({"consumers": rows, "problems": problems}))
        return
    print_table(
        ("consumer", "group", "processes", "not read", "parked", "does"),
        [(spec.service.value, group_of(spec.service), *_numbers(found[spec.service]), spec.does) for spec in CONSUMERS],
        sentences=("does",),
    )
    for line in problems:
        typer.echo(printable(line))


def _numbers(health: ConsumerHealth) -> list[str]:
    return ["?" if each is None else f"{each:,}" for each in (health.members, health.lag, health.parked)]


def run_consumer(name: NameArgument, data: DataOption = None) -> None:
    """Run one consumer until Ctrl-C; several processes of one share its events."""
    spec = consumer_named(name)
    settings = load_settings(data_dir=data, needs=NEEDS)
    state = running_state(Path(settings.data_dir))
    console = Console(stderr=True)
    if state is not None and any(process.part == CONSUMERS_SERVICE for process in state.processes):
        console.print(f"the stack in {settings.data_dir} runs it as well: the two share its events", highlight=False)
    own = ConsumerSettings.load(os.environ)
    if spec.service is Service.PAYMENTS:
        load(os.environ, read_payments)

    def say(url: str) -> None:
        console.print(f"consumer {name}: {url}/readyz, {url}/metrics; Ctrl-C ends it", highlight=False)

    if run_consumers([spec], settings, own, stop_on_signals(), os.environ, say):
        raise typer.Exit(1)
    console.print("stopped: what was handled is committed", highlight=False)


def list_parked(
    name: Annotated[str | None, typer.Argument(help="Only of this consumer.", show_default="all")] = None,
    key: Annotated[str, typer.Option(help="All events of this order, in the order in which they wait.")] = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List events that were rejected, by order; later ones of the same order wait behind them."""
    specs = CONSUMERS if name is None else (consumer_named(name),)
    rows: list[dict[str, Any]] = []
    with _parts(data) as parts:
        order = order_id(parts.mongo, parts.database, key) if key else ""
        for spec in specs:
            found = ParkedEvents(parts.mongo, parts.database, spec.service.value)
            if order:
                rows += [_row(each) for each in found.of_key(order, _MOST_KEYS)]
            else:
                rows += [{**_row(each.first), "events": each.events} for each in found.keys(_MOST_KEYS)]
    if as_json:
        typer.echo(json.dumps({"parked": rows}))
        return
    if not rows:
        typer.echo("nothing is parked")
        return
    texts = [
        (
            row["consumer"], row["key"], str(row.get("events", 1)), row["reason"], row["at"][5:16],
            f"{row['topic']}[{row['partition']}]@{row['offset']}",
        )
        for row in rows
    ]  # fmt: skip
    print_table(("consumer", "order", "events", "reason", "since (UTC)", "place"), texts)
    for row in rows:
        typer.echo(printable(f"  {row['key']}: {row['detail']}"))


def retry_parked(name: NameArgument, key: KeyArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Let a consumer handle the parked events of an order, in order; stops at the first that is rejected again."""
    with _parts(data) as parts, _opened(name, parts) as consumer:
        order = order_id(parts.mongo, parts.database, key)
        found = parking.retry(ParkedEvents(parts.mongo, parts.database, name), consumer.handle, order)
    if not found.handled and found.failed is None:
        raise _nothing_parked(order, name)
    if as_json:
        failed = None if found.failed is None else _row(found.failed)
        typer.echo(json.dumps({"handled": found.handled, "failed": failed}))
    else:
        typer.echo(f"{found.handled} handled")
        if found.failed is not None:
            typer.echo(printable(f"rejected again: {found.failed.reason}: {found.failed.detail}"))
    if found.failed is not None:
        raise typer.Exit(1)


def discard_parked(
    name: NameArgument,
    key: KeyArgument,
    everything: Annotated[bool, typer.Option("--all", help="All parked events of the order.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Discard the first parked event of an order, or all; `retry` lets those behind it go on."""
    consumer_named(name)
    with _parts(data) as parts:
        parked = ParkedEvents(parts.mongo, parts.database, name)
        order = order_id(parts.mongo, parts.database, key)
        found = parking.discard(parked, order, everything=everything)
        left = len(parked.of_key(order, _MOST_KEYS))
    if not found:
        raise _nothing_parked(order, name)
    if as_json:
        typer.echo(json.dumps({"discarded": [_row(each) for each in found], "left": left}))
        return
    typer.echo(f"{len(found)} discarded" + (f"; {left} wait, for: marketplace consumers retry" if left else ""))


def _nothing_parked(order: str, name: str) -> Refused:
    return Refused(f"nothing of order {order} is parked by {name}; see 'marketplace consumers parked'")


@contextmanager
def _parts(data: Path | None) -> Iterator[Parts]:
    settings = load_mongo(data_dir=data)
    with connect(settings.url) as mongo:
        yield Parts(mongo, settings.database, os.environ)


@contextmanager
def _opened(name: str, parts: Parts) -> Iterator[SagaConsumer]:
    consumer = consumer_named(name).open(parts)
    try:
        yield consumer
    finally:
        consumer.close()


def _row(parked: Parked) -> dict[str, Any]:
    record = parked.record
    return {
        "consumer": parked.consumer,
        "key": parked.key,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "reason": parked.reason,
        "detail": parked.detail,
        "attempts": parked.attempts,
        "at": datetime.fromtimestamp(parked.at_ms / 1_000, UTC).isoformat(timespec="seconds"),
    }


def register(app: typer.Typer) -> None:
    """Add the commands."""
    consumers = typer.Typer(help="The consumers of orders' events.", no_args_is_help=True)
    consumers.command("list")(list_consumers)
    consumers.command("run")(run_consumer)
    consumers.command("parked")(list_parked)
    consumers.command("retry")(retry_parked)
    consumers.command("discard")(discard_parked)
    app.add_typer(consumers, name="consumers")
