"""Runs a flow's processes as one set: they start together, and when one ends they all begin again.

When that is, and what ends the set for good, is the policy of ``runtime.supervision``, for the set as for one process.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol

from connectors.errors import Refused, Unavailable
from connectors.kafka.topics import TopicAdmin
from flows.delivery.child_process import ChildProcess, free_addresses
from flows.delivery.exit_codes import (
    EXIT_REFUSED,
    EXIT_UNAVAILABLE,
    FINAL_EXITS,
    MEANINGS,
    UNAVAILABLE_EXITS,
    ending_of_set,
)
from flows.delivery.fencing import REQUEST_SECONDS, take_generation
from flows.delivery.topic_consumer import ROUND_SECONDS
from flows.delivery.topic_watch import TopicWatch
from marketplace.flows import FlowSpec
from runtime import supervision
from runtime.parent_death import guarded
from runtime.sections import Settings
from runtime.settings import with_values
from runtime.supervision import FINAL, ProcessState, RestartPolicy

log = logging.getLogger(__name__)

POLICY: Final = RestartPolicy(crash_limit=11, start_limit=11, crash_window_ms=300_000)
"""A start takes seconds, so that a set that ends at once needs minutes for as many deaths."""
_STOP_SECONDS: Final = 8.0
_STANDING_SECONDS: Final = 15.0
"""A set whose epochs stand still for so long is not ready, whatever it is busy with."""
_PAUSE_SECONDS: Final = 0.3
_TOPIC_SECONDS: Final = 5.0
"""What a question about a topic takes at most."""
_STEP_SECONDS: Final = REQUEST_SECONDS + 10.0
"""What a step of a start takes at most: it asks one part."""
_PREPARE_SECONDS: Final = 150.0
"""Provisioning asks every part several times; it is done before the first start only."""
_WATCH_SECONDS: Final = 20.0
"""What a look takes at most: to hear why processes ended and to end the others, or to ask for the topics."""


@dataclass(frozen=True)
class FlowOptions:
    """How to run a flow."""

    workers: int = 1
    """How many processes, each with one worker thread; never more run than the flow's topics have partitions."""
    round_seconds: float = ROUND_SECONDS
    max_records: int = 50_000
    memory_mb: int = 0
    """What all workers together may remember in; 0 for a third of what the machine or the container has."""
    look_seconds: float = 20.0
    """How often the topic's partitions are counted."""
    hang_seconds: float = 60.0
    """A process that gives no sign of life for longer hangs, whatever time it asked for."""
    exit_wait_seconds: float = 3.0
    """How long the others may take to end once one has ended: the first one to end may not be the one that knows why.
    Nobody looks after the set meanwhile."""


class FlowFailed(Exception):
    """The flow cannot run; the message says why and where to look."""


class FlowFenced(FlowFailed):
    """A newer start has taken over: this one must not be started again by itself, or both take over by turns."""


class Launcher(Protocol):
    """What a set begins and starts its processes with."""

    def topics(self) -> list[TopicWatch]:
        """A watch of each topic that the flow reads."""

    def take_generation(self, step: Callable[[], None]) -> int:
        """The number of this start; see :func:`flows.delivery.fencing.take_generation`."""

    def start_process(
        self, index: int, addresses: Sequence[str], generation: int, output: IO[bytes] | None, now: float
    ) -> ChildProcess:
        """Start one process.

        Args:
            index: Its number in the set.
            addresses: Of all processes of the set; empty where it is alone.
            generation: The number of this start.
            output: Where it writes; None is this process's standard error.
            now: Seconds of a monotonic clock.
        """


