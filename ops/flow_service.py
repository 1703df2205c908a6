"""``python -m ops.flow_service``: the click flow as a service, with ``/livez``, ``/readyz`` and ``/metrics``.

It waits for the parts, provisions what is missing, and keeps the flow's processes running until it is told to stop.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from connectors.errors import Refused
from flows.delivery.exit_codes import EXIT_FENCED
from marketplace.settings import InvalidSettings, Settings
from ops.flow_metrics import FlowMetrics
from ops.flow_runner import FlowFailed, FlowFenced, FlowOptions, FlowRunner
from ops.provision import ensure_provisioned
from ops.service import stop_on_signals
from ops.service_settings import FlowSettings
from ops.stack.ports import HOST
from ops.stack.registry import REGISTRY
from runtime.admin import AdminServer, Answer
from runtime.log_limit import RepeatLimit

log = logging.getLogger("ops.flow_service")


def serve(port: int, runner: FlowRunner, registry: CollectorRegistry) -> AdminServer:
    """Answer for the flow.

    ``/livez`` is 200 while the set is looked after; ``/readyz`` (also ``/healthz``) while epochs move in every process,
    with what an operator should know in the lines after the first; otherwise 503 and the reason. ``/metrics``.
    """

    def answer(path: str) -> Answer:
        if path == "/metrics":
            return Answer(200, generate_latest(registry), CONTENT_TYPE_LATEST)
        if path == "/livez":
            overdue = runner.unwatched_seconds()
            return _text("" if overdue < 0 else f"nobody looks after the flow: {overdue:.0f} s overdue")
        if path in ("/readyz", "/healthz"):
            return _text(runner.problem(), runner.notes())
        return Answer(404, b"only /livez, /readyz and /metrics\n")

    return AdminServer(HOST, port, answer)


def _text(problem: str, notes: Mapping[str, str] | None = None) -> Answer:
    lines = [problem or "ok", *(f"{name}: {text}" for name, text in (notes or {}).items())]
    return Answer(503 if problem else 200, "".join(f"{line}\n" for line in lines).encode())


def main() -> int:
    """Run until SIGTERM; 1 when the flow cannot run, 2 when the environment cannot be used, 3 when it was fenced."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.addFilter(RepeatLimit())
    stop = stop_on_signals()
    try:
        settings = Settings.load(os.environ)
        own = FlowSettings.load(os.environ)
    except InvalidSettings as error:
        log.error("%s", error)
        return 2
    # The runner's files lie beside the stack's.
    Path(settings.data_dir).mkdir(parents=True, exist_ok=True)
    runner = FlowRunner(settings, FlowOptions(workers=own.workers, memory_mb=own.memory_mb))
    registry = CollectorRegistry()
    registry.register(FlowMetrics(settings, runner))
    try:
        server = serve(own.port, runner, registry)
    except OSError as error:
        log.error("cannot listen on port %d: %s", own.port, error.strerror)
        return 1
    try:
        runner.run(stop.is_set, lambda: _provision(settings))
    except FlowFenced as error:
        log.error("%s", error)
        return EXIT_FENCED
    except (FlowFailed, Refused) as error:
        log.error("%s", error)
        return 1
    finally:
        server.end()
    return 0


def _provision(settings: Settings) -> None:
    for line in ensure_provisioned(settings, resources=REGISTRY.service("flow").resources).drift:
        log.warning("drift: %s", line)


if __name__ == "__main__":
    sys.exit(main())
