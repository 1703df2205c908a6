"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

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


def split_names(options: Iterable[str] | None) -> frozenset[str]:
    """The names of an option that may be repeated, and may have several names with commas between them."""
    return frozenset(name for option in options or () for part in option.split(",") if (name := part.strip()))
