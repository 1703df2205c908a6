"""Orders through the API on real parts: 200 buyers of 20 pieces, and everything that an order passes killed."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import httpx
import pytest

from ops.demo.orders.client import Person
from ops.demo.orders.numbers import ENDED, OrderNumbers
from ops.stack import StackError
from ops.stack.parts.kafka_jars import ensure_jars, find_java
from tests.kits.depth import CHAOS, CHAOS_SEEDS, LONG
from tests.kits.order_market import Kills, OrderMarket, order_stack
from tests.kits.stack import command, eventually

TARGETS: Final = ("consumers", "connect", "kafka", "mongo", "payments", "relay", "api")
ORDERS: Final = 40
SEEDS: Final = range(1, 1 + CHAOS_SEEDS)
BUYERS, PIECES = 200, 20
ADDRESS: Final = {"name": "Ann", "street": "Hill Road 7", "city": "Berlin", "country": "DE"}


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrderMarket]:
    try:
        find_java()
        ensure_jars()
    except StackError as error:
        pytest.skip(str(error))
    with order_stack(tmp_path_factory.mktemp("orders")) as stack:
        yield OrderMarket(stack)


@pytest.fixture
def seller(market: OrderMarket) -> Iterator[Person]:
    with closing(market.seller()) as person:
        yield person


def a_variant(market: OrderMarket, seller: Person, pieces: int) -> tuple[str, str]:
    """A product and a variant of it, of which there are so many."""
    hits = seller.ask("GET", f"/v1/shops/{market.slug}/search", params={"limit": 50}).json()["hits"]
    product = seller.ask("GET", f"/v1/shops/{market.slug}/products/{hits[-1]['slug']}").json()
    variant = product["variants"][-1]["id"]
    body = {"product": product["id"], "quantity": pieces, "reason": "Delivery"}
    path = f"/v1/stores/{market.slug}/stock/{variant}/receive"
    assert seller.ask("POST", path, body, key=uuid.uuid4().hex).is_success
    return product["id"], variant


async def fill_cart(client: httpx.AsyncClient, token: str, product: str, variant: str) -> int:
    """Put one piece into a cart; returns the cart's version."""
    line = {"product": product, "variant": variant, "quantity": 1}
    cart = await asked(client, "/v1/cart/lines", {"authorization": f"Bearer {token}"}, line)
    assert cart.is_success, cart.text
    return int(cart.json()["version"])


async def order(client: httpx.AsyncClient, token: str, version: int, card: str) -> httpx.Response:
    """Order what is in a cart."""
    headers = {"authorization": f"Bearer {token}", "idempotency-key": uuid.uuid4().hex}
    body = {"cart_version": version, "delivery": ADDRESS, "payment": {"method": card}}
    return await asked(client, "/v1/orders", headers, body)


async def asked(client: httpx.AsyncClient, path: str, headers: dict[str, str], body: Any) -> httpx.Response:
    """The answer that says what happened; whoever is asked to come again does."""
    for _ in range(100):
        found = await client.post(path, json=body, headers=headers)
        if found.status_code not in (429, 503):
            return found
        await asyncio.sleep(0.3)
    raise AssertionError(f"{path} is never answered: {found.text}")


@LONG
@pytest.mark.timeout(200)
def test_of_two_hundred_buyers_of_twenty_pieces_exactly_twenty_get_one(market: OrderMarket, seller: Person) -> None:
    product, variant = a_variant(market, seller, PIECES)
    card, tokens = market.token(), market.crowd(BUYERS)

    async def rush() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=market.api, timeout=60) as client:
            carts = await asyncio.gather(*(fill_cart(client, token, product, variant) for token in tokens))
            return await asyncio.gather(*(order(client, *cart, card) for cart in zip(tokens, carts, strict=True)))

    answers = asyncio.run(rush())
    counts = Counter(answer.status_code for answer in answers)
    assert set(counts) == {201, 409}, [answer.text for answer in answers if answer.status_code not in (201, 409)][:3]
    placed = [answer.json()["orders"][0]["id"] for answer in answers if answer.status_code == 201]
    assert len(placed) == PIECES

    def states() -> Counter[str]:
        path = f"/v1/stores/{market.slug}/orders"
        return Counter(seller.ask("GET", f"{path}/{own}").json()["state"] for own in placed)

    assert eventually(lambda: set(states()) <= ENDED, 60)
    assert states() == {"confirmed": PIECES}
    levels = seller.ask("GET", f"/v1/stores/{market.slug}/stock", params={"limit": 100}).json()["levels"]
    level = next(each for each in levels if each["variant"] == variant)
    assert (level["on_hand"], level["reserved"], level["available"]) == (0, 0, 0)
    late = [answer.json() for answer in answers if answer.status_code == 409]
    assert all(each.get("lacking") or each.get("changes") for each in late)


@CHAOS
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", SEEDS)
def test_orders_add_up_whatever_is_killed_meanwhile(market: OrderMarket, seed: int) -> None:
    chance = random.Random(seed)
    kills = Kills(market.stack, [(chance.uniform(2, 14), target) for target in TARGETS])
    numbers = market.play(seed, ORDERS, kills)
    print(f"seed {seed}: killed {', '.join(kills.done)}")  # noqa: T201 - shown when it fails
    assert sorted(kills.done) == sorted(TARGETS)
    assert_adds_up(numbers)


def test_a_trace_of_an_order_whose_money_went_back_tells_all_of_it(market: OrderMarket, seller: Person) -> None:
    product, variant = a_variant(market, seller, 1)
    token = market.crowd(1)[0]

    async def place() -> httpx.Response:
        async with httpx.AsyncClient(base_url=market.api, timeout=60) as client:
            return await order(client, token, await fill_cart(client, token, product, variant), market.token())

    own = asyncio.run(place()).json()["orders"][0]["id"]
    path = f"/v1/stores/{market.slug}/orders/{own}"
    assert eventually(lambda: seller.ask("GET", path).json()["state"] == "confirmed", 30)
    refunded = seller.ask("POST", f"{path}/refunds", {"lines": None, "reason": "Broken"}, key=uuid.uuid4().hex)
    assert refunded.is_success, refunded.text
    assert eventually(lambda: seller.ask("GET", path).json()["state"] == "cancelled", 30)
    folder = market.stack.data_dir
    code, said = command(folder, own, "--json", cli=TRACE)
    assert code == 0, said
    trace = json.loads(said)
    assert [each["type"] for each in trace["events"]] == [
        "ORDER_CREATED",
        "PAYMENT_COMPLETED",
        "ORDER_PAYMENT_COMPLETED",
        "STOCK_COUNT_UPDATED",
        "ORDER_CONFIRMED",
        "ORDER_REFUND_REQUESTED",
        "PAYMENT_REFUNDED",
        "ORDER_CANCELLED",
    ]
    assert trace["refunded_minor"] == trace["paid_minor"] == trace["total_minor"]
    assert set(trace["events"][5]["handled_ms"]) >= {"inventory", "payments"}


TRACE: Final = "import typer; from ops.commands.saga import trace; typer.run(trace)"


def assert_adds_up(numbers: OrderNumbers) -> None:
    """All orders have ended, and reconciler and recount find nothing wrong."""
    assert numbers.mistakes == []
    assert set(numbers.states) <= ENDED, numbers.states
    assert numbers.states["confirmed"] > 0
    assert numbers.reconciler["first"] == []
    assert numbers.recount["compared"] > 4 * numbers.placed
    assert numbers.recount["first"] == []
    assert numbers.stuck == 0
    assert numbers.ok


@LONG
@CHAOS
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
