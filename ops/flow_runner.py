"""Runs a flow's processes as one set: they start together, and when one ends they all begin again."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import pyarrow as pa

from connectors.clickhouse import ClickHouse
from connectors.errors import Refused, Unavailable
from connectors.mongo_stores import connect
from connectors.store_stats import Generations
from flows.clicks.page_store import let_inserts_end
from flows.clicks.source import ROUND_SECONDS
from flows.clicks.structure import structure_of
from marketplace.settings import Settings
from marketplace.tables import GENERATIONS
from marketplace.topics import CLICKS_COLLECTED
from ops.stack.guard import guarded
from ops.topic_watch import TopicWatch

log = logging.getLogger(__name__)

FINAL_EXITS: Final = {3: "a newer start of the flow has taken over", 4: "it was refused; its log says by whom"}
"""Exit codes of a flow process that starting again cannot mend."""

_EXIT_AWAY: Final = 5
"""A part was away: worth any number of new starts."""

_GIVE_UP_AFTER: Final = 10
_STOP_SECONDS: Final = 8.0
_HANG_SECONDS: Final = 200.0
"""More than three requests may take in a row: a slow part is no hang."""
_PAUSE_SECONDS: Final = 0.3
_BACKOFF_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True)
class FlowOptions:
    """How to run a flow."""

    workers: int = 1
    round_seconds: float = ROUND_SECONDS
    max_records: int = 50_000
    memory_mb: int = 0
    """What all workers together may remember in; 0 for a third of what the machine or the container has."""
    look_seconds: float = 20.0
    """How often the topic's partitions are counted."""


class FlowFailed(Exception):
    """The flow cannot run; the message says why and where to look."""


