"""What was decided once stays decided: all tables agree, whatever changed while the flow was down."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.clicks.processor import DEFAULT_PAGE_BYTES
from marketplace.tables import CLICK_TABLES
from ops.oracle import LogRecord, Numbers, RollupKey
from tests.kits.clicks import GOOGLEBOT, STORES, as_log, cut, differences, event, ms
from tests.kits.clicks_logs import examples, logs, make_log, seeded_plan, seeds, sizes
from tests.kits.clicks_pages import MemoryPages
from tests.kits.clicks_worlds import (
    WORLDS,
    World,
    accepted_anew,
    accepted_in,
    balances,
    counted_anew,
    run_through_worlds,
    visited_anew,
    visits_of,
)

NOON = ms("2025-03-12T12:00:00")
ALL = len(CLICK_TABLES)


def by_known_clocks(numbers: Mapping[RollupKey, Numbers]) -> dict[RollupKey, Numbers]:
    """Without the days of the store that is missing in one world: while it is gone, nobody knows its time zone."""
    return {key: held for key, held in numbers.items() if key.store != "beta" or key.grain == "hour"}


def assert_tables_agree(pages: MemoryPages, records: int) -> None:
    clicks = pages.tables["clicks"]
    assert differences(by_known_clocks(counted_anew(clicks)), by_known_clocks(pages.rollups(STORES))) == {}
    assert visits_of(pages.standing(0)) == visited_anew(clicks)
    assert accepted_in(pages.ledger()) == accepted_anew(clicks)
    assert balances(pages.ledger()) == (records, set())


@pytest.mark.parametrize("first", range(ALL + 1))
def test_after_a_kill_at_any_three_fences_in_changing_worlds_all_tables_agree(first: int) -> None:
    chance = random.Random(7)
    log = make_log(chance.choice, ["new", "new", "copy"] * 8 + ["broken"], 1)
    for others in product(range(ALL + 1), repeat=2):
        pages = run_through_worlds(log, (7,), (first, *others), WORLDS)
        assert_tables_agree(pages, len(log))


@examples(30)
@given(
    log=logs(),
    cuts=sizes,
    crashes=st.lists(st.integers(0, ALL), max_size=12),
    worlds=st.permutations(WORLDS),
    epoch=st.integers(1, 3),
    page_bytes=st.sampled_from([1, 5_000, DEFAULT_PAGE_BYTES]),
)
def test_a_crash_between_any_two_inserts_and_a_change_of_world_leave_all_tables_in_agreement(
    log: list[LogRecord], cuts: list[int], crashes: list[int], worlds: Sequence[World], epoch: int, page_bytes: int
) -> None:
    assert_tables_agree(run_through_worlds(log, cuts, crashes, worlds, epoch, page_bytes), len(log))


@pytest.mark.parametrize("seed", seeds(40))
def test_a_seeded_log_through_seeded_crashes_and_worlds_agrees(seed: int) -> None:
    plan = seeded_plan(seed)
    worlds = random.Random(seed).sample(WORLDS, len(WORLDS))
    assert_tables_agree(
        run_through_worlds(plan.log, plan.sizes, plan.crashes, worlds, plan.epoch, plan.page_bytes), len(plan.log)
    )


def killed_after_the_facts(records: list[dict[str, Any]], before: World, after: World) -> MemoryPages:
    """Decided in one world, killed when only ``clicks`` was written, finished in another."""
    return run_through_worlds(as_log(records), (50,), [1], [before, after])


def outcomes(pages: MemoryPages) -> dict[str, int]:
    return {name: events for (_, _, kind, name), events in pages.ledger().items() if kind == "outcome"}


def test_the_first_verdict_on_a_bot_and_the_first_place_stand() -> None:
    visit = event(NOON, user_agent=GOOGLEBOT, ip="81.2.69.0")
    pages = killed_after_the_facts([visit], WORLDS[0], WORLDS[1])
    kept = run_through_worlds(as_log([visit]), (50,), [], WORLDS[:1])
    assert outcomes(pages) == {"bot": 1}
    assert pages.rollups(STORES) == kept.rollups(STORES)
    assert pages.tables == kept.tables


def test_what_was_counted_stays_counted_though_its_network_is_blocked_now() -> None:
    pages = killed_after_the_facts([event(NOON, store="beta", ip="81.2.69.0")], WORLDS[0], WORLDS[1])
    assert outcomes(pages) == {"counted": 1}


def test_what_was_counted_stays_counted_though_its_store_is_gone_now() -> None:
    pages = killed_after_the_facts([event(NOON, store="beta")], WORLDS[0], WORLDS[2])
    assert outcomes(pages) == {"counted": 1}
    assert {row["store"] for row in pages.tables["rollups"]} == {"beta"}


FREED = event(NOON, event_id="freed", ip="203.0.113.0")
"""Of a network that is blocked in the first world only."""


def test_what_was_blocked_stays_blocked_though_its_network_is_free_now() -> None:
    pages = killed_after_the_facts([FREED, event(NOON, target="x")], WORLDS[0], WORLDS[1])
    assert outcomes(pages) == {"blocked": 1, "counted": 1}


def test_what_was_blocked_after_the_last_fact_stays_blocked_once_the_rollups_are_written() -> None:
    log = as_log([event(NOON, target="x"), FREED])
    after = [outcomes(run_through_worlds(log, (50,), [tables], WORLDS[:2])) for tables in (1, 2, 3)]
    # With the facts alone no table says that the last record was ever looked at.
    assert after == [{"counted": 1, "bot": 1}, {"blocked": 1, "counted": 1}, {"blocked": 1, "counted": 1}]


def test_what_was_of_an_unknown_store_is_not_accepted_later_and_no_second_dead_letter() -> None:
    log = as_log([event(NOON, store="beta", target="x"), event(NOON)])
    before = WORLDS[2].machine(MemoryPages(), {}).process(cut(log, (50,))[0])
    assert [reject.reason for reject in before.rejects] == ["unknown_store"]
    pages = run_through_worlds(log, (50,), [1], [WORLDS[2], WORLDS[0]])
    assert {(store, name) for store, _, kind, name in pages.ledger() if kind == "outcome"} == {
        ("beta", "blocked"),
        ("alpha", "counted"),
    }


def test_a_copy_of_what_was_blocked_first_and_accepted_later_keeps_its_fact() -> None:
    log = as_log([FREED, event(NOON, target="x"), FREED, FREED])
    pages = MemoryPages()
    machines = [world.machine(pages, {}) for world in WORLDS[:2]]
    # One epoch, in the midst of which the network was set free.
    results = [machine.process(batch) for machine, batch in zip(machines, cut(log, (2,)), strict=True)]
    pages.write(results, 1)
    for batch in cut(log, (50,), pages.fences(0).values()):
        pages.write([WORLDS[0].machine(pages, pages.fences(0)).process(batch)])
    assert [row["source_offset"] for row in pages.tables["clicks"]] == [1, 2]
    assert outcomes(pages) == {"blocked": 2, "counted": 1, "bot": 1}
    assert_tables_agree(pages, len(log))
