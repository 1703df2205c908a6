"""What tests of the demo share: runs on a stack that the test owns, and the command as a process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

from flows.delivery.process_set import FlowOptions
from ops.demo.report.audit import read_baseline
from ops.demo.report.progress_printer import ProgressPrinter
from ops.demo.report.summary import Summary
from ops.demo.run.once import OnceRun
from ops.demo.services.background import Background
from ops.demo.services.demo_processes import DemoProcesses, open_shops
from ops.demo.services.demo_stack import DemoStack
from ops.demo.traffic.shops import SHOPS
from ops.provision import ensure_provisioned
from ops.stack import Stack
from runtime.sections import Settings

ROOT: Final = Path(__file__).resolve().parents[2]
TWO_SHOPS: Final = (SHOPS[0], SHOPS[3])
"""A zone with daylight saving and one that is 45 minutes off."""


@dataclass
class Play:
    """A run of the demo's machinery on a stack, on stores of its own, with something going wrong in the middle.

    Attributes:
        stack: The parts.
        seed: Of the traffic.
        clicks: Events to send.
        rate: Events per second, so that the middle lasts for a while.
        workers: Processes of the flow.
    """

    stack: Stack
    seed: int = 1
    clicks: int = 2_500
    rate: float = 700
    workers: int = 1

    @property
    def seconds(self) -> float:
        """How long sending takes when nothing goes wrong."""
        return self.clicks / self.rate

    def run(
        self,
        disturb: Callable[[DemoProcesses], None],
        prepare: Callable[[DemoProcesses], None] = lambda processes: None,
    ) -> Summary:
        """Send, disturb meanwhile, drain, compare with the oracle; a disturbance that fails fails the run."""
        folder = self.stack.data_dir
        urls = self.stack.urls
        settings = Settings(urls, PurePosixPath(folder))
        ensure_provisioned(settings)
        opened = open_shops(settings, self.seed, f"{time.time_ns():x}", fresh=True, shops=TWO_SHOPS)
        processes = DemoProcesses(DemoStack(settings, folder, self.stack), FlowOptions(workers=self.workers))
        prepare(processes)
        run = OnceRun(processes, opened, read_baseline(processes), ProgressPrinter(), self.seed, self.clicks)
        saboteur = Background(lambda: disturb(processes), "saboteur")
        try:
            processes.start()
            saboteur.start()
            run.send_backlog(self.rate)
            processes.wait_until(lambda: not saboteur.is_alive(), 90, "the end of the disturbance")
            saboteur.result()
            return run.conclude(run.drain())
        finally:
            run.stop()
            processes.stop()


def assert_agrees(summary: Summary, clicks: int) -> None:
    """Everything arrived, the ledger closes and every number is the oracle's."""
    assert not summary.oracle["differences"], "\n".join(summary.oracle["first"])
    assert summary.oracle["compared"] > 1_000
    assert summary.ledger_difference == 0
    assert summary.sent == clicks
    assert summary.received == summary.accepted + summary.broken_in_the_topic + summary.written_twice
    assert sum(summary.outcomes.values()) == summary.received
    assert summary.ok


@contextmanager
def command(*arguments: str, temporary: Path) -> Iterator[subprocess.Popen[str]]:
    """The ``marketplace`` command in a process group of its own, as a terminal would run it; killed at the end.

    Args:
        arguments: Of the command.
        temporary: Where it puts temporary folders, and its working directory.
    """
    base = {name: value for name, value in os.environ.items() if not name.startswith("MARKETPLACE_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "ops.cli", *arguments],
        env={**base, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
        cwd=temporary,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def lines_of(stream: IO[str] | None) -> list[str]:
    """What a stream says, line by line, while it says it."""
    lines: list[str] = []
    assert stream is not None
    reader = threading.Thread(target=lambda: lines.extend(iter(stream.readline, "")), daemon=True)
    reader.start()
    return lines


def accounts_in(said: str) -> dict[str, str]:
    """The passwords that a demo has printed, by address."""
    return dict(re.findall(r"^ *(?:owner|analyst|admin) +(\S+@\S+) +(\S+) +\S", said, re.MULTILINE))


def files_with(texts: Iterable[str], folder: Path) -> list[str]:
    """The files below a folder that hold one of these texts."""
    patterns = [part for text in texts for part in ("-e", text)]
    found = subprocess.run(
        ["grep", "-rlaF", *patterns, str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert found.returncode in (0, 1), found.stderr
    return found.stdout.splitlines()
