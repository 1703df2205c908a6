"""``python -m bench.claims.outbox``: how long a row of the outbox takes from its commit to its topic.

Orders and their events are written in transactions at some rates, on parts of their own; each event is timed from the
moment at which its commit was answered until a consumer has its record. Then the connector is stopped while rows are
written, and started again, to see how fast it makes up for that.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final

from pymongo.client_session import ClientSession

from bench.claims.numbers import Row, quantile, report, say
from connectors.debezium.client import Connect
from connectors.debezium.declared import OUTBOX_CONNECTOR
from connectors.kafka.reader import PartitionReader
from connectors.mongo.client import Client, connect
from connectors.mongo.sagas.documents import outbox_document
from connectors.mongo.transactions import in_transaction
from marketplace.collections import ORDERS, OUTBOX
from marketplace.sagas.events import Event, EventType, OrderedItem, StockCountUpdated, event_id
from marketplace.topics import ORDERS_EVENTS
from ops.stack import Stack
from ops.stack.registry import REGISTRY
from runtime.sections import DATABASE_NAME

TARGET_P50_SECONDS: Final = 0.1
TARGET_P99_SECONDS: Final = 0.5
_RATES: Final = (10, 50, 200)
_WAIT_SECONDS: Final = 120.0
_BATCH: Final = 50


@dataclass(frozen=True)
class Level:
    """What one rate gave.

    Attributes:
        rate: Transactions asked for in a second.
        reached: Transactions written in a second.
        p50, p99, largest: Seconds from the answer to the commit until a consumer has the record.
        commit_p50: Seconds of a transaction with an order and an event.
        events: How many were timed.
    """

    rate: float
    reached: float
    p50: float
    p99: float
    largest: float
    commit_p50: float
    events: int


class Arrivals:
    """When the record of each event arrived, read on a thread of its own."""

    def __init__(self, kafka: str) -> None:
        self.at: dict[str, float] = {}
        self._reader = PartitionReader(kafka, ORDERS_EVENTS.name, "bench.outbox", max_fetch_bytes=1)
        for partition in self._reader.partitions():
            self._reader.add(partition, self._reader.range_of(partition)[1])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._stop.is_set():
            for message in self._reader.consume(1_000, 0.005):
                now = time.perf_counter()
                event = next(text.decode() for name, text in message.headers() if name == "ce_id")
                self.at.setdefault(event, now)

    def wait(self, events: set[str]) -> None:
        """Wait until all of these are there.

        Raises:
            TimeoutError: They are not, in two minutes.
        """
        deadline = time.monotonic() + _WAIT_SECONDS
        while events - self.at.keys():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(events - self.at.keys())} events did not arrive")
            time.sleep(0.02)

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()
        self._reader.close()


class Writer:
    """Writes an order and an event of it in one transaction."""

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._orders, self._outbox = client[database][ORDERS.name], client[database][OUTBOX.name]
        self._numbers = count(1)

    def event(self) -> Event:
        """An event of a further order."""
        order = f"bench-{time.time_ns():x}-{next(self._numbers)}"
        payload = StockCountUpdated((OrderedItem("variant", 1), OrderedItem("another", 2)))
        return Event(
            event_id(order, "inventory", 1),
            EventType.STOCK_COUNT_UPDATED,
            order,
            "berlin-bikes",
            time.time_ns() // 1_000_000,
            payload,
        )

    def write(self, event: Event) -> None:
        """Write an order and its event; returns when that is committed."""
        row = outbox_document(event, "inventory", datetime.now(UTC))

        def work(session: ClientSession) -> None:
            self._orders.insert_one({"_id": event.order, "state": "PENDING", "total_minor": 1_000}, session=session)
            self._outbox.insert_one(row, session=session)

        in_transaction(self._client, work)

    def write_rows(self, events: list[Event]) -> None:
        """Write only events, many at once."""
        now = datetime.now(UTC)
        self._outbox.insert_many([outbox_document(event, "inventory", now) for event in events])


def level(writer: Writer, arrivals: Arrivals, rate: float, seconds: float) -> Level:
    """Write at a rate, and time each event."""
    committed: dict[str, float] = {}
    commits = []
    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        time.sleep(max(0.0, began + number / rate - time.perf_counter()))
        event, before = writer.event(), time.perf_counter()
        writer.write(event)
        committed[event.id] = time.perf_counter()
        commits.append(committed[event.id] - before)
    wall = time.perf_counter() - began
    arrivals.wait(set(committed))
    # A record may overtake the answer to its commit.
    ways = [max(0.0, arrivals.at[event] - at) for event, at in committed.items()]
    return Level(
        rate,
        len(committed) / wall,
        quantile(ways, 0.5),
        quantile(ways, 0.99),
        max(ways),
        quantile(commits, 0.5),
        len(ways),
    )


def backlog(writer: Writer, arrivals: Arrivals, connect_to: Connect, rows: int) -> float:
    """Rows in a second that the connector makes up for, its start included."""
    connect_to.stop(OUTBOX_CONNECTOR.name)
    events = [writer.event() for _ in range(rows)]
    for at in range(0, rows, _BATCH):
        writer.write_rows(events[at : at + _BATCH])
    began = time.perf_counter()
    connect_to.resume(OUTBOX_CONNECTOR.name)
    arrivals.wait({event.id for event in events})
    return rows / (max(arrivals.at[event.id] for event in events) - began)


def main() -> int:
    """Run the claim; print and write its table."""
    parser = argparse.ArgumentParser(prog="python -m bench.claims.outbox", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each rate [%(default)s]")
    parser.add_argument("--rows", type=int, default=5_000, help="of the backlog [%(default)s]")
    parser.add_argument("--json", type=Path, help="where to write everything")
    options = parser.parse_args()
    rows, details = [], {}
    with (
        tempfile.TemporaryDirectory(prefix="marketplace-bench-") as folder,
        Stack(f"{folder}/stack", ports="auto", parts=REGISTRY.needed_by(["relay"]), external={}) as stack,
        closing(connect(stack.urls.mongo)) as client,
        closing(Connect(stack.urls.connect)) as connect_to,
        closing(Arrivals(stack.urls.kafka)) as arrivals,
    ):
        writer = Writer(client, DATABASE_NAME.default)
        level(writer, arrivals, 20, 2.0)
        for rate in _RATES:
            say(f"{rate} transactions a second")
            found = level(writer, arrivals, rate, options.seconds)
            details[str(rate)] = asdict(found)
            note = f"{found.events} events at {found.reached:.0f}/s, commit p50 {1_000 * found.commit_p50:.1f} ms"
            name = f"commit to topic at {rate}/s"
            rows += [
                _row(f"{name}, p50", found.p50, TARGET_P50_SECONDS, note),
                _row(f"{name}, p99", found.p99, TARGET_P99_SECONDS, f"largest {1_000 * found.largest:.0f} ms"),
            ]
        say(f"a backlog of {options.rows} rows")
        speed = backlog(writer, arrivals, connect_to, options.rows)
        details["backlog"] = {"rows_per_second": speed}
        rows.append(Row("backlog sent", f"{speed:,.0f} rows/s", note=f"{options.rows} rows, with the task's start"))
    return report(rows, details, options.json)


def _row(what: str, seconds: float, target: float, note: str) -> Row:
    return Row(what, f"{1_000 * seconds:.0f} ms", f"<= {1_000 * target:.0f} ms", seconds <= target, note)


if __name__ == "__main__":
    sys.exit(main())
