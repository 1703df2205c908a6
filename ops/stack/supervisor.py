"""`python -m ops.stack.supervisor`: starts the parts, watches them, starts them again, and takes them along at its end.

The first line of stdin is the job as JSON. Until a second line says `detach`, the end of stdin means that whoever
started the supervisor is gone, and it stops everything. SIGTERM and SIGINT stop everything in order.
"""

import logging
import os
import select
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final

from ops.stack import policy
from ops.stack.control import take_wishes
from ops.stack.ending import STOP_SECONDS, Reaper, stop_in_order
from ops.stack.health import NotHealthyError, check
from ops.stack.job import Job
from ops.stack.model import StackState, write_state
from ops.stack.policy import ProcessState
from ops.stack.process import Child, rotate, tail
from ops.stack.reaper import start_time
from ops.stack.specs import ProcessSpec
from ops.stack.watched import Watched

_LOG: Final = logging.getLogger("ops.stack.supervisor")
_STARTING_TICK_SECONDS: Final = 0.05
_STEADY_TICK_SECONDS: Final = 0.2
_STARTING_CHECK_SECONDS: Final = 0.15
_STEADY_CHECK_SECONDS: Final = 5.0
_CHECK_TIMEOUT_SECONDS: Final = 5.0
_ROTATE_SECONDS: Final = 5.0


