"""``python -m ops.flow_service``: the click flow as a service, with ``/healthz`` and ``/metrics``.

It waits for the parts, provisions what is missing, and keeps the flow's processes running until it is told to stop.
"""

from __future__ import annotations

import logging
import os
import sys
from http.server import ThreadingHTTPServer
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from connectors.errors import Refused
from marketplace.settings import InvalidSettings, Settings
from ops.flow_metrics import FlowMetrics
from ops.flow_runner import FlowFailed, FlowOptions, FlowRunner
from ops.provision import ensure_provisioned
from ops.service import Answer, stop_on_signals, tell

log = logging.getLogger("ops.flow_service")


def serve(port: int, runner: FlowRunner, registry: CollectorRegistry) -> ThreadingHTTPServer:
    """Answer ``/healthz`` (200 once every process reads the topic) and ``/metrics``."""

    def answer(path: str) -> Answer:
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, generate_latest(registry)
        if path != "/healthz":
            return 404, "text/plain", b"only /healthz and /metrics\n"
        return (200, "text/plain", b"reading\n") if runner.reads() else (503, "text/plain", b"starting\n")

    return tell(port, answer)


def main() -> int:
    """Run until SIGTERM; 1 when the flow cannot run, 2 when the environment cannot be used."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr)
    stop = stop_on_signals()
    try:
        settings = Settings.load(os.environ)
        workers = _number("MARKETPLACE_FLOW_WORKERS", 1, range(1, 65))
        memory_mb = _number("MARKETPLACE_FLOW_MEMORY_MB", 0, range(1 << 30))
        port = _number("MARKETPLACE_FLOW_PORT", 0, range(65_536))
    except InvalidSettings as error:
        log.error("%s", error)
        return 2
    # The runner's files lie beside the stack's.
    Path(settings.data_dir).mkdir(parents=True, exist_ok=True)
    runner = FlowRunner(settings, FlowOptions(workers=workers, memory_mb=memory_mb))
    registry = CollectorRegistry()
    registry.register(FlowMetrics(settings, runner))
    try:
        server = serve(port, runner, registry)
    except OSError as error:
        log.error("cannot listen on port %d: %s", port, error.strerror)
        return 1
    try:
        runner.run(stop.is_set, lambda: _provision(settings))
    except (FlowFailed, Refused) as error:
        log.error("%s", error)
        return 1
    finally:
        server.shutdown()
        server.server_close()
    return 0


def _number(name: str, default: int, allowed: range) -> int:
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) not in allowed:
        raise InvalidSettings(f"{name}={text}: give a number from {allowed.start} to {allowed.stop - 1}")
    return int(text)


def _provision(settings: Settings) -> None:
    for line in ensure_provisioned(settings).drift:
        log.warning("drift: %s", line)


if __name__ == "__main__":
    sys.exit(main())
