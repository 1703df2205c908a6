"""``python -m bench.contender NAME OPTIONS``: one contender in a process of its own; prints what it took as JSON."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from bench.stand import ends
from marketplace.settings import Settings

CONTENDERS: Final = {
    "consume": "bench.contenders.ladder:consume",
    "decode": "bench.contenders.ladder:decode_all",
    "decide": "bench.contenders.ladder:decide",
    "flow": "bench.contenders.flow:run",
    "loop": "bench.contenders.loop:run",
    "items": "bench.contenders.items:run",
}

WRITES: Final = frozenset({"flow", "loop", "items"})
"""Those that fill tables, which the oracle must agree with."""


class Meter:
    """CPU and wall time of this process between two moments."""

    def __init__(self) -> None:
        self._began = self._ended = (0.0, 0.0)

    def start(self) -> None:
        """From now on; call it when everything is imported and connected."""
        self._began = self._ended = _now()

    def stop(self) -> None:
        """Until now; the last call counts."""
        self._ended = _now()

    @property
    def cpu_seconds(self) -> float:
        """User and system time of all threads."""
        return self._ended[0] - self._began[0]

    @property
    def wall_seconds(self) -> float:
        """By the clock."""
        return self._ended[1] - self._began[1]


@dataclass(frozen=True)
class Task:
    """What a contender is given: read every partition from its beginning to its end."""

    settings: Settings
    ends: dict[int, int]
    meter: Meter
    options: dict[str, Any]

    @property
    def events(self) -> int:
        """Records in all."""
        return sum(self.ends.values())


def _now() -> tuple[float, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime, time.monotonic()


def main() -> None:
    """Run it."""
    name, options = sys.argv[1], json.loads(sys.argv[2])
    settings = Settings.load(os.environ)
    module, _, function = CONTENDERS[name].partition(":")
    task = Task(settings, ends(settings.urls.kafka), Meter(), options)
    run: Callable[[Task], None] = getattr(import_module(module), function)
    run(task)
    took = {"events": task.events, "cpu_seconds": task.meter.cpu_seconds, "wall_seconds": task.meter.wall_seconds}
    sys.stdout.write(json.dumps(took) + "\n")
    sys.stdout.flush()
    # Threads of an engine may still hold on to a consumer; what was asked for is done.
    os._exit(0)


if __name__ == "__main__":
    main()
