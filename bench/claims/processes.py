"""The measured processes: started as in production, observed through ``/proc``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.claims.numbers import say
from bench.corpus_cache import ROOT
from flows.delivery.fencing import take_generation
from flows.delivery.process_set import FlowOptions, FlowProcessSet
from marketplace.flows import CLICKS_FLOW
from ops.demo.services.collector import Collector
from ops.stack.state.model import read_state
from runtime.progress import ProgressPage
from runtime.sections import Settings

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS: Final = 10.0
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_LIMITS_OFF: Final = {
    "MARKETPLACE_COLLECTOR_CLIENT_REQUESTS_PER_SECOND": "1000000000",
    "MARKETPLACE_COLLECTOR_CLIENT_BURST_REQUESTS": "1000000000",
    "MARKETPLACE_COLLECTOR_STORE_EVENTS_PER_SECOND": "1000000000",
    "MARKETPLACE_COLLECTOR_STORE_BURST_EVENTS": "1000000000",
    "MARKETPLACE_COLLECTOR_MAX_CONNECTIONS_PER_ADDRESS": "1000",
}
"""Limits that are too high to be reached; their cost is the same as in production."""


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process, since it started."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def machine_cpu_seconds() -> float:
    """CPU time that was not idle, of all cores since boot."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / _TICKS


def rss_bytes(pid: int) -> int:
    """The resident memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def folder_bytes(folder: Path) -> int:
    """Bytes on disk of all files below a folder."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(Path(parent, name)).st_blocks * 512
            except FileNotFoundError:
                continue  # deleted by a merge in the meantime
    return total


def part_pids(folder: Path) -> dict[str, int]:
    """Process ids of the stack's parts by name."""
    state = read_state(folder)
    return {info.name: info.pid for info in (state.processes if state else []) if info.pid is not None}


@dataclass(frozen=True)
class Cpu:
    """Measures CPU seconds of several processes."""

    began: dict[str, float]
    pids: dict[str, int]
    machine_began: float

    @staticmethod
    def of(pids: dict[str, int]) -> Cpu:
        """Start measuring now."""
        return Cpu({name: cpu_seconds(pid) for name, pid in pids.items()}, pids, machine_cpu_seconds())

    def used(self) -> dict[str, float]:
        """CPU seconds since the start, by process."""
        return {name: cpu_seconds(pid) - self.began[name] for name, pid in self.pids.items()}

    def machine(self) -> float:
        """CPU seconds of the whole machine since the start."""
        return machine_cpu_seconds() - self.machine_began


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set environment variables for processes that are started inside."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def collector(settings: Settings, folder: Path) -> Iterator[Collector]:
    """A collector as in production, but with limits that a load test does not reach."""
    with environment(**_LIMITS_OFF):
        running = Collector(settings, folder / "logs" / "collector.log")
        try:
            running.start()
            running.wait_ready()
            yield running
        finally:
            running.stop()


@contextmanager
def flow(settings: Settings, folder: Path, options: FlowOptions | None = None) -> Iterator[FlowProcessSet]:
    """The click flow as in production; yields when it consumes the topic."""
    with environment(PYTHONPATH=str(ROOT)):
        runner = FlowProcessSet(CLICKS_FLOW, settings, options or FlowOptions(), folder / "logs" / "flow.log")
        try:
            runner.start()
            wait_until(runner.all_started, 60, "the flow does not begin to read")
            yield runner
        finally:
            runner.stop()


@contextmanager
def traced_flow(settings: Settings, folder: Path) -> Iterator[Path]:
    """The flow with traced steps (``bench.claims.traced_flow``); yields the file of the trace."""
    trace, page = folder / "flow.trace", ProgressPage()
    trace.unlink(missing_ok=True)
    options = FlowOptions()
    given = {
        **os.environ,
        **settings.urls.environment(),
        "PYTHONPATH": str(ROOT),
        "MARKETPLACE_DATABASE": settings.database,
        "FLOW_GENERATION": str(take_generation(settings, CLICKS_FLOW)),
        "FLOW_PROGRESS_FD": str(page.fd),
        "FLOW_ROUND_SECONDS": str(options.round_seconds),
        "FLOW_MAX_RECORDS": str(options.max_records),
        "BENCH_TRACE": str(trace),
        "BENCH_SPAWNED": str(time.time()),
    }
    with (folder / "logs" / "traced_flow.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.claims.traced_flow"],
            env=given,
            cwd=ROOT,
            stdout=log,
            stderr=log,
            pass_fds=(page.fd,),
        )
    try:
        wait_until(lambda: page.read().epochs > 0, 60, "the traced flow does not begin to read")
        yield trace
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        page.close()


def wait_until(done: Callable[[], bool], seconds: float, otherwise: str, pause_seconds: float = 0.05) -> None:
    """Poll a condition.

    Raises:
        TimeoutError: The condition was not met in time; the message is ``otherwise``.
    """
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            say(otherwise)
            raise TimeoutError(otherwise)
        time.sleep(pause_seconds)
