"""Probes: single events that are timed from the collector's response until the report's own query shows them.

Every probe has a product of its own in a separate store, so that the rows of ``report --dimension product`` show which
of them are counted. That query costs ClickHouse some 25 ms of CPU, so a cheaper query polls the rollups for new rows;
when there is one, the report is run, and its result ends the probe's time.
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
from connectors.mongo.client import connect
from connectors.mongo.stores import MongoStores
from marketplace.stores import Store, hash_write_key
from marketplace.tables import ROLLUPS
from ops.demo.services.collector import Collector
from runtime.sections import Settings

STORE: Final = "bench-probes"
_KEY: Final = "bench-probes-key"
_AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
_QUIET_SECONDS: Final = 0.1
"""Pause between a response and the first query: no event is counted sooner, and each query costs CPU."""
_LOST_SECONDS: Final = 30.0


@dataclass
class Probe:
    """One event.

    Attributes:
        sent_at, answered_at, seen_at: Epoch seconds when it was sent, was answered, and was in a report.
    """

    event_id: str
    sent_at: float
    answered_at: float = 0.0
    seen_at: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds from the response to the report."""
        return self.seen_at - self.answered_at


@dataclass
class Probing:
    """The results of all probes.

    Attributes:
        looks: The number of queries of the rollups.
        reports: The number of reports.
        report_seconds: The total duration of the reports.
    """

    probes: list[Probe] = field(default_factory=list)
    looks: int = 0
    reports: int = 0
    report_seconds: float = 0.0

    @property
    def seconds(self) -> list[float]:
        """Times of all probes that were seen."""
        return [probe.seconds for probe in self.probes if probe.seen_at]

    def quantile(self, share: float) -> float:
        """The quantile of a share from 0 to 1, in seconds."""
        return quantile(self.seconds, share)


def open_store(settings: Settings) -> None:
    """Create the probes' store."""
    client = connect(settings.urls.mongo)
    MongoStores(client, settings.database).upsert_store(
        Store(STORE, "Probes", "UTC", ("probes.example",), hash_write_key(_KEY), "0" * 64)
    )
    client.close()


class Prober:
    """Sends probes and polls for them.

    Args:
        settings: The URLs and the database.
        server: The collector.
        per_second: Probes per second.
        pause_seconds: The pause between two queries.
    """

    def __init__(self, settings: Settings, server: Collector, per_second: float, pause_seconds: float = 0.05) -> None:
        self._clickhouse = ClickHouse(settings.urls.clickhouse, settings.database)
        self._analytics, self._server = Analytics(self._clickhouse), server
        self._gap, self._pause = 1 / per_second, pause_seconds
        self._waiting: dict[str, Probe] = {}
        self._lock = threading.Lock()
        self._failed = ""

    def run(self, seconds: float) -> Probing:
        """Send probes for some seconds, then wait for the last ones.

        Raises:
            RuntimeError: A probe was refused, or not seen within half a minute.
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
        """The probes' products with a row in the rollups."""
        rows = self._clickhouse.rows(
            f"SELECT value FROM {self._clickhouse.database}.{ROLLUPS.name} "
            f"WHERE store = '{STORE}' AND grain = 'day' AND dimension = 'product'"
        )
        return {str(value) for (value,) in rows}

    def ask(self) -> set[str]:
        """The probes' products with a click in ``report``."""
        return {
            row.value
            for row in self._analytics.report(STORE, ZoneInfo("UTC"), split="product")
            if row.views or row.actions
        }

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
        connection = http.client.HTTPConnection(self._server.host, self._server.port, timeout=20)
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
