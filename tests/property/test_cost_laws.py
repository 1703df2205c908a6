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


@pytest.mark.parametrize(
    ("units", "new_units", "reason"), [(30, 10, "rate"), (20, 20, "rate"), (10, 30, "new_values"), (40, 0, "rate")]
)
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
        ([ClientEvent(event_id="b", url="https://shop.example/p?my_campaign=z")], ["A"], NEW_CAMPAIGN_UNITS),
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


@given(st.integers(1, 5), st.integers(0, 30))
def test_distinct_values_are_remembered_up_to_twice_the_bound(most: int, count: int) -> None:
    seen = RecentHashes(most)
    for number in range(count):
        seen.add([str(number)])

        assert len(seen) < 2 * most
        assert len(seen) == number + 1 or len(seen) >= most


def test_the_least_recently_used_store_is_forgotten_and_no_other() -> None:
    budgets = StoreBudgets(BucketPolicy(1, 1), most_stores=2)
    for name in ("a", "b", "a", "c"):
        budgets.spend(name, 9, 0, 0.0)

    assert [name for name in "ac" if budgets.refusal(name, 0.0) is None] == []
    assert budgets.refusal("b", 0.0) is None


@given(st.floats(0, 50), st.floats(50, 100), st.integers(2, 30))
def test_what_comes_back_is_by_the_time_that_passed_since_the_last_look(start: float, end: float, spent: int) -> None:
    budgets = StoreBudgets(BucketPolicy(0.5, 1))
    budgets.spend("a", spent, 0, start)

    refusal = budgets.refusal("a", end)

    wait = max(0.0, spent / 0.5 - (end - start))
    assert (0.0 if refusal is None else refusal[0]) == pytest.approx(wait, abs=1e-6)


@pytest.mark.parametrize("burst", [0.5, 1.0, 8.0])
def test_a_store_may_send_while_it_has_a_unit_or_all_that_it_can_have(burst: float) -> None:
    budgets = StoreBudgets(BucketPolicy(1, burst))
    budgets.spend("a", burst, 0, 0.0)

    refusal = budgets.refusal("a", 0.0)

    assert refusal == (min(1.0, burst), "rate")


def test_a_slow_rate_is_a_bound_too_and_a_rate_of_zero_remembers_no_store() -> None:
    slow, off = StoreBudgets(BucketPolicy(0.5, 1)), StoreBudgets(BucketPolicy(0, 1))
    for budgets in (slow, off):
        budgets.spend("a", 5, 0, 0.0)

    assert slow.refusal("a", 0.0) == (10.0, "rate")
    assert (off.refusal("a", 0.0), len(off)) == (None, 0)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8))
def test_the_reason_is_what_most_was_spent_on_in_all(steps: list[tuple[int, int]]) -> None:
    budgets = StoreBudgets(BucketPolicy(1, 1))
    for units, new_units in steps:
        budgets.spend("a", units, new_units, 0.0)
    budgets.spend("a", 1, 0, 0.0)
    all_units, all_new = sum(units for units, _ in steps) + 1, sum(new_units for _, new_units in steps)

    refusal = budgets.refusal("a", 0.0)

    assert refusal is not None
    if all_new != all_units:
        assert refusal[1] == ("new_values" if all_new > all_units else "rate")


def values_of(store: str, count: int) -> list[ClientEvent]:
    return [ClientEvent(event_id="a", product=f"{store} {number}") for number in range(count)]


NAMES = "abcdefghijkl"


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(1, 12)), min_size=20, max_size=40))
def test_the_size_of_all_stores_is_what_those_that_are_remembered_hold(steps: list[tuple[str, int]]) -> None:
    stores, alone = SeenByStore(most=4, most_in_all=56), {name: SeenValues(4) for name in NAMES}
    order: list[str] = []
    for name, count in steps:
        stores.add_units(name, values_of(name, count), [])
        if name not in order:
            alone[name] = SeenValues(4)
        alone[name].add_units(values_of(name, count), [])
        order = [each for each in order if each != name] + [name]
        while sum(len(alone[each]) for each in order) > 56 and len(order) > 1:
            order.pop(0)

        assert len(stores) == sum(len(alone[each]) for each in order)


def test_what_an_event_stands_for_is_paid_as_often_and_its_user_agent_once() -> None:
    event = ClientEvent(event_id="a", product="mug")

    once, thrice = (SeenByStore().add_units("shop", [event], ["A"], times) for times in (1, 3))

    assert SeenByStore().add_units("shop", [event], ["A"]) == once == NEW_PRODUCT_UNITS + NEW_AGENT_UNITS
    assert thrice == 3 * NEW_PRODUCT_UNITS + NEW_AGENT_UNITS


def test_a_store_alone_keeps_what_it_sent_however_much_it_is() -> None:
    stores = SeenByStore(most=2, most_in_all=24)
    events = values_of("shop", 100)

    assert stores.add_units("shop", events, []) == 100 * NEW_PRODUCT_UNITS
    assert stores.add_units("shop", events, []) == 0
    assert len(stores) > 24


def test_of_two_stores_that_hold_too_much_the_older_one_is_forgotten() -> None:
    stores = SeenByStore(most=2, most_in_all=24)
    for name in ("old", "new"):
        stores.add_units(name, values_of(name, 20), [])

    assert stores.add_units("new", values_of("new", 20), []) == 0
    assert stores.add_units("old", values_of("old", 20), []) == 20 * NEW_PRODUCT_UNITS


def test_less_than_a_unit_has_its_reason_too() -> None:
    budgets = StoreBudgets(BucketPolicy(1, 1))
    budgets.spend("a", 0, 0.6, 0.0)

    refusal = budgets.refusal("a", 0.0)

    assert refusal is not None
    assert refusal[1] == "new_values"


def test_a_campaign_is_told_from_another_whatever_its_parameter_is_called() -> None:
    seen = SeenValues()
    for name, value in (("campaign", "a"), ("campaign", "b"), ("utm_source", "a"), ("utm_source", "b")):
        event = ClientEvent(event_id="a", url=f"https://shop.example/p?{name}={value}")

        units = seen.add_units([event], [])

        assert units == NEW_CAMPAIGN_UNITS + (NEW_PAGE_UNITS if (name, value) == ("campaign", "a") else 0)
