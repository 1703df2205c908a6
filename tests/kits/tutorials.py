"""Runs the commands of a page of the documentation, in its order and in one shell, and compares what they print.

Commands are in blocks of ``sh``. A block of ``json`` or ``text`` after one is what it prints; ids, secrets, times and
ports in it are examples.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from ops.stack.registry import REGISTRY
from runtime.ports import free_ports

DEFAULT_PORTS: Final = {each.port_variable: each.default_port for each in REGISTRY if each.default_port}
_BLOCK: Final = re.compile(r"^```(sh|json|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DEADLINE_SECONDS: Final = 60.0
_EXAMPLES: Final = (
    (re.compile(r"127\.0\.0\.1:\d+"), "<address>"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+"), "<access token>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"), "<time>"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "<date>"),
    (re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}"), "<time>"),
    (re.compile(r"mk_[0-9a-f]{16}_[\w-]{43}"), "<API key>"),
    (re.compile(r"[0-9a-f]{32}\.[0-9a-f]{32}\.[\w-]{32,}"), "<refresh token>"),
    (re.compile(r"#[\w-]{43}"), "#<secret>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<id>"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "<id of a key>"),
)


@dataclass(frozen=True)
class Step:
    """A block of commands.

    Attributes:
        commands: As they are in the page.
        printed: What the page says that they print; None where it says nothing.
        is_json: Whether that is JSON.
    """

    commands: str
    printed: str | None = None
    is_json: bool = False

    @property
    def only_reads(self) -> bool:
        """Whether it can be run again without an effect: a reader looks again, too."""
        return re.search(r" -d | -X |=\$\(", self.commands) is None


def steps_of(page: Path) -> list[Step]:
    """The blocks of a page."""
    steps: list[Step] = []
    for kind, text in _BLOCK.findall(page.read_text()):
        if kind == "sh":
            steps.append(Step(text))
        else:
            assert steps, f"{page.name}: nothing prints {text!r}"
            assert steps[-1].printed is None, f"{page.name}: two outputs of one block"
            steps[-1] = Step(steps[-1].commands, text, kind == "json")
    return steps


def shape(text: str, *, is_json: bool) -> Any:
    """What has to be the same in every run.

    Raises:
        ValueError: It should be JSON and is not.
    """
    for pattern, example in _EXAMPLES:
        text = pattern.sub(example, text)
    return json.loads(text) if is_json else "\n".join(line.rstrip() for line in text.strip().splitlines())


@contextmanager
def own_stack(folder: Path) -> Iterator[dict[str, str]]:
    """An environment whose ports are free and whose stack is stopped at the end."""
    ports = dict(zip(DEFAULT_PORTS, free_ports(len(DEFAULT_PORTS)), strict=True))
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MARKETPLACE_")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "NO_COLOR": "1",
        **{variable: str(port) for variable, port in ports.items()},
    }
    yield variables
    subprocess.run(["marketplace", "down"], cwd=folder, env=variables, capture_output=True, timeout=60, check=False)


def on_free_ports(commands: str, environment: Mapping[str, str]) -> str:
    """The page names the usual ports; somebody may have them while the tests run."""

    def free(match: re.Match[str]) -> str:
        port = next((environment[name] for name, usual in DEFAULT_PORTS.items() if usual == int(match[1])), match[1])
        return f"127.0.0.1:{port}"

    return re.sub(r"127\.0\.0\.1:(\d+)\b", free, commands)


class Shell:
    """One shell for a whole page: variables and functions of a block are there in the next one.

    Args:
        folder: Where it begins.
        environment: Its variables.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the shell
        self._process = subprocess.Popen(
            [shutil.which("bash") or "sh"],
            cwd=folder, env=dict(environment), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
        )  # fmt: skip
        self._mark = f"end-of-block-{uuid.uuid4().hex}"
        self.run("set -e -o pipefail")

    def run(self, commands: str) -> str:
        """What a block prints; fails if one of its commands does."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # What is printed need not end its line.
        self._process.stdin.write(f"{commands}\nprintf '\\n%s\\n' {self._mark}\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line.strip() == self._mark:
                return "".join(lines).removesuffix("\n")
            lines.append(line)
        self._errors.seek(0)
        raise AssertionError(f"{commands}\n{''.join(lines)}\n{self._errors.read().decode()[-3000:]}")

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
        self._errors.close()


def run_page(page: Path, folder: Path, environment: Mapping[str, str]) -> None:
    """Run all blocks of a page; what each prints is what the page says."""
    shell = Shell(folder, environment)
    try:
        for step in steps_of(page):
            commands = on_free_ports(step.commands, environment)
            printed, deadline = shell.run(commands), time.monotonic() + _DEADLINE_SECONDS
            if step.printed is None:
                continue
            expected = shape(step.printed, is_json=step.is_json)
            while step.only_reads and _shape(printed, step) != expected and time.monotonic() < deadline:
                time.sleep(0.5)
                printed = shell.run(commands)
            assert _shape(printed, step) == expected, f"{step.commands}\n{printed}"
    finally:
        shell.close()


def _shape(printed: str, step: Step) -> Any:
    try:
        return shape(printed, is_json=step.is_json)
    except ValueError:
        return printed
