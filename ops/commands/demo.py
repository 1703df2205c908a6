"""`marketplace demo`: sample shops with realistic traffic, on real parts."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from connectors.errors import Refused, Unavailable
from flows.delivery.process_set import FlowFailed
from ops.commands.one_line import fail, interrupt, one_line_errors
from ops.demo.report.progress_printer import ProgressPrinter
from ops.demo.report.render import make_console, show
from ops.demo.report.summary import Summary
from ops.demo.run.live import DEFAULT_RATE
from ops.demo.run.live_play import play_live
from ops.demo.run.options import DemoOptions
from ops.demo.run.play import play_once
from ops.demo.services.collector import CollectorFailed
from ops.demo.services.demo_processes import DemoFailed
from ops.demo.services.sender import SendFailed
from ops.stack import StackError
from ops.stack.parts.kafka_archive import prepared_kafka
from ops.stack.state.model import DATA_VARIABLE
from runtime.sections import KAFKA_URL
from runtime.settings import EnvReader, InvalidSettings

_EXPECTED = (
    CollectorFailed,
    DemoFailed,
    FlowFailed,
    InvalidSettings,
    Refused,
    SendFailed,
    StackError,
    Unavailable,
)
_CLICKS = 60_000
_CLICKS_ONCE = 20_000
_ORDERS = 100


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    clicks: Annotated[
        int | None, typer.Option(min=1, help="Events of the history.", show_default="60000; 20000 with --once")
    ] = None,
    orders: Annotated[
        int, typer.Option(min=0, max=10_000, help="Orders that buyers of the demo place; 0 for none.")
    ] = _ORDERS,
    once: Annotated[bool, typer.Option("--once", help="Drain, compare all numbers with an oracle, stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    seed: Annotated[int, typer.Option(help="Equal seeds make equal traffic.")] = 1,
    data: Annotated[Path | None, typer.Option(envvar=DATA_VARIABLE, help="The data folder.")] = None,
    brokers: Annotated[int, typer.Option(help="Kafka brokers, 1 or 3, of a stack that is started.")] = 1,
    workers: Annotated[int, typer.Option(min=1, max=8, help="Processes of the click flow.")] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the parts running and the data in place.")] = False,
    rate: Annotated[float, typer.Option(min=0.1, max=500, help="Live events per second, of all shops.")] = DEFAULT_RATE,
    detach: Annotated[bool, typer.Option("--detach", help="Leave it all running in the background.")] = False,
) -> None:
    """Shops in five time zones, thirty days of realistic traffic, orders with all their troubles, then live traffic.

    It ends with where to look and with three accounts to sign in with. Their passwords are shown this once; every
    further demo on the data folder sets new ones, which ends their sign-ins. With --once there are no accounts.
    """
    if brokers not in (1, 3):
        fail(f"Kafka runs with 1 or with 3 brokers, not with {brokers}")
    if once and detach:
        fail("--once ends, and --detach goes on: choose one")
    clicks = clicks or (_CLICKS_ONCE if once else _CLICKS)
    options = DemoOptions(clicks, orders, seed, data, brokers, workers, keep, rate, detach, as_json)
    signal.signal(signal.SIGTERM, interrupt)
    # The client's errors also reach the demo as exceptions, which are retried or shown; its log would repeat them.
    with one_line_errors(*_EXPECTED, interrupted="Interrupted; what was started here is stopped."):
        if not EnvReader(os.environ).given(KAFKA_URL):
            # It reports a download's progress itself, which would interfere with the printer's spinner.
            prepared_kafka()
        printer = ProgressPrinter()
        if once:
            summary = play_once(options, printer)
            _print(summary, as_json=as_json)
        else:
            summary = play_live(options, printer, lambda numbers: _print(numbers, as_json=as_json))
        if not summary.ok:
            raise typer.Exit(1)


def _print(summary: Summary, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(summary.document(), indent=2, ensure_ascii=False))
    else:
        show(summary, make_console())
    sys.stdout.flush()
