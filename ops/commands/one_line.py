"""What a command tells a person when it cannot do what was asked: one line, and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import typer

INTERRUPTED = 130


def fail(message: str) -> NoReturn:
    """End with one line on standard error and exit code 1."""
    typer.echo(f"marketplace: {' '.join(message.split())}", err=True)
    raise typer.Exit(1)


def interrupt(number: int, frame: FrameType | None) -> None:
    """A signal handler that makes SIGTERM the same as Ctrl-C."""
    del number, frame
    raise KeyboardInterrupt


@contextmanager
def one_line_errors(
    *expected: type[Exception], interrupted: str = "Interrupted; nothing is left running."
) -> Iterator[None]:
    """Turn an error meant for a person into one line and exit code 1, and Ctrl-C into exit code 130."""
    try:
        yield
    except expected as error:
        fail(str(error))
    except KeyboardInterrupt:
        typer.echo(interrupted, err=True)
        raise typer.Exit(INTERRUPTED) from None
