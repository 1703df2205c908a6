"""What a store may spend: no more than it is granted, and new values at their price."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.clicks.collect import ClientEvent
from marketplace.clicks.cost import (
    MOST_VALUES,
    NEW_AGENT_UNITS,
    NEW_CAMPAIGN_UNITS,
    NEW_PAGE_UNITS,
    NEW_PRODUCT_UNITS,
    NEW_REFERRER_UNITS,
    RecentHashes,
    SeenByStore,
    SeenValues,
    StoreBudgets,
)
from marketplace.token_bucket import BucketPolicy

VALUES = st.integers(0, 30)


@given(
    st.floats(0.1, 100),
    st.floats(1, 100),
    st.lists(st.tuples(st.floats(0, 5), st.integers(1, 20), st.integers(0, 40)), max_size=50),
)
def test_no_more_is_spent_than_the_burst_and_what_came_back_and_one_request(
    rate: float, burst: float, steps: list[tuple[float, int, int]]
) -> None:
    budgets = StoreBudgets(BucketPolicy(rate, burst))
    now = spent = largest = 0.0
    for pause_seconds, units, new_units in steps:
        now += pause_seconds
        if budgets.refusal("a", now) is None:
            budgets.spend("a", units, new_units, now)
            spent += units + new_units
            largest = max(largest, units + new_units)

    assert spent <= burst + now * rate + largest + 1e-6


@given(st.floats(0.1, 100), st.floats(1, 100), st.integers(1, 500))
def test_a_store_that_waits_as_long_as_it_was_said_is_admitted(rate: float, burst: float, units: int) -> None:
    budgets = StoreBudgets(BucketPolicy(rate, burst))
    budgets.spend("a", burst + units, 0, 0.0)

    refusal = budgets.refusal("a", 0.0)

    assert refusal is not None
    assert budgets.refusal("a", refusal[0] - 1e-3 / rate) is not None
    assert budgets.refusal("a", refusal[0] + 1e-6) is None
    assert budgets.refusal("b", 0.0) is None


@pytest.mark.parametrize(("units", "new_units", "reason"), [(30, 10, "rate"), (10, 30, "new_values"), (40, 0, "rate")])
def test_a_refusal_names_what_was_spent_most(units: int, new_units: int, reason: str) -> None:
    budgets = StoreBudgets(BucketPolicy(1, 40))
    budgets.spend("a", units, new_units, 0.0)

    refusal = budgets.refusal("a", 0.0)

    assert refusal is not None
    assert refusal[1] == reason


def test_a_rate_of_zero_switches_the_bound_off_and_stores_are_bounded() -> None:
    off, few = StoreBudgets(BucketPolicy(0, 1)), StoreBudgets(BucketPolicy(1, 1), most_stores=3)
    off.spend("a", 100, 0, 0.0)
    for number in range(9):
        few.spend(str(number), 1, 0, 0.0)

    assert off.refusal("a", 0.0) is None
    assert len(few) == 3


@given(st.lists(st.sets(VALUES, max_size=6), max_size=40), st.integers(1, 10))
def test_what_came_among_the_last_distinct_values_is_known_and_memory_is_bounded(
    batches: list[set[int]], most: int
) -> None:
    seen = RecentHashes(most)
    history: list[int] = []
    for batch in batches:
        recent = set(history[-most:])

        new = seen.add(map(str, batch))

        assert new <= {hash(str(value)) for value in batch - recent}
        history = [value for value in history if value not in batch] + sorted(batch)
        assert len(seen) <= 2 * (most + 6)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sets(VALUES, max_size=8)), max_size=40))
def test_all_stores_together_have_a_bound_and_a_busy_one_keeps_what_it_sent(
    batches: list[tuple[str, set[int]]],
) -> None:
    stores = SeenByStore(most=10, most_in_all=130)
    own = [ClientEvent(event_id="a", url="https://shop.example/own")]
    stores.add_units("own", own, ["Browser/1"])
    for store, values in batches:
        stores.add_units(store, [ClientEvent(event_id="a", product=str(value)) for value in values], [])

        assert len(stores) <= 130
        assert stores.add_units("own", own, ["Browser/1"]) == 0


URL = "https://shop.example/p?utm_source=x"


@pytest.mark.parametrize(
    ("events", "agents", "units"),
    [
        ([ClientEvent(event_id="b", url=URL)], ["A"], 0),
        ([ClientEvent(event_id="b", url="https://shop.example/p?session=7&utm_source=x")], ["A"], 0),
        ([ClientEvent(event_id="b", url="https://shop.example/q")] * 9, ["A"], NEW_PAGE_UNITS),
        ([ClientEvent(event_id="b", url="https://shop.example/p?utm_source=y")], ["A"], NEW_CAMPAIGN_UNITS),
        ([ClientEvent(event_id="b", product="mug")], ["A"], NEW_PRODUCT_UNITS),
        ([ClientEvent(event_id="b", referrer="https://search.example/")], ["A"], NEW_REFERRER_UNITS),
        ([ClientEvent(event_id="b", url=URL)], ["B"], NEW_AGENT_UNITS),
        ([], ["A"], 0),
    ],
)
def test_only_what_is_new_costs(events: list[ClientEvent], agents: list[str], units: int) -> None:
    seen = SeenValues(MOST_VALUES)
    seen.add_units([ClientEvent(event_id="a", url=URL)], ["A"])

    assert seen.add_units(events, agents) == units
    assert seen.add_units(events, agents) == 0


@given(st.lists(st.booleans(), min_size=10, max_size=10), st.lists(st.booleans(), min_size=10, max_size=10))
def test_a_new_campaign_costs_the_same_however_its_name_is_written(escaped: list[bool], upper: list[bool]) -> None:
    name = ""
    for char, escape, capital in zip("utm_source", escaped, upper, strict=True):
        written = char.upper() if capital else char
        name += f"%{ord(written):02X}" if escape else written
    seen = SeenValues()
    seen.add_units([ClientEvent(event_id="a", url="https://shop.example/p?utm_source=known")], [])
    assert (
        seen.add_units([ClientEvent(event_id="b", url=f"https://shop.example/p?{name}=new")], []) == NEW_CAMPAIGN_UNITS
    )
