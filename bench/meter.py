"""What a run takes: CPU and wall time of its process, and CPU of the parts that serve it."""

from __future__ import annotations

import gc
import os
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
BROKER: Final = "broker"
CLICKHOUSE: Final = "clickhouse"


@dataclass(frozen=True)
class Took:
    """What was used between two moments.

    Attributes:
        began, ended: Seconds of the machine's monotonic clock, which all processes share.
        cpu_seconds: User and system time of all threads of the process.
        broker_seconds, clickhouse_seconds: The same of Kafka's and ClickHouse's processes meanwhile. What ClickHouse
            still merges afterwards is not in it.
    """

    began: float
    ended: float
    cpu_seconds: float
    broker_seconds: float
    clickhouse_seconds: float

    @property
    def wall_seconds(self) -> float:
        """By the clock."""
        return self.ended - self.began


class Meter:
    """Measures this process between two moments.

    Args:
        parts: Process ids of ``BROKER`` and ``CLICKHOUSE``; one that is not given counts as idle.
    """

    def __init__(self, parts: Mapping[str, int] | None = None) -> None:
        self._parts = dict(parts or {})
        self._left_out = 0.0
        self._began = self._ended = self._now()
        self._told: Took | None = None
        self.started = False

    def start(self) -> None:
        """From now on; call it when everything is imported, loaded and connected, and nothing is read yet.

        All contenders have the product's arrangement with Python's cycle collector from here on.
        """
        gc.collect()
        gc.freeze()
        gc.set_threshold(200_000, 10, 10)
        self._began = self._ended = self._now()
        self.started = True

    def stop(self) -> None:
        """Until now; the last call counts."""
        self._ended = self._now()

    def leave_out(self, cpu_seconds: float) -> None:
        """Do not count so much CPU: it was the bench's own."""
        self._left_out = cpu_seconds

    def tell(self, took: Took) -> None:
        """Other processes did the work; this is what they took together."""
        self._told = took

    def took(self) -> Took:
        """What was used from ``start`` to ``stop``."""
        if self._told is not None:
            return self._told
        (began, cpu, broker, clickhouse), (ended, cpu_then, broker_then, clickhouse_then) = self._began, self._ended
        return Took(began, ended, cpu_then - cpu - self._left_out, broker_then - broker, clickhouse_then - clickhouse)

    def _now(self) -> tuple[float, float, float, float]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        broker, clickhouse = (_cpu_of(self._parts.get(name)) for name in (BROKER, CLICKHOUSE))
        return time.monotonic(), used.ru_utime + used.ru_stime, broker, clickhouse


def _cpu_of(pid: int | None) -> float:
    """CPU seconds of a process, in steps of 10 ms."""
    if pid is None:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
