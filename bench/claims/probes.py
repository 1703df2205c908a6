"""Probes: single events whose way is timed from the collector's answer until the report's own query shows them.

Every probe has a product of its own in a store of its own, so that the rows of ``report --dimension product`` tell
which of them count already. That question costs the engine some 25 ms of CPU, so what is asked again and again is only
whether a row of the rollups has come; when one has, the report is asked, and its answer is what ends a probe's way.
"""

from __future__ import annotations

import http.client
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from bench.claims.numbers import quantile
from connectors.clickhouse.client import ClickHouse
from connectors.insights.report import Analytics
from connectors.mongo.stores import MongoStores, connect
from marketplace.stores import Store, hash_write_key
from marketplace.tables import ROLLUPS
from ops.demo.services.collector import Collector
from runtime.sections import Settings

STORE: Final = "bench-probes"
_KEY: Final = "bench-probes-key"
_AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
_QUIET_SECONDS: Final = 0.1
"""How long after an answer nobody asks: nothing is that fast, and each question costs the engine something."""
_LOST_SECONDS: Final = 30.0


@dataclass
class Probe:
    """One event.

    Attributes:
        sent_at, answered_at, seen_at: Epoch seconds: it left, the collector had answered, a report showed it.
    """

    event_id: str
    sent_at: float
    answered_at: float = 0.0
    seen_at: float = 0.0

    @property
    def seconds(self) -> float:
        """From the answer to the report."""
        return self.seen_at - self.answered_at


@dataclass
class Probing:
    """What was seen.

    Attributes:
        looks: How often the rollups were looked at.
        reports: How often the report was asked for.
        report_seconds: How long its answers took together.
    """

    probes: list[Probe] = field(default_factory=list)
    looks: int = 0
    reports: int = 0
    report_seconds: float = 0.0

    @property
    def seconds(self) -> list[float]:
        """Of all probes that were seen."""
        return [probe.seconds for probe in self.probes if probe.seen_at]

    def quantile(self, share: float) -> float:
        """Seconds that this share of the probes did not exceed."""
        return quantile(self.seconds, share)


def open_store(settings: Settings) -> None:
    """Make the probes' store."""
    client = connect(settings.urls.mongo)
    MongoStores(client, settings.database).upsert_store(
        Store(STORE, "Probes", "UTC", ("probes.example",), hash_write_key(_KEY), "0" * 64)
    )
    client.close()


class Prober:
    """Sends probes and watches for them.

    Args:
        settings: Where the tables are.
        door: The collector.
        per_second: How many probes.
        pause_seconds: Between two questions.
    """

    def __init__(self, settings: Settings, door: Collector, per_second: float, pause_seconds: float = 0.05) -> None:
        self._clickhouse = ClickHouse(settings.urls.clickhouse, settings.database)
        self._analytics, self._door = Analytics(self._clickhouse), door
        self._gap, self._pause = 1 / per_second, pause_seconds
        self._waiting: dict[str, Probe] = {}
        self._lock = threading.Lock()
        self._failed = ""

    def run(self, seconds: float) -> Probing:
        """Probe for so long, then wait for the last ones.

        Raises:
            RuntimeError: A probe was not taken, or not seen within half a minute.
        """
        found = Probing()
        end = time.monotonic() + seconds
        thread = threading.Thread(target=self._send, args=(found, end), name="probes", daemon=True)
        thread.start()
        while thread.is_alive() or self._waiting:
            self._watch(found)
            if time.monotonic() > end + _LOST_SECONDS:
                raise RuntimeError(f"{len(self._waiting)} probes were not seen")
            time.sleep(self._pause)
        if self._failed:
            raise RuntimeError(self._failed)
        return found

    def close(self) -> None:
        """Disconnect."""
        self._clickhouse.close()

    def look(self) -> set[str]:
        """The probes' products that the rollups have a row of."""
        rows = self._clickhouse.rows(
            f"SELECT value FROM {self._clickhouse.database}.{ROLLUPS.name} "
            f"WHERE store = '{STORE}' AND grain = 'day' AND dimension = 'product'"
        )
        return {str(value) for (value,) in rows}

    def ask(self) -> set[str]:
        """The probes' products that ``report`` counts a click of."""
        return {row.value for row in self._analytics.report(STORE, ZoneInfo("UTC"), split="product") if row.clicks}

    def _watch(self, found: Probing) -> None:
        with self._lock:
            due = {
                probe.event_id for probe in self._waiting.values() if time.time() > probe.answered_at + _QUIET_SECONDS
            }
        if not due:
            return
        found.looks += 1
        if due.isdisjoint(self.look()):
            return
        began = time.time()
        seen = self.ask()
        now = time.time()
        found.reports += 1
        found.report_seconds += now - began
        with self._lock:
            for product in seen & self._waiting.keys():
                self._waiting.pop(product).seen_at = now

    def _send(self, found: Probing, end: float) -> None:
        connection = http.client.HTTPConnection(self._door.host, self._door.port, timeout=20)
        due = time.monotonic()
        while due < end:
            time.sleep(max(0.0, due - time.monotonic()))
            probe = Probe(uuid.uuid4().hex, time.time())
            event = {
                "event_id": probe.event_id,
                "visitor_id": probe.event_id,
                "product": probe.event_id,
                "url": "https://probes.example/",
                "occurred_at": int(probe.sent_at * 1000),
            }
            headers = {"x-write-key": _KEY, "user-agent": _AGENT, "content-type": "application/json"}
            connection.request("POST", "/v1/collect", msgspec.json.encode(event), headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 202:
                self._failed = f"the collector answered {answer.status}: {body[:200]!r}"
                break
            probe.answered_at = time.time()
            with self._lock:
                found.probes.append(probe)
                self._waiting[probe.event_id] = probe
            due += self._gap
        connection.close()
