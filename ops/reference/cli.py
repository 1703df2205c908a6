"""``python -m ops.reference.cli``: writes docs/reference/cli.md from the commands; a test checks that they agree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from ops.cli import make_app

TARGET = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"
_HEAD = """# Command line reference

Written by `make reference` from the commands' own help. Long work shows a progress bar on a terminal and plain lines
elsewhere; with `--json`, standard output holds one JSON document. An expected error is one line on standard error that
begins with `marketplace: `, and exit code 1, also for a value that is not one of the listed ones; options that are not
known, have no value or a number out of range, and environment variables that cannot be used, are exit code 2.
"""


def reference() -> str:
    """The page as Markdown."""
    return _HEAD + "".join(_describe(typer.main.get_command(make_app()), ["marketplace"]))


def _describe(command: Any, path: list[str]) -> Iterator[str]:
    nested = getattr(command, "commands", {})
    if not nested:
        yield f"\n## {' '.join(path)}\n\n{command.help}\n"
        if command.params:
            yield "\n| option | meaning | default |\n|---|---|---|\n"
        for parameter in command.params:
            yield _row(parameter)
    for name, inner in nested.items():
        yield from _describe(inner, [*path, name])


def _row(parameter: Any) -> str:
    argument = parameter.param_type_name == "argument"
    names = parameter.metavar or parameter.name.upper() if argument else ", ".join(parameter.opts)
    off = "" if argument else "".join(f" / {name}" for name in parameter.secondary_opts)
    required = "required" if parameter.required else ""
    silent = parameter.default in (None, False) or parameter.required or callable(parameter.default)
    default = required if silent else f"`{parameter.default}`"
    if isinstance(parameter.show_default, str):
        default = parameter.show_default
    variable = f" (`{parameter.envvar}`)" if parameter.envvar else ""
    return f"| `{names}{off}` | {(parameter.help or '').strip()}{variable} | {default} |\n"


if __name__ == "__main__":
    TARGET.write_text(reference())
