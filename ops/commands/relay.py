"""``marketplace relay``: the connector that sends the events of orders from the outbox to Kafka."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import typer

from connectors.debezium.client import Connect
from connectors.debezium.declared import OUTBOX_CONNECTOR
from connectors.errors import Refused
from ops.commands.options import DataOption, JsonOption
from ops.commands.texts import printable
from ops.context import load_settings
from ops.drift import connector_drift
from ops.relay.connector import restart
from ops.sagas.health import relay_lag

_NEEDS = ("kafka", "mongo", "connect")


def status(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show the connector, its tasks, what differs from its file, and how far it is behind.

    Exits with 1 where it does not run, or differs.
    """
    connector, settings = OUTBOX_CONNECTOR, load_settings(data_dir=data, needs=_NEEDS)
    with closing(Connect(settings.urls.connect)) as connect:
        found, actual = connect.status(connector.name), connect.config(connector.name)
    drift = [] if actual is None else list(connector_drift(connector, actual))
    problem = "there is no such connector: 'marketplace relay apply' puts it there" if found is None else found.problem
    lag = relay_lag(Path(settings.data_dir))
    if as_json:
        state = None if found is None else found.state
        tasks = [] if found is None else [{"id": task.id, "state": task.state} for task in found.tasks]
        document = {"connector": connector.name, "state": state, "tasks": tasks, "problem": problem, "drift": drift}
        typer.echo(json.dumps({**document, "lag_seconds": lag.seconds}))
    else:
        typer.echo(printable(f"{connector.name}: {problem or 'it runs'}"))
        if found is not None:
            tasks_are = ", ".join(f"task {task.id} is {task.state.lower()}" for task in found.tasks) or "it has no task"
            typer.echo(printable(f"connector: it is {found.state.lower()}; {tasks_are}"))
        for line in drift:
            typer.echo(printable(f"drift: {line}"))
        if actual is not None and not drift:
            typer.echo("configuration: as its file declares it")
        behind = "not known" if lag.seconds is None else f"{lag.seconds:.1f} s"
        typer.echo(printable(f"lag: {behind} ({lag.where})"))
    if problem or drift:
        raise typer.Exit(1)


def apply(data: DataOption = None) -> None:
    """Give Kafka Connect the connector as its file declares it; it goes on where it had come to."""
    connector = OUTBOX_CONNECTOR
    with closing(_connect(data)) as connect:
        if unknown := connect.unknown_options(connector.config):
            raise Refused(f"connector {connector.name}: nothing reads {', '.join(unknown)}")
        if problems := connect.problems(connector.name, connector.config):
            raise Refused(f"connector {connector.name}: {'; '.join(problems)}")
        connect.put(connector.name, connector.config)
    typer.echo(f"{connector.name}: it is as declared.")


def resend(data: DataOption = None) -> None:
    """Send every row of the outbox again, and go on from there: for changes that were lost on the way.

    Consumers know events that they have handled by their ids, so that nothing happens twice.
    """
    with closing(_connect(data)) as connect:
        restart(connect, OUTBOX_CONNECTOR.name)
    typer.echo(f"{OUTBOX_CONNECTOR.name}: all rows that have not expired are sent again.")


def _connect(data: DataOption) -> Connect:
    return Connect(load_settings(data_dir=data, needs=_NEEDS).urls.connect)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    relay = typer.Typer(
        help="The relay, which sends the events of orders from the outbox to Kafka.", no_args_is_help=True
    )
    relay.command("status")(status)
    relay.command("apply")(apply)
    relay.command("resend")(resend)
    app.add_typer(relay, name="relay")