class ProcessLauncher:
    """Starts ``python -m flows.<name>`` on the parts of the settings.

    Args:
        flow: Which flow.
        settings: Where everything is.
        options: How to run it.
    """

    def __init__(self, flow: FlowSpec, settings: Settings, options: FlowOptions) -> None:
        self._flow, self._settings, self._options = flow, settings, options

    def topics(self) -> list[TopicWatch]:
        """See :meth:`Launcher.topics`."""
        kafka = self._settings.kafka
        return [
            TopicWatch(
                TopicAdmin(kafka, timeout_seconds=_TOPIC_SECONDS).identity, topic.name, self._options.look_seconds
            )
            for topic in self._flow.reads
        ]

    def take_generation(self, step: Callable[[], None]) -> int:
        """See :meth:`Launcher.take_generation`."""
        return take_generation(self._settings, self._flow, step)

    def start_process(
        self, index: int, addresses: Sequence[str], generation: int, output: IO[bytes] | None, now: float
    ) -> ChildProcess:
        """See :meth:`Launcher.start_process`."""
        own = {
            **self._settings.environment(),
            "FLOW_PROCESS": str(index),
            "FLOW_ADDRESSES": ",".join(addresses),
            "FLOW_GENERATION": str(generation),
            "FLOW_ROUND_SECONDS": str(self._options.round_seconds),
            "FLOW_MAX_RECORDS": str(self._options.max_records),
            "FLOW_MEMORY_BYTES": str((self._options.memory_mb << 20) // max(1, len(addresses))),
        }
        environment = with_values(os.environ, own)
        command = guarded([sys.executable, "-m", self._flow.module], os.getpid())
        return ChildProcess.start(command, environment, output, now, self._options.hang_seconds)


class FlowProcessSet:
    """A supervised set of a flow's processes, one worker each. Dies with this process.

    Args:
        flow: Which flow.
        settings: Where everything is.
        options: How to run it.
        log: Where the processes write; None is this process's standard error.
        monotonic: Seconds of a monotonic clock.
        launcher: What begins and starts processes; by default, those of the flow on the parts of the settings.
    """

    def __init__(
        self,
        flow: FlowSpec,
        settings: Settings,
        options: FlowOptions,
        log: Path | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        launcher: Launcher | None = None,
    ) -> None:
        self.flow = flow
        self._options, self._log_path = options, log
        self._launcher = launcher or ProcessLauncher(flow, settings, options)
        self._processes: list[ChildProcess] = []
        self._log: IO[bytes] | None = None
        self._topics = self._launcher.topics()
        self._monotonic = monotonic
        self._life = supervision.stopped(supervision.started(self._now_ms()), self._now_ms())
        self._watched_until = float("inf")
        self._waiting = ""
        self._unavailable: str | None = None
        self.generation = 0

    @property
    def restarts(self) -> int:
        """How often the set was started again."""
        return self._life.restarts

    @property
    def hangs(self) -> int:
        """How often it was killed because a process gave no sign of life."""
        return self._life.hangs

    @property
    def pids(self) -> list[int]:
        """Process ids of the running set."""
        return [process.popen.pid for process in self._processes if not process.ended]

    def all_started(self) -> bool:
        """Whether every process has ended an epoch since it was started."""
        return bool(self._processes) and all(process.page.read().epochs for process in self._processes)

    def problem(self) -> str:
        """Why no record moves through the set; empty while epochs end, which they do also where there is no record."""
        now, processes = self._monotonic(), self._processes
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
        return self._monotonic() - self._watched_until

    def _extend_deadline(self, seconds: float = _WATCH_SECONDS) -> None:
        """Sets the deadline of the next step."""
        self._watched_until = self._monotonic() + seconds

    def start(self) -> None:
        """Take the next generation and start all processes; what was before is forgiven.

        Raises:
            Unavailable: Kafka, Mongo or ClickHouse is unavailable.
            Refused: There is no topic to read, or it is another one than before.
        """
        self._launch()
        self._life = supervision.started(self._now_ms(), self.restarts, self.hangs)

    def _launch(self) -> None:
        self._extend_deadline(_STEP_SECONDS)
        for topic in self._topics:
            self._extend_deadline(_STEP_SECONDS)
            topic.begin(self._monotonic())
        self.generation = self._launcher.take_generation(lambda: self._extend_deadline(_STEP_SECONDS))
        if self._log_path is not None and self._log is None:
            self._log_path.parent.mkdir(parents=True, exist_ok=True)
            self._log = self._log_path.open("ab")
        count = self._count()
        addresses = free_addresses(count) if count > 1 else []
        self._processes = [
            self._launcher.start_process(index, addresses, self.generation, self._log, self._monotonic())
            for index in range(count)
        ]

    def _count(self) -> int:
        """How many processes to start: a worker without a partition would end no epoch, and be taken for hung."""
        wanted, partitions = self._options.workers, sum(topic.partitions for topic in self._topics)
        if wanted > partitions:
            log.warning("%s has %d partitions: %d of %d workers run", self._name, partitions, partitions, wanted)
        return min(wanted, partitions)

    def watch(self) -> None:
        """Look after the set once, without waiting for a restart that is due later; call it a few times a second.

        Raises:
            FlowFailed: A process ended in a way that starting again does not change, or the topic is another one.
            Unavailable: A part was unavailable when the set was to be started again; call again.
        """
        unwatched = self.unwatched_seconds()
        self._extend_deadline()
        if unwatched > 0:
            for process in self._processes:
                process.lease.excuse(unwatched)
        if self._processes:
            self._look_after(self._monotonic())
        elif supervision.is_due(self._life, self._now_ms()):
            self._start_again()
        elif self._unavailable is not None:
            raise Unavailable(self._unavailable)

    def _look_after(self, now: float) -> None:
        self._waiting = ""
        for process in self._processes:
            process.look(now)
        ended = any(process.ended for process in self._processes)
        hung = [process for process in self._processes if process.lease.hangs(now)]
        if not ended and not hung:
            if self.all_started():
                self._life = supervision.healthy(self._life, self._now_ms())
            self._follow_topics()
            return
        code, reason = self._ending() if ended else (-signal.SIGKILL, "")
        if hung:
            self._life = supervision.hung(self._life)
            silent = max(process.lease.silent_seconds(now) for process in hung)
            log.error("the flow gave no sign of life for %.0f s: its processes are killed and started again", silent)
        self._exited(code)
        if self._life.state is not ProcessState.BACKING_OFF:
            self.stop()
            raise self._failure(code, reason)
        self._kill()
        self._waiting = f"waiting: {reason}" if reason else "a process ended; the set is started again"

    def _exited(self, code: int, *, expected: bool = False) -> None:
        self._life = supervision.exited(
            self._life,
            self._now_ms(),
            code,
            POLICY,
            expected=expected,
            final_exits=FINAL_EXITS,
            unavailable_exits=UNAVAILABLE_EXITS,
        )

    def _ending(self) -> tuple[int, str]:
        """Find out why the set ended: an exit code, and the reason where a process said one."""
        deadline = time.monotonic() + self._options.exit_wait_seconds
        while not all(process.ended for process in self._processes) and time.monotonic() < deadline:
            if any(process.ending()[0] in FINAL_EXITS for process in self._processes):
                break
            time.sleep(_PAUSE_SECONDS / 10)
        return ending_of_set([process.ending() for process in self._processes])

    def _failure(self, code: int, reason: str) -> FlowFailed:
        """What to raise after an exit that no restart follows."""
        often = f"ended {len(self._life.deaths_ms)} times within {POLICY.crash_window_ms // 60_000} minutes"
        text = ": ".join(filter(None, (f"{self._name} {MEANINGS.get(code, often)}", reason))) + self._where()
        return FlowFenced(text) if self._life.state is ProcessState.FENCED else FlowFailed(text)

    def _start_again(self) -> None:
        try:
            self._launch()
        except Unavailable as error:
            self._exited(EXIT_UNAVAILABLE)
            self._unavailable, self._waiting = str(error), f"waiting: {error}"
            raise
        except Refused as error:
            raise self._refused(error) from error
        self._unavailable, self._waiting = None, ""
        self._life = supervision.restarted(self._life, self._now_ms())

    def _refused(self, error: Refused) -> FlowFailed:
        """End the set, because the broker or a topic refuses it."""
        self._exited(EXIT_REFUSED)
        self.stop()
        return FlowFailed(f"{self._name} stopped: {error}")

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
                        self._extend_deadline(_PREPARE_SECONDS)
                        prepare()
                        self.start()
                        begun = True
                    self.watch()
                except Unavailable as error:
                    self._waiting = f"waiting: {error}"
                    log.warning("waiting: %s", error)
                self._extend_deadline()
                time.sleep(_PAUSE_SECONDS)
        finally:
            self.stop()

    def stop(self) -> None:
        """Ask every process to leave after a whole epoch; what does not within seconds is killed, which is safe."""
        self._end()
        if self._life.state not in FINAL:
            self._life = supervision.stopped(self._life, self._now_ms())
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

    def _now_ms(self) -> int:
        return int(self._monotonic() * 1_000)

    @property
    def _name(self) -> str:
        return f"the flow {self.flow.name}"

    def _follow_topics(self) -> None:
        """End the set where a topic has more partitions now: it is started again to read all."""
        for topic in self._topics:
            try:
                grown = topic.look(self._monotonic())
            except Unavailable:
                continue  # the processes wait for Kafka themselves
            except Refused as error:
                raise self._refused(error) from error
            if grown is not None:
                log.warning("%s had %d partitions and has %d: the flow is restarted to read all", topic.name, *grown)
                self._end()
                self._exited(0, expected=True)
                self._waiting = f"{topic.name} has more partitions; the set is started again"
                return

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()
        self._processes = []

    def _where(self) -> str:
        return f"; see {self._log_path}" if self._log_path is not None else ""
