"""``python -m bench.claims.traced_flow``: the click flow's process, with a trace of its steps.

It is ``flows.clicks`` itself; only public calls are wrapped, a few per epoch, and each writes a line of JSON: its name,
start and duration, and the partition and offsets of a batch. ``BENCH_TRACE`` names the file, ``BENCH_SPAWNED`` is the
time when the process was started.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BEGAN = time.time()


@dataclass(frozen=True)
class Step:
    """One line of a trace.

    Attributes:
        what: Its name.
        at: Its start, epoch seconds.
        seconds: Its duration.
        partition, first, last: Partition and offsets of a batch; -1 for other steps.
        sent_bytes: The size of an insert's body; it has a step of its own, called ``sent`` and the table.
    """

    what: str
    at: float
    seconds: float
    partition: int = -1
    first: int = -1
    last: int = -1
    sent_bytes: int = 0

    @property
    def events(self) -> int:
        """The number of records of a batch."""
        return self.last - self.first + 1

    @property
    def end(self) -> float:
        """Its end, epoch seconds."""
        return self.at + self.seconds


def read_trace(file: Path) -> list[Step]:
    """All complete lines of a trace."""
    return [Step(**json.loads(line)) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]


class Tracer:
    """Writes steps as they end.

    Args:
        file: The trace.
    """

    def __init__(self, file: Path) -> None:
        self._file = file.open("a", buffering=1)

    def note(self, what: str, at: float, seconds: float, batch: Any = None) -> None:
        """Write a step."""
        step = {"what": what, "at": at, "seconds": seconds}
        if batch is not None:
            step |= {"partition": batch.partition, "first": batch.first_offset, "last": batch.last_offset}
        self._file.write(json.dumps(step) + "\n")

    def weigh(self, client: Any) -> None:
        """Record the size of each insert."""
        inner = client.command

        @functools.wraps(inner)
        def weighed(own: Any, statement: str, *arguments: Any, **options: Any) -> Any:
            data = options.get("data")
            if data is not None:
                table = statement.split()[2].partition(".")[2]
                step = {"what": f"sent {table}", "at": time.time(), "seconds": 0.0, "sent_bytes": len(data)}
                self._file.write(json.dumps(step) + "\n")
            return inner(own, statement, *arguments, **options)

        client.command = weighed

    def wrap(
        self, owner: Any, method: str, name: Callable[..., str], batch_of: Callable[[Any, Any], Any] | None = None
    ) -> None:
        """Trace a method; a batch is taken from its result or its arguments."""
        inner = getattr(owner, method)

        @functools.wraps(inner)
        def timed(*arguments: Any, **options: Any) -> Any:
            at = time.time()
            answer = inner(*arguments, **options)
            batch = batch_of(arguments, answer) if batch_of is not None else None
            if batch_of is None or batch is not None:
                self.note(name(*arguments), at, time.time() - at, batch)
            return answer

        setattr(owner, method, timed)


def main() -> int:
    """Run the flow."""
    tracer = Tracer(Path(os.environ["BENCH_TRACE"]))
    spawned = float(os.environ["BENCH_SPAWNED"])
    tracer.note("interpreter", spawned, _BEGAN - spawned)
    from clickhouse_connect.driver.httpclient import HttpClient

    from connectors.clickhouse.client import ClickHouse
    from connectors.kafka.reader import PartitionReader
    from connectors.lookups.bot_list import CrawlerList
    from connectors.lookups.geoip import GeoIP
    from connectors.lookups.user_agents import UserAgents
    from connectors.mongo.store_stats import StoreStats
    from connectors.redis.live_tile import LiveTile
    from flows.clicks.flow import FLOW
    from flows.clicks.processor import PartitionProcessor
    from flows.delivery.process import run
    from flows.delivery.topic_consumer import TopicConsumer

    tracer.note("imports", _BEGAN, time.time() - _BEGAN)
    for kind in (CrawlerList, GeoIP, UserAgents):
        tracer.wrap(kind, "__init__", functools.partial(_named, f"load {kind.__name__}"))
    tracer.weigh(HttpClient)
    tracer.wrap(ClickHouse, "insert_where", lambda _self, table, *_: f"insert {table}")
    tracer.wrap(ClickHouse, "rows", lambda _self, query, *_: f"ask {_subject(query)}")
    tracer.wrap(ClickHouse, "arrow", lambda _self, query, *_: f"read back {_subject(query)}")
    tracer.wrap(PartitionReader, "range_of", functools.partial(_named, "ask offsets"))
    tracer.wrap(PartitionReader, "read_at", functools.partial(_named, "read newest records"))
    tracer.wrap(TopicConsumer, "take", functools.partial(_named, "take"), lambda _arguments, answer: answer)
    tracer.wrap(
        PartitionProcessor, "process", functools.partial(_named, "decide"), lambda arguments, _answer: arguments[1]
    )
    tracer.wrap(PartitionProcessor, "__init__", functools.partial(_named, "make processor"))
    tracer.wrap(StoreStats, "save", functools.partial(_named, "save store_stats"))
    tracer.wrap(LiveTile, "save", functools.partial(_named, "save live tile"))
    return run(FLOW)


def _named(name: str, *_arguments: Any) -> str:
    return name


def _subject(query: str) -> str:
    """The table that a query is about."""
    return next((word.partition(".")[2] for word in query.split() if "." in word and "(" not in word), "")


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # The flow itself ends like this: threads of Bytewax may still use a consumer.
    os._exit(code)
