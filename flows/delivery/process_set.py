"""Runs a flow's processes as one set: they start together, and when one ends they all begin again."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from connectors.errors import Refused, Unavailable
from flows.delivery.exit_codes import EXIT_CODES, EXIT_SETTINGS
from flows.delivery.fencing import REQUEST_SECONDS, take_generation
from flows.delivery.kafka_source import ROUND_SECONDS
from flows.delivery.topic_watch import TopicWatch
from marketplace.flows import FlowSpec
from runtime.backoff import Backoff
from runtime.guard import guarded
from runtime.progress import Ending, Lease, Progress, ProgressPage
from runtime.sections import Settings

log = logging.getLogger(__name__)

_FINAL_ENDINGS: Final[Mapping[str, str]] = {
    "fenced": "a newer start of the flow has taken over",
    "refused": "it was refused",
}
_ENDING_OF_CODE: Final[Mapping[int, Ending]] = {code: ending for ending, code in EXIT_CODES.items()}

_GIVE_UP_AFTER: Final = 10
_STOP_SECONDS: Final = 8.0
_LAST_WORDS_SECONDS: Final = 3.0
"""When one process ends the others soon do, and the first one to end may not be the one that knows why."""
_STEADY_SECONDS: Final = 30.0
_STANDING_SECONDS: Final = 15.0
"""A set whose epochs stand still for so long is not ready, whatever it is busy with."""
_PAUSE_SECONDS: Final = 0.3
_BACKOFF: Final = Backoff(0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_STEP_SECONDS: Final = REQUEST_SECONDS + 10.0
"""What a step of a start takes at most: it asks one part."""
_PREPARE_SECONDS: Final = 150.0
"""Provisioning asks every part several times; it is done before the first start only."""
_WATCH_SECONDS: Final = 20.0
"""What a look takes at most: the longest pause, and what comes before it."""


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
    hang_seconds: float = 60.0
    """A process that gives no sign of life for longer hangs, whatever time it asked for."""


class FlowFailed(Exception):
    """The flow cannot run; the message says why and where to look."""


class FlowFenced(FlowFailed):
    """A newer start has taken over: this one must not be started again by itself, or both take over by turns."""


@dataclass
class _Process:
    """One process of the set, with the page on which it reports."""

    popen: subprocess.Popen[bytes]
    page: ProgressPage
    lease: Lease

    def look(self, now: float) -> Progress:
        """What it says now."""
        progress = self.page.read()
        self.lease.observe(progress, now)
        return progress

    @property
    def ended(self) -> bool:
        return self.popen.poll() is not None

    def ending(self) -> tuple[Ending, str]:
        """Why it left, as far as it said; by its exit code where it could say nothing."""
        said = self.page.read()
        if said.ending:
            return said.ending, said.reason
        return _ENDING_OF_CODE.get(self.popen.returncode or 0, ""), ""


class FlowProcessSet:
    """A supervised set of a flow's processes, one worker each. Dies with this process.

    Args:
        flow: Which flow.
        settings: Where everything is.
        options: How to run it.
        log: Where the processes write; None is this process's standard error.
    """

    def __init__(self, flow: FlowSpec, settings: Settings, options: FlowOptions, log: Path | None = None) -> None:
        self.flow = flow
        self._settings, self._options, self._log_path = settings, options, log
        self._processes: list[_Process] = []
        self._log: IO[bytes] | None = None
        self._topics = [TopicWatch(settings.kafka, topic.name, options.look_seconds) for topic in flow.reads]
        self._failures = 0
        self._started_at = 0.0
        self._watched_until = float("inf")
        self._waiting = ""
        self.restarts = 0
        self.hangs = 0
        self.generation = 0

    @property
    def pids(self) -> list[int]:
        """Process ids of the running set."""
        return [process.popen.pid for process in self._processes if not process.ended]

    def reads(self) -> bool:
        """Whether every process has ended an epoch since it was started."""
        return bool(self._processes) and all(process.page.read().epochs for process in self._processes)

    def problem(self) -> str:
        """Why no record moves through the set; empty while epochs end, which they do also where there is no record."""
        now, processes = time.monotonic(), self._processes
        if not processes:
            return self._waiting or "the flow is not running"
        for process in processes:
            progress = process.look(now)
            if process.ended:
                return "a process ended; the set is started again"
            if progress.waiting:
                return f"waiting: {progress.waiting}"
            if not progress.epochs:
                return "starting"
            if process.lease.standing_seconds(now) > _STANDING_SECONDS:
                return f"no epoch ended for {process.lease.standing_seconds(now):.0f} s"
        return ""

    def notes(self) -> dict[str, str]:
        """What operators should know although the flow works, by a short name."""
        return {name: text for process in self._processes for name, text in process.page.read().notes.items()}

    def unwatched_seconds(self) -> float:
        """How long :meth:`watch` or :meth:`start` is overdue: above 0 when whoever calls them hangs."""
        return time.monotonic() - self._watched_until

    def _go_on(self, seconds: float = _WATCH_SECONDS) -> None:
        """What comes now takes so long at most."""
        self._watched_until = time.monotonic() + seconds

    def start(self) -> None:
        """Take the next generation and start all processes.

        Raises:
            Unavailable: Kafka, Mongo or ClickHouse is unavailable.
            Refused: There is no topic to read, or it is another one than before.
        """
        self._go_on(_STEP_SECONDS)
        for topic in self._topics:
            self._go_on(_STEP_SECONDS)
            topic.begin(time.monotonic())
        self.generation = take_generation(self._settings, self.flow, lambda: self._go_on(_STEP_SECONDS))
        if self._log_path is not None and self._log is None:
            self._log_path.parent.mkdir(parents=True, exist_ok=True)
            self._log = self._log_path.open("ab")
        addresses = _free_addresses(self._options.workers) if self._options.workers > 1 else []
        self._processes = [self._spawn(index, addresses) for index in range(self._options.workers)]
        self._started_at = time.monotonic()

    def watch(self) -> None:
        """Look after the set once; call it a few times a second.

        Raises:
            FlowFailed: A process ended in a way that starting again does not change, or the topic is another one.
            Unavailable: A part is unavailable while starting again; call again.
        """
        self._go_on()
        now = time.monotonic()
        self._waiting = ""
        for process in self._processes:
            process.look(now)
        ended = any(process.ended for process in self._processes)
        hung = [process for process in self._processes if process.lease.hangs(now)]
        if self._processes and not ended and not hung:
            if now - self._started_at > _STEADY_SECONDS:
                self._failures = 0
            self._follow_topics()
            return
        if ended:
            self._judge_endings()
        if hung:
            self.hangs += 1
            silent = max(process.lease.silent_seconds(now) for process in hung)
            log.error("the flow gave no sign of life for %.0f s: its processes are killed and started again", silent)
        if self._processes:
            self._kill()
            self._failures += 1
            self.restarts += 1
        time.sleep(_BACKOFF.pause_seconds(max(self._failures, 1)))
        self._start_again()

    def _judge_endings(self) -> None:
        """Find out why the set ended.

        Raises:
            FlowFailed: For a reason that starting again does not change.
        """
        deadline = time.monotonic() + _LAST_WORDS_SECONDS
        while not all(process.ended for process in self._processes) and time.monotonic() < deadline:
            if any(ending in _FINAL_ENDINGS for ending, _ in self._endings()):
                break
            time.sleep(_PAUSE_SECONDS / 10)
        endings = self._endings()
        for final, meaning in _FINAL_ENDINGS.items():
            reasons = [reason for ending, reason in endings if ending == final]
            if reasons:
                self.stop()
                text = ": ".join(filter(None, (f"{self._name} stopped, {meaning}", max(reasons, key=len))))
                raise (FlowFenced if final == "fenced" else FlowFailed)(text + self._where())
        codes = [process.popen.returncode for process in self._processes if process.ended]
        if EXIT_SETTINGS in codes:
            self.stop()
            raise FlowFailed(f"{self._name} stopped: its settings cannot be used{self._where()}")
        if any(ending == "unavailable" for ending, _ in endings):
            self._failures = min(self._failures, _BACKOFF.steps)
        elif self._failures >= _GIVE_UP_AFTER:
            self.stop()
            raise FlowFailed(f"{self._name} ended {self._failures + 1} times in a row{self._where()}")

    def _endings(self) -> list[tuple[Ending, str]]:
        return [process.ending() for process in self._processes]

    def _start_again(self) -> None:
        try:
            self.start()
        except Unavailable as error:
            self._waiting = f"waiting: {error}"
            raise
        except Refused as error:
            self.stop()
            raise FlowFailed(f"{self._name} stopped: {error}") from error

    def run(self, stop: Callable[[], bool], prepare: Callable[[], None] = lambda: None) -> None:
        """Start and watch until ``stop`` answers True; what is unavailable is waited for.

        A start may have fenced the flow before it when a part becomes unavailable: leaving then would leave nobody to
        count.

        Args:
            stop: Asked a few times a second.
            prepare: Done before the first start, and again where that finds a part unavailable.

        Raises:
            FlowFailed: See :meth:`watch`.
            Refused: See :meth:`start`.
        """
        begun = False
        try:
            while not stop():
                try:
                    if not begun:
                        self._go_on(_PREPARE_SECONDS)
                        prepare()
                        self.start()
                        begun = True
                    self.watch()
                except Unavailable as error:
                    self._waiting = f"waiting: {error}"
                    log.warning("waiting: %s", error)
                self._go_on()
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
            if not process.ended:
                process.popen.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for process in self._processes:
            try:
                process.popen.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.popen.kill()
        self._kill()

    @property
    def _name(self) -> str:
        return f"the flow {self.flow.name}"

    def _follow_topics(self) -> None:
        for topic in self._topics:
            if self._follow(topic):
                return

    def _follow(self, topic: TopicWatch) -> bool:
        """Whether the set was started again, because the topic has more partitions now."""
        try:
            grown = topic.look(time.monotonic())
        except Unavailable:
            return False  # the processes wait for Kafka themselves
        except Refused as error:
            self.stop()
            raise FlowFailed(f"{self._name} stopped: {error}") from error
        if grown is None:
            return False
        log.warning("%s had %d partitions and has %d: the flow is restarted to read all", topic.name, *grown)
        self._end()
        self.restarts += 1
        self._start_again()
        return True

    def _kill(self) -> None:
        for process in self._processes:
            process.popen.kill()
            process.popen.wait()
            process.page.close()
        self._processes = []

    def _where(self) -> str:
        return f"; see {self._log_path}" if self._log_path is not None else ""

    def _spawn(self, index: int, addresses: list[str]) -> _Process:
        page = ProgressPage()
        environment = {
            **os.environ,
            **self._settings.environment(),
            "FLOW_PROCESS": str(index),
            "FLOW_ADDRESSES": ",".join(addresses),
            "FLOW_GENERATION": str(self.generation),
            "FLOW_PROGRESS_FD": str(page.fd),
            "FLOW_ROUND_SECONDS": str(self._options.round_seconds),
            "FLOW_MAX_RECORDS": str(self._options.max_records),
            "FLOW_MEMORY_BYTES": str((self._options.memory_mb << 20) // self._options.workers),
        }
        command = guarded([sys.executable, "-m", self.flow.module], os.getpid())
        # A session of its own: Ctrl-C in the terminal is for this process, which then stops its children in order.
        popen = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            pass_fds=(page.fd,),
        )
        return _Process(popen, page, Lease(time.monotonic(), most_seconds=self._options.hang_seconds))


def _free_addresses(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for listener in sockets:
        listener.close()
    return addresses
