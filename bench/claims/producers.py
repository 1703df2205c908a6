"""``python -m bench.claims.producers KIND``: a bare producer that sends the collector's records again.

The records (value, key, headers, partition) are read from the topic before anything is measured. It ends when the
broker has confirmed them all.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import confluent_kafka

from bench.corpus_cache import ROOT
from connectors.kafka.producer import Producer
from connectors.kafka.reader import PartitionReader
from connectors.kafka.records import Record
from marketplace.topics import CLICKS_COLLECTED
from runtime.garbage import rest_collector

_PLAIN: Final[dict[str, Any]] = {
    "client.id": "plain",
    "acks": "all",
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": 10,
    "queue.buffering.max.kbytes": 128 * 1024,
    "queue.buffering.max.messages": 0,
}
"""The settings of the product's producer that affect speed."""

_AT_ONCE: Final = 20_000
_SEND_SECONDS: Final = 120.0
_READ_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Produced:
    """The result of a run."""

    events: int
    wall_seconds: float
    cpu_seconds: float


def run(kind: str, bootstrap: str, events: int) -> Produced:
    """Run a producer in a child process.

    Raises:
        RuntimeError: The process failed.
    """
    command = [sys.executable, "-m", "bench.claims.producers", kind, "--kafka", bootstrap, "--events", str(events)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(f"{kind}: {done.stderr[-2_000:]}")
    return Produced(**json.loads(done.stdout))


def read(bootstrap: str, events: int) -> list[Record]:
    """The first ``events`` records of the topic, or as many as there are."""
    reader = PartitionReader(bootstrap, CLICKS_COLLECTED.name, "bench.producers")
    left = 0
    for partition in reader.partitions():
        low, high = reader.range_of(partition)
        left += high - low
        reader.add(partition, low)
    records: list[Record] = []
    deadline = time.monotonic() + _READ_SECONDS
    while len(records) < min(events, left) and time.monotonic() < deadline:
        for message in reader.consume(_AT_ONCE, 0.5):
            headers = tuple((name, bytes(value)) for name, value in message.headers() or ())
            records.append(Record(message.topic(), message.value(), message.key(), message.partition(), headers))
    reader.close()
    return records[:events]


def ours(bootstrap: str, records: list[Record]) -> Callable[[], None]:
    """The product's producer, with many records in a call."""
    producer = Producer(bootstrap, client_id="bench")

    def send() -> None:
        for first in range(0, len(records), _AT_ONCE):
            producer.send_all(records[first : first + _AT_ONCE], _SEND_SECONDS)
        producer.close(_SEND_SECONDS)

    return send


def plain(bootstrap: str, records: list[Record]) -> Callable[[], None]:
    """``confluent_kafka`` as in its documentation: produce, poll, and a delivery report for each record."""
    producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, **_PLAIN})
    failed: list[Any] = []

    def delivered(error: Any, _message: Any) -> None:
        if error is not None:
            failed.append(error)

    def send() -> None:
        produce, poll = producer.produce, producer.poll
        for record in records:
            while True:
                try:
                    produce(
                        record.topic,
                        record.value,
                        record.key,
                        -1 if record.partition is None else record.partition,
                        delivered,
                        headers=list(record.headers),
                    )
                    break
                except BufferError:
                    poll(0.05)
            poll(0)
        producer.flush(_SEND_SECONDS)
        if failed:
            raise RuntimeError(f"{len(failed)} records were not taken: {failed[0]}")

    return send


KINDS: Final = {"ours": ours, "plain": plain}


def main() -> None:
    """Read the records, send them, and print the result as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.claims.producers", description=__doc__)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--events", type=int, default=300_000)
    options = parser.parse_args()
    records = read(options.kafka, options.events)
    send = KINDS[options.kind](options.kafka, records)
    # As in the collector: what is loaded and read by now is not looked through for cycles while it sends.
    rest_collector()
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    send()
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sys.stdout.write(json.dumps({"events": len(records), "wall_seconds": wall, "cpu_seconds": cpu}) + "\n")


if __name__ == "__main__":
    main()
