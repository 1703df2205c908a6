"""Backups of a stack that runs: one instant of all parts, and nobody is harmed by it, however the backup ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import redis
from pymongo import MongoClient

from ops.stack import Stack, StackError
from ops.stack.backup.make import back_up
from ops.stack.backup.restore import restore
from ops.stack.backup.still import standing_still
from ops.stack.state.model import write_state
from ops.stack.supervisor.standstill import stands_still
from tests.kits import commands
from tests.kits.stack import ROOT, eventually, polled
from tests.kits.stack_disks import small_disk

PARTS = frozenset({"mongo", "redis"})
HANG_SECONDS = 3.0
COMMANDS = """
import typer
from ops.commands import backup, stack
app = typer.Typer()
stack.register(app)
backup.register(app)
app()
"""
HOLDER = """
import sys
from pathlib import Path
from ops.stack.backup.still import standing_still
with standing_still(Path(sys.argv[1]), float(sys.argv[2])):
    print("still", flush=True)
    sys.stdin.read()
"""


class Writer:
    """Counts as a service writes to one part after another: Mongo acknowledges a number before Redis gets it."""

    def __init__(self, stack: Stack) -> None:
        urls = stack.urls
        self.mongo: MongoClient[dict[str, Any]] = MongoClient(polled(urls.mongo))
        self.redis = redis.Redis.from_url(urls.redis)
        self.name = uuid.uuid4().hex
        self.count = 0
        self.error: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self.mongo["counted"][self.name].insert_one({"_id": self.count + 1})
                self.redis.set(self.name, self.count + 1)
                self.count += 1
        except BaseException as error:
            self.error = error

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.mongo.close()
        self.redis.close()

    def has_counted(self) -> bool:
        before = self.count
        return eventually(lambda: self.count > before + 10)


@dataclass
class Numbers:
    """What two parts have of a writer's numbers."""

    mongo: list[int]
    redis: int

    @staticmethod
    def read(stack: Stack, name: str) -> Numbers:
        with (
            closing(MongoClient[dict[str, Any]](polled(stack.urls.mongo))) as mongo,
            closing(redis.Redis.from_url(stack.urls.redis)) as cache,
        ):
            found = mongo["counted"][name].find(sort=[("_id", 1)])
            return Numbers([each["_id"] for each in found], int(cache.get(name) or 0))


def processes(stack: Stack) -> dict[str, tuple[int | None, int, int]]:
    """Which processes run, how often they were started again and how often because they hung."""
    return {info.name: (info.pid, info.restarts, info.hangs) for info in stack.state().processes}


def is_still(stack: Stack) -> bool:
    return all(stands_still(info.pid) for info in stack.state().processes if info.pid is not None)


def goes_on(stack: Stack) -> bool:
    return not any(stands_still(info.pid) for info in stack.state().processes if info.pid is not None)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two parts, which may hang for three seconds only."""
    folder = tmp_path_factory.mktemp("original")
    with Stack(folder, ports="auto", parts=PARTS, external={}, hang_seconds=HANG_SECONDS) as running:
        yield running


@pytest.fixture
def writer(stack: Stack) -> Iterator[Writer]:
    made = Writer(stack)
    try:
        yield made
    finally:
        made.close()


@dataclass
class UnderLoad:
    """A backup that was made while a writer counted, and what was seen of it.

    Attributes:
        begin: What the writer had counted before.
        end: What it had counted afterwards.
        restored: What the parts had that were started from the backup.
        before: Processes of the original before the backup, and some seconds after it.
        error: What the writer had to suffer.
    """

    begin: int = 0
    end: int = 0
    still_seconds: float = 0.0
    restored: Numbers = field(default_factory=lambda: Numbers([], 0))
    processes: list[dict[str, tuple[int | None, int, int]]] = field(default_factory=list)
    error: BaseException | None = None
    went_on: bool = False


@pytest.fixture(scope="module")
def under_load(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> UnderLoad:
    folder, seen = tmp_path_factory.mktemp("backups"), UnderLoad()
    writer = Writer(stack)
    try:
        assert eventually(lambda: writer.count > 100)
        seen.processes.append(processes(stack))
        seen.begin = writer.count
        seen.still_seconds = back_up(stack.data_dir, folder / "backup").still_seconds
        seen.end = writer.count
        restore(folder / "backup", folder / "restored")
        # The ports are those of the original, which still runs.
        with Stack(folder / "restored", ports="auto", parts=PARTS, external={}) as restored:
            seen.restored = Numbers.read(restored, writer.name)
        seen.went_on = writer.has_counted()
        seen.processes.append(processes(stack))
    finally:
        writer.close()
        seen.error = writer.error
    return seen


def test_all_parts_of_a_backup_under_load_are_of_one_instant(under_load: UnderLoad) -> None:
    last = under_load.restored.mongo[-1]
    assert under_load.restored.redis in (last, last - 1)


def test_a_backup_under_load_has_whatever_was_acknowledged_before_it(under_load: UnderLoad) -> None:
    last = under_load.restored.mongo[-1]
    assert under_load.restored.mongo == list(range(1, last + 1))
    assert under_load.begin <= last <= under_load.end + 1


def test_the_original_goes_on_and_nobody_who_uses_it_gets_an_error(under_load: UnderLoad) -> None:
    assert under_load.error is None
    assert under_load.went_on
    assert under_load.processes[0] == under_load.processes[1]


def test_a_backup_says_how_long_everything_stood_still(under_load: UnderLoad) -> None:
    assert 0 < under_load.still_seconds < 10


def test_a_pause_for_longer_than_a_hang_may_take_is_blamed_on_nobody(stack: Stack, writer: Writer) -> None:
    before = processes(stack)
    assert writer.has_counted()
    with standing_still(stack.data_dir):
        counted, until = writer.count, time.monotonic() + 1.3 * HANG_SECONDS
        assert eventually(lambda: time.monotonic() > until)
        assert is_still(stack)
        assert writer.count <= counted + 1
    assert writer.has_counted()
    assert not eventually(lambda: processes(stack) != before, HANG_SECONDS / 2)


def test_status_says_that_everything_stands_still(stack: Stack) -> None:
    with standing_still(stack.data_dir):
        code, said = run_command(stack.data_dir, "status")
    assert (code, "everything stands still for a backup, since" in said) == (0, True)


@contextmanager
def holder(stack: Stack, seconds: float = 60.0) -> Iterator[subprocess.Popen[str]]:
    """A process in whose backup a stack stands still; the copy is as slow as a test wants."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(stack.data_dir), str(seconds)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "still\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_everything_goes_on_when_the_process_that_copies_ends_however_it_does(
    stack: Stack, writer: Writer, number: signal.Signals
) -> None:
    with holder(stack) as process:
        assert is_still(stack)
        process.send_signal(number)
        process.wait(10)
        assert eventually(lambda: goes_on(stack), 2.0)
    assert writer.has_counted()


