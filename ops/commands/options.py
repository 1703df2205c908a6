"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from connectors.errors import Refused
from ops.commands.one_line import fail
from ops.stack.state.model import DATA_VARIABLE, DEFAULT_DATA_DIR

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar=DATA_VARIABLE,
        help="The data folder of the running stack.",
        show_default=DEFAULT_DATA_DIR,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def split_names(option: str, values: Sequence[str] | None) -> frozenset[str]:
    """The names in an option that may be repeated and may have several names, separated by commas.

    Fails if the option is given without a name: an empty variable of a script must not mean everything.
    """
    names = frozenset(name for value in values or () for part in value.split(",") if (name := part.strip()))
    if values and not names:
        fail(f"{option} names nothing")
    return names


def choice(option: str, value: str, choices: Sequence[str]) -> str:
    """A value that has to be one of a few.

    Raises:
        Refused: It is another one.
    """
    if value not in choices:
        raise Refused(f"{option} {value!r}: choose from {', '.join(choices)}")
    return value
