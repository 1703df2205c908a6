"""The flow's lag, and the highest rate that the whole path sustains."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.claims.numbers import say
from bench.claims.processes import wait_until
from bench.claims.sender import Sender
from bench.contender import ends
from connectors.clickhouse.client import ClickHouse
from connectors.insights.report import Analytics
from connectors.kafka.reader import PartitionReader
from marketplace.topics import CLICKS_COLLECTED
from ops.demo.services.collector import Collector
from runtime.sections import Settings

_CLOSE_AT: Final = 30_000
_OPEN_AT: Final = 15_000
_LOOK_SECONDS: Final = 0.15
_CAUGHT_UP_SECONDS: Final = 120.0


class Lag:
    """Compares the log's end with the ledger.

    Args:
        settings: The URLs and the database.
    """

    def __init__(self, settings: Settings) -> None:
        self._clickhouse = ClickHouse(settings.urls.clickhouse, settings.database)
        self._analytics = Analytics(self._clickhouse)
        self._reader = PartitionReader(settings.kafka, CLICKS_COLLECTED.name, "bench.lag")
        self._partitions = list(ends(settings.urls.kafka))

    def written(self) -> int:
        """The number of records in the topic."""
        return sum(self._reader.range_of(partition)[1] for partition in self._partitions)

    def applied(self) -> int:
        """The number of records that are in every table."""
        return sum(offset + 1 for offset, _ in self._analytics.applied().values())

    def behind(self) -> int:
        """The number of records that wait, or a few more: the log's end is read last."""
        applied = self.applied()
        return self.written() - applied

    def catch_up(self) -> None:
        """Wait until the lag is 0."""
        wait_until(lambda: self.behind() == 0, _CAUGHT_UP_SECONDS, "the flow does not catch up", 0.2)

    def close(self) -> None:
        """Disconnect."""
        self._reader.close()
        self._clickhouse.close()


@dataclass(frozen=True)
class Saturation:
    """The result of a saturating run: as many events as possible, with a bounded backlog.

    Attributes:
        events_per_second: Events applied, over the second part of the run.
        largest_lag: The largest number of waiting records.
    """

    events_per_second: float
    largest_lag: int


def saturate(lag: Lag, server: Collector, pool: Path, gate: Path, seconds: float, connections: int = 8) -> Saturation:
    """Send as fast as possible, but pause the sender while the flow lags: the rate at which it applies is sustainable.

    Args:
        lag: The flow's lag.
        server: The collector.
        pool: The file of prepared requests.
        gate: A file that pauses the sender while it exists.
        seconds: The duration; the first third warms up and does not count.
        connections: The sender's connections.
    """
    gate.unlink(missing_ok=True)
    sender = Sender(pool, server.host, server.port, seconds, connections=connections, fresh=True, gate=gate)
    sender.begin()
    began = time.monotonic()
    first: tuple[float, int] | None = None
    last, largest = (began, 0), 0
    while sender.running and time.monotonic() < began + seconds:
        applied = lag.applied()
        now, waiting = time.monotonic(), lag.written() - applied
        last, largest = (now, applied), max(largest, waiting)
        if first is None and now > began + seconds / 3:
            first = last
        if waiting > _CLOSE_AT:
            gate.touch()
        elif waiting < _OPEN_AT:
            gate.unlink(missing_ok=True)
        time.sleep(_LOOK_SECONDS)
    gate.unlink(missing_ok=True)
    sent = sender.end()
    if sent.refused or first is None:
        raise RuntimeError(f"the saturating run failed: {sent}")
    rate = (last[1] - first[1]) / (last[0] - first[0])
    say(f"sustainable: {rate:,.0f} events/s (lag at worst {largest:,})")
    return Saturation(rate, largest)
