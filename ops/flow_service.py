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
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from connectors.analytics import Analytics
from connectors.clickhouse import ClickHouse
from connectors.errors import Unavailable
from connectors.kafka.reader import PartitionReader
from marketplace.outcomes import OUTCOMES
from marketplace.settings import InvalidSettings, Settings
from marketplace.topics import CLICKS_COLLECTED
from ops.flow_runner import FlowFailed, FlowOptions, FlowRunner
from ops.provision import ensure_provisioned

log = logging.getLogger("ops.flow_service")

_PAUSE_SECONDS: Final = 0.3


class FlowMetrics(Collector):
    """What the flow has done, from the ledger itself: the numbers survive restarts and cannot drift from the tables."""

    def __init__(self, settings: Settings, runner: FlowRunner) -> None:
        self._runner = runner
        self._analytics = Analytics(ClickHouse(settings.urls.clickhouse, settings.database, timeout_seconds=5))
        self._kafka = settings.urls.kafka

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment; those of a part that is away are absent."""
        yield CounterMetricFamily(
            "marketplace_flow_restarts", "Restarts of the click flow's processes.", value=self._runner.restarts
        )
        yield GaugeMetricFamily("marketplace_flow_processes", "Running processes.", value=len(self._runner.pids))
        try:
            clicks = CounterMetricFamily("marketplace_clicks", "Events by outcome.", labels=["outcome"])
            totals = dict.fromkeys((outcome.name for outcome in OUTCOMES), 0)
            for row in self._analytics.ledger():
                for name, events in row.outcomes.items():
                    totals[name] += events
            for name, events in totals.items():
                clicks.add_metric([name], events)
            yield clicks
            yield self._lag()
        except Unavailable as error:
            log.warning("no numbers for this scrape: %s", error)

    def _lag(self) -> Metric:
        lag = GaugeMetricFamily("marketplace_flow_lag_records", "Records not yet in every table.", labels=["partition"])
        applied = self._analytics.applied()
        reader = PartitionReader(self._kafka, CLICKS_COLLECTED.name, "ops.metrics")
        try:
            for partition in reader.partitions():
                low, high = reader.range_of(partition)
                lag.add_metric([str(partition)], high - max(applied.get(partition, (-1, 0))[0] + 1, low))
        finally:
            reader.close()
        return lag


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
    except InvalidSettings as error:
        log.error("%s", error)
        return 2
    # The runner's files lie beside the stack's.
    Path(settings.data_dir).mkdir(parents=True, exist_ok=True)
    runner = FlowRunner(settings, FlowOptions(workers=int(os.environ.get("MARKETPLACE_FLOW_WORKERS", "1"))))
    registry = CollectorRegistry()
    server = serve(int(os.environ.get("MARKETPLACE_FLOW_PORT", "0")), runner, registry)
    try:
        _keep_running(settings, runner, registry, stop)
    except FlowFailed as error:
        log.error("%s", error)
        return 1
    finally:
        runner.stop()
        server.shutdown()
    return 0


def _keep_running(settings: Settings, runner: FlowRunner, registry: CollectorRegistry, stop: threading.Event) -> None:
    ready = False
    while not stop.is_set():
        try:
            if not ready:
                for line in ensure_provisioned(settings).drift:
                    log.warning("drift: %s", line)
                runner.start()
                registry.register(FlowMetrics(settings, runner))
                ready = True
            runner.watch()
        except Unavailable as error:
            log.info("waiting: %s", error)
        time.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
