"""``python -m bench.contender NAME OPTIONS``: one contender in a process of its own; prints its usage as JSON.

It also runs in environments with little more than a Kafka client, so it imports nothing of the stand.
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
    """A contender.

    Attributes:
        entry: Module and function.
        kind: A rung is a part of the product, a limit does less than the whole job, a rival does all of it.
        compares: What the oracle compares: every number, the counts of events and visitors, or nothing.
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
"""Entries that contenders start themselves: one process of several, and the preparation of another contender."""


@dataclass(frozen=True)
class Task:
    """The task of a contender: read every partition from its beginning to its end.

    Attributes:
        settings: The URLs and the database.
        topic: The topic to read.
        ends: The end offset of each partition.
        meter: The contender starts and stops it.
        options: The command line's; ``scratch`` is a folder in memory that is kept for all rounds.
    """

    settings: Settings
    topic: str
    ends: dict[int, int]
    meter: Meter
    options: dict[str, Any]

    @property
    def events(self) -> int:
        """The number of records in all partitions."""
        return sum(self.ends.values())


def ends(bootstrap: str) -> dict[int, int]:
    """The end offset of each partition of the topic."""
    reader = PartitionReader(bootstrap, CLICKS_COLLECTED.name, "bench.ends")
    found = {partition: reader.range_of(partition)[1] for partition in reader.partitions()}
    reader.close()
    return found


def report(task: Task) -> None:
    """Print the usage as JSON, for the parent process."""
    sys.stdout.write(json.dumps({"events": task.events, **asdict(task.meter.took())}) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run the contender."""
    name, options = sys.argv[1], json.loads(sys.argv[2])
    settings, topic = Settings.load(os.environ), CLICKS_COLLECTED.name
    entry = PARTS[name] if name in PARTS else CONTENDERS[name].entry
    module, _, function = entry.partition(":")
    task = Task(settings, topic, ends(settings.urls.kafka), Meter(options.get("parts")), options)
    run: Callable[[Task], None] = getattr(import_module(module), function)
    run(task)
    report(task)
    # Threads of the engine may still use a consumer, but the work is done.
    os._exit(0)


if __name__ == "__main__":
    main()
