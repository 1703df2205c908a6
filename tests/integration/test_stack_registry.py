"""Services that the registry has one entry for: every command knows them, and any of them runs alone with its needs."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.stack import Stack, StackError, running_state
from ops.stack.parts.kafka_archive import prepared_kafka
from runtime.ports import free_ports
from tests.kits.registry import CLI_WITH_ECHOES
from tests.kits.stack import all_gone, command, eventually, processes_of

ECHOES = ("up", "--only", "echo,second_echo")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder on which nothing runs any more afterwards."""
    data = tmp_path / "data"
    yield data
    Stack(data, external={}).stop()


def run(folder: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """A command that knows the two services more."""
    return command(folder, *arguments, cli=CLI_WITH_ECHOES, **variables)


def page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as response:
        return str(response.read().decode())


def test_an_entry_of_the_registry_is_all_that_a_service_needs(folder: Path) -> None:
    (port,) = free_ports(1)
    code, said = run(folder, *ECHOES, "--ports", "auto", "--json")
    assert code == 0, said
    document = json.loads(said)
    processes = {info["name"]: info for info in document["processes"]}
    assert list(processes) == ["redis", "echo", "second_echo"]
    assert all(info["healthy"] for info in processes.values())
    for name in ("echo", "second_echo"):
        assert processes[name]["url"] == f"http://127.0.0.1:{document['ports'][name]}"
        assert page(processes[name]["url"]) == f"{name}, redis at {document['urls']['redis']}\n"
    assert document["left_out"] == ["kafka", "mongo", "clickhouse", "flow", "collector", "dashboard"]

    stack = Stack(folder, external={})
    before = processes_of(stack)
    old = stack.pid("echo")
    os.kill(old, signal.SIGKILL)
    assert eventually(lambda: stack.process("echo").pid not in (None, old))
    stack.restart("second_echo")
    stack.wait_healthy("echo", 20)
    stack.wait_healthy("second_echo", 20)

    code, said = run(folder, "status")
    assert code == 0, said
    assert [line.split()[:2] for line in said.splitlines() if "http" in line] == [
        ["echo", "healthy"],
        ["second_echo", "healthy"],
    ]
    assert "left out on request: kafka, mongo, clickhouse, flow, collector, dashboard" in said
    assert "second_echo was started again once, the last time: it was asked for" in said
    assert command(folder, "status")[0] == 0, "also to a command that does not know the service"

    after = processes_of(stack)
    assert run(folder, "down")[0] == 0
    assert all_gone(before | after)
    code, said = run(folder, *ECHOES, "--second-echo-port", str(port))
    assert (code, f"http://127.0.0.1:{port}" in said) == (0, True), said


def test_a_start_of_something_else_is_refused_while_the_stack_runs_and_says_what_runs(folder: Path) -> None:
    assert run(folder, "up", "--only", "echo", "--ports", "auto")[0] == 0
    code, said = run(folder, "up", "--only", "echo")
    assert (code, "The stack is running already" in said) == (0, True), said
    code, said = run(folder, "up", "--only", "second_echo")
    assert (code, said.count("\n")) == (1, 1), said
    assert "not as asked: --only second_echo (it runs redis, echo): 'marketplace down' first" in said
    code, said = run(folder, "up")
    assert code == 0, said
    assert "It runs without kafka, mongo, clickhouse, flow, collector, dashboard, second_echo" in said


def test_what_was_left_out_once_has_its_port_again_the_next_time(folder: Path) -> None:
    def ports() -> dict[str, int]:
        state = running_state(folder)
        assert state is not None
        return state.ports

    assert run(folder, *ECHOES, "--ports", "auto")[0] == 0
    first = ports()
    run(folder, "down")
    assert run(folder, "up", "--only", "redis", "--ports", "auto")[0] == 0
    assert ports() == {"redis": first["redis"]}
    run(folder, "down")
    assert run(folder, *ECHOES, "--ports", "auto")[0] == 0
    assert ports() == first


def test_a_part_that_is_given_by_a_url_is_used_and_not_started(folder: Path, tmp_path: Path) -> None:
    with Stack(tmp_path / "elsewhere", ports="auto", parts={"redis"}, external={}) as elsewhere:
        url = elsewhere.urls.redis
        for selection in (("--only", "echo"), ("--only", "echo", "--without", "redis")):
            code, said = run(folder, "up", *selection, "--ports", "auto", "--json", MARKETPLACE_REDIS_URL=url)
            assert code == 0, said
            processes = {info["name"]: info for info in json.loads(said)["processes"]}
            redis, echo = processes["redis"], processes["echo"]
            assert (redis["external"], redis["pid"], redis["healthy"]) == (True, None, True)
            assert page(echo["url"]) == f"echo, redis at {url}\n"
            run(folder, "down")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--only", "echoes"), "there is no echoes: choose from kafka, mongo, clickhouse, redis, flow, collector, "),
        (("--without", "redis"), "redis cannot be left out: flow, dashboard, echo, second_echo need it"),
        (("--only", "echo", "--without=redis"), "redis cannot be left out: echo needs it"),
        (("--only", ","), "--only names nothing"),
        (("--no-services", "--only", "echo"), "--only asks for echo, which --no-services leaves out"),
    ],
)
def test_a_selection_that_cannot_be_is_one_line_and_nothing_is_started(
    folder: Path, options: tuple[str, ...], said: str
) -> None:
    code, complaint = run(folder, "up", *options)
    assert (code, complaint.count("\n")) == (1, 1)
    assert said in complaint
    assert not folder.exists()


def test_a_restart_says_how_long_it_took_and_not_how_long_the_first_start_did(folder: Path) -> None:
    began = time.monotonic()
    with Stack(folder, ports="auto", parts={"redis"}, external={}) as stack:
        first = stack.process("redis").ready_ms
        assert first is not None
        assert eventually(lambda: time.monotonic() - began > 3.0)
        stack.kill("redis")
        stack.wait_healthy("redis", 20)
        again = stack.process("redis").ready_ms
    assert again is not None
    assert 0 < again < 1000 * (time.monotonic() - began) - 3_000


def test_a_disk_that_is_low_is_named_by_status_whoever_looks_after_it_and_is_no_failure(folder: Path) -> None:
    low = "the disk is nearly full"
    with Stack(folder, ports="auto", parts={"redis"}, external={}, low_disk_mb=1 << 30) as stack:
        code, said = command(folder, "status")
        assert (code, low in said) == (0, True)
        os.kill(stack.state().supervisor_pid, signal.SIGKILL)
        assert eventually(lambda: command(folder, "status")[1].startswith("the supervisor"))
        code, said = command(folder, "status")
        assert (code, low in said) == (1, True)
    code, said = command(folder, "status")
    assert (code, said.startswith("Nothing is running.\n"), low in said) == (1, True, True)


def test_a_collector_alone_has_its_topics_and_takes_events_without_clickhouse_and_redis(folder: Path) -> None:
    try:
        prepared_kafka()
    except StackError as error:
        pytest.skip(str(error))
    code, said = run(folder, "up", "--only", "collector", "--ports", "auto", "--json")
    assert code == 0, said
    document = json.loads(said)
    assert [info["name"] for info in document["processes"]] == ["kafka", "mongo", "collector"]
    assert all(info["healthy"] for info in document["processes"])
    assert (document["urls"]["clickhouse"], document["urls"]["redis"]) == ("", "")
