"""``python -m ops.flow_service``: the click flow as a service, with ``/healthz`` and ``/metrics``.

It waits for the parts, provisions what is missing, and keeps the flow's processes running until it is told to stop.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from connectors.errors import Refused, Unavailable
from marketplace.settings import InvalidSettings, Settings
from ops.flow_metrics import FlowMetrics
from ops.flow_runner import FlowFailed, FlowOptions, FlowRunner
from ops.provision import ensure_provisioned

log = logging.getLogger("ops.flow_service")

_PAUSE_SECONDS: Final = 0.3


def serve(port: int, runner: FlowRunner, registry: CollectorRegistry) -> ThreadingHTTPServer:
    """Answer ``/healthz`` (200 once every process reads the topic) and ``/metrics`` on a thread of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, generate_latest(registry), CONTENT_TYPE_LATEST)
            elif self.path == "/healthz":
                reads = runner.reads()
                self._answer(200 if reads else 503, b"reading\n" if reads else b"starting\n", "text/plain")
            else:
                self._answer(404, b"only /healthz and /metrics\n", "text/plain")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            log.debug(format, *args)

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


def main() -> int:
    """Run until SIGTERM; 1 when the flow cannot run, 2 when the environment cannot be used."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr)
    stop = threading.Event()

    def ask(_signum: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    try:
        settings = Settings.load(os.environ)
        workers = _number("MARKETPLACE_FLOW_WORKERS", 1, range(1, 65))
        port = _number("MARKETPLACE_FLOW_PORT", 0, range(65_536))
    except InvalidSettings as error:
        log.error("%s", error)
        return 2
    # The runner's files lie beside the stack's.
    Path(settings.data_dir).mkdir(parents=True, exist_ok=True)
    runner = FlowRunner(settings, FlowOptions(workers=workers))
    registry = CollectorRegistry()
    registry.register(FlowMetrics(settings, runner))
    try:
        server = serve(port, runner, registry)
    except OSError as error:
        log.error("cannot listen on port %d: %s", port, error.strerror)
        return 1
    try:
        _keep_running(settings, runner, stop)
    except (FlowFailed, Refused) as error:
        log.error("%s", error)
        return 1
    finally:
        runner.stop()
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


def _keep_running(settings: Settings, runner: FlowRunner, stop: threading.Event) -> None:
    ready = False
    while not stop.is_set():
        try:
            if not ready:
                for line in ensure_provisioned(settings).drift:
                    log.warning("drift: %s", line)
                runner.start()
                ready = True
            runner.watch()
        except Unavailable as error:
            log.info("waiting: %s", error)
        time.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
