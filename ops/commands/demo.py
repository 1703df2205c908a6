"""`marketplace demo`: shops, people and everything that goes wrong, on real parts."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from connectors.errors import Refused, Unavailable
from marketplace.settings import InvalidSettings
from ops.demo.collector import CollectorFailed
from ops.demo.company import DemoFailed
from ops.demo.narrator import Narrator
from ops.demo.play import DemoOptions, play_live, play_once
from ops.demo.render import make_console, show
from ops.demo.sender import SendFailed
from ops.flow_runner import FlowFailed
from ops.stack import StackError
from ops.stack.model import DATA_VARIABLE

_INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    clicks: Annotated[int, typer.Option(min=1, help="Events to send at the beginning.")] = 20_000,
    once: Annotated[bool, typer.Option("--once", help="Drain, compare all numbers with an oracle, stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    seed: Annotated[int, typer.Option(help="Equal seeds make equal traffic.")] = 1,
    data: Annotated[Path | None, typer.Option(envvar=DATA_VARIABLE, help="The data folder.")] = None,
    brokers: Annotated[int, typer.Option(help="Kafka brokers, 1 or 3, of a stack that is started.")] = 1,
    workers: Annotated[int, typer.Option(min=1, max=8, help="Processes of the click flow.")] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the parts running and the data in place.")] = False,
) -> None:
    """Shops in five time zones, realistic traffic with all its troubles, and each store's numbers."""
    options = DemoOptions(clicks, seed, data, brokers, workers, keep)
    signal.signal(signal.SIGTERM, _interrupt)
    # Its errors reach the demo as exceptions, which are waited out or told; its own lines would only repeat them.
    with _one_line_errors():
        narrator = Narrator()
        summary = play_once(options, narrator) if once else play_live(options, narrator)
        if as_json:
            typer.echo(json.dumps(summary.document(), indent=2, ensure_ascii=False))
        elif once:
            show(summary, make_console())
        if not summary.ok:
            raise typer.Exit(1)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Turn an error meant for a person into one line and exit code 1, and Ctrl-C into exit code 130."""
    try:
        yield
    except (
        CollectorFailed,
        DemoFailed,
        FlowFailed,
        InvalidSettings,
        Refused,
        SendFailed,
        StackError,
        Unavailable,
    ) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; nothing is left running.\n")
        raise typer.Exit(_INTERRUPTED) from None


def _fail(message: str) -> NoReturn:
    typer.echo(f"marketplace: {message}", err=True)
    raise typer.Exit(1)


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt
