"""The usage of a run: CPU and wall time of its process, and CPU of Kafka and ClickHouse."""

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
class Usage:
    """Resources used between two moments.

    Attributes:
        began, ended: Seconds of the machine's monotonic clock, which all processes share.
        cpu_seconds: User and system time of all threads of the process.
        broker_seconds, clickhouse_seconds: The same for the processes of Kafka and ClickHouse. Later merges by
            ClickHouse are not included.
    """

    began: float
    ended: float
    cpu_seconds: float
    broker_seconds: float
    clickhouse_seconds: float

    @property
    def wall_seconds(self) -> float:
        """The elapsed time."""
        return self.ended - self.began


class Meter:
    """Measures this process between two moments.

    Args:
        parts: Process ids of ``BROKER`` and ``CLICKHOUSE``; a missing one counts as idle.
    """

    def __init__(self, parts: Mapping[str, int] | None = None) -> None:
        self._parts = dict(parts or {})
        self._left_out = 0.0
        self._began = self._ended = self._now()
        self._usage: Usage | None = None
        self.started = False

    def start(self) -> None:
        """Start measuring; call it when everything is imported, loaded and connected, before the first read.

        From here on all contenders have the product's settings of Python's garbage collector.
        """
        gc.collect()
        gc.freeze()
        gc.set_threshold(200_000, 10, 10)
        self._began = self._ended = self._now()
        self.started = True

    def stop(self) -> None:
        """Stop measuring; the last call counts."""
        self._ended = self._now()

    def leave_out(self, cpu_seconds: float) -> None:
        """Subtract CPU time that was the bench's own."""
        self._left_out = cpu_seconds

    def set_usage(self, took: Usage) -> None:
        """Set the usage, where other processes did the work."""
        self._usage = took

    def took(self) -> Usage:
        """The usage from ``start`` to ``stop``."""
        if self._usage is not None:
            return self._usage
        (began, cpu, broker, clickhouse), (ended, cpu_then, broker_then, clickhouse_then) = self._began, self._ended
        return Usage(began, ended, cpu_then - cpu - self._left_out, broker_then - broker, clickhouse_then - clickhouse)

    def _now(self) -> tuple[float, float, float, float]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        broker, clickhouse = (cpu_seconds_of(self._parts.get(name)) for name in (BROKER, CLICKHOUSE))
        return time.monotonic(), used.ru_utime + used.ru_stime, broker, clickhouse


def cpu_seconds_of(pid: int | None) -> float:
    """CPU seconds of a process, in steps of 10 ms."""
    if pid is None:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
