"""The stack as an object: start it, use its URLs, kill a part of it, stop it.

with Stack(data_dir=folder, ports="auto") as stack:
client = clickhouse_connect.get_client(dsn=stack.urls.clickhouse)
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from marketplace.settings import Urls
from ops.stack import settings
from ops.stack.disk.folder import RESTORING, make_private
from ops.stack.errors import StackError
from ops.stack.plan import Plan
from ops.stack.port_choice import Ports
from ops.stack.process_spec import PACKAGE_ROOT, ProcessSpec
from ops.stack.provisioning import Provisioning
from ops.stack.registry import PARTS, REGISTRY, Registry
from ops.stack.state.backup_lock import backup_is_under_way
from ops.stack.state.inspection import latest_state, look, running_state, running_urls
from ops.stack.state.model import Part, ProcessInfo, StackState
from ops.stack.state.requests import announce_death, request_process, request_restart
from ops.stack.supervisor.job import Job
from ops.stack.supervisor.process import tail
from ops.stack.supervisor_end import end_supervisor, end_what_is_left, note_the_end

__all__ = ["AlreadyRunningError", "Stack", "running_state", "running_urls"]

_POLL_SECONDS: Final = 0.05
_NOTICE_SECONDS: Final = 10.0
_STOP_SECONDS: Final = 45.0
_LOCK_SECONDS: Final = 2.0
GIVEN_UP: Final = ("crashed", "fenced", "refused")
"""States of a process that nobody should wait for."""


class AlreadyRunningError(StackError):
    """A supervisor owns the data folder; what it runs can be used."""


class Stack:
    """The embedded stack on one data folder.

    Args:
        data_dir: everything the stack keeps, including its logs; created when missing.
        ports: `auto` takes those of the last time if they are free, else free ones; a mapping or `default` asks for
            exactly those, and what it leaves out is that of the last time or the usual one.
        brokers: Kafka brokers, 1 or 3; by default what the data folder was made with, else 1.
        parts: names of the parts and services to run; all parts and no service by default. What the services find in
            the parts (topics, tables, collections) is made as soon as those are healthy.
        external: URLs of parts that run elsewhere; by default those in the environment (`MARKETPLACE_KAFKA_URL`, ...).
        start_timeout_seconds: how long the parts may take until they are healthy.
        service_settings: settings of the product's own processes, by their names in the environment.
        hang_seconds: a process that does not answer for so long is started again; by default what the environment says.
        low_disk_mb: less free disk is warned about; by default what the environment says.
        registry: what parts and services there are.
        requested: what the next start of everything starts, too; by default what the folder remembers.

    Attributes:
        notices: what a person should know about the latest start, a line each.
    """

    def __init__(
        self,
        data_dir: Path | str,
        *,
        ports: Ports = "default",
        brokers: int | None = None,
        parts: Collection[Part] = PARTS,
        external: Mapping[Part, str] | None = None,
        start_timeout_seconds: float = 90.0,
        service_settings: Mapping[str, str] | None = None,
        hang_seconds: float | None = None,
        low_disk_mb: int | None = None,
        registry: Registry = REGISTRY,
        requested: Collection[Part] | None = None,
    ) -> None:
        self.data_dir = Path(data_dir).resolve()
        self.notices: list[str] = []
        self._ports, self._brokers, self._parts = ports, brokers, frozenset(parts)
        self._external, self._service_settings = external, service_settings or {}
        self._hang_seconds, self._low_disk_mb = hang_seconds, low_disk_mb
        self._start_timeout_seconds = start_timeout_seconds
        self._registry = registry
        self._requested = None if requested is None else frozenset(requested)
        self._supervisor: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def urls(self) -> Urls:
        """Where the parts answer."""
        return self.state().urls

    def state(self) -> StackState:
        """The supervisor's latest view.

        Raises:
            StackError: nothing was ever started on this folder.
        """
        state = latest_state(self.data_dir)
        if state is None:
            raise StackError(f"there is no stack in {self.data_dir}")
        return state

    def start(self) -> None:
        """Start every part and return when all are healthy.

        A supervisor that hangs, or ended without stopping, is ended with all that it left.

        Raises:
            AlreadyRunningError: a supervisor owns the folder.
            StackError: something is missing, a port is taken, or a part does not come up; nothing is left running.
            InvalidSettings: the environment has a value that cannot be used; nothing was started.
        """
        self.notices = []
        plan = self._plan()
        provisioning = Provisioning(self._registry.resources(self._parts), self.data_dir, self._service_settings)
        try:
            if make_private(self.data_dir):
                self.notices.append(f"{self.data_dir} could be read by others: now it is for this user only")
            if (self.data_dir / RESTORING).exists():
                text = "a restore is under way, or did not end: then empty the folder and restore again"
                raise StackError(f"{self.data_dir} is not whole: {text}")
            with (self.data_dir / "lock").open("a") as lock:
                self._own(lock)
                end_what_is_left(self.data_dir)
                self._launch(plan.job(self.data_dir), lock)
        except OSError as error:
            raise StackError(f"the data folder {self.data_dir} cannot be used: {error.strerror or error}") from error
        try:
            self._wait_until_running(provisioning)
        except BaseException:
            self.stop()
            raise

    def _plan(self) -> Plan:
        """What was asked for, and what the environment says where nothing was."""
        hang, low, external = self._hang_seconds, self._low_disk_mb, self._external
        return Plan(
            self._ports,
            self._brokers,
            self._parts,
            settings.external_urls(os.environ, self._registry) if external is None else external,
            self._start_timeout_seconds,
            self._service_settings,
            settings.hang_seconds(os.environ) if hang is None else hang,
            settings.low_disk_mb(os.environ) if low is None else low,
            self._registry,
            self._requested,
        )

    def _own(self, lock: IO[str]) -> None:
        """Take the lock that a supervisor holds as long as it lives.

        Raises:
            AlreadyRunningError: a supervisor that does not hang has it, or another start.
        """
        seen = look(self.data_dir)
        if seen.standing == "hangs":
            end_supervisor(self.data_dir, seen)
        if seen.standing == "none" and backup_is_under_way(self.data_dir):
            raise StackError(f"a backup of {self.data_dir} is under way: start again when it is done")
        # A process that the ended one had just forked has the lock, too, until it becomes its command.
        if not _take(lock, 0.0 if seen.standing == "alive" else _LOCK_SECONDS):
            raise AlreadyRunningError(f"the stack in {self.data_dir} is running already")
        if seen.standing in ("hangs", "ended") and seen.state is not None:
            what = "hung and was ended" if seen.standing == "hangs" else "had ended without stopping"
            self.notices.append(f"the supervisor (pid {seen.state.supervisor_pid}) {what}: everything starts again")

    def detach(self) -> None:
        """Let the stack live on when this process ends."""
        if self._supervisor is not None and self._supervisor.stdin is not None:
            self._supervisor.stdin.write(b"detach\n")
            self._supervisor.stdin.close()

    def stop(self) -> None:
        """Stop every part in order, the supervisor last; safe to call twice.

        A supervisor that hangs is ended by force, within some fifteen seconds, and what it leaves with it.
        """
        own = self._supervisor
        seen = look(self.data_dir)
        if own is not None and (seen.state is None or seen.state.supervisor_pid != own.pid):
            # It has not said anything yet.
            own.terminate()
            try:
                own.wait(_NOTICE_SECONDS)
            except subprocess.TimeoutExpired:
                own.kill()
        else:
            end_supervisor(self.data_dir, seen, None if own is None else lambda: own.poll() is not None)
        if own is not None:
            own.wait(_NOTICE_SECONDS)
            if own.stdin is not None and not own.stdin.closed:
                own.stdin.close()
            self._supervisor = None
        self._end_the_rest()

    def _end_the_rest(self) -> None:
        """End what a supervisor left that is gone; where another start has the folder by now, all of it is that one's.

        Raises:
            StackError: the folder cannot be used.
        """
        try:
            with (self.data_dir / "lock").open("r+") as lock:
                if _take(lock, _LOCK_SECONDS):
                    end_what_is_left(self.data_dir)
                    note_the_end(self.data_dir)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StackError(f"the data folder {self.data_dir} cannot be used: {error.strerror or error}") from error

    def process(self, name: str) -> ProcessInfo:
        """One process: `kafka`, `kafka-2`, `mongo`, `clickhouse`, `redis`.

        Raises:
            StackError: the stack has none of that name.
        """
        info = self.state().process(name)
        if info is None:
            raise StackError(f"the stack in {self.data_dir} has no {name}")
        return info

    def pid(self, name: str) -> int:
        """The number of a running process.

        Raises:
            StackError: it is not running now.
        """
        info = self.process(name)
        if info.pid is None:
            raise StackError(f"{name} is not running ({info.state})")
        return info.pid

    def kill(self, name: str, sig: int = signal.SIGKILL) -> int:
        """Kill a process, for a drill; the supervisor brings it back. Returns the number it had.

        It returns when the supervisor has noticed, so that `wait_healthy` waits for the next life.
        """
        pid, before = self.pid(name), self.process(name)
        announce_death(self.data_dir, pid)
        os.kill(pid, sig)
        self._wait_until_replaced(before)
        return pid

    def restart(self, name: str) -> None:
        """Stop a process in order and start it again, also one that crashed or was fenced; see `wait_healthy`."""
        info = self.process(name)
        request_restart(self.data_dir, info.name)
        self._wait_until_replaced(info)

    def run(self, spec: ProcessSpec) -> None:
        """Let the supervisor run a further process, or another one in place of that of its name; see `wait_healthy`.

        Raises:
            StackError: no supervisor runs, or it does not listen.
        """
        before = self.state().process(spec.name)
        pid = before.pid if before is not None else None
        request_process(self.data_dir, spec)
        deadline = time.monotonic() + _NOTICE_SECONDS + _STOP_SECONDS
        while (info := self.state().process(spec.name)) is None or info.pid in (None, pid):
            if running_state(self.data_dir) is None or time.monotonic() > deadline:
                raise StackError(f"the supervisor does not start {spec.name}")
            time.sleep(_POLL_SECONDS)

    def wait_healthy(self, name: str, timeout_seconds: float = 60.0) -> None:
        """Wait until a process passes its health check.

        Raises:
            StackError: it did not in time, or was given up.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            info = self.process(name)
            if info.healthy and info.state == "running":
                return
            if info.state in GIVEN_UP or time.monotonic() > deadline:
                raise StackError(f"{name} is {info.state}: {info.problem or 'no answer yet'}")
            time.sleep(_POLL_SECONDS)

    def _wait_until_replaced(self, before: ProcessInfo) -> None:
        deadline = time.monotonic() + _NOTICE_SECONDS + _STOP_SECONDS
        while True:
            info = self.process(before.name)
            # One that ended at once may have no process again; that it was started is counted.
            if info.pid != before.pid or info.restarts > before.restarts:
                return
            if time.monotonic() > deadline:
                raise StackError(f"the supervisor does not see that process {before.pid} of {before.name} ended")
            time.sleep(_POLL_SECONDS)

    def _launch(self, job: Job, lock: IO[str]) -> None:
        logs = self.data_dir / "logs"
        logs.mkdir(exist_ok=True)
        path = os.pathsep.join(filter(None, [PACKAGE_ROOT, os.environ.get("PYTHONPATH")]))
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with open(os.open(logs / "supervisor.log", append, 0o600), "ab") as log:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-m", "ops.stack.supervisor"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": path},
                cwd=self.data_dir,
                # The supervisor inherits the lock: it is held from before the first process until after the last.
                pass_fds=(lock.fileno(),),
                start_new_session=True,
            )
        assert self._supervisor.stdin is not None
        self._supervisor.stdin.write(job.to_json() + b"\n")
        self._supervisor.stdin.flush()

    def _wait_until_running(self, provisioning: Provisioning) -> None:
        assert self._supervisor is not None
        deadline = time.monotonic() + self._start_timeout_seconds + _STOP_SECONDS
        while time.monotonic() < deadline:
            state = latest_state(self.data_dir)
            if state is not None and state.supervisor_pid == self._supervisor.pid:
                if state.phase == "running" and provisioning.done:
                    return
                if state.phase == "failed":
                    raise StackError(state.problem)
                self.notices += provisioning.follow(state)
            if self._supervisor.poll() is not None:
                lines = tail(self.data_dir / "logs" / "supervisor.log", 3)
                raise StackError(f"the supervisor ended with code {self._supervisor.returncode}: {' | '.join(lines)}")
            time.sleep(_POLL_SECONDS)
        raise StackError(provisioning.problem or "the supervisor does not answer")


def _take(lock: IO[str], seconds: float) -> bool:
    """Whether the folder's lock was free within so many seconds; it is kept until the file is closed.

    A supervisor that was killed while it started a process leaves the lock to that one for a moment.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True
