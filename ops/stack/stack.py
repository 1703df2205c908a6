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
from typing import IO, Final, Literal, Self

from ops.stack import specs
from ops.stack.control import announce_death, wish_restart
from ops.stack.errors import StackError
from ops.stack.job import Job
from ops.stack.kafka_jars import ensure_jars, find_java
from ops.stack.model import DEFAULT_PORTS, PARTS, URL_VARIABLES, Part, ProcessInfo, StackState, Urls, read_state
from ops.stack.ports import check_free, free_ports, is_free
from ops.stack.process import tail
from ops.stack.reaper import kill_group, start_time

_POLL_SECONDS: Final = 0.05
_NOTICE_SECONDS: Final = 10.0
_STOP_SECONDS: Final = 45.0

Ports = Literal["default", "auto"] | Mapping[Part, int]


class AlreadyRunningError(StackError):
    """A supervisor owns the data folder; what it runs can be used."""


class Stack:
    """The embedded stack on one data folder.

    Args:
        data_dir: everything the stack keeps, including its logs; created when missing.
        ports: `auto` takes those of the last time if they are free, else free ones; a mapping or `default` asks for
            exactly those, and what it leaves out is that of the last time or the usual one.
        brokers: Kafka brokers, 1 or 3.
        parts: what to run; everything by default.
        external: URLs of parts that run elsewhere; by default those in the environment (`MARKETPLACE_KAFKA_URL`, ...).
        start_timeout_seconds: how long the parts may take until they are healthy.
    """

    def __init__(
        self,
        data_dir: Path | str,
        *,
        ports: Ports = "default",
        brokers: int = 1,
        parts: Collection[Part] = PARTS,
        external: Mapping[Part, str] | None = None,
        start_timeout_seconds: float = 90.0,
    ) -> None:
        if brokers not in (1, 3):
            raise StackError(f"Kafka runs with 1 or with 3 brokers, not with {brokers}")
        self.data_dir = Path(data_dir).resolve()
        self._ports = ports
        self._brokers = brokers
        self._parts = frozenset(parts)
        if external is None:
            external = {part: os.environ[name] for part, name in URL_VARIABLES.items() if os.environ.get(name)}
        self._external = {part: url for part, url in external.items() if part in self._parts}
        self._start_timeout_seconds = start_timeout_seconds
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
        state = read_state(self.data_dir)
        if state is None:
            raise StackError(f"there is no stack in {self.data_dir}")
        return state

    def start(self) -> None:
        """Start every part and return when all are healthy.

        Raises:
            AlreadyRunningError: a supervisor owns the folder.
            StackError: something is missing, a port is taken, or a part does not come up; nothing is left running.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with (self.data_dir / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunningError(f"the stack in {self.data_dir} is running already") from None
            _bury(self.data_dir)
            self._launch(self._job(), lock)
        try:
            self._wait_until_running()
        except BaseException:
            self.stop()
            raise

    def detach(self) -> None:
        """Let the stack live on when this process ends."""
        if self._supervisor is not None and self._supervisor.stdin is not None:
            self._supervisor.stdin.write(b"detach\n")
            self._supervisor.stdin.close()

    def stop(self) -> None:
        """Stop every part in order, the supervisor last; safe to call twice."""
        state = read_state(self.data_dir)
        pid = self._supervisor.pid if self._supervisor else _running_supervisor(state)
        if pid is None:
            return
        start = start_time(pid)
        try:
            if self._supervisor is None or self._supervisor.poll() is None:
                os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        deadline = time.monotonic() + _STOP_SECONDS
        while start is not None and start_time(pid) == start and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        if start is not None and start_time(pid) == start:
            kill_group(pid, start)
        if self._supervisor is not None:
            self._supervisor.wait(_NOTICE_SECONDS)
            if self._supervisor.stdin is not None and not self._supervisor.stdin.closed:
                self._supervisor.stdin.close()
            self._supervisor = None
        _bury(self.data_dir)

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
        pid = self.pid(name)
        announce_death(self.data_dir, pid)
        os.kill(pid, sig)
        self._wait_until_replaced(name, pid)
        return pid

    def restart(self, name: str) -> None:
        """Stop a process in order and start it again, also one that was given up; see `wait_healthy`."""
        info = self.process(name)
        wish_restart(self.data_dir, info.name)
        self._wait_until_replaced(info.name, info.pid)

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
            if info.state == "crashed" or time.monotonic() > deadline:
                raise StackError(f"{name} is {info.state}: {info.problem or 'no answer yet'}")
            time.sleep(_POLL_SECONDS)

    def _wait_until_replaced(self, name: str, pid: int | None) -> None:
        deadline = time.monotonic() + _NOTICE_SECONDS + _STOP_SECONDS
        while True:
            info = self.process(name)
            if info.pid != pid or (pid is None and info.state == "starting"):
                return
            if time.monotonic() > deadline:
                raise StackError(f"the supervisor does not see that process {pid} of {name} ended")
            time.sleep(_POLL_SECONDS)

    def _job(self) -> Job:
        own: frozenset[Part] = self._parts - self._external.keys()
        names = specs.port_names(own, self._brokers)
        ports = self._choose_ports(names)
        check_free({name: (part, ports[name]) for name, part in names.items()})
        urls = specs.urls_of(ports, self._brokers, self._external)
        data = {part: self.data_dir / part for part in own}
        for folder in data.values():
            folder.mkdir(exist_ok=True)
        processes: list[specs.ProcessSpec] = []
        if "kafka" in own:
            java = find_java()
            processes += specs.kafka_specs(data["kafka"], ports, self._brokers, java, ensure_jars())
        if "mongo" in own:
            processes.append(specs.mongo_spec(data["mongo"], urls, ports["mongo"]))
        if "clickhouse" in own:
            processes.append(specs.clickhouse_spec(data["clickhouse"], urls, ports["clickhouse"]))
        if "redis" in own:
            processes.append(specs.redis_spec(data["redis"], urls, ports["redis"]))
        return Job(
            str(self.data_dir), self._brokers, ports, urls, processes, self._external, self._start_timeout_seconds
        )

    def _choose_ports(self, names: Mapping[str, Part]) -> dict[str, int]:
        previous = read_state(self.data_dir)
        remembered = {} if previous is None else previous.ports
        fallback = dict(zip(names, free_ports(len(names)), strict=True))
        if self._ports == "auto":
            return {name: _free_or(remembered.get(name), fallback[name]) for name in names}
        asked: Mapping[Part, int] = {} if self._ports == "default" else self._ports
        chosen: dict[str, int] = {}
        for name, part in names.items():
            if name.endswith("-controller"):
                chosen[name] = _free_or(remembered.get(name), fallback[name])
            elif part == "kafka":
                offset = specs.kafka_names(self._brokers).index(name)
                first = asked.get(part, remembered.get(specs.kafka_names(self._brokers)[0], DEFAULT_PORTS[part]))
                follower = remembered.get(name, first + offset)
                chosen[name] = first + offset if part in asked else (first if offset == 0 else follower)
            else:
                chosen[name] = asked.get(part, remembered.get(name, DEFAULT_PORTS[part]))
        return chosen

    def _launch(self, job: Job, lock: IO[str]) -> None:
        logs = self.data_dir / "logs"
        logs.mkdir(exist_ok=True)
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        with (logs / "supervisor.log").open("ab") as log:
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
        self._supervisor.stdin.write(job.to_json().encode() + b"\n")
        self._supervisor.stdin.flush()

    def _wait_until_running(self) -> None:
        assert self._supervisor is not None
        deadline = time.monotonic() + self._start_timeout_seconds + _STOP_SECONDS
        while time.monotonic() < deadline:
            state = read_state(self.data_dir)
            if state is not None and state.supervisor_pid == self._supervisor.pid:
                if state.phase == "running":
                    return
                if state.phase == "failed":
                    raise StackError(state.problem)
            if self._supervisor.poll() is not None:
                lines = tail(self.data_dir / "logs" / "supervisor.log", 3)
                raise StackError(f"the supervisor ended with code {self._supervisor.returncode}: {' | '.join(lines)}")
            time.sleep(_POLL_SECONDS)
        raise StackError("the supervisor does not answer")


def running_urls(data_dir: Path | str) -> Urls | None:
    """The URLs of the stack that runs on a data folder, `None` when none does."""
    state = running_state(data_dir)
    return state.urls if state is not None and state.phase == "running" else None


def running_state(data_dir: Path | str) -> StackState | None:
    """What the supervisor of a data folder says, `None` when there is no supervisor alive."""
    state = read_state(Path(data_dir).resolve())
    return state if state is not None and _running_supervisor(state) is not None else None


def _running_supervisor(state: StackState | None) -> int | None:
    if state is None or start_time(state.supervisor_pid) != state.supervisor_start:
        return None
    return state.supervisor_pid


def _bury(data_dir: Path) -> None:
    """End whatever an earlier supervisor left behind. The caller knows that none is running."""
    state = read_state(data_dir)
    for info in state.processes if state else ():
        if info.pid is not None and info.process_start is not None and start_time(info.pid) == info.process_start:
            kill_group(info.pid, info.process_start)


def _free_or(port: int | None, fallback: int) -> int:
    return port if port is not None and is_free(port) else fallback
