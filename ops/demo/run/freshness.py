"""Click to queryable: how long after the collector's response an event is in every table.

A sample of ordinary events is noted when the collector has responded. A thread queries ClickHouse several times a
second for those that are among the facts at or below the ledger's fence: the ledger is written last, so from then on
every report counts them. The time is what a seller waits; it includes the query itself and the pause between two.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from connectors.clickhouse.client import ClickHouse
from connectors.errors import Unavailable
from marketplace.tables import CLICKS, LEDGER
from ops.demo.traffic.requests import Post

_PAUSE_SECONDS: Final = 0.05
_MAX_PAUSE_SECONDS: Final = 0.5
_MAX_PENDING: Final = 400


@dataclass
class Freshness:
    """A sample of times from response to table, in seconds."""

    seconds: list[float] = field(default_factory=list)

    def report(self) -> dict[str, int | None]:
        """Median and 99th percentile in milliseconds, and the sample's size."""
        return {"p50": self.quantile_ms(0.5), "p99": self.quantile_ms(0.99), "samples": len(self.seconds)}

    def quantile_ms(self, share: float) -> int | None:
        """The quantile of a share from 0 to 1, in milliseconds; None without a sample."""
        if not self.seconds:
            return None
        ordered = sorted(self.seconds)
        return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))])


class Stopwatch:
    """Measures the freshness of a sample of events.

    Args:
        clickhouse: Where the tables are.
        stores: Slugs whose events are timed.
    """

    def __init__(self, clickhouse: ClickHouse, stores: Iterable[str]) -> None:
        self._clickhouse, self._stores, self._every = clickhouse, sorted(stores), 1
        self._pending: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._requests = 0
        self._label = ""
        self._thread = threading.Thread(target=self._run, name="freshness", daemon=True)
        self.freshness: dict[str, Freshness] = {}

    def sample(self, label: str, every: int) -> None:
        """From now on, sample one request in ``every`` under this name."""
        self._label, self._every = label, max(1, every)
        self.freshness[label] = Freshness()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def of(self, label: str) -> Freshness:
        """The sample of a name; empty if there is none."""
        return self.freshness.get(label, Freshness())

    def note(self, post: Post, at: float) -> None:
        """Called by the sender for each accepted request, with the monotonic time of its response."""
        if not post.tracked or not self._label:
            return
        self._requests += 1
        if self._requests % self._every == 0:
            with self._lock:
                if len(self._pending) < _MAX_PENDING * len(self.freshness):
                    self._pending[str(post.events[-1]["event_id"])] = (self._label, at)

    @property
    def pending(self) -> int:
        """The number of sampled events that have not been found yet."""
        return len(self._pending)

    def _run(self) -> None:
        pause = _PAUSE_SECONDS
        while not self._stopped.wait(pause):
            began = time.monotonic()
            with self._lock:
                wanted = list(self._pending)
            if wanted:
                self._look(wanted)
            # A slow query means a busy database; the queries must not be what keeps it busy.
            pause = min(_MAX_PAUSE_SECONDS, max(_PAUSE_SECONDS, 4 * (time.monotonic() - began)))

    def _look(self, wanted: list[str]) -> None:
        database = self._clickhouse.database
        try:
            rows = self._clickhouse.rows(
                f"SELECT event_id FROM {database}.{CLICKS.name} AS c INNER JOIN (SELECT source_partition, "
                f"max(source_offset) AS fence FROM {database}.{LEDGER.name} GROUP BY source_partition) AS l "
                "ON c.source_partition = l.source_partition WHERE c.event_id IN {wanted:Array(String)} "
                "AND c.store IN {stores:Array(String)} AND c.source_offset <= l.fence",
                {"wanted": wanted, "stores": self._stores},
            )
        except Unavailable:
            return
        now = time.monotonic()
        with self._lock:
            for (event_id,) in rows:
                noted = self._pending.pop(str(event_id), None)
                if noted is not None:
                    label, since = noted
                    self.freshness[label].seconds.append(now - since)
