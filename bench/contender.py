"""``python -m bench.contender NAME OPTIONS``: one contender in a process of its own; prints what it took as JSON.

It is also run in environments that hold little more than a client, so it imports nothing of the stand.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, Final, Literal

from bench.meter import Meter
from connectors.kafka.reader import PartitionReader
from marketplace.topics import CLICKS_COLLECTED
from runtime.sections import Settings


@dataclass(frozen=True)
class Contender:
    """How a contender is run.

    Attributes:
        entry: Module and function.
        kind: A rung is a part of the product, a limit does less than the job, a rival does all of it.
        compares: What the oracle must agree with: every number, the counts of events and visitors, or nothing.
        environment: The name of an environment of its own under ``bench/``; empty for the product's.
    """

    entry: str
    kind: Literal["rung", "product", "limit", "rival"]
    compares: Literal["", "counts", "all"] = "all"
    environment: str = ""


CONTENDERS: Final = {
    "consume": Contender("bench.contenders.ladder:consume", "rung", compares=""),
    "decode": Contender("bench.contenders.ladder:decode_all", "rung", compares=""),
    "decide": Contender("bench.contenders.ladder:decide", "rung", compares=""),
    "sinks": Contender("bench.contenders.sinks:run", "rung"),
    "flow": Contender("bench.contenders.flow:run", "product"),
    "flow2": Contender("bench.contenders.workers:run", "product"),
    "sql": Contender("bench.contenders.sql:run", "limit", compares="counts"),
    "loop": Contender("bench.contenders.loop:run", "rival"),
    "items": Contender("bench.contenders.items:run", "rival"),
    "quix": Contender("bench.contenders.quix:run", "rival", environment="quix"),
}

PARTS: Final = {"worker": "bench.contenders.workers:work", "facts": "bench.contenders.facts:run"}
"""What contenders start themselves: a process of several, and the preparation of another."""


@dataclass(frozen=True)
class Task:
    """What a contender is given: read every partition from its beginning to its end.

    Attributes:
        settings: Where everything is.
        topic: The topic to read.
        ends: The offset after the last record of each partition.
        meter: To start and to stop.
        options: All that it was started with; ``scratch`` is a folder in memory that lasts for all rounds.
    """

    settings: Settings
    topic: str
    ends: dict[int, int]
    meter: Meter
    options: dict[str, Any]

    @property
    def events(self) -> int:
        """Records in all."""
        return sum(self.ends.values())


def ends(bootstrap: str) -> dict[int, int]:
    """Where each partition of the topic ends."""
    reader = PartitionReader(bootstrap, CLICKS_COLLECTED.name, "bench.ends")
    found = {partition: reader.range_of(partition)[1] for partition in reader.partitions()}
    reader.close()
    return found


def report(task: Task) -> None:
    """Tell whoever started this process what it took."""
    sys.stdout.write(json.dumps({"events": task.events, **asdict(task.meter.took())}) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run it."""
    name, options = sys.argv[1], json.loads(sys.argv[2])
    settings, topic = Settings.load(os.environ), CLICKS_COLLECTED.name
    entry = PARTS[name] if name in PARTS else CONTENDERS[name].entry
    module, _, function = entry.partition(":")
    task = Task(settings, topic, ends(settings.urls.kafka), Meter(options.get("parts")), options)
    run: Callable[[Task], None] = getattr(import_module(module), function)
    run(task)
    report(task)
    # Threads of an engine may still hold on to a consumer; what was asked for is done.
    os._exit(0)


if __name__ == "__main__":
    main()
