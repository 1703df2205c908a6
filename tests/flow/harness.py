"""What every flow promises, as tests: whatever runs it, and whatever stops it, its tables are those of the pure path.

A module of tests subclasses :class:`DeliveryPromise` and gives the fixture ``case``.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from connectors.clickhouse.client import ClickHouse
from connectors.errors import Unavailable
from flows.delivery.fencing import read_fences
from flows.delivery.process_set import FlowFailed, FlowFenced, FlowOptions, FlowProcessSet
from marketplace.flows import FlowSpec
from runtime.sections import Settings
from tests.kits.depth import CHAOS_SEEDS

DEADLINE_SECONDS = 90.0
KILLS = 1 if CHAOS_SEEDS < 3 else 4

Rows = Mapping[str, Any]
"""What tables hold, by a name for the messages of a test."""


@dataclass
class Case:
    """A flow on a log.

    Attributes:
        flow: The flow.
        ends: For each topic and partition that has records, the offset after the last one.
        expected: What the pure path makes of the log.
        read: What the tables hold.
        fresh_settings: Empty tables, for the time being.
        few_records: As many records in a batch that one run does not read the log to its end at once.
    """

    flow: FlowSpec
    ends: Mapping[str, Mapping[int, int]]
    expected: Rows
    read: Callable[[Settings], Rows]
    fresh_settings: Callable[[], Any]
    few_records: int

    @contextmanager
    def settings(self) -> Iterator[Settings]:
        """A place with empty tables."""
        with self.fresh_settings() as made:
            yield made

    def missing(self, settings: Settings) -> dict[tuple[str, int], int]:
        """How many records below its end each partition lacks in the checkpoint."""
        clickhouse = ClickHouse(settings.urls.clickhouse, settings.database)
        fences = read_fences(clickhouse, self.flow, [self.flow.checkpoint])
        clickhouse.close()
        return {
            (topic, partition): end - 1 - fences[topic].get(partition, {}).get(self.flow.checkpoint.name, -1)
            for topic, ends in self.ends.items()
            for partition, end in ends.items()
        }

    def is_done(self, settings: Settings) -> bool:
        """Whether every record is in every table."""
        return not any(self.missing(settings).values())

    def has_begun(self, settings: Settings) -> bool:
        """Whether some record is in every table."""
        missing = self.missing(settings)
        return any(
            missing[topic, partition] < end for topic, ends in self.ends.items() for partition, end in ends.items()
        )

    def check(self, settings: Settings) -> None:
        """The tables hold what the pure path says, row by row."""
        found = self.read(settings)
        assert found.keys() == self.expected.keys()
        for name, rows in self.expected.items():
            assert found[name] == rows, name


@contextmanager
def running(flow: FlowSpec, settings: Settings, options: FlowOptions) -> Iterator[FlowProcessSet]:
    """The flow's processes, stopped as SIGTERM does at the end."""
    runner = FlowProcessSet(flow, settings, options, log_of(settings))
    runner.start()
    try:
        yield runner
    finally:
        runner.stop()


def log_of(settings: Settings) -> Path:
    """Where the flow's processes write."""
    return Path(settings.data_dir) / "flow.log"


def watch_until(runner: FlowProcessSet, settings: Settings, done: Callable[[], bool]) -> None:
    """Look after the processes until something holds; fails with their log when it does not in time."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not done():
        assert time.monotonic() < deadline, log_of(settings).read_text()[-3_000:]
        try:
            runner.watch()
        except FlowFailed as error:
            error.add_note(log_of(settings).read_text()[-3_000:])
            raise
        time.sleep(0.1)


def has_restarted(runner: FlowProcessSet, times: int) -> bool:
    """Whether the processes were started again so often."""
    return runner.restarts == times


@contextmanager
def frozen(pids: Sequence[int]) -> Iterator[None]:
    """Processes stand still, as SIGSTOP makes them, and go on at the end."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def successor(case: Case, settings: Settings) -> Iterator[FlowProcessSet]:
    """A newer start; it waits until ClickHouse is done with an insert of a frozen process."""
    runner = FlowProcessSet(case.flow, settings, FlowOptions(), log_of(settings))
    deadline = time.monotonic() + DEADLINE_SECONDS
    try:
        while not runner.pids:
            try:
                runner.start()
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield runner
    finally:
        runner.stop()


class DeliveryPromise:
    """The tests; each runs the flow on empty tables."""

    def test_one_worker_writes_what_the_pure_path_says(self, case: Case) -> None:
        self._run_and_check(case, FlowOptions(max_records=200))

    def test_two_workers_write_what_the_pure_path_says(self, case: Case) -> None:
        self._run_and_check(case, FlowOptions(workers=2, max_records=500))

    def test_more_workers_than_partitions_write_what_the_pure_path_says_and_all_that_run_end_epochs(
        self, case: Case
    ) -> None:
        workers = 1 + sum(topic.partitions for topic in case.flow.reads)
        with case.settings() as settings, running(case.flow, settings, FlowOptions(workers=workers)) as runner:
            watch_until(runner, settings, lambda: case.is_done(settings) and not runner.problem())
            assert runner.restarts == 0
            case.check(settings)

    def test_stopped_half_way_and_resumed_by_more_workers_the_tables_are_the_same(self, case: Case) -> None:
        with case.settings() as settings:
            with running(case.flow, settings, FlowOptions(max_records=case.few_records, round_seconds=0.2)) as runner:
                watch_until(runner, settings, lambda: case.has_begun(settings))
            assert not case.is_done(settings), "it was to be stopped half-way"
            with running(case.flow, settings, FlowOptions(workers=2)) as runner:
                watch_until(runner, settings, lambda: case.is_done(settings))
            case.check(settings)

    def test_killed_half_way_the_tables_are_the_same(self, case: Case) -> None:
        options = FlowOptions(workers=2, max_records=case.few_records, round_seconds=0.3)
        with case.settings() as settings, running(case.flow, settings, options) as runner:
            for kills in range(1, KILLS + 1):
                self._kill_half_way(case, settings, runner)
                watch_until(runner, settings, partial(has_restarted, runner, kills))
            watch_until(runner, settings, lambda: case.is_done(settings))
            case.check(settings)

    def test_frozen_half_way_and_outlived_by_a_newer_start_the_older_one_writes_nothing_and_leaves(
        self, case: Case
    ) -> None:
        options = FlowOptions(max_records=case.few_records, round_seconds=0.3)
        with case.settings() as settings, running(case.flow, settings, options) as older:
            watch_until(older, settings, lambda: case.has_begun(settings))
            with frozen(older.pids):
                assert not case.is_done(settings), "it was to be frozen half-way"
                with successor(case, settings) as newer:
                    watch_until(newer, settings, lambda: case.is_done(settings))
            taken_over = f"generation {newer.generation} of the flow has taken over from {older.generation}"
            with pytest.raises(FlowFenced, match=taken_over):
                watch_until(older, settings, lambda: False)
            assert (older.pids, older.restarts) == ([], 0)
            case.check(settings)

    def _kill_half_way(self, case: Case, settings: Settings, runner: FlowProcessSet) -> None:
        before = case.missing(settings)
        watch_until(runner, settings, lambda: case.missing(settings) != before)
        for pid in runner.pids:
            os.kill(pid, signal.SIGKILL)
        assert not case.is_done(settings), "it was to be killed half-way"

    def _run_and_check(self, case: Case, options: FlowOptions) -> None:
        with case.settings() as settings:
            with running(case.flow, settings, options) as runner:
                watch_until(runner, settings, lambda: case.is_done(settings))
            assert runner.restarts == 0
            case.check(settings)
