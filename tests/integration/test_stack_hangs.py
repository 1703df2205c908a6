"""What stands still is started again, what only is not ready is left alone, and a supervisor that hangs is seen."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from ops.context import load_settings
from ops.stack import Stack, StackError, SupervisorHangsError, running_state, running_urls
from ops.stack.process_spec import ProcessSpec
from ops.stack.state.inspection import STALE_SECONDS, look
from ops.stack.state.model import ProcessInfo, read_state, write_state
from ops.stack.supervisor.reaper import start_time
from runtime.ports import free_ports
from tests.kits.depth import LONG
from tests.kits.stack import LIGHT, all_gone, command, eventually, processes_of

HANG_SECONDS = 3.0
SERVICE = """
import http.server, os, sys, time
folder = sys.argv[2]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = os.path.join(folder, self.path.strip("/"))
        status, text = open(path).read().split(" ", 1) if os.path.exists(path) else ("404", "no such page")
        self.send_response(int(status))
        self.end_headers()
        self.wfile.write(text.encode())
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class Service:
    """A service of ours that answers as its test wants."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        (port,) = free_ports(1)
        command = [sys.executable, "-c", SERVICE, str(port), str(folder)]
        self.spec = ProcessSpec("traffic", "traffic", command, f"http://127.0.0.1:{port}")

    def answers(self, path: str, answer: str) -> None:
        draft = self.folder / "draft"
        draft.write_text(answer)
        draft.replace(self.folder / path)


def age(stack: Stack, seconds: float) -> None:
    """Let the state file of a suspended supervisor be older than it is."""
    state = read_state(stack.data_dir)
    assert state is not None
    assert state.heartbeat is not None
    write_state(stack.data_dir, replace(state, heartbeat=state.heartbeat - seconds))


@contextmanager
def kept_suspended(pid: int) -> Iterator[None]:
    """The process stands still, and no SIGCONT wakes it up for longer than a moment."""
    done = threading.Event()

    def suspend() -> None:
        while not done.is_set():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
            done.wait(0.0005)

    thread = threading.Thread(target=suspend)
    thread.start()
    try:
        assert eventually(lambda: all_stand_still(pid)), "a thread of it goes on"
        yield
    finally:
        done.set()
        thread.join()


def all_stand_still(pid: int) -> bool:
    """Whether each thread of a process is stopped: until then it may finish what it was writing."""
    stats = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(stat.read_text().rpartition(")")[2].split()[0] == "T" for stat in stats)


def _hung(stack: Stack, name: str, hangs: int = 1) -> bool:
    info = stack.process(name)
    return info.hangs == hangs and info.healthy


def test_parts_that_stand_still_are_started_again_and_it_is_counted_and_reported(tmp_path: Path) -> None:
    with Stack(tmp_path, ports="auto", parts=LIGHT, external={}, hang_seconds=HANG_SECONDS) as stack:
        before = {part: stack.pid(part) for part in LIGHT}
        began = time.monotonic()
        for pid in before.values():
            os.kill(pid, signal.SIGSTOP)
        assert eventually(lambda: all(_hung(stack, part) for part in LIGHT), 60)
        assert time.monotonic() - began > HANG_SECONDS
        for part in LIGHT:
            info = stack.process(part)
            assert (info.restarts, info.hangs) == (1, 1)
            assert info.pid != before[part]
            assert "did not answer for" in info.last_restart
        assert "did not answer for" in (tmp_path / "logs" / "supervisor.log").read_text()
        code, said = command(tmp_path, "status")
        assert (code, said.count("1 (1 hung)")) == (0, 2)
        assert "redis was started again once, the last time: did not answer for" in said


def test_a_service_that_does_not_progress_is_started_again_and_one_that_is_not_ready_is_not(tmp_path: Path) -> None:
    service = Service(tmp_path / "pages")
    service.answers("livez", "200 progresses")
    service.answers("readyz", "200 ready")
    with Stack(tmp_path / "data", ports="auto", parts={"redis"}, external={}, hang_seconds=HANG_SECONDS) as stack:
        stack.run(service.spec)
        stack.wait_healthy("traffic", 20)
        first = stack.pid("traffic")

        service.answers("readyz", "503 Kafka does not answer")
        assert eventually(lambda: "Kafka does not answer" in stack.process("traffic").problem)
        assert not eventually(lambda: stack.process("traffic").pid != first, 1.5 * HANG_SECONDS)
        assert not stack.process("traffic").healthy

        service.answers("livez", "503 no progress for 60 s")
        assert eventually(lambda: stack.process("traffic").hangs == 1, 30)
        service.answers("livez", "200 progresses")
        service.answers("readyz", "200 ready")
        assert eventually(lambda: _hung(stack, "traffic"), 30)
        assert stack.pid("traffic") != first


def test_a_supervisor_that_ended_without_stopping_is_reported_and_a_new_start_goes_on(tmp_path: Path) -> None:
    first = Stack(tmp_path, ports="auto", parts={"redis"}, external={})
    first.start()
    processes = processes_of(first)
    os.kill(first.state().supervisor_pid, signal.SIGKILL)
    assert eventually(lambda: look(tmp_path).standing == "ended" and all_gone(processes))
    code, said = command(tmp_path, "status")
    assert code == 1
    assert said.endswith("'marketplace up' starts everything again\nNone of its processes is left.\n")
    assert running_state(tmp_path) is None
    assert eventually(lambda: all_gone(processes))
    with Stack(tmp_path, ports="auto", parts={"redis"}, external={}) as second:
        assert ["had ended without stopping" in notice for notice in second.notices] == [True]
        assert second.process("redis").healthy
    first.stop()


def test_down_after_a_supervisor_that_ended_without_stopping_says_so_once(tmp_path: Path) -> None:
    stack = Stack(tmp_path, ports="auto", parts={"redis"}, external={})
    stack.start()
    os.kill(stack.state().supervisor_pid, signal.SIGKILL)
    assert eventually(lambda: look(tmp_path).standing == "ended")
    assert command(tmp_path, "down") == (0, "The supervisor had ended without stopping; nothing of it is left.\n")
    assert command(tmp_path, "down") == (0, "Nothing is running.\n")
    stack.stop()


def test_a_stop_that_comes_late_leaves_alone_what_another_start_has_by_now(tmp_path: Path) -> None:
    late = Stack(tmp_path, ports="auto", parts={"redis"}, external={})
    late.start()
    os.kill(late.state().supervisor_pid, signal.SIGKILL)
    assert eventually(lambda: look(tmp_path).standing == "ended")
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        with (tmp_path / "lock").open("a") as lock:
            # A start that has the folder already, and whose supervisor is not seen yet.
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = read_state(tmp_path)
            assert state is not None
            redis = state.processes[0]
            theirs = replace(state, processes=[replace(redis, pid=other.pid, process_start=start_time(other.pid))])
            write_state(tmp_path, theirs)
            late.stop()
            assert read_state(tmp_path) == theirs
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@LONG
def test_a_supervisor_that_hangs_is_not_believed_and_a_new_start_ends_it(tmp_path: Path) -> None:
    first = Stack(tmp_path, ports="auto", parts=LIGHT, external={})
    first.start()
    processes = processes_of(first)
    pid = first.state().supervisor_pid
    with kept_suspended(pid):
        age(first, STALE_SECONDS + 30)
        os.kill(first.pid("redis"), signal.SIGKILL)
        with pytest.raises(
            SupervisorHangsError, match=rf"\(pid {pid}\) hangs, or cannot write: its state is [34]\d s old"
        ):
            running_urls(tmp_path)
        with pytest.raises(StackError, match="MB free"):
            load_settings({}, tmp_path)
        elsewhere = {"KAFKA": "k:1", "MONGO": "mongodb://m", "CLICKHOUSE": "http://c", "REDIS": "redis://r"}
        named = {f"MARKETPLACE_{part}_URL": url for part, url in elsewhere.items()}
        assert load_settings(named, tmp_path).urls.environment() == named
        code, said = command(tmp_path, "status")
        assert code == 1
        assert f"(pid {pid}) hangs" in said
        assert "redis is gone: it was process" in said
        assert ["clickhouse", "healthy"] in [line.split()[:2] for line in said.splitlines()]

        second = Stack(tmp_path, ports="auto", parts=LIGHT, external={})
        began = time.monotonic()
        second.start()
        assert time.monotonic() - began < 40
    try:
        assert all_gone(processes)
        assert "hung and was ended" in second.notices[0]
        assert all(second.process(part).healthy for part in LIGHT)
    finally:
        second.stop()
        first.stop()


def test_down_ends_a_supervisor_that_hangs_and_its_parts_within_fifteen_seconds(tmp_path: Path) -> None:
    stack = Stack(tmp_path, ports="auto", parts=LIGHT, external={})
    stack.start()
    processes = processes_of(stack)
    with kept_suspended(stack.state().supervisor_pid):
        age(stack, STALE_SECONDS + 30)
        began = time.monotonic()
        code, said = command(tmp_path, "down")
        assert time.monotonic() - began < 15
    assert (code, "its supervisor did not answer" in said) == (0, True)
    assert all_gone(processes)
    assert command(tmp_path, "status") == (1, "Nothing is running.\n")
    stack.stop()


def test_every_process_of_a_stopped_stack_is_gone_although_it_was_suspended(tmp_path: Path) -> None:
    with Stack(tmp_path, ports="auto", parts=LIGHT, external={}) as stack:
        infos: list[ProcessInfo] = stack.state().processes
        for info in infos:
            os.kill(info.pid or 0, signal.SIGSTOP)
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert [start_time(info.pid or 0) for info in infos] == [None, None]
