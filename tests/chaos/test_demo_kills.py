"""Parts are killed or stopped in the middle of a demo; every number must still be the oracle's."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from flows.delivery.process_set import FlowOptions, FlowProcessSet
from marketplace.flows import CLICKS_FLOW
from ops.demo.services.demo_processes import DemoProcesses
from ops.stack import Stack, StackError
from ops.stack.parts.kafka_jars import ensure_jars, find_java
from runtime.sections import Settings
from tests.kits.demo import Play, assert_agrees
from tests.kits.depth import CHAOS, CHAOS_SEEDS, LONG
from tests.kits.processes import wait_until

pytestmark = CHAOS

SEEDS: Final = range(1, 1 + CHAOS_SEEDS)


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that these tests may kill parts of."""
    try:
        find_java()
        ensure_jars()
    except StackError as error:
        pytest.skip(str(error))
    with Stack(tmp_path_factory.mktemp("chaos"), ports="auto", external={}) as running:
        yield running


def kill_one_of_the_flow(company: DemoProcesses, rng: random.Random) -> int:
    """SIGKILL a process of the flow as soon as there is one; gives its number."""
    wait_until(lambda: bool(company.flow.pids), 60, "a running flow")
    pid = rng.choice(company.flow.pids)
    os.kill(pid, signal.SIGKILL)
    return pid


@LONG
@pytest.mark.parametrize("seed", SEEDS)
def test_the_flow_killed_at_random_instants_counts_every_click_once(own_stack: Stack, seed: int) -> None:
    play = Play(own_stack, seed=seed)
    rng = random.Random(seed)
    instants = sorted(rng.uniform(0, play.seconds) for _ in range(3))

    def disturb(company: DemoProcesses) -> None:
        began = time.monotonic()
        for instant in instants:
            time.sleep(max(0.0, began + instant - time.monotonic()))
            kill_one_of_the_flow(company, rng)

    summary = play.run(disturb)
    print(f"seed {seed}: killed at {', '.join(f'{at:.2f} s' for at in instants)}")  # noqa: T201 - shown when it fails
    assert summary.restarts["flow"] >= 1
    assert_agrees(summary, play.clicks)


@LONG
def test_one_of_two_workers_killed_restarts_the_set_and_counts_every_click_once(own_stack: Stack) -> None:
    play = Play(own_stack, seed=31, workers=2)
    rng = random.Random(31)

    def disturb(company: DemoProcesses) -> None:
        time.sleep(play.seconds / 2)
        before = set(company.flow.pids)
        kill_one_of_the_flow(company, rng)
        wait_until(lambda: len(set(company.flow.pids) - before) == 2, 10, "a whole new set")

    summary = play.run(disturb)
    assert summary.restarts["flow"] >= 1
    assert_agrees(summary, play.clicks)


@pytest.mark.parametrize("part", [pytest.param(part, marks=LONG) for part in ("clickhouse", "kafka", "mongo", "redis")])
def test_a_part_killed_in_the_middle_loses_and_doubles_nothing(own_stack: Stack, part: str) -> None:
    play = Play(own_stack, seed=sum(part.encode()))

    def disturb(company: DemoProcesses) -> None:
        time.sleep(play.seconds / 3)
        own_stack.kill(part)
        own_stack.wait_healthy(part, 60)

    assert_agrees(play.run(disturb), play.clicks)


@LONG
def test_clickhouse_killed_again_and_again_doubles_nothing(own_stack: Stack) -> None:
    play = Play(own_stack, seed=41, clicks=4_000)

    def disturb(company: DemoProcesses) -> None:
        rng = random.Random(41)
        for _ in range(3):
            time.sleep(rng.uniform(0.2, play.seconds / 4))
            own_stack.kill("clickhouse")
            own_stack.wait_healthy("clickhouse", 60)

    assert_agrees(play.run(disturb), play.clicks)


@LONG
@pytest.mark.parametrize("part", ["clickhouse", "kafka", "mongo"])
def test_a_part_that_hangs_for_seconds_is_waited_for(own_stack: Stack, part: str) -> None:
    play = Play(own_stack, seed=50 + len(part))

    def disturb(company: DemoProcesses) -> None:
        time.sleep(play.seconds / 3)
        stopped = own_stack.pid(part)
        os.kill(stopped, signal.SIGSTOP)
        try:
            time.sleep(4)
        finally:
            os.kill(stopped, signal.SIGCONT)

    assert_agrees(play.run(disturb), play.clicks)


def test_the_collector_killed_in_the_middle_loses_no_accepted_click(own_stack: Stack) -> None:
    play = Play(own_stack, seed=61)

    def disturb(company: DemoProcesses) -> None:
        for _ in range(2):
            time.sleep(play.seconds / 3)
            wait_until(lambda: company.collector.pid is not None, 10, "a running collector")
            os.kill(company.collector.pid or 0, signal.SIGKILL)

    summary = play.run(disturb)
    assert summary.restarts["collector"] >= 1
    assert_agrees(summary, play.clicks)


class OutlivedRunner(FlowProcessSet):
    """A flow that is stopped by SIGSTOP, replaced by this one, and wakes up again beside it."""

    def __init__(self, settings: Settings, options: FlowOptions, log: Path, stop_after: float, sleep: float) -> None:
        super().__init__(CLICKS_FLOW, settings, options, log)
        self.zombie = FlowProcessSet(CLICKS_FLOW, settings, options, log)
        self.zombie_pids: list[int] = []
        self._stop_after, self._sleep = stop_after, sleep
        self._began = 0.0
        self.phase = "before"

    def start(self) -> None:
        if self.phase == "before":
            self._began = time.monotonic()
            self.phase = "alive"
            self.zombie.start()
        else:
            super().start()

    def watch(self) -> None:
        elapsed = time.monotonic() - self._began
        if self.phase == "alive":
            self.zombie.watch()
            if elapsed > self._stop_after:
                self.zombie_pids = self.zombie.pids
                for pid in self.zombie_pids:
                    os.kill(pid, signal.SIGSTOP)
                self.phase = "stopped"
                super().start()
            return
        super().watch()
        if self.phase == "stopped" and elapsed > self._stop_after + self._sleep:
            for pid in self.zombie_pids:
                os.kill(pid, signal.SIGCONT)
            self.phase = "awake"

    def stop(self) -> None:
        for pid in self.zombie.pids:
            os.kill(pid, signal.SIGCONT)
        self.zombie.stop()
        super().stop()


@LONG
@pytest.mark.parametrize("workers", [1, 2])
def test_a_zombie_flow_writes_nothing_beside_its_replacement(own_stack: Stack, workers: int) -> None:
    play = Play(own_stack, seed=70 + workers, workers=workers, clicks=1_500, rate=300)
    runners: list[OutlivedRunner] = []

    def replace_flow(company: DemoProcesses) -> None:
        log = company.demo_stack.logs / "flow.log"
        options = FlowOptions(workers=workers)
        runners.append(OutlivedRunner(company.settings, options, log, stop_after=play.seconds, sleep=2.0))
        company.flow = runners[0]

    def disturb(company: DemoProcesses) -> None:
        runner = runners[0]
        wait_until(lambda: runner.phase == "awake", 60, "the zombie's waking up")
        wait_until(lambda: len(runner.zombie.pids) < workers, 30, "the zombie's end")

    summary = play.run(disturb, prepare=replace_flow)
    assert summary.restarts["flow"] == 0
    assert_agrees(summary, play.clicks)
