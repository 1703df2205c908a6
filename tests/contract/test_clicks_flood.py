"""Clocks that lie wildly, and logs that span many years: memory stays bounded, and every event is still counted."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from ops.oracle import Fact, LogRecord
from ops.oracle.counting import visits
from ops.oracle.outcomes import OutcomeDecider
from ops.oracle.reading import read
from ops.stack import Stack
from tests.kits.clicks import AGENTS, LOOKUPS, STORES, as_log, cut, event, ms
from tests.kits.clicks_tables import InClickHouse, clickhouse_tables
from tests.kits.clicks_worlds import WORLDS, balances
from tests.kits.depth import CHAOS

pytestmark = CHAOS

HOUR_MS = 3_600_000
NOW = ms("2025-03-12T12:00:00")
# The whole flood, of 100,000 hours and 10,000 clocks, takes minutes: `make chaos` runs it.
SCALE = 1 if os.environ.get("FLOOD") == "whole" else 10
HOURS = 100_000 // SCALE
WILD = 10_000 // SCALE
BATCH = 10_000
PAGE_BYTES = 4 << 20
PER_EVENT_BYTES = 2_500
"""What an event that is not in all tables yet may hold: two pages of its own, three beside them, a visit and texts."""


@pytest.fixture
def tables(clickhouse: Stack) -> Iterator[InClickHouse]:
    with clickhouse_tables(clickhouse) as made:
        yield made


def flood() -> list[LogRecord]:
    """An imported event for each of many hours, far ones side by side, among live ones of 10,000 years."""
    chance = random.Random(1)
    imported = [event(NOW - hour * HOUR_MS, received_at_ms=NOW, origin="import", event_id="i") for hour in range(HOURS)]
    scattered = [imported[at] for start in (0, 1) for at in range(start, HOURS, 2)]
    wild = [chance.randrange(10_000 * 8_766) * HOUR_MS for _ in range(WILD)]
    live = [event(when, received_at_ms=NOW + at, event_id=f"w{at}") for at, when in enumerate(wild)]
    copies: list[dict[str, Any]] = [*chance.sample(imported, HOURS // 100), *chance.sample(live, WILD // 10)]
    log = scattered
    for extra in (*live, *copies):
        log.insert(chance.randrange(len(log)), extra)
    return as_log(log, timestamp_ms=NOW)


@pytest.mark.timeout(600)
def test_a_flood_of_wild_clocks_and_of_many_hours_is_counted_in_bounded_memory(tables: InClickHouse) -> None:
    log = flood()
    machine = WORLDS[0].machine(tables.pages, {}, page_bytes=PAGE_BYTES)
    held = []
    for batch in cut(log, (BATCH,)):
        tables.write([machine.process(batch)])
        held.append(machine.nbytes)
    assert max(held) < PAGE_BYTES + BATCH * PER_EVENT_BYTES
    decider, facts, outcomes = OutcomeDecider(0, STORES, LOOKUPS, AGENTS), list[Fact](), Counter[str]()
    for record in log:
        readable = read(record.value, STORES)
        assert readable is not None
        outcome, _, fact = decider.decide(record.offset, readable)
        outcomes[outcome] += 1
        facts += [fact] if fact is not None else []
    assert set(outcomes) == {"counted", "refire", "duplicate", "late"}
    in_ledger = Counter[str]()
    for (_, _, kind, name), events in tables.ledger().items():
        in_ledger[name] += events if kind == "outcome" else 0
    assert +in_ledger == outcomes
    assert balances(tables.ledger()) == (len(log), set())
    found = {(row["source_offset"], row["outcome"], row["occurred_at"]) for row in tables.clicks()}
    assert found == {(fact.offset, fact.outcome, fact.occurred_ms) for fact in facts}
    made, numbers = visits(facts), tables.numbers().items()
    totals = [held for key, held in numbers if (key.grain, key.dimension, key.bots) == ("day", "all", "include")]
    assert sum(held.views + held.actions for held in totals) == outcomes["counted"]
    assert sum(held.refires for held in totals) == outcomes["refire"]
    assert sum(held.sessions for held in totals) == len(made)
    assert sum(held.duration_ms for held in totals) == sum(visit.end_ms - visit.start_ms for visit in made)