class Supervisor:
    """The loop. Everything happens in the main thread but the health checks, which may block."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._data_dir = Path(job.data_dir)
        self._logs = self._data_dir / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        now = _now_ms()
        self._watched = [Watched(spec.name, spec.part, spec.url, policy.started(now), spec) for spec in job.specs] + [
            Watched(part, part, url, policy.started(now)) for part, url in job.external.items()
        ]
        self._checks = ThreadPoolExecutor(max(1, len(self._watched)), thread_name_prefix="check")
        self._reaper = Reaper()
        self._started = time.monotonic()
        self._phase = "starting"
        self._problem = ""
        self._stop = False
        self._detached = False
        self._expected_deaths: set[int] = set()
        self._restarts_wanted: set[str] = set()
        self._written: StackState | None = None
        self._write_failed = False
        self._next_rotation = 0.0

    def run(self) -> int:
        """Run until told to stop; 0 after an orderly stop, 1 when the stack could not be started."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        take_wishes(self._data_dir)
        for watched in self._watched:
            if watched.spec is not None:
                self._start(watched)
        while not self._stop:
            self._tick()
            self._wait()
        failed = self._phase == "failed"
        if not failed:
            self._phase = "stopping"
        self._write()
        self._stop_all()
        self._phase = "failed" if failed else "stopped"
        self._write()
        return 1 if failed else 0

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stop = True

    def _tick(self) -> None:
        now = time.monotonic()
        self._read_wishes()
        for watched in self._watched:
            if watched.spec is not None:
                self._look_after(watched)
            self._look_at_health(watched, now)
        if now >= self._next_rotation:
            self._next_rotation = now + _ROTATE_SECONDS
            for log in self._logs.glob("*.log"):
                with suppress(OSError):
                    rotate(log)
        if self._phase == "starting":
            self._judge_start(now)
        self._write()

    def _wait(self) -> None:
        """Sleep until the next tick, or until the starter says something or goes away."""
        unsettled = any(watched.life.state is not ProcessState.RUNNING for watched in self._watched)
        pause = _STARTING_TICK_SECONDS if unsettled else _STEADY_TICK_SECONDS
        if self._detached:
            time.sleep(pause)
            return
        if select.select([sys.stdin.fileno()], [], [], pause)[0]:
            word = os.read(sys.stdin.fileno(), 4096)
            self._detached = word.strip() == b"detach"
            self._stop = self._stop or not word

    def _start(self, watched: Watched) -> None:
        assert watched.spec is not None
        watched.child = Child(watched.spec, self._log(watched))
        watched.next_check = 0.0
        self._reaper.watch(watched.child)
        _LOG.info("started %s as process %d", watched.name, watched.child.pid)

    def _read_wishes(self) -> None:
        wishes = take_wishes(self._data_dir)
        self._expected_deaths |= wishes.expected_deaths
        self._restarts_wanted |= wishes.restart
        for spec in wishes.run:
            self._adopt(spec)

    def _adopt(self, spec: ProcessSpec) -> None:
        """Run a further process, or another one in place of that of its name."""
        known = next((watched for watched in self._watched if watched.name == spec.name), None)
        if known is not None:
            known.spec, known.url = spec, spec.url
            self._restarts_wanted.add(spec.name)
        else:
            self._watched.append(Watched(spec.name, spec.part, spec.url, policy.started(_now_ms()), spec))
            self._start(self._watched[-1])

    def _look_after(self, watched: Watched) -> None:
        now_ms = _now_ms()
        child = watched.child
        if watched.name in self._restarts_wanted:
            self._restarts_wanted.discard(watched.name)
            watched.restart_by = time.monotonic() + STOP_SECONDS
            if child is not None:
                child.terminate()
        if child is not None:
            code = child.exit_code()
            if code is not None:
                watched.child = None
                watched.healthy = False
                self._reaper.forget(child)
                self._note_exit(watched, child.pid, code, now_ms)
            elif self._hangs(watched, now_ms):
                child.kill()
        if watched.child is not None:
            return
        if watched.restart_by is not None:
            watched.restart_by = None
            restarts = watched.life.restarts + 1
            watched.life = policy.started(now_ms, restarts)
            self._start(watched)
        elif policy.is_due(watched.life, now_ms):
            watched.life = policy.restarted(watched.life, now_ms)
            self._start(watched)

    def _hangs(self, watched: Watched, now_ms: int) -> bool:
        """Whether it is past its time to stop, or to become healthy; a process that was healthy may be slow."""
        if watched.restart_by is not None:
            return time.monotonic() > watched.restart_by
        starting = watched.life.state is ProcessState.STARTING
        return starting and now_ms - watched.life.since_ms > self._job.start_timeout_seconds * 1000

    def _note_exit(self, watched: Watched, pid: int, code: int, now_ms: int) -> None:
        # The announcement of a death is written before the kill, so it is there by now.
        self._read_wishes()
        expected = pid in self._expected_deaths
        self._expected_deaths.discard(pid)
        watched.life = policy.exited(watched.life, now_ms, code, expected=expected)
        lines = tail(self._log(watched))
        how = f"killed by signal {-code}" if code < 0 else f"exited with code {code}"
        watched.problem = f"{how}; last log lines: {' | '.join(lines)}" if lines else how
        _LOG.warning("%s %s, now %s", watched.name, how, watched.life.state)

    def _look_at_health(self, watched: Watched, now: float) -> None:
        if watched.checking is not None:
            if not watched.checking.done():
                return
            error = watched.checking.exception()
            watched.checking = None
            starting = watched.life.state is not ProcessState.RUNNING
            watched.next_check = now + (_STARTING_CHECK_SECONDS if starting else _STEADY_CHECK_SECONDS)
            if watched.spec is None or watched.child is not None:
                self._note_health(watched, error)
        alive = watched.spec is None or watched.child is not None
        if alive and now >= watched.next_check:
            watched.checking = self._checks.submit(check, watched.part, watched.check_url, _CHECK_TIMEOUT_SECONDS)

    def _note_health(self, watched: Watched, error: BaseException | None) -> None:
        watched.healthy = error is None
        if error is not None:
            watched.problem = str(error) if isinstance(error, NotHealthyError) else repr(error)
            return
        watched.problem = ""
        was = watched.life.state
        watched.life = policy.healthy(watched.life, _now_ms())
        if watched.ready_ms is None:
            watched.ready_ms = int((time.monotonic() - watched.born) * 1000)
        if was is not watched.life.state:
            _LOG.info("%s is healthy", watched.name)

    def _judge_start(self, now: float) -> None:
        crashed = [watched for watched in self._watched if watched.life.state is ProcessState.CRASHED]
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
        stop_in_order(self._watched)
        for watched in self._watched:
            watched.life = policy.stopped(watched.life, _now_ms())
        self._checks.shutdown(wait=False, cancel_futures=True)
        self._reaper.close()

    def _log(self, watched: Watched) -> Path:
        return self._logs / f"{watched.name}.log"

    def _write(self) -> None:
        state = StackState(
            phase=self._phase,
            supervisor_pid=os.getpid(),
            supervisor_start=start_time(os.getpid()) or 0,
            brokers=self._job.brokers,
            ports=self._job.ports,
            urls=self._job.urls,
            processes=[watched.info(self._log(watched)) for watched in self._watched],
            problem=self._problem,
        )
        if state != self._written:
            try:
                write_state(self._data_dir, state)
            except OSError as error:
                # A full disk must not take down what still works; the next tick tries again.
                if not self._write_failed:
                    _LOG.error("the state cannot be written: %s", error.strerror)
                self._write_failed = True
                return
            self._write_failed = False
            self._written = state


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _read_job() -> Job:
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(sys.stdin.fileno(), 1)
        if not byte:
            sys.exit("no job")
        line += byte
    return Job.from_json(bytes(line))


def main() -> int:
    """Read the job and run it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    return Supervisor(_read_job()).run()


if __name__ == "__main__":
    code = main()
    # A health check may hang in a client for seconds; the parts are down, so nobody waits for it.
    sys.stderr.flush()
    os._exit(code)
