"""The supervisor's loop: starts the processes, watches them, starts them again, and stops them in order."""

import logging
import os
import select
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Final

from ops.stack.disk.watch import DiskWatch
from ops.stack.health.checks import Health
from ops.stack.health.silence import Timing
from ops.stack.process_spec import ProcessSpec
from ops.stack.state.model import StackState
from ops.stack.state.requests import PauseRequest, Requests
from ops.stack.supervisor.ending import STOP_SECONDS, Reaper, stop_in_order
from ops.stack.supervisor.job import Job
from ops.stack.supervisor.pause import PauseKeeper
from ops.stack.supervisor.process import Child, rotate_all, tail
from ops.stack.supervisor.publishing import Publisher
from ops.stack.supervisor.reaper import start_time
from ops.stack.supervisor.watched import Watched, how_it_ended
from runtime import supervision
from runtime.supervision import ProcessState

_LOG: Final = logging.getLogger("ops.stack.supervisor")
_STARTING_TICK_SECONDS: Final = 0.05
_STEADY_TICK_SECONDS: Final = 0.2
_STARTING_CHECK_SECONDS: Final = 0.15
_ROTATE_SECONDS: Final = 5.0
_STALL_SECONDS: Final = 2.0
"""A loop that comes back so late was stopped, or had no processor: it did not look, and blames nobody for the time."""
_CANNOT_START: Final = 126


