"""The way of an order on all of its real parts: outbox, connector, Kafka, consumers and the payment provider.

Orders are written as the API writes them; everything after that is the product's own processes.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from bench.claims.numbers import quantile
from marketplace.collections import ORDERS, OUTBOX
from ops.sandbox_provider.cards import BY_NAME
from ops.stack import StackError
from tests.kits.consumer import eventually
from tests.kits.depth import CHAOS_SEEDS, LONG
from tests.kits.relay import DATABASE, Relay, relayed_stack
from tests.kits.sagas import Shop, ms, wrong

ENDED = ("confirmed", "cancelled")
SECONDS = 120.0


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    try:
        with relayed_stack(tmp_path_factory.mktemp("whole"), services=("relay", "consumers")) as running:
            running.wait_running()
            running.stack.wait_healthy("consumers", 60.0)
            yield running
    except StackError as error:
        pytest.skip(str(error))


@pytest.fixture
def shop(relay: Relay) -> Shop:
    return Shop(relay.client, DATABASE, now=datetime.now(UTC))


def method(relay: Relay, card: str) -> str:
    body = {"number": BY_NAME[card].number, "exp": "12/30", "cvc": "123"}
    return str(httpx.post(f"{relay.stack.urls.payments}/v1/methods", json=body).json()["token"])


def place(relay: Relay, shop: Shop, variant: str, card: str) -> str:
    shop.now = datetime.now(UTC)
    return shop.place({variant: 1}, method=method(relay, card))


def all_ended(shop: Shop) -> bool:
    states = Counter(each["state"] for each in shop.mongo[ORDERS.name].find({"store": shop.name}, {"state": 1}))
    return sum(states[state] for state in ENDED) == len(shop.orders)


def seconds_to_end(shop: Shop, own: str) -> float:
    """From the commit that placed an order to the event that says that it has ended."""
    rows = shop.mongo[OUTBOX.name].find({"aggregateid": own, "type": {"$in": ["ORDER_CONFIRMED", "ORDER_CANCELLED"]}})
    ended_ms = max(ms(row["created_at"].replace(tzinfo=UTC)) for row in rows)
    return (ended_ms - int(shop.order(own)["placed_at_ms"])) / 1_000


@LONG
def test_orders_reach_their_ends_on_real_parts_with_declines_lost_answers_and_pending_payments(
    relay: Relay, shop: Shop
) -> None:
    variant = shop.sells(100)
    cards = [
        "success",
        "success",
        "no_funds",
        "answer_lost",
        "error_once",
        "pending_success",
        "pending_decline",
        "cut_once",
    ]
    for card in cards:
        place(relay, shop, variant, card)

    eventually(lambda: all_ended(shop), "all end", SECONDS)

    states = [shop.order(own)["state"] for own in shop.orders]
    declined = {"no_funds", "pending_decline"}
    assert states == ["cancelled" if card in declined else "confirmed" for card in cards]
    eventually(lambda: not wrong(shop), "money and stock add up", 20.0)
    assert shop.stock(variant) == (94, 0)


@LONG
def test_an_order_ends_within_a_second_or_so_of_being_placed(relay: Relay, shop: Shop) -> None:
    variant, token = shop.sells(500), method(relay, "success")
    for number in range(60):
        shop.now = datetime.now(UTC)
        shop.place({variant: 1}, method=token)
        time.sleep(max(0.0, shop.now.timestamp() + 0.1 - time.time()) if number else 1.0)
    eventually(lambda: all_ended(shop), "all end", SECONDS)

    took = [seconds_to_end(shop, own) for own in shop.orders]

    print(f"placed to ended: p50 {quantile(took, 0.5):.2f} s, p99 {quantile(took, 0.99):.2f} s")  # noqa: T201  # a figure for who runs it
    assert quantile(took, 0.5) < 5.0
    assert wrong(shop) == []


@LONG
@pytest.mark.parametrize("part", ["consumers", "kafka", "mongo", "connect"])
@pytest.mark.parametrize("seed", range(max(1, CHAOS_SEEDS // 3)))
def test_orders_end_right_though_a_part_is_killed_in_the_middle_of_them(
    relay: Relay, shop: Shop, part: str, seed: int
) -> None:
    variant, token, no = shop.sells(500), method(relay, "success"), method(relay, "no_funds")
    for number in range(40):
        shop.now = datetime.now(UTC)
        shop.place({variant: 1}, method=no if number % 5 == 4 else token)
        if number == 10 + 7 * seed:
            os.kill(relay.stack.pid(part), signal.SIGKILL)
            if part == "mongo":
                relay.stack.wait_healthy("mongo", 60.0)

    eventually(lambda: all_ended(shop), "all end", SECONDS)

    states = Counter(shop.order(own)["state"] for own in shop.orders)
    assert states == {"confirmed": 32, "cancelled": 8}
    eventually(lambda: not wrong(shop), "money and stock add up", 30.0)
    assert shop.stock(variant) == (468, 0)
    relay.stack.wait_healthy("consumers", 60.0)
