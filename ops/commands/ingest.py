"""`marketplace ingest log` and `marketplace collector`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from contextlib import suppress
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
from ingest.imports.access_log import Destination, ImportCounts, LogImport, StoreDeleted
from ingest.imports.bounded_retry import BoundedRetry
from ingest.imports.log_files import BrokenLogFile
from ingest.imports.selection import Selection
from marketplace.access_logs.recognition import FORMATS
from marketplace.collections import STORES, VISITOR_SALTS
from marketplace.flows import CLICKS_FLOW
from marketplace.tables import LEDGER
from marketplace.topics import CLICKS_COLLECTED, IMPORTS_DEAD
from ops.commands.account_parts import with_accounts
from ops.commands.import_overlap import refuse_what_pages_sent
from ops.commands.import_readings import ReadFile, described, read_files, shop_host, trusted_proxies
from ops.commands.import_result import outcomes_of, said_of_outcomes, sentence
from ops.commands.import_store import create, find, new_store
from ops.commands.log_progress import Progress, open_files, show_progress
from ops.commands.moments import check_range, epoch_ms_in, read_range
from ops.commands.one_line import INTERRUPTED
from ops.commands.options import DataOption, JsonOption
from ops.commands.texts import printable
from ops.context import load_settings
from ops.drain import wait_until_counted
from ops.provision import ensure_provisioned
from ops.resources import Resources
from runtime.logs import LogSettings, configure_logs
from runtime.sections import MongoSettings, Settings
from runtime.settings import load

_CLOSE_SECONDS = 10.0
_STALL_SECONDS = 20.0

_IMPORT = Resources(topics=(CLICKS_COLLECTED, IMPORTS_DEAD), collections=(STORES, VISITOR_SALTS))
"""What an import finds in the parts."""
_DRAIN = Resources(tables=(LEDGER,))
"""What says how much the flow has counted."""

FilesArgument = Annotated[
    list[str], typer.Argument(metavar="FILE...", help="Log files, plain, .gz, .zst, .bz2 or .xz; - is stdin.")
]
StoreOption = Annotated[str, typer.Option("--store", help="The store's slug.")]
AssetsOption = Annotated[
    bool, typer.Option("--include-assets", help="Import requests for style sheets, scripts, images and so on too.")
]
AllOption = Annotated[
    bool, typer.Option("--all-requests", help="Import every request but the collector's own, not page views alone.")
]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        help=f"{', '.join(FORMATS)}, or a LogFormat of Apache or log_format of nginx.",
        show_default="found out from the first lines",
    ),
]
ProxyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--trusted-proxy",
        metavar="NETWORK",
        help="A proxy whose list of addresses (X-Forwarded-For) is trusted; can be repeated; none trusts nobody.",
    ),
]
FromOption = Annotated[
    str | None, typer.Option("--from", help="The first day or time that is imported, in the store's zone.")
]
UntilOption = Annotated[
    str | None,
    typer.Option("--until", help="The first day or time that is not imported any more, in the store's zone."),
]
BesideOption = Annotated[
    bool,
    typer.Option(
        "--beside-snippet",
        help="Import page views also of a time when the store's pages sent theirs: whatever is in both counts twice.",
    ),
]
CompleteOption = Annotated[
    bool,
    typer.Option("--complete", help="Nothing will follow a last line without a line feed: import it too."),
]
LogZoneOption = Annotated[str, typer.Option("--log-timezone", help="The zone of times in the log that name none.")]
AnyHostOption = Annotated[
    bool, typer.Option("--any-host", help="Requests to whatever host the log names are the shop's.")
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
    list[str] | None,
    typer.Option("--domain", help="The shop's host; a store that is created gets it; can be repeated."),
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
    format: FormatOption = None,
    trusted_proxy: ProxyOption = None,
    include_assets: AssetsOption = False,
    all_requests: AllOption = False,
    domain: DomainOption = None,
    any_host: AnyHostOption = False,
    since: FromOption = None,
    until: UntilOption = None,
    beside_snippet: BesideOption = False,
    complete: CompleteOption = False,
    log_timezone: LogZoneOption = "UTC",
    create_store: CreateOption = None,
    timezone: TimezoneOption = "UTC",
    wait: WaitOption = 60.0,
    drain: DrainOption = True,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import page views from access logs, whose format is found out; running it again counts nothing twice."""
    started = time.monotonic()
    first, end = read_range(since, until, "--until")
    with open_files(files, are_complete=complete) as opened, show_progress(opened) as progress:
        readable = read_files(opened, format, log_timezone)
        proxies = trusted_proxies(trusted_proxy or [], readable)
        resources = Resources.union((_IMPORT, _DRAIN)) if drain else _IMPORT
        settings = load_settings(data_dir=data, needs=resources.parts)
        retry = BoundedRetry(wait, progress.say)
        with progress.waiting_for("ClickHouse, MongoDB and Kafka" if drain else "MongoDB and Kafka"):
            retry.until_done(lambda: ensure_provisioned(settings, _answer_seconds(wait), resources), Unavailable)
        client = connect(settings.urls.mongo)
        producer = Producer(settings.kafka, client_id="ingest-log")
        try:
            stores = MongoStores(client, settings.database)
            ask = progress.ask if "-" not in files and sys.stdin.isatty() else None
            # A name that is refused is said before the host is asked for.
            there = find(stores, store, create_store)
            check_range(first, end, timezone if there is None else there.timezone, "--until")
            shop = shop_host(readable, there, domain or [], any_host=any_host, ask=ask)
            wanted = new_store(store, timezone, domain or shop.new)
            found, created = (there, False) if there is not None else create(stores, wanted)
            if created:
                named = f", host {', '.join(found.domains)}" if found.domains else ""
                progress.say(f"Store {store} did not exist: created, time zone {found.timezone}{named}.")
                if _has_accounts(settings):
                    progress.say(
                        f"Nobody owns it, so nobody sees it on the dashboard: marketplace stores owner {store} EMAIL"
                    )
            for file in readable:
                progress.say(described(file, proxies))
            destination = Destination(
                store=found,
                stores=stores,
                producer=producer,
                salts=SaltCache(MongoSalts(client, settings.database)),
                epoch_ms=lambda: time.time_ns() // 1_000_000,
                retry=retry,
            )
            selection = Selection(
                shop.host,
                shop.own_hosts,
                proxies,
                include_assets,
                all_requests,
                epoch_ms_in(first, found.timezone),
                epoch_ms_in(end, found.timezone),
            )
            if there is not None and not beside_snippet:
                refuse_what_pages_sent(settings, there, selection, readable, progress, _answer_seconds(wait))
            importing = LogImport(destination, selection=selection, progress=progress.counts)
            before = _outcomes(settings, store, progress) if drain else None
            _import(importing, readable, progress)
            waiting = _wait(settings, importing.counts, progress) if drain else None
            after = _outcomes(settings, store, progress) if before is not None and waiting == 0 else None
        finally:
            producer.close(_CLOSE_SECONDS)
            client.close()
    outcomes = None if after is None or before is None else dict(after - before)
    _report(store, importing, readable, time.monotonic() - started, waiting, outcomes, as_json=as_json)
    if waiting:
        raise typer.Exit(1)


