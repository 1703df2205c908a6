"""``python -m ops.consumer_service [NAME ...]``: consumers of orders' events as a service, all of them without a name.

It has ``/livez``, ``/readyz`` and ``/metrics``, waits for the parts, provisions what is missing, and works until
SIGTERM.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from connectors.errors import Refused, Unavailable
from connectors.mongo.client import connect
from marketplace.sagas.declaration import Service
from ops.provision import ensure_provisioned
from ops.resources import Resources
from ops.service_settings import ConsumerSettings
from ops.stack.registry import CONSUMERS_SERVICE, REGISTRY
from runtime.admin import AdminServer, Answer
from runtime.logs import LogSettings, configure_logs
from runtime.sections import PAYMENTS_URL, PaymentSettings, Settings
from runtime.settings import EnvReader, InvalidSettings, load
from runtime.signals import StopRequest, stop_on_signals
from saga_consumers.consumer import ConsumerSpec
from saga_consumers.metrics import ConsumerCollector
from saga_consumers.process import ConsumerProcess, ProcessSettings
from saga_consumers.registry import CONSUMERS, consumer_named

log = logging.getLogger("ops.consumer_service")

NEEDS: Final = ("kafka", "mongo")
_RESOURCES: Final = REGISTRY.service(CONSUMERS_SERVICE).resources
_WAIT_SECONDS: Final = 1.0
_PREPARE_SECONDS: Final = 120.0
"""Finding out what there is may take so long at a start, while the parts start as well."""


@dataclass
class Status:
    """What the service says of itself.

    Attributes:
        process: The consumers; None before the parts answer.
        waiting: What it waits for.
        waits_since: Since when nothing was tried, in seconds of a monotonic clock.
    """

    process: ConsumerProcess | None = None
    waiting: str = "the parts are not prepared yet"
    waits_since: float = 0.0

    def answer(self, path: str) -> Answer:
        """See :func:`serve`."""
        if path == "/livez":
            return _text(self._hangs())
        if path in ("/readyz", "/healthz"):
            process = self.process
            return _text(self.waiting if process is None else process.problem())
        return Answer(404, b"only /livez, /readyz and /metrics\n")

    def _hangs(self) -> str:
        if self.process is not None:
            return self.process.stuck()
        overdue = time.monotonic() - self.waits_since - _PREPARE_SECONDS
        return f"nothing was tried for {overdue + _PREPARE_SECONDS:.0f} s" if overdue > 0 else ""


def serve(host: str, port: int, status: Status, registry: CollectorRegistry) -> AdminServer:
    """Serve health and metrics.

    ``/livez`` is 200 while every consumer polls; ``/readyz`` is 200 while every one handles and sweeps without trouble.
    Otherwise they are 503 with the reason.
    """

    def answer(path: str) -> Answer:
        if path == "/metrics":
            return Answer(200, generate_latest(registry), CONTENT_TYPE_LATEST)
        return status.answer(path)

    return AdminServer(host, port, answer)


def read(
    env: EnvReader, specs: Sequence[ConsumerSpec] = CONSUMERS
) -> tuple[LogSettings, Settings, ConsumerSettings, PaymentSettings | None]:
    """Read the sections that the service needs; the last is None where none of the consumers pays.

    Who pays has to know the provider's secrets: without them every charge would fail, when an order comes.
    """
    payments = read_payments(env) if any(spec.service is Service.PAYMENTS for spec in specs) else None
    return LogSettings.read(env), Settings.read(env, needs=NEEDS), ConsumerSettings.read(env), payments


def read_payments(env: EnvReader) -> PaymentSettings:
    """Read the settings of a consumer that pays, and refuse secrets with which it could ask nothing."""
    payments = PaymentSettings.read(env, asks=False)
    if payments.url and (problem := payments.secrets_problem()):
        env.reject(problem)
    return payments


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM.

    Args:
        arguments: Names of consumers; none for all.

    Returns:
        1 when they cannot run, 2 when a name or a setting cannot be used.
    """
    try:
        specs = [consumer_named(name) for name in arguments] or list(CONSUMERS)
        logs, settings, own, payments = load(os.environ, lambda env: read(env, specs))
    except (InvalidSettings, Refused) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logs(logs)
    if payments is not None and not payments.url:
        log.warning("no charge and no refund is asked for: %s is missing", PAYMENTS_URL.name)
    return run(specs, settings, own, stop_on_signals(), os.environ)


def run(
    specs: Sequence[ConsumerSpec],
    settings: Settings,
    own: ConsumerSettings,
    stop: StopRequest,
    environment: Mapping[str, str],
    ready: Callable[[str], None] = lambda url: None,
) -> int:
    """Run consumers until asked to stop.

    Args:
        specs: Which.
        settings: Where the parts are.
        own: Where health and metrics are, and how consumers belong to their groups.
        stop: Asks.
        environment: Variables, for consumers that have settings of their own.
        ready: Called with the address of health and metrics.

    Returns:
        1 when they cannot run.
    """
    status, registry = Status(waits_since=time.monotonic()), CollectorRegistry()
    try:
        server = serve(own.host, own.port, status, registry)
    except OSError as error:
        log.error("cannot listen on %s:%d: %s", own.host, own.port, error.strerror)
        return 1
    ready(server.url)
    try:
        if not _prepare(settings, status, stop):
            return 0
        threading.Thread(target=_put_connectors, args=(settings, stop), name="connectors", daemon=True).start()
        with closing(connect(settings.urls.mongo)) as mongo:
            parts = ProcessSettings(settings.kafka, mongo, settings.database, environment, own.session_seconds)
            process = ConsumerProcess(specs, parts)
            registry.register(ConsumerCollector(process))
            status.process = process
            if not process.run(stop.wait):
                log.warning("a consumer did not end in time: what it was at is done again by the next process")
    except Refused as error:
        log.error("%s", error)
        return 1
    finally:
        server.end()
    return 0


def _prepare(settings: Settings, status: Status, stop: StopRequest) -> bool:
    """Wait for Kafka and Mongo, and make what is missing there; returns whether to begin."""
    while not stop.asked():
        status.waits_since = time.monotonic()
        try:
            report = ensure_provisioned(settings, resources=replace(_RESOURCES, connectors=()))
        except Unavailable as error:
            status.waiting = f"waiting: {error}"
            log.warning("waiting: %s", error)
            stop.wait(_WAIT_SECONDS)
        else:
            for line in report.drift:
                log.warning("drift: %s", line)
            return True
    return False


def _put_connectors(settings: Settings, stop: StopRequest) -> None:
    """Put the relay's connector into Kafka Connect where it is missing, as soon as that answers.

    Consumers do not wait for it: deadlines pass, and payment providers speak, also while no event reaches anybody.
    """
    while not stop.asked():
        try:
            report = ensure_provisioned(settings, resources=Resources(connectors=_RESOURCES.connectors))
        except Unavailable as error:
            log.warning("no event arrives meanwhile: %s", error)
            stop.wait(_WAIT_SECONDS)
        except Refused as error:
            log.error("no event arrives: %s", error)
            return
        else:
            for line in report.drift:
                log.warning("drift: %s", line)
            return


def _text(problem: str) -> Answer:
    return Answer(503 if problem else 200, f"{problem or 'ok'}\n".encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