class Supervisor:
    """The loop. Everything happens in the main thread but the health checks and the beacon's answers."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._data_dir = Path(job.data_dir)
        self._logs = self._data_dir / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._timing = Timing.of(job.hang_seconds)
        self._watched = [self._new(spec) for spec in job.specs] + [
            Watched.elsewhere(part, supervision.started(_now_ms()), self._timing) for part in job.external
        ]
        self._reaper = Reaper()
        self._started = time.monotonic()
        self._phase = "starting"
        self._problem = ""
        self._stop = False
        self._detached = False
        self._expected_deaths: set[int] = set()
        self._restarts_wanted: set[str] = set()
        self._next_rotation = 0.0
        self._pauses = PauseKeeper(self._data_dir)
        self._pause_wanted: PauseRequest | None = None
        self._last_tick = self._started
        self._disk = DiskWatch(self._data_dir, job.low_disk_mb)
        self._publisher = Publisher(self._data_dir, self._state())

    def run(self) -> int:
        """Run until a stop is requested; returns 0 after an orderly stop, 1 when the stack could not be started."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self._publisher.take_requests()
        for watched in self._watched:
            if watched.spec is not None:
                self._start(watched)
        while not self._stop:
            self._tick()
            self._wait()
        self._pauses.end(time.monotonic())
        failed = self._phase == "failed"
        if not failed:
            self._phase = "stopping"
        self._publish()
        self._stop_all()
        self._phase = "failed" if failed else "stopped"
        self._publish()
        return 1 if failed else 0

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stop = True

    def _tick(self) -> None:
        now = time.monotonic()
        late, self._last_tick = now - self._last_tick, now
        if late > _STALL_SECONDS:
            _LOG.warning("the supervisor did not look for %.0f s", late)
            self._blame_nobody_for(late)
        self._blame_nobody_for(self._pauses.look(now))
        if self._pauses.stands_still:
            self._publish()
            return
        self._follow_requests(self._publisher.take_requests())
        if self._disk.look(now):
            for watched in self._watched:
                watched.life = supervision.hurried(watched.life, _now_ms())
        for watched in self._watched:
            if watched.spec is not None:
                self._look_after(watched, now)
            if watched.spec is None or watched.child is not None:
                self._look_at_health(watched, now)
        if now >= self._next_rotation:
            self._next_rotation = now + _ROTATE_SECONDS
            rotate_all(self._logs)
        if self._phase == "starting":
            self._judge_start(now)
        # Last of all, so that nothing is started before the next look.
        wanted, self._pause_wanted = self._pause_wanted, None
        if wanted is not None and self._phase == "running":
            self._pauses.begin(wanted, self._watched, time.monotonic())
        self._publish()

    def _blame_nobody_for(self, seconds: float) -> None:
        if seconds:
            for watched in self._watched:
                watched.health.stood_still(seconds)

    def _wait(self) -> None:
        """Sleep until the next tick, or until the starter says something or goes away."""
        unsettled = any(watched.life.state is ProcessState.STARTING for watched in self._watched)
        pause = _STARTING_TICK_SECONDS if unsettled or self._pauses.pause is not None else _STEADY_TICK_SECONDS
        if self._detached:
            time.sleep(pause)
            return
        if select.select([sys.stdin.fileno()], [], [], pause)[0]:
            word = os.read(sys.stdin.fileno(), 4096)
            self._detached = word.strip() == b"detach"
            self._stop = self._stop or not word

    def _new(self, spec: ProcessSpec) -> Watched:
        return Watched.of(spec, supervision.started(_now_ms()), self._timing)

    def _start(self, watched: Watched) -> None:
        """Start its process; one that cannot be started counts as one that died at once."""
        assert watched.spec is not None
        watched.health.start_over()
        watched.ending = watched.note = ""
        watched.born, watched.ready_ms = time.monotonic(), None
        try:
            watched.child = Child(watched.spec, self._log(watched))
        except OSError as error:
            watched.problem = f"cannot be started: {error}"
            watched.life = supervision.exited(watched.life, _now_ms(), _CANNOT_START)
            _LOG.warning("%s %s, now %s", watched.name, watched.problem, watched.life.state)
            return
        self._reaper.watch(watched.child)
        _LOG.info("started %s as process %d", watched.name, watched.child.pid)

    def _follow_requests(self, requests: Requests) -> None:
        self._expected_deaths |= requests.expected_deaths
        self._restarts_wanted |= requests.restart
        for spec in requests.run:
            self._adopt(spec)
        self._pause_wanted = requests.pause or self._pause_wanted

    def _adopt(self, spec: ProcessSpec) -> None:
        """Run a further process, or another one in place of that of its name."""
        known = next((watched for watched in self._watched if watched.name == spec.name), None)
        if known is not None:
            known.spec, known.url, known.check = spec, spec.url, spec.check
            self._restarts_wanted.add(spec.name)
        else:
            self._watched.append(self._new(spec))
            self._start(self._watched[-1])

    def _look_after(self, watched: Watched, now: float) -> None:
        now_ms = _now_ms()
        if watched.name in self._restarts_wanted:
            self._restarts_wanted.discard(watched.name)
            watched.restart_by = now + STOP_SECONDS
            if watched.child is not None:
                watched.child.terminate()
        child = watched.child
        if child is not None:
            code = child.exit_code()
            if code is not None:
                watched.child = None
                watched.healthy = False
                self._reaper.forget(child)
                self._note_exit(watched, child.pid, code, now_ms)
            else:
                self._end_if_it_hangs(watched, child, now)
        if watched.child is not None:
            return
        if watched.restart_by is not None:
            watched.restart_by = None
            watched.reason = "it was asked for"
            watched.life = supervision.started(now_ms, watched.life.restarts + 1, watched.life.hangs)
            self._start(watched)
        elif supervision.is_due(watched.life, now_ms):
            watched.life = supervision.restarted(watched.life, now_ms)
            self._start(watched)

    def _end_if_it_hangs(self, watched: Watched, child: Child, now: float) -> None:
        if watched.ending:
            return
        if watched.restart_by is not None:
            if now > watched.restart_by:
                watched.ending = f"did not stop within {STOP_SECONDS:.0f} s and was killed"
                child.kill()
            return
        starting = watched.life.state is ProcessState.STARTING
        patience = max(self._job.start_timeout_seconds if starting else 0.0, self._timing.hang_seconds)
        if watched.health.hangs(now, patience):
            watched.ending = f"did not answer for {watched.health.silent_seconds(now):.0f} s and was killed"
            watched.life = supervision.hung(watched.life)
            _LOG.error("%s, process %d, %s", watched.name, child.pid, watched.ending)
            child.kill()

    def _note_exit(self, watched: Watched, pid: int, code: int, now_ms: int) -> None:
        # The announcement of a death arrives before the kill, so it is there by now.
        self._follow_requests(self._publisher.take_requests())
        expected = pid in self._expected_deaths
        self._expected_deaths.discard(pid)
        final_exits = watched.spec.final_exits if watched.spec is not None and not watched.ending else None
        watched.life = supervision.exited(watched.life, now_ms, code, expected=expected, final_exits=final_exits)
        lines = tail(self._log(watched))
        watched.reason = watched.ending or how_it_ended(watched.life.state, code)
        watched.problem = f"{watched.reason}; last log lines: {' | '.join(lines)}" if lines else watched.reason
        _LOG.warning("%s %s, now %s", watched.name, watched.reason, watched.life.state)

    def _look_at_health(self, watched: Watched, now: float) -> None:
        settled = watched.life.state is ProcessState.RUNNING
        found = watched.health.look(now, None if settled else _STARTING_CHECK_SECONDS)
        if found is not None:
            self._note_health(watched, found, now)

    def _note_health(self, watched: Watched, found: Health, now: float) -> None:
        watched.healthy = found.outcome == "fine"
        if not watched.healthy:
            silent = watched.health.silent_seconds(now)
            watched.problem, watched.note = found.text, ""
            if found.outcome == "no answer" and watched.life.state is ProcessState.RUNNING:
                again = "" if watched.spec is None else f"; it is restarted after {self._job.hang_seconds:.0f} s"
                watched.problem = f"it does not answer ({silent:.0f} s{again}): {found.text}"
            return
        watched.problem, watched.note = "", found.text
        was = watched.life.state
        watched.life = supervision.healthy(watched.life, _now_ms())
        if watched.ready_ms is None:
            watched.ready_ms = int((time.monotonic() - watched.born) * 1000)
        if was is not watched.life.state:
            _LOG.info("%s is healthy", watched.name)

    def _judge_start(self, now: float) -> None:
        lost = (ProcessState.CRASHED, ProcessState.FENCED, ProcessState.REFUSED)
        crashed = [watched for watched in self._watched if watched.life.state in lost]
        waiting = [watched for watched in self._watched if watched.life.state is not ProcessState.RUNNING]
        if crashed:
            self._fail(f"{crashed[0].name} does not start: {crashed[0].problem}")
        elif not waiting:
            self._phase = "running"
        elif now - self._started > self._job.start_timeout_seconds:
            reasons = "; ".join(f"{watched.name}: {watched.problem or 'no answer'}" for watched in waiting)
            self._fail(f"not healthy after {self._job.start_timeout_seconds:.0f} s: {reasons}")

    def _fail(self, problem: str) -> None:
        self._phase, self._problem, self._stop = "failed", problem, True
        _LOG.error("%s", problem)

    def _stop_all(self) -> None:
        stop_in_order(self._watched, self._publisher.beat)
        for watched in self._watched:
            watched.life = supervision.stopped(watched.life, _now_ms())
        self._reaper.close()

    def _log(self, watched: Watched) -> Path:
        return self._logs / f"{watched.name}.log"

    def _publish(self) -> None:
        self._publisher.publish(self._state(), time.monotonic())

    def _state(self) -> StackState:
        return StackState(
            phase=self._phase,
            supervisor_pid=os.getpid(),
            supervisor_start=start_time(os.getpid()) or 0,
            brokers=self._job.brokers,
            ports=self._job.ports,
            urls=self._job.urls,
            processes=[watched.info(self._log(watched)) for watched in self._watched],
            problem=self._problem,
            disk=self._disk.disk,
            hang_seconds=self._job.hang_seconds,
            low_disk_mb=self._job.low_disk_mb,
            left_out=self._job.left_out,
            requested=self._job.requested,
            earlier_ports=self._job.earlier_ports,
            pause=self._pauses.pause,
        )


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