def _has_accounts(settings: Settings) -> bool:
    mongo = MongoSettings(settings.urls.mongo, settings.database)
    with suppress(Unavailable):
        return asyncio.run(with_accounts(mongo, lambda parts: parts.accounts.has_any()))
    return False


def _answer_seconds(wait: float) -> float:
    """How long a part may take to answer, so that a short `--wait` is not spent on one call."""
    return min(20.0, max(2.0, wait))


def _wait(settings: Settings, counts: ImportCounts, progress: Progress) -> int:
    if not counts.sent and not counts.unparseable:
        return 0
    progress.say("In Kafka; waiting until the flow has counted it.")
    return wait_until_counted(settings, CLICKS_FLOW, _STALL_SECONDS, progress.uncounted)


def _outcomes(settings: Settings, store: str, progress: Progress) -> Counter[str] | None:
    with progress.waiting_for("ClickHouse"):
        return outcomes_of(settings, store)


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


def _import(importing: LogImport, files: list[ReadFile], progress: Progress) -> None:
    try:
        for file in files:
            importing.read(file.name, file.lines, file.reading)
        importing.finish()
    except KeyboardInterrupt:
        progress.say(f"Stopped; {sentence(importing.counts, {})} Run it again to go on: nothing is counted twice.")
        raise typer.Exit(INTERRUPTED) from None
    except StoreDeleted:
        progress.say(
            f"Stopped; {sentence(importing.counts, {})} What was sent is counted with the store's other events."
        )
        raise
    except (Unavailable, BrokenLogFile) as error:
        if isinstance(error, BrokenLogFile):
            importing.finish()
        progress.say(f"{sentence(importing.counts, {})} Run it again when this is corrected: nothing is counted twice.")
        raise


def _report(
    store: str,
    importing: LogImport,
    files: list[ReadFile],
    seconds: float,
    waiting: int | None,
    outcomes: dict[str, int] | None,
    *,
    as_json: bool,
) -> None:
    counts, reasons = importing.counts, dict(importing.reasons.most_common())
    kinds = dict(importing.kinds.most_common())
    if as_json:
        document: dict[str, Any] = {"store": store, **asdict(counts), "reasons": reasons, "waiting": waiting}
        document["left_out"] = kinds
        document["outcomes"] = outcomes
        document["formats"] = {file.name: file.reading.name for file in files}
        document["seconds"] = round(seconds, 3)
        typer.echo(json.dumps(document))
        return
    typer.echo(f"{sentence(counts, kinds)} {seconds:.1f} s.")
    if outcomes and (said := said_of_outcomes(store, outcomes)):
        typer.echo(said)
    for name in importing.unended_files:
        typer.echo(
            f"  the last line of {name} has no end yet: left for the next import, or --complete if nothing will follow"
        )
    if counts.health_checks:
        typer.echo(f"  {counts.health_checks:,} of those sent are health checks, and count as bots'")
    if waiting:
        typer.echo(
            f"{waiting:,} records are in Kafka, not counted yet. 'marketplace status' says whether the flow runs."
        )
    for reason, lines in reasons.items():
        typer.echo(printable(f"  {lines:,} unparseable: {reason}; for example {importing.examples[reason]}"))
    if counts.unparseable:
        typer.echo(
            f"The unparseable lines are in {IMPORTS_DEAD.name}, with file, line number and reason; addresses in them "
            "are cut to their network."
        )
    if counts.summed_up:
        typer.echo(f"{counts.summed_up:,} of them are not there one by one; the last letter counts them by reason.")
