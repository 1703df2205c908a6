"""Backups of a whole stack amid orders and live clicks: each is restored and compared in all its numbers."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.stack import Stack, StackError
from ops.stack.backup.make import back_up
from ops.stack.backup.still import standing_still
from ops.stack.parts.kafka_jars import CONNECT_JARS, ensure_jars, find_java
from tests.kits.demo import command, lines_of
from tests.kits.depth import LONG
from tests.kits.processes import processes_marked, wait_until
from tests.kits.stack import eventually
from tests.kits.whole_stack import Counts, WholeStack

pytestmark = [LONG, pytest.mark.timeout(1_200)]

CLICKS, ORDERS, RATE = 2_500, 200, 60
PAUSE_SECONDS = 45.0
"""Longer than any session, and than what is taken for a hang."""


@pytest.fixture
def temporary(tmp_path: Path) -> Iterator[Path]:
    """Where everything is; nothing that names it may run in the end."""
    try:
        find_java()
        ensure_jars(CONNECT_JARS)
    except StackError as error:
        pytest.skip(str(error))
    try:
        yield tmp_path
    finally:
        for folder in tmp_path.iterdir():
            if (folder / "state.json").exists():
                Stack(folder, external={}).stop()
    wait_until(lambda: not processes_marked(str(tmp_path)), 30, "no process left")


@dataclass(frozen=True)
class Backup:
    """A backup, and what its stack had before and after it."""

    folder: Path
    before: Counts
    after: Counts
    still_seconds: float


def backed_up(stack: WholeStack, folder: Path) -> Backup:
    before = stack.counts()
    made = back_up(stack.folder, folder)
    return Backup(folder, before, stack.counts(), made.still_seconds)


def assert_agrees(stack: WholeStack) -> None:
    """The ledger closes, every number is the oracle's, and orders, money, stock and events add up."""
    agreement = stack.clicks_disagreements()
    assert agreement.differences == []
    assert agreement.compared > 5_000
    assert stack.ledger_difference() == 0
    stack.wait_until_settled()
    verdict = stack.orders_verdict()
    assert verdict["clean"], verdict


def restored(backup: Backup, temporary: Path) -> WholeStack:
    stack = WholeStack(temporary / f"restored-{backup.folder.name}", temporary)
    code, _, err = stack.run("restore", str(backup.folder))
    assert code == 0, err
    return stack


def restarts(stack: WholeStack) -> dict[str, int]:
    return {info.name: info.restarts for info in Stack(stack.folder, external={}).state().processes}


def test_what_is_restored_agrees_in_every_number_and_so_does_the_original(temporary: Path) -> None:
    original = WholeStack(temporary / "original", temporary)
    flags = ("--detach", "--clicks", str(CLICKS), "--orders", str(ORDERS), "--rate", str(RATE), "--json")
    with command("demo", *flags, "--data", str(original.folder), temporary=temporary) as demo:
        said, numbers = lines_of(demo.stderr), lines_of(demo.stdout)
        wait_until(lambda: any("Counting the shops" in line for line in said) or demo.poll() is not None, 240, "orders")
        wait_until(lambda: original.counts().orders >= ORDERS // 10, 60, "some orders")
        amid_orders = backed_up(original, temporary / "amid-orders")
        assert demo.wait(300) == 0, said
    # The demo has compared its own orders, of which some were on their way.
    orders = json.loads("".join(numbers))["orders"]
    assert orders["reconciler"]["clean"]
    assert amid_orders.before.orders < orders["placed"]
    first = original.counts()
    wait_until(lambda: original.counts().clicks > first.clicks + RATE, 60, "live clicks")
    before = restarts(original)
    amid_clicks = backed_up(original, temporary / "amid-clicks")
    assert eventually(lambda: original.counts().clicks > amid_clicks.after.clicks + RATE, 60)
    assert restarts(original) == before

    # Without its traffic the original stands still for long enough to be compared.
    original.down()
    original.up()
    assert_agrees(original)
    original.down()
    for backup in (amid_orders, amid_clicks):
        stack = restored(backup, temporary)
        stack.up()
        assert backup.before <= stack.counts() <= backup.after
        assert_agrees(stack)
        stack.down()
        print(f"{backup.folder.name}: stood still for {backup.still_seconds} s, {backup.before} to {backup.after}")  # noqa: T201  # a figure for who runs it


def test_a_pause_that_is_longer_than_all_sessions_and_hangs_restarts_nothing_and_loses_nothing(temporary: Path) -> None:
    original = WholeStack(temporary / "original", temporary)
    flags = ("--detach", "--clicks", "500", "--orders", "8", "--rate", str(RATE), "--json")
    with command("demo", *flags, "--data", str(original.folder), temporary=temporary) as demo:
        _, said = demo.communicate(timeout=300)
    assert demo.returncode == 0, said
    before = restarts(original)

    with standing_still(original.folder):
        until = time.monotonic() + PAUSE_SECONDS
        assert eventually(lambda: time.monotonic() > until, PAUSE_SECONDS + 5)

    first = original.counts()
    assert eventually(lambda: original.counts().clicks > first.clicks + RATE, 60)
    assert eventually(lambda: original.run("status")[0] == 0, 60)
    assert restarts(original) == before
    original.down()
    original.up()
    assert_agrees(original)


def test_a_command_that_is_killed_leaves_a_whole_stack_that_goes_on(temporary: Path) -> None:
    original = WholeStack(temporary / "original", temporary)
    original.up()
    stack = Stack(original.folder, external={})
    arguments = ("backup", "--out", str(temporary / "backup"), "--data", str(original.folder))
    with command(*arguments, temporary=temporary) as backup:
        wait_until(lambda: stack.state().pause is not None, 60, "the pause")
        os.killpg(backup.pid, signal.SIGKILL)
        backup.wait()
    assert eventually(lambda: stack.state().pause is None, 2)
    assert not (temporary / "backup").exists()
    assert eventually(lambda: all(info.healthy for info in stack.state().processes), 30)
    original.down()
