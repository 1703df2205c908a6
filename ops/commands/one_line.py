"""Errors of a command as one line on standard error, and an exit code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import typer

from ops.commands.texts import printable
from runtime.settings import InvalidSettings, MissingUrl

INTERRUPTED = 130


def say(message: str) -> None:
    """Write an error as one line to standard error; all commands' begin alike, and nothing in one is a command."""
    typer.echo(printable(f"marketplace: {' '.join(message.split())}"), err=True)


def fail(message: str, code: int = 1) -> NoReturn:
    """End with one line on standard error."""
    say(message)
    raise typer.Exit(code)


def text_of(error: Exception) -> str:
    """What is said of an error; of a file its name and what is wrong with it, without numbers."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return str(error)


def exit_code(error: Exception) -> int:
    """2 where a setting cannot be used, so that trying again cannot help; else 1."""
    return 2 if isinstance(error, InvalidSettings) and not isinstance(error, MissingUrl) else 1


def interrupt(number: int, frame: FrameType | None) -> None:
    """A signal handler that makes SIGTERM the same as Ctrl-C."""
    del number, frame
    raise KeyboardInterrupt


@contextmanager
def one_line_errors(
    *expected: type[Exception], interrupted: str = "Interrupted; nothing is left running."
) -> Iterator[None]:
    """Turn an expected error into one line and its exit code, and Ctrl-C into exit code 130."""
    try:
        yield
    except expected as error:
        fail(text_of(error), exit_code(error))
    except KeyboardInterrupt:
        typer.echo(interrupted, err=True)
        raise typer.Exit(INTERRUPTED) from None
