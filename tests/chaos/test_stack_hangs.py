"""Every part and service of a whole stack, and its supervisor, stand still one after the other and come back."""

import os
import signal
import time
from pathlib import Path

import pytest

from ops.stack import Stack, StackError
from ops.stack.parts.kafka_archive import prepared_kafka
from ops.stack.registry import REGISTRY
from ops.stack.state.inspection import STALE_SECONDS, look, looked_at
from tests.kits.depth import LONG
from tests.kits.stack import LIGHT, command, eventually

pytestmark = [LONG, pytest.mark.timeout(900)]
HANG_SECONDS = 8.0


def test_a_supervisor_that_is_suspended_for_a_while_blames_nobody_for_that_time(tmp_path: Path) -> None:
    with Stack(tmp_path, ports="auto", parts={"redis"}, external={}, hang_seconds=HANG_SECONDS) as stack:
        redis, supervisor = stack.pid("redis"), stack.state().supervisor_pid
        os.kill(supervisor, signal.SIGSTOP)
        until = time.monotonic() + 1.5 * HANG_SECONDS
        assert eventually(lambda: time.monotonic() > until)
        os.kill(supervisor, signal.SIGCONT)
        assert not eventually(lambda: stack.pid("redis") != redis, 2.0)
        stack.wait_healthy("redis", 20)
        assert (stack.pid("redis"), stack.process("redis").hangs) == (redis, 0)


def test_what_is_there_is_looked_at_within_seconds_also_where_a_part_hangs(tmp_path: Path) -> None:
    with Stack(tmp_path, ports="auto", parts=LIGHT, external={}) as stack:
        pid = stack.pid("redis")
        os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            found = looked_at(stack.state())
            assert time.monotonic() - began < 6
        finally:
            os.kill(pid, signal.SIGCONT)
        assert {info.name: info.healthy for info in found.processes} == {"clickhouse": True, "redis": False}


def test_whatever_stands_still_is_started_again_and_nothing_else_is(tmp_path: Path) -> None:
    try:
        prepared_kafka()
    except StackError as error:
        pytest.skip(str(error))
    everything = REGISTRY.usual
    with Stack(tmp_path, ports="auto", parts=everything, external={}, hang_seconds=HANG_SECONDS) as stack:
        for part in everything:
            assert eventually(lambda: all(info.healthy for info in stack.state().processes), 120)
            began, hangs = time.monotonic(), {info.name: info.hangs for info in stack.state().processes}
            before = stack.pid(part)
            os.kill(before, signal.SIGSTOP)
            assert eventually(lambda part=part, before=before: stack.process(part).pid not in (None, before), 120)  # type: ignore[misc]  # mypy infers no type for a default
            assert time.monotonic() - began < 1.5 * HANG_SECONDS + 5
            stack.wait_healthy(part, 120)
            after = {info.name: info.hangs for info in stack.state().processes}
            assert after == {**hangs, part: hangs[part] + 1}


def test_a_supervisor_that_stands_still_is_seen_after_ten_seconds_and_wakes_up_again(tmp_path: Path) -> None:
    with Stack(tmp_path, ports="auto", parts=LIGHT, external={}) as stack:
        pid = stack.state().supervisor_pid
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        assert look(tmp_path).standing == "alive"
        assert eventually(lambda: look(tmp_path).standing == "hangs", 30)
        assert time.monotonic() - began > STALE_SECONDS - 3
        assert command(tmp_path, "status")[0] == 1
        os.kill(pid, signal.SIGCONT)
        assert eventually(lambda: look(tmp_path).standing == "alive")
        assert command(tmp_path, "status")[0] == 0