def test_a_copy_that_takes_too_long_is_none_and_everything_goes_on_meanwhile(stack: Stack, writer: Writer) -> None:
    with holder(stack, seconds=1.0) as process:
        # Nothing that its process could do ends this pause.
        process.send_signal(signal.SIGSTOP)
        assert is_still(stack)
        assert eventually(lambda: goes_on(stack), 5.0)
        assert writer.has_counted()
        process.send_signal(signal.SIGCONT)
        _, said = process.communicate("", 10)
    assert "the stack does not stand still: it took longer than 1 s" in said


def run_command(folder: Path, *arguments: str) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MARKETPLACE_")}
    environment |= {"PYTHONPATH": str(ROOT), "MARKETPLACE_DATA": str(folder)}
    done = commands.run_command(*arguments, cwd=Path.cwd(), env=environment, code=COMMANDS)
    return done.returncode, done.stdout + done.stderr


def test_a_stack_for_whose_copy_there_is_no_room_goes_on_all_the_time(stack: Stack, tmp_path: Path) -> None:
    log = stack.data_dir / "logs" / "supervisor.log"
    pauses = log.read_text().count("stood still for a backup")
    with small_disk(tmp_path / "disk", 1) as disk:
        code, said = run_command(stack.data_dir, "backup", "--out", str(disk / "backup"))
        assert list(disk.iterdir()) == []
    assert (code, "MB free, and the copy needs" in said) == (1, True)
    assert log.read_text().count("stood still for a backup") == pauses


def test_the_commands_back_up_and_restore_and_say_so(stack: Stack, tmp_path: Path) -> None:
    code, said = run_command(stack.data_dir, "backup", "--out", str(tmp_path / "backup"))
    assert (code, "Everything stood still for " in said) == (0, True)
    code, said = run_command(tmp_path / "new", "restore", str(tmp_path / "backup"))
    assert (code, "'marketplace up --data " in said) == (0, True)


def test_a_stop_of_the_stack_ends_the_pause_and_the_copy_is_none(tmp_path: Path) -> None:
    with Stack(tmp_path, ports="auto", parts={"redis"}, external={}) as stack, holder(stack) as process:
        began = time.monotonic()
        stack.stop()
        assert time.monotonic() - began < 10
        _, said = process.communicate("", 20)
    assert "the stack was stopped or went on while it was copied" in said


def test_a_stack_that_stops_before_it_stands_still_is_said_to_have_stopped(tmp_path: Path) -> None:
    with Stack(tmp_path, ports="auto", parts={"redis"}, external={}) as stack:
        stopped = replace(stack.state(), phase="stopping")
    write_state(tmp_path, stopped)
    with pytest.raises(StackError, match="was stopped before it stood still"), standing_still(tmp_path):
        pass


def test_a_second_backup_at_the_same_time_is_refused(stack: Stack, tmp_path: Path) -> None:
    with standing_still(stack.data_dir), pytest.raises(StackError, match="another backup of"):
        back_up(stack.data_dir, tmp_path / "second")
    assert list(tmp_path.iterdir()) == []
