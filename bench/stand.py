"""The stand that contenders run on: real parts of its own, the corpus in the real topic, fresh tables for each run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Final

from bench.corpus import Corpus
from connectors.kafka.producer import Producer
from connectors.kafka.reader import PartitionReader
from connectors.mongo_stores import MongoStores, connect
from marketplace.settings import Settings, Urls
from marketplace.topics import CLICKS_COLLECTED
from ops.provision import ensure_provisioned
from ops.stack import Stack

ROOT: Final = Path(__file__).resolve().parents[1]
_AT_ONCE: Final = 20_000
_SEND_SECONDS: Final = 120.0
_RUN_SECONDS: Final = 3_600


@dataclass(frozen=True)
class Ran:
    """What a run took.

    Attributes:
        name: Of the contender.
        events: Records that it went through.
        cpu_seconds: User and system time of its process, from the first record to the last, without starting up.
        wall_seconds: The same by the clock.
        database: Where its tables are.
        compared, differ: Numbers that the oracle was asked about, and those that it does not agree with.
    """

    name: str
    events: int
    cpu_seconds: float
    wall_seconds: float
    database: str
    compared: int = 0
    differ: int = 0

    @property
    def us_per_event(self) -> float:
        """Microseconds of CPU for each record."""
        return 1e6 * self.cpu_seconds / max(1, self.events)


@dataclass(frozen=True)
class Stand:
    """Parts with the corpus in the topic."""

    urls: Urls
    corpus: Corpus
    folder: Path

    def fresh(self) -> Settings:
        """Tables in a database of their own, and the corpus's stores."""
        settings = Settings(self.urls, PurePosixPath(self.folder), f"bench_{uuid.uuid4().hex[:12]}")
        ensure_provisioned(settings)
        client = connect(self.urls.mongo)
        for store in self.corpus.stores().values():
            MongoStores(client, settings.database).upsert_store(store)
        client.close()
        return settings

    def run(self, name: str, **options: Any) -> Ran:
        """Run a contender from the beginning of the topic to its end, as a process of its own.

        Raises:
            RuntimeError: It failed; the message holds what it said last.
        """
        settings = self.fresh()
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("MARKETPLACE_", "FLOW_"))},
            **self.urls.environment(),
            "MARKETPLACE_DATABASE": settings.database,
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", "bench.contender", name, json.dumps(options)]
        done = subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{name} failed ({done.returncode}): {done.stderr[-2_000:]}")
        told = json.loads(done.stdout.splitlines()[-1])
        return Ran(name, told["events"], told["cpu_seconds"], told["wall_seconds"], settings.database)


@contextmanager
def open_stand(corpus: Corpus) -> Iterator[Stand]:
    """Start the parts and fill the topic."""
    with (
        tempfile.TemporaryDirectory(prefix="marketplace-bench-") as folder,
        Stack(folder, ports="auto", external={}) as stack,
    ):
        found = stack.urls
        stand = Stand(Urls(found.kafka, found.mongo, found.clickhouse, found.redis), corpus, Path(folder))
        stand.fresh()
        fill(found.kafka, corpus)
        yield stand


def fill(bootstrap: str, corpus: Corpus) -> None:
    """Put the corpus into the topic, keyed and compressed as the collector does."""
    producer = Producer(bootstrap, client_id="bench", max_in_flight_bytes=256 << 20)
    records = corpus.records()
    while chunk := list(islice(records, _AT_ONCE)):
        producer.send_all(chunk, _SEND_SECONDS)
    producer.close(_SEND_SECONDS)


def ends(bootstrap: str) -> dict[int, int]:
    """Where each partition of the topic ends."""
    reader = PartitionReader(bootstrap, CLICKS_COLLECTED.name, "bench.ends")
    found = {partition: reader.range_of(partition)[1] for partition in reader.partitions()}
    reader.close()
    return found
