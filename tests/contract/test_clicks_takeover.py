"""A start while an earlier one's insert still runs: it waits, and then knows all of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from connectors.clickhouse.insert_shape import structure_of
from connectors.errors import Unavailable
from flows.clicks.output.arrow_rows import rows_of
from flows.delivery.fencing import read_fences, wait_for_running_inserts
from marketplace.flows import CLICKS_FLOW
from marketplace.tables import CLICK_TABLES, CLICKS
from marketplace.topics import CLICKS_COLLECTED
from ops.stack import Stack
from tests.kits.clicks import as_log, cut, differences, event, expected_ledger, machine_on, oracle
from tests.kits.clicks_pages import MemoryPages
from tests.kits.clicks_tables import MINUTE, NOON, InClickHouse, clickhouse_tables, of_days
from tests.kits.clicks_worlds import WORLDS

DEADLINE_SECONDS = 60
SLOWLY = "sleepEachRow(0.45) = 0"
"""Three rows in each of two partitions take nearly three seconds, the most that the server lets a block sleep."""


@pytest.fixture
def tables(clickhouse: Stack) -> Iterator[InClickHouse]:
    with clickhouse_tables(clickhouse) as made:
        yield made


def running(tables: InClickHouse) -> bool:
    try:
        wait_for_running_inserts(tables.clickhouse, CLICK_TABLES)
    except Unavailable:
        return True
    return False


def wait_until(tables: InClickHouse, state: bool) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while running(tables) is not state:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_start_waits_for_a_slow_insert_into_two_partitions_and_counts_everything_once(tables: InClickHouse) -> None:
    values = [event(NOON + at * MINUTE, event_id=str(at)) for at in range(3)]
    logs = {partition: as_log(values, partition, NOON) for partition in (0, 1)}
    decided = [machine_on(MemoryPages(), p).process(cut(log, (9,))[0]) for p, log in logs.items()]
    rows = rows_of(CLICKS.name, decided)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(tables.clickhouse.insert_where, CLICKS.name, structure_of(CLICKS), rows, SLOWLY, "slow")
        wait_until(tables, True)
        # What a start that did not wait would take for the truth: nothing, so it would write all of it once more.
        assert read_fences(tables.clickhouse, CLICKS_FLOW) == {CLICKS_COLLECTED.name: {}}
        assert not slow.done()
        wait_until(tables, False)
        slow.result(DEADLINE_SECONDS)
    assert {partition: tables.fences(partition) for partition in logs} == {p: {"clicks": 2} for p in logs}
    for partition, log in logs.items():
        fences = tables.fences(partition)
        machine = WORLDS[1].machine(tables.pages, fences, partition)
        tables.write([machine.process(batch) for batch in cut(log, (2,), fences.values())])
    expected = oracle([record for log in logs.values() for record in log])
    assert sorted((row["source_partition"], row["source_offset"]) for row in tables.clicks()) == [
        (partition, offset) for partition in logs for offset in range(3)
    ]
    assert differences(expected_ledger(expected), tables.ledger()) == {}
    assert differences(of_days(expected.rollups), of_days(tables.numbers())) == {}
