"""Trees of processes that stand still, and go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.stack.supervisor.reaper import start_time
from ops.stack.supervisor.standstill import DoesNotStandStill, Process, Standstill, stands_still
from tests.kits.stack import eventually

SECONDS = 10.0
FOREST = """
import os, sys, time
# A child in a session of its own, one whose parent is gone, and one that is started again and again: all of them count.
def count(name):
    with open(os.path.join(sys.argv[1], name), "ab", buffering=0) as file:
        while True:
            file.write(b"x")
            time.sleep(0.001)
if os.fork() == 0:
    os.setsid()
    count("session")
if os.fork() == 0:
    if os.fork() == 0:
        count("orphan")
    os._exit(0)
os.wait()
with open(os.path.join(sys.argv[1], "short"), "ab", buffering=0) as file:
    while True:
        if os.fork() == 0:
            file.write(b"x")
            os._exit(0)
        os.wait()
"""


class Forest:
    """Processes that count as long as they go on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command = [sys.executable, "-c", FOREST, str(folder)]
        self.popen = subprocess.Popen(command, start_new_session=True)
        start = start_time(self.popen.pid)
        assert start is not None
        self.leader = Process(self.popen.pid, start)
        names = ("session", "orphan", "short")
        assert eventually(lambda: all(self.counted(name) > 2 for name in names))

    def counted(self, name: str) -> int:
        file = self.folder / name
        return file.stat().st_size if file.exists() else 0

    def all_counted(self) -> dict[str, int]:
        return {file.name: file.stat().st_size for file in self.folder.iterdir()}

    def goes_on(self) -> bool:
        before = self.all_counted()
        return eventually(lambda: all(self.counted(name) > count for name, count in before.items()))


@pytest.fixture
def forest(tmp_path: Path) -> Iterator[Forest]:
    made = Forest(tmp_path)
    try:
        yield made
    finally:
        for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdecimal()):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if str(tmp_path).encode() in command.split(b"\0"):
                os.kill(pid, signal.SIGKILL)
        made.popen.wait()


def still_for_a_while(forest: Forest) -> bool:
    before, until = forest.all_counted(), time.monotonic() + 0.2
    return not eventually(lambda: forest.all_counted() != before, until - time.monotonic())


def test_whatever_a_process_has_started_stands_still_with_it_and_goes_on_with_it(forest: Forest) -> None:
    standstill = Standstill()
    standstill.begin([[forest.leader]], SECONDS)
    assert still_for_a_while(forest)

    standstill.end()

    assert forest.goes_on()


def test_a_process_that_was_suspended_before_stays_suspended(forest: Forest) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        os.kill(other.pid, signal.SIGSTOP)
        assert eventually(lambda: stands_still(other.pid))
        standstill = Standstill()
        standstill.begin([[forest.leader], [Process(other.pid, start_time(other.pid) or 0)]], SECONDS)

        standstill.end()

        assert eventually(lambda: not stands_still(forest.leader.pid))
        assert stands_still(other.pid)
    finally:
        other.kill()
        other.wait()


def test_where_a_group_cannot_stand_still_those_before_it_go_on(forest: Forest) -> None:
    def groups() -> Iterator[list[Process]]:
        yield [forest.leader]
        assert still_for_a_while(forest)
        raise DoesNotStandStill

    with pytest.raises(DoesNotStandStill):
        Standstill().begin(groups(), SECONDS)

    assert forest.goes_on()


def test_a_number_that_belongs_to_another_process_by_now_is_left_alone(forest: Forest) -> None:
    standstill = Standstill()
    standstill.begin([[Process(forest.leader.pid, forest.leader.start + 1)]], SECONDS)

    assert not stands_still(forest.leader.pid)
