"""The supervisor's own address: answers at once, to its own user, and is put off by nobody."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.settings import Urls
from ops.stack.state.beacon import Beacon, Request, ask_supervisor
from ops.stack.state.inspection import SupervisorHangsError, look, running_state
from ops.stack.state.model import ProcessInfo, StackState, write_state
from ops.stack.state.requests import Requests, announce_death, read_request, request_restart, take_requests
from ops.stack.supervisor.publishing import HEARTBEAT_SECONDS, Publisher
from ops.stack.supervisor.reaper import start_time


def _state(**changes: object) -> StackState:
    mine = StackState("running", os.getpid(), start_time(os.getpid()) or 0, 1, {}, Urls(redis="redis://here"))
    return replace(mine, processes=[ProcessInfo("redis", "redis", "", "running")], **changes)  # type: ignore[arg-type]  # any fields


class Supervisor:
    """One that answers, and remembers what it was asked."""

    def __init__(self, folder: Path, state: StackState) -> None:
        self.state = state
        self.asked: list[Request] = []
        Beacon(folder, lambda: self.state, self.asked.append)


@contextmanager
def _connected(folder: Path) -> Iterator[socket.socket]:
    from ops.stack.state import beacon

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(5)
        client.connect(beacon.address(folder))
        yield client


def test_who_asks_gets_the_latest_state_and_a_request_was_taken_when_it_is_answered(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, _state(heartbeat=1.0))
    assert ask_supervisor(tmp_path) == supervisor.state
    supervisor.state = _state(heartbeat=2.0)
    assert ask_supervisor(tmp_path, Request("restart.redis")) == supervisor.state
    assert supervisor.asked == [Request("restart.redis")]


def test_a_request_is_sent_in_the_form_that_a_supervisor_of_an_earlier_version_reads() -> None:
    assert msgspec.json.encode(Request("restart.redis")) == b'{"wish":"restart.redis","content":""}'


def test_nobody_answers_for_another_folder_and_it_is_known_at_once(tmp_path: Path) -> None:
    Supervisor(tmp_path / "a", _state())
    began = time.monotonic()
    assert ask_supervisor(tmp_path / "b") is None
    assert ask_supervisor(tmp_path / "missing" / "folder") is None
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("sent", [b"", b"\n", b"GET / HTTP/1.1\r\n\r\n", b"[]\n", b'{"wish": 1}\n', b"\xff\x00\n"])
def test_whatever_is_sent_the_next_one_is_answered(tmp_path: Path, sent: bytes) -> None:
    Supervisor(tmp_path, _state())
    with _connected(tmp_path) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert ask_supervisor(tmp_path) is not None


def test_who_says_nothing_keeps_others_waiting_for_a_second_only(tmp_path: Path) -> None:
    Supervisor(tmp_path, _state())
    with _connected(tmp_path):
        began = time.monotonic()
        assert ask_supervisor(tmp_path, timeout_seconds=10) is not None
        assert time.monotonic() - began < 3


def test_an_address_that_somebody_else_has_stops_no_supervisor(tmp_path: Path) -> None:
    Supervisor(tmp_path, _state(phase="starting"))
    state = _state(phase="running")
    Publisher(tmp_path, state).publish(state, time.monotonic())
    with pytest.raises(OSError, match="in use"):
        Supervisor(tmp_path, _state())


def test_a_supervisor_whose_loop_does_not_go_round_hangs_although_it_answers(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, _state(heartbeat=time.monotonic()))
    assert look(tmp_path).standing == "alive"
    supervisor.state = _state(heartbeat=time.monotonic() - 34)
    assert look(tmp_path).standing == "hangs"
    with pytest.raises(SupervisorHangsError, match=rf"\(pid {os.getpid()}\) hangs.*34 s old; disk: [\d,]+ MB free"):
        running_state(tmp_path)


def test_a_fresh_answer_is_believed_although_the_file_is_old(tmp_path: Path) -> None:
    write_state(tmp_path, _state(phase="starting", heartbeat=time.monotonic() - 60))
    Supervisor(tmp_path, _state(heartbeat=time.monotonic()))
    seen = look(tmp_path)
    assert (seen.standing, seen.state and seen.state.phase) == ("alive", "running")


@pytest.mark.parametrize(
    ("phase", "age", "standing"),
    [("running", 1.0, "alive"), ("running", 30.0, "hangs"), ("stopping", 30.0, "hangs"), ("running", None, "alive")],
)
def test_without_an_answer_the_age_of_the_file_decides(
    tmp_path: Path, phase: str, age: float | None, standing: str
) -> None:
    write_state(tmp_path, _state(phase=phase, heartbeat=None if age is None else time.monotonic() - age))
    assert look(tmp_path).standing == standing


@pytest.mark.parametrize(
    ("phase", "standing"),
    [("starting", "ended"), ("running", "ended"), ("stopping", "ended"), ("stopped", "none"), ("failed", "none")],
)
def test_a_supervisor_that_is_no_more_ended_unless_it_had_stopped(tmp_path: Path, phase: str, standing: str) -> None:
    write_state(tmp_path, _state(phase=phase, supervisor_start=1, heartbeat=time.monotonic()))
    assert look(tmp_path).standing == standing
    assert running_state(tmp_path) is None


def test_a_request_is_sent_where_somebody_answers_and_left_as_a_file_elsewhere(tmp_path: Path) -> None:
    request_restart(tmp_path, "redis")
    assert take_requests(tmp_path) == Requests(restart=frozenset({"redis"}))
    publisher = Publisher(tmp_path, _state())
    request_restart(tmp_path, "kafka")
    announce_death(tmp_path, 77)
    assert list((tmp_path / "control").iterdir()) == []
    assert publisher.take_requests() == Requests(frozenset({"kafka"}), frozenset({77}))
    assert publisher.take_requests() == Requests()


@given(st.text(max_size=30), st.binary(max_size=60))
def test_a_request_that_nobody_understands_is_none(name: str, content: bytes) -> None:
    known = name.startswith(("restart.", "expected.")) or name == "restart"
    assert known or read_request(name, content) == Requests()


def test_the_heartbeat_is_written_now_and_then_and_a_change_at_once(tmp_path: Path) -> None:
    publisher, state, path = Publisher(tmp_path, _state()), _state(), tmp_path / "state.json"
    publisher.publish(state, 100.0)
    written = path.stat().st_mtime_ns, path.stat().st_ino
    publisher.publish(state, 100.0 + HEARTBEAT_SECONDS / 2)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == written
    assert (ask_supervisor(tmp_path) or state).heartbeat == 100.0 + HEARTBEAT_SECONDS / 2
    publisher.publish(replace(state, phase="stopping"), 100.0 + HEARTBEAT_SECONDS / 2)
    changed = path.stat().st_ino
    assert changed != written[1]
    publisher.publish(replace(state, phase="stopping"), 100.0 + 2 * HEARTBEAT_SECONDS)
    assert path.stat().st_ino != changed


def test_the_state_is_for_its_user_only(tmp_path: Path) -> None:
    write_state(tmp_path, _state())
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600
