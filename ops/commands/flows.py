"""``marketplace flows`` and ``marketplace provision``."""

from __future__ import annotations

import json
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from connectors.clickhouse import ClickHouse
from connectors.kafka.reader import PartitionReader
from flows.delivery.fencing import read_fences
from flows.delivery.resume import first_unapplied, record_expired
from marketplace.topics import CLICKS_COLLECTED
from ops.commands.options import DataOption, JsonOption, split_names
from ops.context import load_settings
from ops.flow_runner import FlowFailed, FlowOptions, FlowRunner
from ops.provision import ensure_provisioned
from ops.resources import EVERYTHING
from ops.stack import StackError, running_state
from ops.stack.registry import REGISTRY

FLOWS = {"clicks": "collected clicks to facts, rollups, sessions, ledger and read models"}
PROVISIONED = tuple(service.name for service in REGISTRY.services if service.resources.parts)
"""The services that find something in the parts."""


def list_flows(as_json: JsonOption = False) -> None:
    """List the flows there are."""
    if as_json:
        typer.echo(
            json.dumps({"flows": [{"name": n, "reads": CLICKS_COLLECTED.name, "does": d} for n, d in FLOWS.items()]})
        )
        return
    table = Table("flow", "reads", "does", box=None)
    for name, does in FLOWS.items():
        table.add_row(name, CLICKS_COLLECTED.name, does)
    Console().print(table)


def run_flow(
    name: Annotated[str, typer.Argument(help="The flow, e.g. clicks.")],
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            max=64,
            envvar="MARKETPLACE_FLOW_WORKERS",
            help="Processes; at most one per partition is useful.",
        ),
    ] = 1,
    round_seconds: Annotated[float, typer.Option(min=0.05, max=60, help="How often results are written.")] = 0.4,
    memory_mb: Annotated[
        int,
        typer.Option(
            min=0,
            envvar="MARKETPLACE_FLOW_MEMORY_MB",
            help="MB in which all workers together remember the past; 0 for a third of the machine's or container's.",
        ),
    ] = 0,
    data: DataOption = None,
) -> None:
    """Run a flow until Ctrl-C; its processes are restarted when they fail."""
    if name not in FLOWS:
        raise FlowFailed(f"no flow {name!r}; there are {', '.join(FLOWS)}")
    settings = load_settings(data_dir=data)
    state = running_state(Path(settings.data_dir))
    if state is not None and any(process.part == "flow" for process in state.processes):
        raise FlowFailed(
            f"the stack in {settings.data_dir} runs this flow already, and a second one would take over from it: "
            "'marketplace up --no-services' starts a stack without it"
        )
    report = ensure_provisioned(settings)
    console = Console(stderr=True)
    for line in report.drift:
        console.print(f"[yellow]drift[/yellow] {line}", highlight=False)
    stop = threading.Event()

    def ask(_signum: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, ask)
    signal.signal(signal.SIGTERM, ask)
    console.print(f"flow {name} on {workers} worker{'s' if workers > 1 else ''}; Ctrl-C ends it", highlight=False)
    options = FlowOptions(workers=workers, round_seconds=round_seconds, memory_mb=memory_mb)
    FlowRunner(settings, options).run(stop.is_set)
    console.print("stopped after a whole epoch; nothing is half-written", highlight=False)


def accept_loss(
    name: Annotated[str, typer.Argument(help="The flow, e.g. clicks.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write off, in the ledger, records that retention deleted before they were counted, so that the flow can go on."""
    if name not in FLOWS:
        raise FlowFailed(f"no flow {name!r}; there are {', '.join(FLOWS)}")
    settings = load_settings(data_dir=data)
    clickhouse = ClickHouse(settings.urls.clickhouse, settings.database)
    reader = PartitionReader(settings.urls.kafka, CLICKS_COLLECTED.name, "ops.accept_loss")
    lost: dict[int, int] = {}
    try:
        fences = read_fences(clickhouse)
        for partition in reader.partitions():
            low, high = reader.range_of(partition)
            first = first_unapplied(partition, fences.get(partition, {}), high)
            if first is not None and first < low:
                record_expired(clickhouse, partition, first, low, datetime.now(UTC))
                lost[partition] = low - first
    finally:
        reader.close()
        clickhouse.close()
    if as_json:
        typer.echo(json.dumps({"written_off": sum(lost.values()), "partitions": lost}))
        return
    for partition, records in lost.items():
        typer.echo(f"{CLICKS_COLLECTED.name}[{partition}]: {records:,} records are noted as expired")
    if not lost:
        typer.echo("nothing is lost: the log holds everything that is not in the tables yet")


def provision(
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="SERVICE",
            help=f"Only what this service needs: {', '.join(PROVISIONED)}. Repeat it, or separate names with commas.",
            show_default="everything",
        ),
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make missing topics, tables, collections and indexes; report what differs from its declaration."""
    names = split_names("--only", only)
    for name in names:
        if name not in PROVISIONED:
            raise StackError(f"there is no service {name}: choose from {', '.join(PROVISIONED)}")
    resources = REGISTRY.resources(names) if names else EVERYTHING
    report = ensure_provisioned(load_settings(data_dir=data, needs=resources.parts), resources=resources)
    if as_json:
        typer.echo(json.dumps({"made": report.made, "drift": report.drift}))
    else:
        console = Console()
        for line in report.made:
            console.print(f"made   {line}", highlight=False)
        for line in report.drift:
            console.print(f"[yellow]drift[/yellow]  {line}", highlight=False)
        if not report.made and not report.drift:
            console.print("everything is as declared")
    if report.drift:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    flows = typer.Typer(help="Run the stream-processing flows.", no_args_is_help=True)
    flows.command("list")(list_flows)
    flows.command("run")(run_flow)
    flows.command("accept-loss")(accept_loss)
    app.add_typer(flows, name="flows")
    app.command("provision")(provision)
