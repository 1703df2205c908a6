"""The state file and the other small files of a data folder."""

from dataclasses import asdict
from pathlib import Path

import msgspec

from marketplace.settings import Urls
from ops.stack.stack import running_state, running_urls
from ops.stack.state.model import ProcessInfo, StackState, read_state, state_path, write_state
from ops.stack.state.requests import Requests, announce_death, request_restart, take_requests
from ops.stack.supervisor.process import rotate, tail
from ops.stack.supervisor.watched import check_of

STATE = StackState(
    phase="running",
    supervisor_pid=2**22 + 1,
    supervisor_start=5,
    brokers=3,
    ports={"kafka-1": 1},
    urls=Urls(kafka="127.0.0.1:1"),
    processes=[ProcessInfo("kafka-1", "kafka", "127.0.0.1:1", "running"), ProcessInfo("redis", "redis", "", "crashed")],
)


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_state(tmp_path, STATE)
    assert read_state(tmp_path) == STATE
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_a_state_that_is_missing_damaged_or_of_another_version_is_none(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    for text in ("", "{", "[]", '{"version": 99}', '{"version": 1}'):
        state_path(tmp_path).write_text(text)
        assert read_state(tmp_path) is None


def test_a_state_of_an_earlier_version_is_read_and_says_nothing_of_how_its_processes_are_asked(tmp_path: Path) -> None:
    later = {"left_out", "requested", "earlier_ports", "low_disk_mb", "check"}
    written = {name: value for name, value in asdict(STATE).items() if name not in later}
    written["processes"] = [
        {name: value for name, value in process.items() if name not in later} for process in written["processes"]
    ]
    state_path(tmp_path).write_bytes(msgspec.json.encode(written))
    assert read_state(tmp_path) == STATE
    health = check_of(STATE.processes[0])(1.0)
    assert (health.outcome, "another version" in health.text) == ("not ready", True)


def test_a_part_is_found_by_its_name_or_its_first_process() -> None:
    found = STATE.process("kafka")
    assert found is not None
    assert found.name == "kafka-1"
    assert STATE.process("mongo") is None


def test_the_state_of_a_dead_supervisor_is_not_a_running_stack(tmp_path: Path) -> None:
    write_state(tmp_path, STATE)
    assert running_state(tmp_path) is None
    assert running_urls(tmp_path) is None


def test_requests_are_read_once(tmp_path: Path) -> None:
    request_restart(tmp_path, "kafka-2")
    announce_death(tmp_path, 77)
    requests = take_requests(tmp_path)
    assert requests == Requests(frozenset({"kafka-2"}), frozenset({77}))
    assert take_requests(tmp_path) == Requests(frozenset(), frozenset())


def test_a_large_log_is_set_aside_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * 100)
        assert not rotate(log, largest_bytes=101)
        assert rotate(log, largest_bytes=100)
        writer.write(b"after\n")
    assert log.read_bytes() == b"after\n"
    assert (tmp_path / "a.log.1").stat().st_size == 100


def test_the_tail_of_a_log_is_its_last_lines_with_text(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert tail(log) == []
    log.write_bytes(b"".join(b"line %d\n\n" % number for number in range(5000)) + b"\xff\x00\xfe" + b"\nend")
    assert tail(log, 3)[-1] == "end"
    assert tail(log, 3)[0] == "line 4999"
