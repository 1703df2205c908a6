"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.stack.model import DATA_VARIABLE, DEFAULT_DATA_DIR

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
