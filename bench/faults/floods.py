"""``python -m bench.faults.floods``: expensive requests of one client, and their effect on another store.

A victim's store sends five events a second; meanwhile an attacker with a public key of another store sends the most
expensive requests from another address: small bodies that grow to eight megabytes of JSON, more connections than are
allowed, and events in which every visitor, page, product, campaign and source is new. It prints the victim's latency
and the delay until its events are counted.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import socket
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from bench.claims.numbers import quantile, say
from bench.faults.drill import Product, product
from bench.faults.load import Load, between
from connectors.clickhouse.client import ClickHouse
from ingest.config import CollectorConfig

_ELSEWHERE: Final = "127.0.0.2"
_VICTIM_PER_SECOND: Final = 5.0
_LOOK_SECONDS: Final = 0.2
_EIGHT_MEGABYTES: Final = 8 << 20
_LARGEST: Final = CollectorConfig().max_decoded_bytes - 1_000
_TIMEOUT_SECONDS: Final = 30.0


def containers(size: int) -> bytes:
    """One event with an unknown field of millions of empty objects and arrays."""
    many = b"[" + b"[],{}," * (size // 6 - 20) + b"[]]"
    return gzip.compress(b'{"event_id":"e","x":' + many + b"}")


def lists(size: int) -> bytes:
    """A batch of millions of empty arrays."""
    return gzip.compress(b"[" + b"[]," * (size // 3 - 10) + b"[]]")


def addresses(size: int) -> bytes:
    """An event whose text looks like IP addresses throughout."""
    return gzip.compress(b"[" + b"1:2:3:4:5:6:7:8:" * (size // 16 - 1) + b"]")


@dataclass
class Freshness:
    """Records when events of a store were first seen in the facts."""

    running: Product
    store: str
    seen: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def watched(self) -> Iterator[Freshness]:
        """Poll the facts inside the context."""
        ended = threading.Event()
        thread = threading.Thread(target=self._look, args=(ended,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join()

    def _look(self, ended: threading.Event) -> None:
        database = self.running.settings.database
        clickhouse = ClickHouse(self.running.settings.urls.clickhouse, database)
        query = f"SELECT event_id FROM {database}.clicks WHERE store = {{store:String}}"
        while not ended.wait(_LOOK_SECONDS):
            with suppress(Exception):
                rows = clickhouse.rows(query, {"store": self.store})
                now = time.monotonic()
                for (event_id,) in rows:
                    self.seen.setdefault(str(event_id), now)


Attack = Callable[[Product], str]


def nothing(running: Product) -> str:
    """No attack: the baseline."""
    time.sleep(10)
    return ""


def send_body(body: bytes, path: str = "/v1/collect") -> Attack:
    """An attack that sends a compressed body ten times, one after the other."""

    def attack(running: Product) -> str:
        key = running.keys[1]
        if path == "/v1/import":
            key = json.loads(running.command("stores", "import-key", "shop-1", "--json")[1])["import_key"]
        headers = {"content-encoding": "gzip", "authorization": f"Bearer {key}"}
        statuses = [_post(running, body, headers, path) for _ in range(10)]
        return f"10 x {len(body) / 1000:.0f} kB: {sorted(set(statuses))}"

    return attack


def idle_connections(running: Product) -> str:
    """Open 1,050 idle connections, and keep them for fifteen seconds."""
    host, port = _where(running)
    opened = []
    for _ in range(1_050):
        with suppress(OSError):
            opened.append(socket.create_connection((host, port), timeout=5, source_address=(_ELSEWHERE, 0)))
    time.sleep(15)
    for one in opened:
        one.close()
    return f"{len(opened)} of 1,050 opened"


def new_values(running: Product) -> str:
    """Send 60,000 events in eleven seconds, each with a new visitor, page, product, campaign and source."""
    bodies = [_new_batch(batch) for batch in range(600)]
    statuses: dict[int, int] = {}
    began = time.monotonic()
    for batch, body in enumerate(bodies):
        agent = f"Mozilla/5.0 (X{batch}; Linux {batch}) Chrome/{batch}.0 Safari/{batch}"
        own = {"content-encoding": "gzip", "user-agent": agent, "authorization": f"Bearer {running.keys[1]}"}
        status = _post(running, body, own)
        statuses[status] = statuses.get(status, 0) + 1
        time.sleep(max(0.0, began + batch * 11 / len(bodies) - time.monotonic()))
    return f"batches by status: {statuses} in {time.monotonic() - began:.0f} s"


def _new_batch(batch: int) -> bytes:
    events = []
    for number in range(100):
        own = f"{batch:x}-{number:x}"
        page = f"https://attacker.example/{own}?utm_source=s{own}&utm_medium=m{own}&utm_campaign=c{own}"
        events.append({"event_id": uuid.uuid4().hex, "url": page, "product": own, "visitor_id": own})
    return gzip.compress(json.dumps(events).encode(), 1)


ATTACKS: Final[dict[str, Attack]] = {
    "nothing": nothing,
    "containers, 8 MiB": send_body(containers(_EIGHT_MEGABYTES)),
    "containers": send_body(containers(_LARGEST)),
    "lists, 8 MiB": send_body(lists(_EIGHT_MEGABYTES)),
    "lists": send_body(lists(_LARGEST)),
    "import, 8 MiB": send_body(addresses(_EIGHT_MEGABYTES), "/v1/import"),
    "import": send_body(addresses(_LARGEST), "/v1/import"),
    "connections": idle_connections,
    "new values": new_values,
}


def _where(running: Product) -> tuple[str, int]:
    parts = urlsplit(running.collector)
    return str(parts.hostname), int(parts.port or 80)


def _post(running: Product, body: bytes, headers: dict[str, str], path: str = "/v1/collect") -> int:
    """The status of the response; 0 if there is none."""
    host, port = _where(running)
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS, source_address=(_ELSEWHERE, 0))
    try:
        connection.request("POST", path, body, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def run(name: str) -> tuple[str, ...]:
    """Run one attack on a new product; returns a row of the table."""
    with tempfile.TemporaryDirectory(prefix="floods-") as folder, product(Path(folder), 2) as running:
        load, fresh = Load(running.collector, running.keys[:1], _VICTIM_PER_SECOND), Freshness(running, "shop-0")
        with fresh.watched(), load.running():
            time.sleep(5)
            began = time.monotonic()
            outcome = ATTACKS[name](running)
            ended = time.monotonic()
            say(f"{name}: {outcome}")
            time.sleep(5)
            results = between(load.results, began, ended)
            deadline = time.monotonic() + 120
            taken = {result.event_id: result.due for result in results if result.status == 202}
            while not taken.keys() <= fresh.seen.keys() and time.monotonic() < deadline:
                time.sleep(_LOOK_SECONDS)
    late = [fresh.seen.get(event_id, deadline) - due for event_id, due in taken.items()]
    seconds = [result.seconds for result in results]
    return (
        name,
        f"{len(taken)} of {len(results)}",
        *(f"{1000 * quantile(seconds, share):.0f} ms" for share in (0.5, 0.99)),
        f"{1000 * max(seconds, default=0):.0f} ms",
        *(f"{quantile(late, share):.1f} s" for share in (0.5, 0.99)),
        outcome,
    )


def main() -> int:
    """Run the attacks."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults.floods", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(ATTACKS), default=list(ATTACKS), help="which (all in turn)")
    asked = parser.parse_args()
    table = Table(
        "attack", "victim: 202", "p50", "p99", "worst", "counted p50", "counted p99", "attacker's answers", box=None
    )
    for name in asked.only:
        table.add_row(*run(name))
    Console(width=200).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
