"""The test stand of the contenders: an own stack of real parts, the corpus in the topic, new tables for each run."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final

from bench import corpus_cache
from bench.contender import CONTENDERS
from bench.corpus import Corpus
from bench.environment import python_of
from bench.meter import BROKER, CLICKHOUSE, Usage
from connectors.clickhouse.client import ClickHouse
from connectors.kafka.producer import Producer
from connectors.mongo.client import connect
from connectors.mongo.stores import MongoStores
from marketplace.settings import Urls
from ops.provision import ensure_provisioned
from ops.stack import Stack
from runtime.sections import Settings

_AT_ONCE: Final = 20_000
_SEND_SECONDS: Final = 120.0
_RUN_SECONDS: Final = 3_600
_MEMORY: Final = Path("/dev/shm")


@dataclass(frozen=True)
class RunResult:
    """The result of a run.

    Attributes:
        name: The contender's name.
        round: The number of the round, from 1.
        events: The number of records that it processed.
        took: CPU and time, from the first record to the last, without start-up.
        database: The database of its tables.
        compared, differ: How many numbers were compared with the oracle, and how many differ.
    """

    name: str
    round: int
    events: int
    took: Usage
    database: str
    compared: int = 0
    differ: int = 0

    @property
    def us_per_event(self) -> float:
        """Microseconds of CPU per record."""
        return 1e6 * self.took.cpu_seconds / max(1, self.events)

    @property
    def events_per_second(self) -> float:
        """Events per second of wall time."""
        return self.events / max(1e-9, self.took.wall_seconds)

    def plain(self) -> dict[str, object]:
        """The result as types that JSON has."""
        return {**asdict(self), "us_per_event": self.us_per_event, "events_per_second": self.events_per_second}


@dataclass(frozen=True)
class Stand:
    """Running parts with the corpus in the topic.

    Attributes:
        folder: The data folder.
        scratch: A folder in memory.
        parts: Process ids of the broker and of ClickHouse.
    """

    urls: Urls
    corpus: Corpus
    folder: Path
    scratch: Path
    parts: dict[str, int]

    def fresh(self) -> Settings:
        """Settings of a new database with empty tables and the corpus's stores."""
        settings = Settings(self.urls, PurePosixPath(self.folder), f"bench_{uuid.uuid4().hex[:12]}")
        ensure_provisioned(settings)
        client = connect(self.urls.mongo)
        for store in self.corpus.stores().values():
            MongoStores(client, settings.database).upsert_store(store)
        client.close()
        return settings

    def drop(self, run: RunResult) -> None:
        """Drop a run's tables: merges would go on during the next run."""
        clickhouse = ClickHouse(self.urls.clickhouse, run.database)
        clickhouse.command(f"DROP DATABASE {run.database}")
        clickhouse.close()

    def run(self, name: str, round_number: int = 0) -> RunResult:
        """Run a contender over the whole topic, in a child process.

        Raises:
            RuntimeError: It failed; the message has the end of its output.
        """
        settings = self.fresh()
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("MARKETPLACE_", "FLOW_"))},
            **self.urls.environment(),
            "MARKETPLACE_DATABASE": settings.database,
            "PYTHONPATH": str(corpus_cache.ROOT),
        }
        options = {"parts": self.parts, "scratch": str(self.scratch)}
        own = CONTENDERS[name].environment
        python = python_of(own) if own else Path(sys.executable)
        done = subprocess.run(
            [str(python), "-m", "bench.contender", name, json.dumps(options)],
            env=environment,
            cwd=corpus_cache.ROOT,
            capture_output=True,
            text=True,
            timeout=_RUN_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{name} failed ({done.returncode}): {done.stderr[-2_000:]}")
        usage = json.loads(done.stdout.splitlines()[-1])
        return RunResult(name, round_number, usage.pop("events"), Usage(**usage), settings.database)


@contextmanager
def open_stand(corpus: Corpus) -> Iterator[Stand]:
    """Start the parts and fill the topic."""
    memory = _MEMORY if _MEMORY.is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="marketplace-bench-") as folder,
        tempfile.TemporaryDirectory(prefix="marketplace-bench-", dir=memory) as scratch,
        Stack(folder, ports="auto", external={}) as stack,
    ):
        urls = stack.urls
        parts = {BROKER: stack.pid("kafka"), CLICKHOUSE: stack.pid("clickhouse")}
        stand = Stand(urls, corpus, Path(folder), Path(scratch), parts)
        stand.fresh()
        fill(urls.kafka, corpus)
        yield stand


def fill(bootstrap: str, corpus: Corpus) -> None:
    """Write the corpus to the topic, keyed and compressed as the collector does."""
    producer = Producer(bootstrap, client_id="bench", max_in_flight_bytes=256 << 20)
    records = corpus_cache.records(corpus)
    # There are no reference cycles here, and garbage collection of millions of objects would double the time.
    gc.disable()
    while chunk := list(islice(records, _AT_ONCE)):
        producer.send_all(chunk, _SEND_SECONDS)
    gc.enable()
    producer.close(_SEND_SECONDS)
