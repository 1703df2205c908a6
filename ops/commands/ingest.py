"""`marketplace ingest log` and `marketplace collector`."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from connectors.errors import Unavailable
from connectors.kafka.producer import Producer
from connectors.mongo.client import connect
from connectors.mongo.salts import MongoSalts, SaltCache
from connectors.mongo.stores import MongoStores
from ingest.config import ADMIN_HOST, ADMIN_PORT, HOST, NEEDS, PORT, Addresses, CollectorConfig
from ingest.http.server import serve
from ingest.imports.access_log import Destination, ImportCounts, LogImport
from ingest.imports.bounded_retry import BoundedRetry
from ingest.imports.log_files import BrokenLogFile
from marketplace.collections import STORES, VISITOR_SALTS
from marketplace.flows import CLICKS_FLOW
from marketplace.tables import LEDGER
from marketplace.topics import CLICKS_COLLECTED, IMPORTS_DEAD
from ops.commands.import_store import find_or_create, new_store
from ops.commands.log_progress import LogFile, Progress, open_files, show_progress
from ops.commands.one_line import INTERRUPTED, fail
from ops.commands.options import DataOption, JsonOption
from ops.context import load_settings
from ops.drain import wait_until_counted
from ops.provision import ensure_provisioned
from ops.resources import Resources
from runtime.logs import LogSettings, configure_logs
from runtime.sections import Settings
from runtime.settings import load

_CLOSE_SECONDS = 10.0
_STALL_SECONDS = 20.0

_IMPORT = Resources(topics=(CLICKS_COLLECTED, IMPORTS_DEAD), collections=(STORES, VISITOR_SALTS))
"""What an import finds in the parts."""
_DRAIN = Resources(tables=(LEDGER,))
"""What says how much the flow has counted."""

FilesArgument = Annotated[
    list[str], typer.Argument(metavar="FILE...", help="Log files, plain, .gz or .zst; - is stdin.")
]
StoreOption = Annotated[str, typer.Option("--store", help="The store's slug.")]
AssetsOption = Annotated[
    bool, typer.Option("--include-assets", help="Import requests for style sheets, scripts, images and so on too.")
]
CreateOption = Annotated[
    bool | None,
    typer.Option(
        "--create-store/--no-create-store",
        help="Create the store when there is none of that name.",
        show_default="unless one has a name much like it",
    ),
]
TimezoneOption = Annotated[str, typer.Option("--timezone", help="The time zone of a store that is created.")]
DomainOption = Annotated[
    list[str] | None, typer.Option("--domain", help="A host of a store that is created; can be repeated.")
]
WaitOption = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for a part that is unavailable.")]
DrainOption = Annotated[bool, typer.Option("--drain/--no-drain", help="Wait until the flow has counted it all.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    ingest = typer.Typer(help="Bring events in.", no_args_is_help=True)
    ingest.callback()(_group)
    ingest.command("log")(log)
    app.add_typer(ingest, name="ingest")
    app.command()(collector)


def log(
    files: FilesArgument,
    store: StoreOption,
    include_assets: AssetsOption = False,
    create_store: CreateOption = None,
    timezone: TimezoneOption = "UTC",
    domain: DomainOption = None,
    wait: WaitOption = 60.0,
    drain: DrainOption = True,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import access logs in the combined format as clicks; running it again counts nothing twice."""
    started = time.monotonic()
    with open_files(files) as opened, show_progress(opened) as progress:
        resources = Resources.union((_IMPORT, _DRAIN)) if drain else _IMPORT
        settings = load_settings(data_dir=data, needs=resources.parts)
        retry = BoundedRetry(wait, progress.say)
        retry.until_done(lambda: ensure_provisioned(settings, _answer_seconds(wait), resources), Unavailable)
        client = connect(settings.urls.mongo)
        producer = Producer(settings.kafka, client_id="ingest-log")
        try:
            stores = MongoStores(client, settings.database)
            found, created = find_or_create(stores, new_store(store, timezone, domain or []), create_store)
            if created:
                progress.say(f"Store {store} did not exist: created, time zone {found.timezone}.")
            destination = Destination(
                store=found,
                producer=producer,
                salts=SaltCache(MongoSalts(client, settings.database)),
                epoch_ms=lambda: time.time_ns() // 1_000_000,
                retry=retry,
            )
            counts, reasons = _import(destination, opened, progress, include_assets=include_assets)
            waiting = _wait(settings, progress) if drain else None
        finally:
            producer.close(_CLOSE_SECONDS)
            client.close()
    _report(store, counts, reasons, time.monotonic() - started, waiting, as_json=as_json)
    if counts.unparseable and not counts.sent + counts.assets_skipped:
        fail(f"nothing was imported: no line of {counts.unparseable:,} is in the combined log format")
    if waiting:
        raise typer.Exit(1)