class FlowRunner:
    """A supervised set of flow processes, one worker each. Dies with this process.

    Args:
        settings: Where everything is.
        options: How to run it.
        log: Where the processes write; None is this process's standard error.
    """

    def __init__(self, settings: Settings, options: FlowOptions, log: Path | None = None) -> None:
        self._settings, self._options, self._log_path = settings, options, log
        self._processes: list[subprocess.Popen[bytes]] = []
        self._progress = Path(settings.data_dir) / "run"
        self._log: IO[bytes] | None = None
        self._topic = TopicWatch(settings.urls.kafka, CLICKS_COLLECTED.name, options.look_seconds)
        self._failures = 0
        self._started_at = 0.0
        self.restarts = 0
        self.generation = 0

    @property
    def pids(self) -> list[int]:
        """Process ids of the running set."""
        return [process.pid for process in self._processes if process.poll() is None]

    def reads(self) -> bool:
        """Whether every process has ended an epoch since it was started."""
        return bool(self._processes) and all(file.exists() for file in self._progress_files())

    def start(self) -> None:
        """Take the next generation and start all processes.

        Raises:
            Unavailable: Kafka, Mongo or ClickHouse is away.
            Refused: There is no topic to read, or it is another one than before.
        """
        self._topic.begin(time.monotonic())
        self.generation = take_generation(self._settings)
        self._progress.mkdir(parents=True, exist_ok=True)
        if self._log_path is not None and self._log is None:
            self._log_path.parent.mkdir(parents=True, exist_ok=True)
            self._log = self._log_path.open("ab")
        addresses = _free_addresses(self._options.workers) if self._options.workers > 1 else []
        self._processes = [self._spawn(index, addresses) for index in range(self._options.workers)]
        self._started_at = time.monotonic()

    def watch(self) -> None:
        """Look after the set once; call it a few times a second.

        Raises:
            FlowFailed: A process ended in a way that starting again cannot mend, or the topic is another one.
            Unavailable: A part is away while starting again; call again.
        """
        ended = [process.returncode for process in self._processes if process.poll() is not None]
        hung = self._hung()
        if self._processes and not ended and not hung:
            if time.monotonic() - self._started_at > 30:
                self._failures = 0
            self._follow_topic()
            return
        for code in ended:
            if code in FINAL_EXITS:
                self.stop()
                raise FlowFailed(f"the click flow stopped: {FINAL_EXITS[code]}{self._where()}")
        if ended or hung:
            if _EXIT_AWAY in ended:
                self._failures = min(self._failures, len(_BACKOFF_SECONDS))
            elif self._failures >= _GIVE_UP_AFTER:
                self.stop()
                raise FlowFailed(f"the click flow ended {self._failures + 1} times in a row{self._where()}")
            self._kill()
            self._processes = []
            self._failures += 1
            self.restarts += 1
        time.sleep(_BACKOFF_SECONDS[min(self._failures, len(_BACKOFF_SECONDS)) - 1])
        self.start()

    def run(self, stop: Callable[[], bool], prepare: Callable[[], None] = lambda: None) -> None:
        """Start and watch until ``stop`` answers True; what is away is waited for.

        A start may have fenced the flow before it when a part goes away: leaving then would leave nobody to count.

        Args:
            stop: Asked a few times a second.
            prepare: Done before the first start, and again where that finds a part away.

        Raises:
            FlowFailed: See :meth:`watch`.
            Refused: See :meth:`start`.
        """
        begun = False
        try:
            while not stop():
                try:
                    if not begun:
                        prepare()
                        self.start()
                        begun = True
                    self.watch()
                except Unavailable as error:
                    log.warning("waiting: %s", error)
                time.sleep(_PAUSE_SECONDS)
        finally:
            self.stop()

    def stop(self) -> None:
        """Ask every process to leave after a whole epoch; what does not within seconds is killed, which is safe."""
        self._end()
        if self._log is not None:
            self._log.close()
            self._log = None

    def _end(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for process in self._processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes = []

    def _follow_topic(self) -> None:
        try:
            grown = self._topic.look(time.monotonic())
        except Unavailable:
            return  # the processes wait for Kafka themselves
        except Refused as error:
            self.stop()
            raise FlowFailed(f"the click flow stopped: {error}") from error
        if grown is not None:
            log.warning("%s had %d partitions and has %d: the flow starts anew to read all", self._topic.name, *grown)
            self._end()
            self.restarts += 1
            self.start()

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def _hung(self) -> bool:
        now = time.time()
        begun = time.monotonic() - self._started_at
        return any(
            now - file.stat().st_mtime > _HANG_SECONDS if file.exists() else begun > _HANG_SECONDS
            for file in self._progress_files()
        )

    def _progress_files(self) -> list[Path]:
        return [self._progress / f"clicks-{index}.progress" for index in range(len(self._processes))]

    def _where(self) -> str:
        return f"; see {self._log_path}" if self._log_path is not None else ""

    def _spawn(self, index: int, addresses: list[str]) -> subprocess.Popen[bytes]:
        progress = self._progress / f"clicks-{index}.progress"
        progress.unlink(missing_ok=True)
        environment = {
            **os.environ,
            **self._settings.urls.environment(),
            "MARKETPLACE_DATABASE": self._settings.database,
            "FLOW_PROCESS": str(index),
            "FLOW_ADDRESSES": ",".join(addresses),
            "FLOW_GENERATION": str(self.generation),
            "FLOW_PROGRESS_FILE": str(progress),
            "FLOW_ROUND_SECONDS": str(self._options.round_seconds),
            "FLOW_MAX_RECORDS": str(self._options.max_records),
            "FLOW_MEMORY_BYTES": str((self._options.memory_mb << 20) // self._options.workers),
        }
        command = guarded([sys.executable, "-m", "flows.clicks"], os.getpid())
        # A session of its own: Ctrl-C in the terminal is for this process, which then stops its children in order.
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )


def take_generation(settings: Settings) -> int:
    """The number of this start: from now on, inserts of earlier starts write nothing.

    Raises:
        Unavailable: Mongo or ClickHouse is away.
    """
    clickhouse = ClickHouse(settings.urls.clickhouse, settings.database)
    client = connect(settings.urls.mongo)
    try:
        generations = Generations(client, settings.database)
        table = f"{settings.database}.{GENERATIONS.name}"
        newest = int(clickhouse.rows(f"SELECT max(generation) FROM {table} WHERE flow = 'clicks'")[0][0])
        generation = generations.next("clicks", newest)
    finally:
        client.close()
    row = pa.table({"flow": ["clicks"], "generation": pa.array([generation], pa.uint64())})
    clickhouse.insert_where(GENERATIONS.name, structure_of(GENERATIONS), row, "1", f"clicks-{generation}")
    # Inserts of an earlier start were let in before the new generation came and may still land.
    let_inserts_end(clickhouse)
    return generation


def _free_addresses(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for held in sockets:
        held.close()
    return addresses
