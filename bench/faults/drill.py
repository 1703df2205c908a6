"""Runs the whole product under steady load during a fault, and collects what was seen."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from bench.claims.numbers import quantile
from bench.corpus_cache import ROOT
from bench.faults.load import EventResult, Load, between
from connectors.clickhouse.client import ClickHouse
from connectors.mongo.client import connect
from connectors.mongo.stores import MongoStores
from marketplace.stores import Store, hash_write_key
from ops.provision import ensure_provisioned
from ops.stack import Stack
from ops.stack.registry import REGISTRY
from ops.stack.supervisor.reaper import start_time
from runtime.sections import Settings

NO_CLIENT_LIMIT: Final = {
    "MARKETPLACE_COLLECTOR_CLIENT_REQUESTS_PER_SECOND": "0",
    "MARKETPLACE_COLLECTOR_MAX_CONNECTIONS_PER_ADDRESS": "1000",
}
"""All load comes from one address, so the limits by address are raised."""

FROZEN: Final = (
    "mongo", "clickhouse", "redis", "kafka", "flow", "flow-process", "collector", "supervisor", "dashboard",
)  # fmt: skip
STATUS_AT_SECONDS: Final = (5.0, 30.0, 60.0)
_BEFORE_SECONDS: Final = 3.0
_AFTER_SECONDS: Final = 10.0
_COUNT_SECONDS: Final = 180.0


@dataclass
class Product:
    """A running stack with its services and some stores.

    Attributes:
        keys: Write keys of the stores.
    """

    stack: Stack
    settings: Settings
    keys: list[str]

    @property
    def collector(self) -> str:
        """The collector's base URL."""
        return self.stack.process("collector").url

    def pid(self, name: str) -> int:
        """The id of a process of the stack, of its supervisor, or of the flow's first process."""
        if name == "supervisor":
            return self.stack.state().supervisor_pid
        if name == "flow-process":
            parent = self.stack.pid("flow")
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
            return int(children[0])
        return self.stack.pid(name)

    def command(self, *arguments: str, seconds: float = 60.0) -> tuple[int, str]:
        """Exit code and output of a ``marketplace`` command."""
        done = subprocess.run(
            [sys.executable, "-m", "ops.cli", *arguments, "--data", str(self.stack.data_dir)],
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        return done.returncode, done.stdout + done.stderr

    def counted(self) -> list[str]:
        """Ids of all facts, with duplicates if there are any."""
        clickhouse = ClickHouse(self.settings.urls.clickhouse, self.settings.database)
        rows = clickhouse.rows(f"SELECT event_id FROM {self.settings.database}.clicks")
        clickhouse.close()
        return [str(row[0]) for row in rows]


@contextmanager
def product(folder: Path, stores: int = 100, **service_settings: str) -> Iterator[Product]:
    """Everything that ``marketplace up`` runs, on free ports, with this many stores."""
    stack = Stack(
        folder,
        ports="auto",
        parts=REGISTRY.usual,
        external={},
        service_settings={**NO_CLIENT_LIMIT, **service_settings},
    )
    with stack:
        urls = stack.urls
        settings = Settings(urls, PurePosixPath(folder))
        ensure_provisioned(settings)
        keys = [secrets.token_hex(16) for _ in range(stores)]
        with connect(urls.mongo) as client:
            repository = MongoStores(client, settings.database)
            for number, key in enumerate(keys):
                repository.create_store(
                    Store(f"shop-{number}", f"Shop {number}", "UTC", (), hash_write_key(key), secrets.token_hex(32))
                )
        yield Product(stack, settings, keys)


@dataclass
class DrillResult:
    """The result of one drill.

    Attributes:
        name: The process or disk with the fault.
        results: Events that were due during the fault.
        status: The exit code of ``marketplace status`` and its line about the part, by seconds after the start.
        answers_after: Seconds from the start until every event was accepted again; 0 if none was refused.
        counted_after: Seconds from the load's end until everything acknowledged was counted; -1 if it never was.
        restarts: How often the process was restarted.
        acknowledged, missing, twice: Accepted events; those of them that are not counted, or more than once.
        ledger: The exit code of ``marketplace ledger``.
    """

    name: str
    results: list[EventResult] = field(default_factory=list)
    status: dict[float, tuple[int, str]] = field(default_factory=dict)
    answers_after: float = 0.0
    counted_after: float = -1.0
    restarts: int = 0
    acknowledged: int = 0
    missing: int = 0
    twice: int = 0
    ledger: int = -1

    def row(self) -> tuple[str, ...]:
        """The row of the table."""
        seconds = sorted(result.seconds for result in self.results)
        taken = sum(result.status == 202 for result in self.results)
        shown = "; ".join(f"{at:.0f} s: {text} ({code})" for at, (code, text) in self.status.items())
        return (
            self.name,
            f"{100 * taken / max(1, len(self.results)):.1f} %",
            f"{1000 * quantile(seconds, 0.5):.0f} ms",
            f"{1000 * quantile(seconds, 0.99):.0f} ms",
            f"{self.answers_after:.0f} s",
            f"{self.counted_after:.0f} s",
            str(self.restarts),
            f"{self.acknowledged:,} - {self.missing} + {self.twice}",
            "closes" if self.ledger == 0 else f"exit {self.ledger}",
            shown,
        )


HEADINGS: Final = (
    "fault", "202", "p50", "p99", "accepted again after", "counted after", "restarts", "accepted - missing + twice",
    "ledger", "status (exit code)",
)  # fmt: skip


@contextmanager
def frozen(running: Product, name: str) -> Iterator[None]:
    """Stop a process (SIGSTOP) and continue it at the end, unless it was replaced meanwhile."""
    pid = running.pid(name)
    born = start_time(pid)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            if start_time(pid) == born:
                os.kill(pid, signal.SIGCONT)


def drill(
    running: Product,
    name: str,
    trouble: AbstractContextManager[None],
    seconds: float,
    per_second: float = 200.0,
    status_at: Sequence[float] = STATUS_AT_SECONDS,
    say: Callable[[str], None] = lambda line: None,
) -> DrillResult:
    """Apply a fault under load, and collect the results.

    Args:
        running: The product.
        name: The process whose line of the status is recorded.
        trouble: A context that begins and ends the fault.
        seconds: The duration of the fault.
        per_second: The load's events per second.
        status_at: When ``marketplace status`` is run, seconds after the start.
        say: Called with lines about the progress.
    """
    seen = DrillResult(name)
    before = _restarts(running, name)
    load = Load(running.collector, running.keys, per_second)
    with load.running():
        time.sleep(_BEFORE_SECONDS)
        began = time.monotonic()
        with trouble:
            say(f"{name}: it begins")
            for at in (*(at for at in status_at if at < seconds), seconds):
                time.sleep(max(0.0, began + at - time.monotonic()))
                if at < seconds:
                    seen.status[at] = _status(running, name)
                    say(f"{name}, {at:.0f} s: {seen.status[at][1]} (exit code {seen.status[at][0]})")
        over = time.monotonic()
        time.sleep(_AFTER_SECONDS)
    ended = time.monotonic()
    seen.results = between(load.results, began, over)
    refused = [result.due for result in load.results if result.status != 202]
    seen.answers_after = max(refused) - began if refused else 0.0
    acknowledged = load.acknowledged()
    seen.acknowledged = len(acknowledged)
    counted = _wait_counted(running, acknowledged)
    seen.missing, seen.twice = len(acknowledged - set(counted)), len(counted) - len(set(counted))
    seen.counted_after = -1.0 if seen.missing else max(0.0, time.monotonic() - ended)
    seen.restarts = _restarts(running, name) - before
    seen.ledger = running.command("ledger")[0]
    return seen


def _wait_counted(running: Product, acknowledged: set[str]) -> list[str]:
    deadline, counted = time.monotonic() + _COUNT_SECONDS, list[str]()
    while time.monotonic() < deadline:
        counted = running.counted()
        if acknowledged <= set(counted):
            break
        time.sleep(0.5)
    return counted


def _restarts(running: Product, name: str) -> int:
    """How often a process was restarted; restarts of the flow's own processes are counted by its service."""
    if name == "flow-process":
        text = _get(f"{running.stack.process('flow').url}/metrics")
        found = re.search(r'^marketplace_flow_restarts_total\{flow="clicks"\} (\S+)', text, re.MULTILINE)
        return int(float(found[1])) if found else 0
    info = running.stack.state().process(name)
    return 0 if info is None else info.restarts


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def _status(running: Product, name: str) -> tuple[int, str]:
    """The exit code of ``marketplace status``, and a short text about a part."""
    try:
        code, text = running.command("status", "--json", seconds=30)
    except subprocess.TimeoutExpired:
        return -1, "no answer within 30 s"
    try:
        document = json.loads(text)
    except ValueError:
        return code, " ".join(text.split())[:120]
    wanted = "flow" if name == "flow-process" else name
    for process in document.get("processes", ()):
        if process["name"] == wanted:
            shown = "healthy" if process["healthy"] else process["state"]
            return code, f"{shown}: {process['problem'][:80]}" if process["problem"] else shown
    return code, str(document.get("problem") or document.get("phase"))[:120]
