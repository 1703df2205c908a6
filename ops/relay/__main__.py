"""``python -m ops.relay``: the relay's watch as a service, with ``/livez``, ``/readyz`` and ``/metrics``.

The relay itself is a connector in Kafka Connect. This process puts it there, starts its task again where that has
failed, and measures how far it is behind, until SIGTERM.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from connectors.debezium.client import Connect
from connectors.debezium.declared import OUTBOX_CONNECTOR
from connectors.errors import Refused, Unavailable
from connectors.mongo.canaries import CanaryRows
from marketplace import metrics as catalogue
from marketplace.relay import READY_LAG_SECONDS
from ops.provision import ensure_provisioned
from ops.relay.canaries import CanaryWatch
from ops.relay.connector import ConnectorWatch
from ops.service_settings import RELAY_NEEDS, RelaySettings
from ops.stack.registry import REGISTRY
from runtime.admin import AdminServer, Answer
from runtime.heartbeat import Heartbeat
from runtime.logs import LogSettings, configure_logs
from runtime.metrics import family
from runtime.sections import Settings
from runtime.settings import EnvReader, InvalidSettings, load
from runtime.signals import StopRequest, stop_on_signals

log = logging.getLogger("ops.relay")

_LOOK_SECONDS: Final = 0.5
_CONFIG_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 1.0
_SILENT_SECONDS: Final = 60.0
"""Longer than all deadlines of one look together."""


class Relay(Collector):
    """What the service knows: for its pages, and for Prometheus.

    Args:
        connector: The connector's watch.
        canaries: The way of canaries.
    """

    def __init__(self, connector: ConnectorWatch, canaries: CanaryWatch) -> None:
        self.connector, self.canaries = connector, canaries
        self.waiting = ""
        """What it waits for before it begins."""
        self.beats = {"connector": Heartbeat(), "canaries": Heartbeat()}

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        name, seen = [OUTBOX_CONNECTOR.name], self.connector.seen
        yield family(catalogue.RELAY_RUNNING, [(name, int(not seen.problem))])
        yield family(catalogue.RELAY_RESTARTS, [(name, seen.restarts)])
        yield family(catalogue.RELAY_RESENDS, [(name, seen.resends)])
        yield family(catalogue.RELAY_LAG_SECONDS, [(name, self.canaries.lag_seconds())])

    def live(self) -> Answer:
        """200 while both threads go on."""
        for name, beat in self.beats.items():
            if beat.silent_seconds > _SILENT_SECONDS:
                return Answer(503, f"{name}: not looked at for {beat.silent_seconds:.0f} s\n".encode())
        return Answer(200, b"ok\n")

    def ready(self) -> Answer:
        """200 while the connector runs and rows arrive, with notes after the first line."""
        seen, lag = self.connector.seen, self.canaries.lag_seconds()
        problem = self.waiting or seen.problem
        if not problem and lag > READY_LAG_SECONDS:
            problem = f"no canary of the outbox has arrived in Kafka for {lag:.0f} s"
        lines = [problem or "ok"]
        if seen.restarts:
            lines.append(f"failed tasks were started again: {seen.restarts}")
        if seen.resends:
            lines.append(f"changes were lost and the whole outbox was sent again: {seen.resends}")
        lines += [seen.note] if seen.note else []
        return Answer(503 if problem else 200, "".join(f"{line}\n" for line in lines).encode())

    def answer(self, path: str, registry: CollectorRegistry) -> Answer:
        """A page."""
        if path == "/metrics":
            return Answer(200, generate_latest(registry), CONTENT_TYPE_LATEST)
        if path == "/livez":
            return self.live()
        if path in ("/readyz", "/healthz"):
            return self.ready()
        return Answer(404, b"only /livez, /readyz and /metrics\n")


def read(env: EnvReader) -> tuple[LogSettings, Settings, RelaySettings]:
    """Read the sections that the service needs."""
    return LogSettings.read(env), Settings.read(env, needs=RELAY_NEEDS), RelaySettings.read(env)


def main() -> int:
    """Run until SIGTERM.

    Returns:
        1 when it cannot run, 2 when a setting cannot be used.
    """
    stop = stop_on_signals()
    try:
        logs, settings, own = load(os.environ, read)
    except InvalidSettings as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logs(logs)
    with (
        closing(Connect(settings.urls.connect)) as connect,
        closing(CanaryRows(settings.urls.mongo, settings.database)) as rows,
    ):
        relay = Relay(ConnectorWatch(connect, OUTBOX_CONNECTOR), CanaryWatch(settings.kafka, rows))
        registry = CollectorRegistry()
        registry.register(relay)
        try:
            server = AdminServer(own.host, own.port, lambda path: relay.answer(path, registry))
        except OSError as error:
            log.error("cannot listen on %s:%d: %s", own.host, own.port, error.strerror)
            return 1
        try:
            return _run(relay, settings, stop)
        finally:
            server.end()


def _run(relay: Relay, settings: Settings, stop: StopRequest) -> int:
    try:
        if not _provisioned(settings, relay, stop):
            return 0
    except Refused as error:
        log.error("%s", error)
        return 1
    measuring = threading.Thread(target=_measure, args=(relay, stop), name="canaries", daemon=True)
    measuring.start()
    checked = float("-inf")
    beat = relay.beats["connector"]
    while not stop.asked():
        beat.beat()
        try:
            relay.connector.look()
            if time.monotonic() - checked > _CONFIG_SECONDS:
                relay.connector.check_config()
                checked = time.monotonic()
        except Unavailable as error:
            log.warning("%s", error)
        except Refused as error:
            log.error("%s", error)
            return 1
        stop.wait(_LOOK_SECONDS)
    measuring.join(_PAUSE_SECONDS)
    return 0


def _measure(relay: Relay, stop: StopRequest) -> None:
    """Measure for as long as the process lives; whatever ends it is logged, and the lag grows meanwhile."""
    beat = relay.beats["canaries"].beat
    while not stop.asked():
        try:
            beat()
            relay.canaries.run(stop.asked, beat)
        except (Unavailable, Refused) as error:
            log.warning("%s", error)
            stop.wait(_PAUSE_SECONDS)


def _provisioned(settings: Settings, relay: Relay, stop: StopRequest) -> bool:
    """Make what is missing as soon as the parts answer; False where the process is to stop before."""
    while not stop.asked():
        for beat in relay.beats.values():
            beat.beat()
        try:
            for line in ensure_provisioned(settings, resources=REGISTRY.service("relay").resources).drift:
                log.warning("drift: %s", line)
        except Unavailable as error:
            relay.waiting = f"waiting: {error}"
            log.warning("%s", error)
            stop.wait(_PAUSE_SECONDS)
        else:
            relay.waiting = ""
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())
