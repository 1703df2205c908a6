"""The demo on a running stack, which runs the collector, the flow and live traffic as services."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ops.demo.services.collector import CollectorFailed
from ops.stack import Stack, StackError
from ops.stack.components import Launch
from ops.stack.registry import REGISTRY, SERVICES
from ops.stack.stack import running_state
from ops.stack.state.model import Part, ProcessInfo, StackState
from runtime.ports import free_ports
from runtime.sections import Settings

TRAFFIC: Final = "traffic"
_READY_SECONDS: Final = 30.0


def service_settings(workers: int = 1) -> dict[str, str]:
    """Settings of the stack's services in a demo.

    The collector trusts ``X-Forwarded-For`` from this machine, so that visitors can come from all over the world.
    """
    return {
        "MARKETPLACE_COLLECTOR_TRUSTED_PROXIES": "127.0.0.1/32",
        "MARKETPLACE_FLOW_WORKERS": str(workers),
    }


class ServedFlow:
    """The flow that the stack runs as a service; a second one would fence it off.

    Args:
        folder: The stack's data folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.restarts = 0

    @property
    def pids(self) -> list[int]:
        """The id of the service's process."""
        state = running_state(self._folder)
        return [p.pid for p in state.processes if p.part == "flow" and p.pid] if state else []

    def start(self) -> None:
        """Do nothing: the stack has started it."""

    def all_started(self) -> bool:
        """Whether its process runs."""
        return bool(self.pids)

    def watch(self) -> None:
        """Do nothing: the stack's supervisor restarts it."""

    def stop(self) -> None:
        """Do nothing: the service goes on."""


class ServedCollector:
    """The collector that the stack runs as a service.

    Args:
        folder: The stack's data folder.

    Raises:
        StackError: The stack runs no collector.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._url = folder, service_url(folder, "collector")
        parts = urlsplit(self._url)
        self.host, self.port = parts.hostname or "", parts.port or 0
        self.restarts = 0

    @property
    def url(self) -> str:
        """Its base URL."""
        return self._url

    @property
    def pid(self) -> int | None:
        """The id of the service's process; None while it does not run."""
        process = _collector(self._folder)
        return process.pid if process is not None else None

    def start(self) -> None:
        """Do nothing: the stack has started it."""

    def wait_ready(self, timeout_seconds: float = _READY_SECONDS) -> None:
        """Wait until the supervisor finds it healthy.

        Raises:
            CollectorFailed: It is not in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while (info := _collector(self._folder)) is None or not info.healthy:
            if time.monotonic() > deadline:
                raise CollectorFailed(f"the collector at {self.url} does not answer")
            time.sleep(0.1)

    def watch(self) -> None:
        """Do nothing: the stack's supervisor restarts it."""

    def stop(self) -> None:
        """Do nothing: the service goes on."""


def is_served(folder: Path) -> bool:
    """Whether the stack of a data folder runs the flow itself."""
    state = running_state(folder)
    return state is not None and any(process.part == "flow" for process in state.processes)


def service_url(folder: Path, name: Part) -> str:
    """The base URL of a process of the running stack.

    Raises:
        StackError: It runs no process of that name.
    """
    state = running_state(folder)
    process = state.process(name) if state is not None else None
    if process is None:
        raise StackError(f"the stack in {folder} runs no {name}")
    return process.url


def ensure_services(folder: Path, settings: Settings, workers: int, *, own: bool) -> None:
    """Make a running stack start what the demo needs: all services, and a collector with the demo's settings.

    Args:
        folder: The stack's data folder.
        settings: The database, and where the parts are.
        workers: Processes of the click flow.
        own: Whether this demo has started the stack, with its settings.

    Raises:
        StackError: A service does not start.
    """
    state = _running(folder)
    stack = Stack(folder, external={})
    ports = _service_ports(state)
    for name in SERVICES:
        has_settings = own or name != "collector" or _is_marked(folder)
        if state.process(name) is None or not has_settings:
            _run(stack, state, name, ports, settings, service_settings(workers))
            stack.wait_healthy(name)
    _mark(folder)


def _mark(folder: Path) -> None:
    """Note which process of the collector has the demo's settings, for the next demo."""
    found = _collector(folder)
    if found is not None:
        _marker(folder).write_text(_name_of(found))


def _is_marked(folder: Path) -> bool:
    found = _collector(folder)
    try:
        return found is not None and _marker(folder).read_text() == _name_of(found)
    except OSError:
        return False


def _marker(folder: Path) -> Path:
    path = folder / "run" / "demo-collector"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _name_of(process: ProcessInfo) -> str:
    return f"{process.pid} {process.process_start}"


def _collector(folder: Path) -> ProcessInfo | None:
    state = running_state(folder)
    return state.process("collector") if state is not None else None


def start_traffic(folder: Path, settings: Settings, seed: int, rate: float, orders_per_minute: float) -> None:
    """Run live traffic as a service of the stack, until the stack is stopped.

    Raises:
        StackError: It does not start.
    """
    state = _running(folder)
    variables = {
        "MARKETPLACE_TRAFFIC_COLLECTOR": service_url(folder, "collector"),
        "MARKETPLACE_TRAFFIC_API": service_url(folder, "api"),
        "MARKETPLACE_TRAFFIC_ORDERS": str(orders_per_minute),
        "MARKETPLACE_TRAFFIC_SEED": str(seed),
        "MARKETPLACE_TRAFFIC_RATE": str(rate),
    }
    stack = Stack(folder, external={})
    ports = {**_service_ports(state), TRAFFIC: free_ports(1)[0]}
    _run(stack, state, TRAFFIC, ports, settings, variables)
    stack.wait_healthy(TRAFFIC)


def _running(folder: Path) -> StackState:
    state = running_state(folder)
    if state is None:
        raise StackError(f"no stack runs in {folder}")
    return state


def _service_ports(state: StackState) -> dict[str, int]:
    """Ports of the services that run, and free ports for the others."""
    names = [port.name for service in SERVICES for port in REGISTRY[service].ports(state.brokers)]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    ports |= {name: state.ports[name] for name in names if name in state.ports}
    found = {info.name: urlsplit(info.url).port for info in state.processes if info.name in SERVICES}
    return ports | {name: port for name, port in found.items() if port is not None}


def _run(
    stack: Stack,
    state: StackState,
    name: Part,
    ports: Mapping[str, int],
    settings: Settings,
    variables: Mapping[str, str],
) -> None:
    known = {**REGISTRY.port_settings(ports), "MARKETPLACE_DATABASE": settings.database, **variables}
    launch = Launch(stack.data_dir, ports, state.brokers, state.urls, known)
    stack.run(REGISTRY.service(name).process(launch))


class TrafficAlreadyRuns(Exception):
    """Live traffic runs on this stack already."""


@contextmanager
def sole_traffic(folder: Path) -> Iterator[None]:
    """Hold the lock for sending live traffic; it is released when the process ends, however that happens.

    Raises:
        TrafficAlreadyRuns: Another process holds it.
    """
    path = folder / "run" / "traffic.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrafficAlreadyRuns(f"live traffic runs on {os.path.relpath(folder)} already") from None
        yield


def traffic_runs(folder: Path) -> bool:
    """Whether live traffic is being sent for a data folder."""
    try:
        with sole_traffic(folder):
            return False
    except TrafficAlreadyRuns:
        return True
