"""The payment provider stands still for a minute under running orders: all of them end, and nobody pays twice."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from connectors.mongo.sagas.orders import OrderRepository
from connectors.mongo.sagas.steps import SagaSteps, Session
from connectors.payments.secrets import read_secrets
from marketplace.collections import ORDERS
from marketplace.sagas import order_state, orders
from marketplace.sagas.events import Event
from marketplace.sagas.order_state import Reason
from ops.sandbox_provider.cards import BY_NAME
from ops.stack import StackError
from runtime.sections import PROVIDER_SECRETS
from tests.kits.consumer import eventually
from tests.kits.depth import CHAOS, LONG
from tests.kits.relay import DATABASE, Relay, relayed_stack
from tests.kits.sagas import PRICE, Shop, ms, wrong

FROZEN_SECONDS: Final = 60.0
EVERY_SECONDS: Final = 1.5
ENDS: Final = {"confirmed", "cancelled"}


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    try:
        # The supervisor would take the provider for one that hangs, and nobody's provider is started again by us.
        folder = tmp_path_factory.mktemp("frozen")
        with relayed_stack(folder, services=("relay", "consumers"), hang_seconds=10 * FROZEN_SECONDS) as running:
            running.wait_running()
            running.stack.wait_healthy("consumers", 60.0)
            yield running
    except StackError as error:
        pytest.skip(str(error))


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def token_of(relay: Relay, card: str) -> str:
    body = {"number": BY_NAME[card].number, "exp": "12/30", "cvc": "123"}
    return str(httpx.post(f"{relay.stack.urls.payments}/v1/methods", json=body).json()["token"])


def operations(relay: Relay) -> list[dict[str, Any]]:
    """All that the provider did, as it says itself."""
    key = read_secrets(Path(relay.stack.data_dir) / PROVIDER_SECRETS).api_key
    answer = httpx.get(f"{relay.stack.urls.payments}/v1/operations", headers={"authorization": f"Bearer {key}"})
    found: list[dict[str, Any]] = answer.json()["operations"]
    return found


def cancel(shop: Shop, own: str) -> None:
    """The buyer does not want it any more."""
    repository, now_ms = OrderRepository(shop.client, shop.database), ms(shop.now)

    def work(session: Session) -> tuple[Event, ...]:
        kept = repository.get(own, session)
        assert kept is not None
        made = orders.cancel(kept.order, Reason.BUYER, now_ms)
        repository.save(kept, made.order, now_ms, session)
        return made.events

    SagaSteps(shop.client, shop.database, order_state.SERVICE).act(shop.now, work)


def states(shop: Shop) -> Counter[str]:
    return Counter(each["state"] for each in shop.mongo[ORDERS.name].find({"store": shop.name}, {"state": 1}))


@LONG
@CHAOS
@pytest.mark.timeout(500)
def test_while_the_provider_stands_still_orders_wait_and_then_all_end_and_nobody_pays_twice(relay: Relay) -> None:
    shop = Shop(relay.client, DATABASE, now=datetime.now(UTC))
    variant, token = shop.sells(500), token_of(relay, "success")

    def place() -> str:
        shop.now = datetime.now(UTC)
        return shop.place({variant: 1}, method=token)

    before = [place() for _ in range(5)]
    eventually(lambda: set(states(shop)) <= ENDS, "those before it end", 60.0)
    waiting, unwanted, released = list[str](), list[str](), list[float]()
    with standing_still(relay.stack.pid("payments")):
        began = time.monotonic()
        while time.monotonic() - began < FROZEN_SECONDS:
            own = place()
            (unwanted if len(shop.orders) % 5 == 0 else waiting).append(own)
            if own in unwanted:
                since = time.monotonic()
                cancel(shop, own)
                eventually(lambda own=own: shop.reservation(own)["state"] == "released", "its goods are free", 20.0)  # type: ignore[misc]  # mypy infers no lambda with a default
                released.append(time.monotonic() - since)
            time.sleep(max(0.0, began + EVERY_SECONDS * (len(waiting) + len(unwanted)) - time.monotonic()))
        assert {shop.order(own)["state"] for own in waiting} == {"pending"}
    goes_on = time.monotonic()
    eventually(lambda: set(states(shop)) <= ENDS, "all end", 300.0)
    ended = time.monotonic() - goes_on
    assert {shop.order(own)["state"] for own in (*before, *waiting)} == {"confirmed"}
    assert {shop.order(own)["state"] for own in unwanted} == {"cancelled"}
    eventually(lambda: not wrong(shop), "money and stock add up", 120.0)
    did = [each for each in operations(relay) if each["key"].split(":")[0].removeprefix("p-") in shop.orders]
    charges = Counter(each["key"] for each in did if each["kind"] == "charge" and each["status"] == "succeeded")
    signs = {"charge": 1, "refund": -1}
    net = sum(signs[each["kind"]] * each["amount_minor"] for each in did if each["status"] == "succeeded")
    assert set(charges.values()) == {1}
    assert net == PRICE * (len(before) + len(waiting))
    assert shop.stock(variant) == (500 - len(before) - len(waiting), 0)
    assert relay.stack.process("consumers").restarts == 0
    print(  # noqa: T201 - the figures
        f"{len(waiting)} waited and {len(unwanted)} were cancelled in {FROZEN_SECONDS:.0f} s, goods free after at most "
        f"{max(released):.2f} s; all ended {ended:.1f} s after the provider went on; {len(charges)} charges, {net} kept"
    )
