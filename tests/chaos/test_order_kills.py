"""Everything that an order passes is killed while orders are placed: money, stock and events add up all the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

import pytest

from ops.demo.orders.numbers import OrderNumbers
from ops.stack import StackError
from ops.stack.parts.kafka_jars import ensure_jars, find_java
from tests.kits.depth import CHAOS, CHAOS_SEEDS, LONG
from tests.kits.order_market import Kills, OrderMarket, order_stack

pytestmark = CHAOS

TARGETS: Final = ("consumers", "connect", "kafka", "mongo", "payments", "relay", "api")
ORDERS: Final = 60
SEEDS: Final = range(1, 1 + CHAOS_SEEDS)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrderMarket]:
    try:
        find_java()
        ensure_jars()
    except StackError as error:
        pytest.skip(str(error))
    with order_stack(tmp_path_factory.mktemp("orders")) as stack:
        yield OrderMarket(stack)


def assert_adds_up(numbers: OrderNumbers) -> None:
    """All orders have ended, and reconciler and recount find nothing wrong."""
    assert numbers.mistakes == []
    assert set(numbers.states) <= {"confirmed", "cancelled"}, numbers.states
    assert numbers.states["confirmed"] > 0
    assert numbers.reconciler["first"] == []
    assert numbers.recount["compared"] > 4 * numbers.placed
    assert numbers.recount["first"] == []
    assert numbers.stuck == 0
    assert numbers.ok


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", SEEDS)
def test_orders_add_up_whatever_is_killed_meanwhile(market: OrderMarket, seed: int) -> None:
    chance = random.Random(seed)
    kills = Kills(market.stack, [(chance.uniform(2, 14), target) for target in TARGETS])
    numbers = market.play(seed, ORDERS, kills)
    print(f"seed {seed}: killed {', '.join(kills.done)}")  # noqa: T201 - shown when it fails
    assert sorted(kills.done) == sorted(TARGETS)
    assert_adds_up(numbers)


@LONG
@pytest.mark.timeout(900)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("seed", SEEDS)
def test_three_hundred_orders_add_up_where_one_thing_is_killed_five_times(
    market: OrderMarket, target: str, seed: int
) -> None:
    chance = random.Random(f"{target} {seed}")
    kills = Kills(market.stack, [(chance.uniform(2, 60), target) for _ in range(5)])
    numbers = market.play(1_000 + seed, 300, kills)
    assert len(kills.done) == 5
    assert_adds_up(numbers)
