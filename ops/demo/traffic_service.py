"""``python -m ops.demo.traffic_service``: live traffic as a process of the stack, with ``/healthz``."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from marketplace.sample_shops import decode_shops
from marketplace.settings import DEFAULT_DATA_DIR
from ops.demo.background import Background
from ops.demo.catalogue import SHOPS_FILE_VARIABLE
from ops.demo.live import DEFAULT_RATE, LiveTraffic
from ops.demo.sender import SendFailed, Target
from ops.demo.served import TrafficRuns, sole_traffic
from ops.service import stop_on_signals
from ops.stack.ports import HOST
from runtime.admin import AdminServer, Answer

log = logging.getLogger("ops.demo.traffic_service")

_PREFIX: Final = "MARKETPLACE_TRAFFIC_"
_PAUSE_SECONDS: Final = 0.2


def serve(port: int, traffic: LiveTraffic) -> AdminServer:
    """Answer ``/healthz`` with what was sent."""

    def answer(path: str) -> Answer:
        sent = traffic.sender.sent
        body = msgspec.json.encode({"sent": sent.events, "accepted": sent.accepted})
        return Answer(200 if path == "/healthz" else 404, body, "application/json")

    return AdminServer(HOST, port, answer)


def main() -> int:
    """Send until SIGTERM; 1 when the collector does not take events, 2 when the environment cannot be used."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr)
    stop = stop_on_signals()
    try:
        traffic = _traffic()
        with sole_traffic(Path(os.environ.get("MARKETPLACE_DATA", "").strip() or DEFAULT_DATA_DIR).resolve()):
            return _send(traffic, int(os.environ.get(f"{_PREFIX}PORT", "0")), stop)
    except (OSError, KeyError, ValueError, msgspec.MsgspecError, TrafficRuns) as error:
        log.error("%s", error)
        return 2


def _traffic() -> LiveTraffic:
    collector = urlsplit(os.environ[f"{_PREFIX}COLLECTOR"])
    shops = decode_shops(Path(os.environ[SHOPS_FILE_VARIABLE]).read_bytes()).shops
    keys = {shop.name: shop.write_key for shop in shops}
    target = Target(collector.hostname or HOST, collector.port or 80, keys)
    seed, rate = int(os.environ.get(f"{_PREFIX}SEED", "1")), float(os.environ.get(f"{_PREFIX}RATE", str(DEFAULT_RATE)))
    # A seed of its own for every start: the same visits again would be taken for the same events sent twice.
    return LiveTraffic(target, seed ^ time.time_ns(), rate)


def _send(traffic: LiveTraffic, port: int, stop: threading.Event) -> int:
    worker = Background(traffic.run, "traffic")
    worker.start()
    server = serve(port, traffic)
    try:
        while worker.is_alive() and not stop.is_set():
            worker.join(_PAUSE_SECONDS)
    finally:
        traffic.stop()
        server.end()
    try:
        worker.result()
    except SendFailed as error:
        if not stop.is_set():
            log.error("%s", error)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
