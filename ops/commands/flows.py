"""``marketplace flows`` and ``marketplace provision``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from connectors.clickhouse.client import ClickHouse
from connectors.kafka.reader import PartitionReader
from flows.delivery.expiry import record_expired
from flows.delivery.fencing import Fences, read_fences
from flows.delivery.flow import Flow
from flows.delivery.process_set import FlowFailed, FlowOptions, FlowProcessSet
from flows.delivery.resume import first_unapplied
from flows.registry import flow_of
from marketplace.flows import FLOWS, FlowSpec, flow_named
from marketplace.settings import ALL_PARTS
from ops.commands.options import DataOption, JsonOption, split_names
from ops.commands.tables import print_table
from ops.commands.texts import cell
from ops.context import load_settings
from ops.provision import ensure_provisioned
from ops.resources import EVERYTHING
from ops.stack import StackError, running_state
from ops.stack.registry import REGISTRY, service_of
from runtime.sections import Settings
from runtime.signals import stop_on_signals

PROVISIONED = tuple(service.name for service in REGISTRY.services if service.resources.parts)
"""The services that find something in the parts."""


def _known(name: str) -> FlowSpec:
    flow = flow_named(name)
    if flow is None:
        raise FlowFailed(f"no flow {name!r}; there are {', '.join(flow.name for flow in FLOWS)}")
    return flow


def list_flows(as_json: JsonOption = False) -> None:
    """List the flows there are."""
    if as_json:
        rows = [{"name": f.name, "reads": [topic.name for topic in f.reads], "does": f.does} for f in FLOWS]
        typer.echo(json.dumps({"flows": rows}))
        return
    texts = [(flow.name, ", ".join(topic.name for topic in flow.reads), flow.does) for flow in FLOWS]
    print_table(("flow", "reads", "does"), texts, sentences=("does",))


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
    flow = _known(name)
    service = REGISTRY.service(service_of(name))
    settings = load_settings(data_dir=data, needs=flow.needs)
    state = running_state(Path(settings.data_dir))
    if state is not None and any(process.part == service.name for process in state.processes):
        raise FlowFailed(
            f"the stack in {settings.data_dir} runs this flow already, and a second one would take over from it: "
            "'marketplace up --no-services' starts a stack without it"
        )
    report = ensure_provisioned(settings, resources=service.resources)
    console = Console(stderr=True)
    for line in report.drift:
        console.print(Text.assemble(("drift", "yellow"), " ", cell(line)), highlight=False)
    stop = stop_on_signals()
    console.print(f"flow {name} on {workers} worker{'s' if workers > 1 else ''}; Ctrl-C ends it", highlight=False)
    options = FlowOptions(workers=workers, round_seconds=round_seconds, memory_mb=memory_mb)
    FlowProcessSet(flow, settings, options).run(stop.asked)
    console.print("stopped after a whole epoch; nothing is half-written", highlight=False)


def accept_loss(
    name: Annotated[str, typer.Argument(help="The flow, e.g. clicks.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write off, in the ledger, records that retention deleted before they were counted, so that the flow can go on."""
    flow = flow_of(_known(name))
    settings = load_settings(data_dir=data, needs=("kafka", "clickhouse"))
    clickhouse = ClickHouse(settings.urls.clickhouse, settings.database)
    lost: dict[str, int] = {}
    try:
        fences = read_fences(clickhouse, flow.spec)
        for topic in flow.spec.reads:
            for partition, records in _accept_loss(flow, settings, clickhouse, topic.name, fences[topic.name]).items():
                lost[f"{topic.name}[{partition}]"] = records
    finally:
        clickhouse.close()
    if as_json:
        typer.echo(json.dumps({"written_off": sum(lost.values()), "partitions": lost}))
        return
    for place, records in lost.items():
        typer.echo(f"{place}: {records:,} records are noted as expired")
    if not lost:
        typer.echo("nothing is lost: the log holds everything that is not in the tables yet")


def _accept_loss(
    flow: Flow[Any], settings: Settings, clickhouse: ClickHouse, topic: str, fences: Fences
) -> dict[int, int]:
    """How many records of each partition were written off."""
    reader, lost = PartitionReader(settings.kafka, topic, "ops.accept_loss"), {}
    try:
        for partition in reader.partitions():
            low, high = reader.range_of(partition)
            first = first_unapplied(flow.spec, f"{topic}[{partition}]", fences.get(partition, {}), high)
            if first is not None and first < low:
                row = flow.expired_row(topic, partition, first, low, datetime.now(UTC))
                record_expired(clickhouse, flow.spec, row, first)
                lost[partition] = low - first
    finally:
        reader.close()
    return lost


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
    # Without a name it is everything that there is a part for: not every stack has Kafka Connect.
    needs = [part for part in resources.parts if names or part in ALL_PARTS]
    report = ensure_provisioned(load_settings(data_dir=data, needs=needs), resources=resources)
    if as_json:
        typer.echo(json.dumps({"made": report.made, "drift": report.drift}))
    else:
        console = Console()
        for line in report.made:
            console.print(f"made   {line}", highlight=False)
        for line in report.drift:
            console.print(Text.assemble(("drift", "yellow"), "  ", cell(line)), highlight=False)
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