def _answer_seconds(wait: float) -> float:
    """How long a part may take to answer, so that a short `--wait` is not spent on one call."""
    return min(20.0, max(2.0, wait))


def _wait(settings: Settings, progress: Progress) -> int:
    progress.say("In Kafka; waiting until the flow has counted it.")
    return wait_until_counted(settings, CLICKS_FLOW, _STALL_SECONDS)


def collector(
    host: Annotated[str, typer.Option(envvar=HOST.name, help="The public address.")] = HOST.default,
    port: Annotated[int, typer.Option(envvar=PORT.name, min=0, max=65_535, help="The public port.")] = PORT.default,
    admin_host: Annotated[
        str, typer.Option(envvar=ADMIN_HOST.name, help="The address of /livez, /readyz and /metrics.")
    ] = ADMIN_HOST.default,
    admin_port: Annotated[
        int | None,
        typer.Option(
            envvar=ADMIN_PORT.name,
            min=0,
            max=65_535,
            help="Their port.",
            show_default="the one after the public port",
        ),
    ] = None,
    data: DataOption = None,
) -> None:
    """Run a collector until Ctrl-C; its bounds come from MARKETPLACE_COLLECTOR_*."""
    logs, config = load(os.environ, lambda env: (LogSettings.read(env), CollectorConfig.read(env)))
    settings = load_settings(data_dir=data, needs=NEEDS)
    configure_logs(logs, without_addresses=True)
    addresses = Addresses(host, port, admin_host, admin_port)
    serve(settings.kafka, settings.mongo, addresses, config)


def _group() -> None:
    """Bring events in."""


def _import(
    destination: Destination, files: list[LogFile], progress: Progress, *, include_assets: bool
) -> tuple[ImportCounts, dict[str, int]]:
    importing = LogImport(destination, include_assets=include_assets, progress=progress.counts)
    try:
        for file in files:
            importing.read(file.name, file.lines())
        importing.finish()
    except KeyboardInterrupt:
        progress.say(f"Stopped; {_sentence(importing.counts)} Run it again to go on: nothing is counted twice.")
        raise typer.Exit(INTERRUPTED) from None
    except (Unavailable, BrokenLogFile) as error:
        if isinstance(error, BrokenLogFile):
            importing.finish()
        progress.say(f"{_sentence(importing.counts)} Run it again when this is corrected: nothing is counted twice.")
        raise
    return importing.counts, dict(importing.reasons.most_common())


def _report(
    store: str, counts: ImportCounts, reasons: dict[str, int], seconds: float, waiting: int | None, *, as_json: bool
) -> None:
    if as_json:
        document: dict[str, Any] = {"store": store, **asdict(counts), "reasons": reasons, "waiting": waiting}
        document["seconds"] = round(seconds, 3)
        typer.echo(json.dumps(document))
        return
    typer.echo(f"{_sentence(counts)} {seconds:.1f} s.")
    if waiting:
        typer.echo(
            f"{waiting:,} records are in Kafka, not counted yet. 'marketplace status' says whether the flow runs."
        )
    for reason, lines in reasons.items():
        typer.echo(f"  {lines:,} unparseable: {reason}")
    if counts.unparseable:
        typer.echo(
            f"The unparseable lines are in {IMPORTS_DEAD.name}, with file, line number and reason; addresses in them "
            "are cut to their network."
        )
    if counts.summed_up:
        typer.echo(f"{counts.summed_up:,} of them are not there one by one; the last letter counts them by reason.")


def _sentence(counts: ImportCounts) -> str:
    return (
        f"{counts.lines:,} lines read: {counts.sent:,} sent, {counts.assets_skipped:,} assets skipped, "
        f"{counts.unparseable:,} unparseable{f', {counts.blank:,} blank' if counts.blank else ''}."
    )
