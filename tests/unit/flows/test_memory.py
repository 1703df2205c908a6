"""What is held in memory when there is more than fits, and how much may."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from flows.arrays.types import I64, U64
from flows.clicks.flow import share_memory
from flows.clicks.state.memory_limits import LEAST_BYTES, available_bytes, default_bytes, divide
from flows.delivery.flow import ProcessShares
from tests.kits.clicks import (
    STORES,
    as_log,
    cut,
    encoding_of,
    event,
    expected_ledger,
    machine_on,
    ms,
    oracle,
    visitor_of,
)
from tests.kits.clicks_pages import MemoryPages

NOON = ms("2025-03-12T12:00:00")
HOUR_MS = 3_600_000
MB = 1 << 20


class CountedPages(MemoryPages):
    """Counts what is asked, and how much is answered."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()
        self.rows = 0

    def clicks(self, partition: int, hours: list[int], before: int, only: U64 | None = None) -> tuple[U64, I64]:
        answer = super().clicks(partition, hours, before, only)
        self.asked["all" if only is None else "some"] += 1
        self.rows += len(answer[0])
        return answer


def visits(count: int, at_ms: int, first: int = 0) -> list[dict[str, Any]]:
    """Events of as many people, a millisecond apart."""
    return [
        event(at_ms + number, event_id=f"{at_ms}-{number}", visitor=visitor_of("alpha", number), received_at_ms=NOON)
        for number in range(first, first + count)
    ]


def test_an_hour_that_every_batch_needs_is_kept_when_others_go() -> None:
    old = [each for hour in range(2, 22) for each in visits(60, NOON - hour * HOUR_MS)]
    new = [visits(60, NOON + 100 * turn, 1_000 * turn) for turn in range(6)]
    pages = CountedPages()
    machine = machine_on(pages, page_bytes=48 << 10)
    for batch in cut(as_log(old + [each for part in new for each in part]), (60,)):
        pages.write([machine.process(batch)])
        if batch.first_offset == len(old):
            pages.asked.clear()
    assert pages.asked == {}


def test_of_an_hour_that_does_not_fit_a_batch_reads_what_it_can_meet() -> None:
    log = as_log([each for turn in range(12) for each in visits(200, NOON + 1_000 * turn, 200 * turn)])
    pages = CountedPages()
    machine = machine_on(pages, page_bytes=32 << 10)
    for batch in cut(log, (200,)):
        pages.write([machine.process(batch)])
    assert pages.asked["some"] > 0
    assert pages.rows < len(log)
    assert pages.rollups(STORES) == oracle(log).rollups
    assert pages.ledger() == expected_ledger(oracle(log))


class WrittenAtOnce(MemoryPages):
    """Tables that hold everything as soon as it is decided, and give nothing back."""

    def applied(self, partition: int) -> int:
        return 1 << 40


def test_what_visits_began_with_counts_as_memory_of_the_past() -> None:
    random, encoding, held = Random(1), encoding_of(MB // 4), []
    machine = machine_on(WrittenAtOnce(), page_bytes=MB, encoding=encoding)
    log = [
        event(NOON + at, event_id=str(at), visitor=visitor_of("alpha", at), url=f"/{random.randbytes(200).hex()}")
        for at in range(12_000)
    ]
    for batch in cut(as_log(log), (1_000,)):
        machine.process(batch)
        held.append(machine.nbytes + encoding.nbytes)
    assert max(held) < 6 * MB


@pytest.mark.parametrize(
    ("processes", "there", "each"),
    [(1, 3_000 * MB, 1_000 * MB), (4, 12_000 * MB, 1_000 * MB), (8, 600 * MB, LEAST_BYTES)],
)
def test_the_flow_remembers_in_a_third_of_what_there_is(processes: int, there: int, each: int) -> None:
    assert default_bytes(processes, there) == each


def test_a_containers_bound_counts_where_it_is_lower_than_the_machines_memory(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) > 100 * MB
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes(tmp_path) > 100 * MB
    (tmp_path / "memory.max").write_text(f"{64 * MB}\n")
    assert available_bytes(tmp_path) == 64 * MB


def test_partitions_share_what_distinct_values_leave() -> None:
    memory = divide(1_000 * MB, 8)
    assert memory.dictionary_bytes == 250 * MB
    assert 8 * memory.page_bytes == 750 * MB


def test_each_process_gives_its_own_partitions_what_it_was_given() -> None:
    assert share_memory(ProcessShares(2, 500 * MB), 8) == divide(500 * MB, 4)
    assert share_memory(ProcessShares(3, 500 * MB), 8) == divide(500 * MB, 3)
