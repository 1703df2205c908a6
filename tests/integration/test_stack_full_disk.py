"""A full disk stops no supervisor: there is a warning before it, everything is still seen, and all comes back."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ops.stack import Stack, running_state
from ops.stack.disk.watch import DiskWatch
from ops.stack.process_spec import ProcessSpec
from ops.stack.state.inspection import look
from ops.stack.state.model import StackState, read_state
from ops.stack.state.requests import request_process
from ops.stack.supervisor.process import LARGEST_LOG_BYTES, rotate, rotate_all
from runtime.ports import free_ports
from tests.kits.stack import LIGHT, command, eventually
from tests.kits.stack_disks import filled, small_disk


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk of 96 MB."""
    with small_disk(tmp_path_factory.mktemp("full") / "disk", 96) as folder:
        yield folder


def _state_is_not_written(stack: Stack) -> bool:
    state = stack.state()
    return bool(state.write_problem) and state.disk is not None and state.disk.low


def _processes(state: StackState | None) -> dict[str, str]:
    assert state is not None
    return {info.name: f"{info.state} {info.pid}" for info in state.processes}


def _killed_until_it_crashed(stack: Stack, name: str) -> bool:
    """On a full disk it dies by itself, or not: what it writes at its start may find a gap."""
    info = stack.process(name)
    if info.pid is not None:
        with suppress(ProcessLookupError):
            os.kill(info.pid, signal.SIGKILL)
    return info.state == "crashed"


def test_on_a_full_disk_everything_is_seen_and_asked_for_and_all_comes_back_with_the_first_room(disk: Path) -> None:
    data = disk / "data"
    with Stack(data, ports="auto", parts=LIGHT, external={}, low_disk_mb=20) as stack:
        before, redis = stack.state().disk, stack.pid("redis")
        assert before is not None
        assert (before.low, before.total_mb) == (False, 96)
        with filled(disk):
            assert eventually(lambda: _state_is_not_written(stack), 20)
            code, said = command(data, "status")
            assert code == 1
            assert "the disk is full (0 MB free of 96 MB): delete or move something" in said
            assert "cannot write its state file: No space left on device" in said
            assert look(data).standing == "alive"

            # A request needs no room: neither a restart nor a whole process.
            stack.restart("redis")
            stack.wait_healthy("redis", 20)
            assert stack.pid("redis") != redis
            (port,) = free_ports(1)
            request_process(data, ProcessSpec("traffic", "traffic", ["sleep", "1000"], f"http://127.0.0.1:{port}"))
            assert eventually(lambda: stack.state().process("traffic") is not None)

            assert eventually(lambda: _killed_until_it_crashed(stack, "clickhouse"), 60)
            assert stack.process("clickhouse").retry_at is not None
            assert _processes(read_state(data))["clickhouse"].startswith("running")
        assert eventually(lambda: stack.process("clickhouse").healthy, 20)
        assert eventually(lambda: not stack.state().write_problem)
        assert eventually(lambda: _processes(read_state(data)) == _processes(running_state(data)))
        log = (data / "logs" / "supervisor.log").read_text()
        assert log.count("the state cannot be written") <= 2
        assert log.count("the disk has room again") == 1


def test_a_log_is_kept_bounded_although_there_is_no_room_for_a_copy(disk: Path) -> None:
    log = disk / "part.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 1_000_000 + b"newest\n")
        with filled(disk):
            assert rotate(log, largest_bytes=1_000_000)
            writer.write(b"after\n")
    assert log.read_bytes() == b"after\n"
    kept = (disk / "part.log.1").read_bytes()
    assert kept.endswith(b"old\nnewest\n")
    assert len(kept) <= 256 * 1024


def test_a_log_that_cannot_be_rotated_keeps_no_other_from_it(tmp_path: Path) -> None:
    for name in ("a.log", "b.log", "c.log"):
        (tmp_path / name).write_bytes(b"x" * LARGEST_LOG_BYTES)
        if name != "b.log":
            (tmp_path / f"{name}.1").mkdir()
    rotate_all(tmp_path)
    assert (tmp_path / "b.log").stat().st_size == 0
    assert (tmp_path / "b.log.1").stat().st_size == LARGEST_LOG_BYTES
    assert (tmp_path / "a.log").stat().st_size == LARGEST_LOG_BYTES


def test_the_room_that_comes_back_is_noticed_once(disk: Path) -> None:
    watch = DiskWatch(disk, low_mb=10)
    assert not watch.look(0.0)
    with filled(disk):
        assert not watch.look(10.0)
        assert watch.disk is not None
        assert (watch.disk.low, watch.disk.free_mb) == (True, 0)
    assert watch.look(20.0)
    assert not watch.look(30.0)


def test_a_start_on_a_full_disk_is_one_clear_line_and_leaves_nothing(disk: Path) -> None:
    data = disk / "another"
    with filled(disk):
        code, said = command(data, "up", "--no-services", "--ports", "auto")
    assert code == 1
    assert said.count("\n") == 1
    assert "No space left on device" in said
    assert running_state(data) is None
