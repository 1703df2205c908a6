"""A running supervisor takes on further processes, looks after them, and takes them along at its end."""

from __future__ import annotations

import os
import signal
import stat
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from ops.demo.services.served import TrafficAlreadyRuns, sole_traffic, traffic_runs
from ops.stack import Stack, StackError
from ops.stack.process_spec import ProcessSpec
from ops.stack.revival import revive
from ops.stack.state.requests import request_process, request_restart, take_requests
from ops.stack.supervisor.reaper import start_time
from runtime.ports import free_ports
from runtime.supervision import ProcessState
from tests.kits.stack import LIGHT, command

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(sys.argv[2].encode())
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def spec(port: int, word: str) -> ProcessSpec:
    command = [sys.executable, "-c", SERVER, str(port), word]
    return ProcessSpec("traffic", "traffic", command, f"http://127.0.0.1:{port}")


def answer(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
        return str(response.read().decode())


def eventually(holds: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def modes_of_files(folder: Path) -> dict[Path, int]:
    """Of all files in ``folder`` but those that end while it is read: temporary ones are renamed at any moment."""
    modes = {}
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if stat.S_ISREG(mode := path.stat().st_mode):
                modes[path] = stat.S_IMODE(mode)
    return modes


def test_a_further_process_is_run_replaced_restarted_and_ended_with_the_stack(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with Stack(tmp_path, ports="auto", parts={"redis"}, external={}) as stack:
        stack.run(spec(port, "first"))
        stack.wait_healthy("traffic", 20)
        assert answer(port) == "first"

        first = stack.pid("traffic")
        stack.run(spec(port, "second"))
        stack.wait_healthy("traffic", 20)
        assert (answer(port), start_time(first)) == ("second", None)
        assert sum(info.name == "traffic" for info in stack.state().processes) == 1

        stack.kill("traffic")
        stack.wait_healthy("traffic", 20)
        assert answer(port) == "second"
        last = stack.pid("traffic")
    assert start_time(last) is None


def test_a_further_process_does_not_outlive_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with Stack(tmp_path, ports="auto", parts={"redis"}, external={}) as stack:
        stack.run(spec(port, "word"))
        stack.wait_healthy("traffic", 20)
        pid = stack.pid("traffic")
        os.kill(stack.state().supervisor_pid, signal.SIGKILL)
        assert eventually(lambda: start_time(pid) is None)


def test_a_flow_that_was_fenced_stays_so_until_a_person_starts_it(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    program = f"import os, sys\nif os.path.exists({str(tmp_path / 'fenced')!r}): sys.exit(3)\n" + SERVER
    serve = [sys.executable, "-c", program, str(port), "word"]
    exits = {3: ProcessState.FENCED}
    flow = ProcessSpec("flow", "flow", serve, f"http://127.0.0.1:{port}", final_exits=exits)
    with Stack(tmp_path, ports="auto", parts={"redis"}, external={}) as stack:
        stack.run(flow)
        stack.wait_healthy("flow", 20)
        (tmp_path / "fenced").touch()
        os.kill(stack.pid("flow"), signal.SIGKILL)
        assert eventually(lambda: stack.process("flow").state == "fenced")
        with pytest.raises(StackError, match="flow is fenced: a newer start of the flow has fenced it"):
            stack.wait_healthy("flow", 20)
        assert not eventually(lambda: stack.process("flow").state != "fenced", 1.0)
        code, said = command(tmp_path, "status")
        assert (code, "flow is fenced: a newer start of the flow has fenced it (exit code 3)" in said) == (1, True)
        assert "only 'marketplace up' starts it again" in said
        with pytest.raises(StackError, match="flow is fenced"):
            revive(stack)
        (tmp_path / "fenced").unlink()
        assert revive(stack) == ["flow was fenced"]
        assert stack.process("flow").healthy
        assert revive(stack) == []


def test_nobody_else_can_read_what_a_stack_writes(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with Stack(tmp_path, ports="auto", parts=LIGHT, external={}) as stack:
        assert stack.notices == [f"{tmp_path} could be read by others: now it is for this user only"]
        stack.restart("redis")
        stack.wait_healthy("redis", 20)
        assert tmp_path.stat().st_mode & 0o777 == 0o700
        modes = modes_of_files(tmp_path)
    modes |= modes_of_files(tmp_path)
    del modes[tmp_path / "lock"]  # it is empty, and made before the folder is looked at
    assert len(modes) > 10
    assert [path for path, mode in modes.items() if mode & 0o077] == []


def test_without_a_supervisor_nothing_is_run(tmp_path: Path) -> None:
    with Stack(tmp_path, ports="auto", parts={"redis"}, external={}) as stack:
        pass
    with pytest.raises(StackError, match="does not start traffic"):
        stack.run(spec(1, "word"))


def test_a_request_is_read_whole_and_once(tmp_path: Path) -> None:
    request_process(tmp_path, spec(80, "word"))
    request_restart(tmp_path, "redis")
    (tmp_path / "control" / ".run.traffic.1").write_bytes(b'{"name": "half')
    (tmp_path / "control" / "run.broken").write_bytes(b'{"name": "half')
    requests = take_requests(tmp_path)
    assert (requests.run, requests.restart) == ((spec(80, "word"),), frozenset({"redis"}))
    assert take_requests(tmp_path).run == ()


def test_only_one_sends_live_traffic_at_a_time(tmp_path: Path) -> None:
    assert not traffic_runs(tmp_path)
    with sole_traffic(tmp_path):
        assert traffic_runs(tmp_path)
        with pytest.raises(TrafficAlreadyRuns, match="already"), sole_traffic(tmp_path):
            pass
    assert not traffic_runs(tmp_path)
