"""``python -m ops.flow_service NAME``: a flow as a service, with ``/livez``, ``/readyz`` and ``/metrics``.

It waits for the parts, provisions what is missing, and keeps the flow's processes running until SIGTERM.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from connectors.errors import Refused
from flows.delivery.exit_codes import EXIT_FENCED
from flows.delivery.metrics import FlowMetrics
from flows.delivery.process_set import FlowFailed, FlowFenced, FlowOptions, FlowProcessSet
from flows.registry import flow_of
from marketplace.flows import FLOWS, FlowSpec, flow_named
from ops.provision import ensure_provisioned
from ops.service_settings import FlowSettings
from ops.stack.registry import REGISTRY, service_of
from runtime.admin import AdminServer, Answer
from runtime.logs import LogSettings, configure_logs
from runtime.sections import Settings
from runtime.settings import EnvReader, InvalidSettings, load
from runtime.signals import stop_on_signals

log = logging.getLogger("ops.flow_service")


def read(env: EnvReader, flow: FlowSpec) -> tuple[LogSettings, Settings, FlowSettings]:
    """Read the sections that the service needs."""
    return LogSettings.read(env), Settings.read(env, needs=flow.needs), FlowSettings.read(env)


def serve(host: str, port: int, runner: FlowProcessSet, registry: CollectorRegistry) -> AdminServer:
    """Serve the flow's health and metrics.

    ``/livez`` is 200 while the process set is supervised; ``/readyz`` (also ``/healthz``) is 200 while epochs advance
    in every process, with notes for operators after the first line. Otherwise they are 503 with the reason.
    """

    def answer(path: str) -> Answer:
        if path == "/metrics":
            return Answer(200, generate_latest(registry), CONTENT_TYPE_LATEST)
        if path == "/livez":
            overdue = runner.unwatched_seconds()
            return _text("" if overdue < 0 else f"the flow's processes are not supervised: {overdue:.0f} s overdue")
        if path in ("/readyz", "/healthz"):
            return _text(runner.problem(), runner.notes())
        return Answer(404, b"only /livez, /readyz and /metrics\n")

    return AdminServer(host, port, answer)


def _text(problem: str, notes: Mapping[str, str] | None = None) -> Answer:
    lines = [problem or "ok", *(f"{name}: {text}" for name, text in (notes or {}).items())]
    return Answer(503 if problem else 200, "".join(f"{line}\n" for line in lines).encode())


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM.

    Args:
        arguments: The flow's name, and nothing else.

    Returns:
        1 when the flow cannot run, 2 when the name or a setting cannot be used, 3 when it was fenced.
    """
    spec = flow_named(arguments[0]) if len(arguments) == 1 else None
    if spec is None:
        sys.stderr.write(f"the argument is the name of a flow: {' or '.join(flow.name for flow in FLOWS)}\n")
        return 2
    stop = stop_on_signals()
    try:
        logs, settings, own = load(os.environ, lambda env: read(env, spec))
    except InvalidSettings as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logs(logs)
    runner = FlowProcessSet(spec, settings, FlowOptions(workers=own.workers, memory_mb=own.memory_mb))
    registry = CollectorRegistry()
    for collector in (FlowMetrics(settings, runner), *flow_of(spec).metrics(settings, runner)):
        registry.register(collector)
    try:
        server = serve(own.host, own.port, runner, registry)
    except OSError as error:
        log.error("cannot listen on %s:%d: %s", own.host, own.port, error.strerror)
        return 1
    try:
        runner.run(stop.asked, lambda: _provision(settings, service_of(spec.name)))
    except FlowFenced as error:
        log.error("%s", error)
        return EXIT_FENCED
    except (FlowFailed, Refused) as error:
        log.error("%s", error)
        return 1
    finally:
        server.end()
    return 0


def _provision(settings: Settings, service: str) -> None:
    for line in ensure_provisioned(settings, resources=REGISTRY.service(service).resources).drift:
        log.warning("drift: %s", line)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
