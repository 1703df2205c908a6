"""``python -m ops.demo.services.traffic``: live traffic as a process of the stack, with ``/healthz``."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from ops.demo.orders.live import LiveOrders
from ops.demo.orders.pages import Pages
from ops.demo.orders.places import Places
from ops.demo.run.live import DEFAULT_RATE, LiveTraffic
from ops.demo.services.background import Background
from ops.demo.services.sender import SendFailed, Target
from ops.demo.services.served import TrafficAlreadyRuns, sole_traffic
from ops.demo.traffic.keys import read_keys
from ops.demo.traffic.shops import SHOPS
from ops.stack.ports import HOST
from runtime.admin import AdminServer, Answer
from runtime.logs import LogSettings, configure_logs
from runtime.sections import DATA_DIR, PAYMENTS_URL, Settings
from runtime.settings import MOST_WHOLE, EnvReader, InvalidSettings, Section, load
from runtime.signals import StopRequest, stop_on_signals

log = logging.getLogger("ops.demo.services.traffic")

TRAFFIC: Final = Section("Demo traffic", "For the demo's traffic; set by `marketplace demo`.")
TRAFFIC_PORT: Final = TRAFFIC.port("MARKETPLACE_TRAFFIC_PORT", "The port of `/healthz`; 0 takes a free one.", 0)
TRAFFIC_COLLECTOR: Final = TRAFFIC.url(
    "MARKETPLACE_TRAFFIC_COLLECTOR", "The collector that events are sent to.", ("http",)
)
TRAFFIC_SEED: Final = TRAFFIC.whole(
    "MARKETPLACE_TRAFFIC_SEED", "What the visits are drawn from.", 1, lowest=-MOST_WHOLE
)
TRAFFIC_API: Final = TRAFFIC.url("MARKETPLACE_TRAFFIC_API", "The API that orders are sent to.", ("http",))
TRAFFIC_ORDERS: Final = TRAFFIC.number("MARKETPLACE_TRAFFIC_ORDERS", "Orders a minute; 0 for none.", 0.0, lowest=0)
TRAFFIC_RATE: Final = TRAFFIC.number("MARKETPLACE_TRAFFIC_RATE", "Events a second.", DEFAULT_RATE, more_than=0)

_PAUSE_SECONDS: Final = 0.2


@dataclass(frozen=True)
class TrafficSettings:
    """Settings of the traffic: its admin port, its targets, and what it sends."""

    port: int
    collector: str
    seed: int
    rate: float
    data_dir: Path
    orders: LiveOrders | None

    @staticmethod
    def read(env: EnvReader) -> TrafficSettings:
        """Read the traffic's section, and the data folder from another one."""
        if not env.given(TRAFFIC_COLLECTOR):
            env.reject(f"{TRAFFIC_COLLECTOR.name} is missing")
        return TrafficSettings(
            env.read(TRAFFIC_PORT),
            env.read(TRAFFIC_COLLECTOR),
            env.read(TRAFFIC_SEED),
            env.read(TRAFFIC_RATE),
            Path(env.read(DATA_DIR)).resolve(),
            _orders(env),
        )


def _orders(env: EnvReader) -> LiveOrders | None:
    per_minute = env.read(TRAFFIC_ORDERS)
    if not per_minute:
        return None
    settings, folder = Settings.read(env, needs=("mongo",)), Path(env.read(DATA_DIR)).resolve()
    places, known = Places(env.read(TRAFFIC_API), env.read(PAYMENTS_URL)), read_keys(folder)
    shops = {shop.name: shop for shop in SHOPS}
    target = _target(env.read(TRAFFIC_COLLECTOR), {each.name: each.storefront_key or each.write_key for each in known})
    pages = Pages(target, places.storefront, {each.slug: shops[each.name] for each in known})
    return LiveOrders(settings, places, pages, env.read(TRAFFIC_SEED) ^ time.time_ns(), per_minute)


def read(env: EnvReader) -> tuple[LogSettings, TrafficSettings]:
    """Read the sections that the traffic needs."""
    return LogSettings.read(env), TrafficSettings.read(env)


def serve(port: int, traffic: LiveTraffic, orders: LiveOrders | None) -> AdminServer:
    """Serve ``/healthz``, which shows how many events were sent and accepted, and how many orders were placed."""

    def answer(path: str) -> Answer:
        sent = traffic.sender.sent
        placed = 0 if orders is None else orders.placed
        body = msgspec.json.encode({"sent": sent.events, "accepted": sent.accepted, "orders": placed})
        return Answer(200 if path == "/healthz" else 404, body, "application/json")

    return AdminServer(HOST, port, answer)


def main() -> int:
    """Send until SIGTERM; returns 1 when the collector does not accept events, 2 when a setting cannot be used."""
    stop = stop_on_signals()
    try:
        logs, settings = load(os.environ, read)
    except InvalidSettings as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logs(logs)
    try:
        traffic = _traffic(settings)
        with sole_traffic(settings.data_dir):
            return _send(traffic, settings, stop)
    except (OSError, msgspec.MsgspecError, TrafficAlreadyRuns) as error:
        log.error("%s", error)
        return 2


def _traffic(settings: TrafficSettings) -> LiveTraffic:
    keys = {shop.name: shop.write_key for shop in read_keys(settings.data_dir)}
    target = _target(settings.collector, keys)
    # Every start has its own seed: the same visits again would count as the same events, sent twice.
    return LiveTraffic(target, settings.seed ^ time.time_ns(), settings.rate)


def _target(collector: str, keys: Mapping[str, str]) -> Target:
    parts = urlsplit(collector)
    return Target(parts.hostname or HOST, parts.port or 80, keys)


def _send(traffic: LiveTraffic, settings: TrafficSettings, stop: StopRequest) -> int:
    worker, orders = Background(traffic.run, "traffic"), settings.orders
    worker.start()
    if orders is not None:
        Background(orders.run, "orders").start()
    server = serve(settings.port, traffic, orders)
    try:
        while worker.is_alive() and not stop.asked():
            worker.join(_PAUSE_SECONDS)
    finally:
        traffic.stop()
        if orders is not None:
            orders.stop()
        server.end()
    try:
        worker.result()
    except SendFailed as error:
        if not stop.asked():
            log.error("%s", error)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
