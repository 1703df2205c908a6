"""Everything that `marketplace up` runs, under load from many stores, while a process is frozen or a disk is full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.faults.disks import DISKS, full, small_disks
from bench.faults.drill import FROZEN, DrillResult, Product, drill, frozen, product
from tests.kits.depth import CHAOS, LONG

pytestmark = CHAOS

_ALWAYS_TAKEN = ("mongo", "clickhouse", "redis", "flow", "flow-process", "supervisor", "dashboard")
"""What may stand still without a single event being turned away."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product(tmp_path_factory.mktemp("drills"), stores=30) as made:
        yield made


def assert_sound(seen: DrillResult) -> None:
    """Whatever was acknowledged is counted once."""
    assert (seen.missing, seen.twice, seen.ledger) == (0, 0, 0), seen.row()
    assert seen.acknowledged > 0
    statuses = {result.status for result in seen.results}
    assert all(result.retry_after for result in seen.results if result.status == 503), statuses


@LONG
@pytest.mark.parametrize("name", ["mongo", "clickhouse"])
def test_while_a_part_stands_still_every_event_is_taken_and_counted_once(running: Product, name: str) -> None:
    seen = drill(running, name, frozen(running, name), 8.0, 50.0, status_at=())
    assert {result.status for result in seen.results} == {202}
    assert_sound(seen)


@LONG
def test_while_kafka_stands_still_events_are_turned_away_soon_and_nothing_acknowledged_is_lost(
    running: Product,
) -> None:
    seen = drill(running, "kafka", frozen(running, "kafka"), 12.0, 50.0, status_at=())
    began = min(result.due for result in seen.results)
    known = [result for result in seen.results if began + 5.0 < result.due < began + 11.0]
    assert {result.status for result in known} == {503}
    assert max(result.seconds for result in known) < 4.0
    assert_sound(seen)


@LONG
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", FROZEN)
def test_whatever_stands_still_for_a_minute_all_goes_on_without_a_hand(tmp_path: Path, name: str) -> None:
    with product(tmp_path, stores=100) as made:
        seen = drill(made, name, frozen(made, name), 60.0, 200.0, status_at=(30.0,))
    if name in _ALWAYS_TAKEN:
        assert {result.status for result in seen.results} == {202}, seen.row()
    assert_sound(seen)


@LONG
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", DISKS)
def test_whosever_disk_is_full_for_a_minute_all_goes_on_without_a_hand(tmp_path: Path, name: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "data"
    folder.mkdir()
    with ExitStack() as stack:
        stack.enter_context(small_disks(folder))
        made = stack.enter_context(product(folder, stores=100))
        process = "kafka" if name == "state" else name
        seen = drill(made, process, full(folder, name), 60.0, 200.0, status_at=(30.0,))
    assert_sound(seen)
