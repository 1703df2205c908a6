"""The saga on a real Mongo, with the consumers that run in production: whatever is lost, repeated, late or cut off by a
crash at any command, money and stock add up, and every order ends.

The rules alone are tried far more often in tests/property/test_saga_laws.py; here it is the transactions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar, Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pymongo import MongoClient

from connectors.mongo.sagas.orders import OrderRepository
from connectors.mongo.sagas.steps import SagaSteps, Session
from marketplace.collections import OUTBOX
from marketplace.sagas import order_state
from marketplace.sagas import orders as rules
from marketplace.sagas.declaration import Service
from marketplace.sagas.events import Event
from marketplace.sagas.order_state import NotNow, Order, OrderDecision, Reason
from marketplace.sagas.provider_calls import Outcome
from ops.stack import Stack
from saga_consumers.consumer import Parts, SagaConsumer
from saga_consumers.inventory import store as inventory
from saga_consumers.orders import store as orders
from tests.kits.crashes import Crash, Crashes, crashing_client
from tests.kits.depth import CHAOS, CHAOS_SEEDS
from tests.kits.sagas import Payments, Shop, event_in, ms, saga_database, wrong, wrong_stock

EXAMPLES: Final = 12 if CHAOS_SEEDS < 3 else 60 * CHAOS_SEEDS
STEPS: Final = 16
SERVICES: Final = (Service.ORDERS, Service.INVENTORY, Service.PAYMENTS)
MOST_COMMANDS: Final = 14
"""More than any step sends: some crashes do not come, which is a step without one."""

_crashes = st.none() | st.integers(1, MOST_COMMANDS) | st.just(0)
"""Before the command of a number, or after the commit where it is 0."""


class Machine(RuleBasedStateMachine):
    """A few orders of one store, which shares its database with all examples."""

    url: ClassVar[str]
    database: ClassVar[tuple[MongoClient[dict[str, Any]], str]]

    def __init__(self) -> None:
        super().__init__()
        self.shop = Shop(*self.database)
        self.payments = Payments(self.shop)
        self.heard: set[tuple[Service, str]] = set()
        self.variants: list[str] = []

    @initialize(one=st.integers(1, 4), other=st.integers(1, 3))
    def stock(self, one: int, other: int) -> None:
        self.variants = [self.shop.sells(one), self.shop.sells(other)]

    @precondition(lambda self: len(self.shop.orders) < 4)
    @rule(
        counts=st.sampled_from([(1, 0), (0, 1), (1, 1), (2, 0), (2, 1)]),
        outcome=st.sampled_from([Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.DECLINED, Outcome.UNKNOWN]),
    )
    def place(self, counts: tuple[int, int], outcome: Outcome) -> None:
        items = {variant: count for variant, count in zip(self.variants, counts, strict=True) if count}
        if all(
            there - reserved >= items[variant] for variant in items for there, reserved in [self.shop.stock(variant)]
        ):
            self.payments.outcomes[self.shop.place(items)] = outcome

    @precondition(lambda self: self.shop.orders)
    @rule(data=st.data(), service=st.sampled_from(SERVICES), crash=_crashes)
    def deliver(self, data: st.DataObject, service: Service, crash: int | None) -> None:
        """An event to one service, for the first time or again, whatever came before it."""
        events = self._log()
        fresh = [event for event in events if (service, event.id) not in self.heard]
        event = data.draw(st.sampled_from(fresh or events))
        if self._crashing(crash, lambda parts: self._consumer(service, parts).handle(event, self.shop.now, "")):
            self.heard.add((service, event.id))

    @precondition(lambda self: self.shop.orders)
    @rule(service=st.sampled_from(SERVICES))
    def catch_up(self, service: Service) -> None:
        """A service hears all that it has not heard, in order."""
        consumer = self._consumer(service, self.shop.parts)
        for event in self._log():
            if (service, event.id) not in self.heard:
                consumer.handle(event, self.shop.now, "")
                self.heard.add((service, event.id))

    @precondition(lambda self: self.shop.orders)
    @rule()
    def replay(self) -> None:
        """Everything is heard once more by everybody who has heard it, and nothing comes of it."""
        before = self.shop.document()
        for service in SERVICES:
            consumer = self._consumer(service, self.shop.parts)
            for event in self._log():
                if (service, event.id) in self.heard:
                    consumer.handle(event, self.shop.now, "")
        assert self.shop.document() == before

    @rule(seconds=st.sampled_from([1, 60, 16 * 60, 3_600]))
    def wait(self, seconds: int) -> None:
        self.shop.wait(seconds)

    @rule(service=st.sampled_from([Service.ORDERS, Service.INVENTORY]), crash=_crashes)
    def sweep(self, service: Service, crash: int | None) -> None:
        self._crashing(crash, lambda parts: self._consumer(service, parts).sweep(self.shop.now))

    @precondition(lambda self: self.shop.orders)
    @rule(data=st.data(), outcome=st.sampled_from([Outcome.SUCCEEDED, Outcome.DECLINED]))
    def provider(self, data: st.DataObject, outcome: Outcome) -> None:
        """The provider says something by itself, late or once more; what it once took it never declines."""
        own = data.draw(st.sampled_from(self.shop.orders))
        if self.shop.payment(own)["attempts"]:
            self.payments.says(own, outcome)

    @precondition(lambda self: self.shop.orders)
    @rule(data=st.data(), who=st.sampled_from([Reason.BUYER, Reason.SELLER]))
    def cancel(self, data: st.DataObject, who: Reason) -> None:
        self._ask(data, lambda order: rules.cancel(order, who, ms(self.shop.now)))

    @precondition(lambda self: self.shop.orders)
    @rule(data=st.data())
    def refund(self, data: st.DataObject) -> None:
        self._ask(data, lambda order: rules.refund_lines(order, {1: 1}, ms(self.shop.now)))

    @rule(number=st.integers(0, 1))
    def receive(self, number: int) -> None:
        self.shop.receive(self.variants[number], 1)

    @invariant()
    def counts_of_stock_are_exact(self) -> None:
        assert wrong_stock(self.shop) == []

    def teardown(self) -> None:
        """In the end everything is heard, the provider answers, deadlines pass, and every order has ended."""
        for _ in range(12):
            before = self.shop.document()
            for service in SERVICES:
                self.catch_up(service)
            for own in self.shop.orders:
                if self.shop.payment(own)["state"] == "charging":
                    self.payments.says(own, Outcome.SUCCEEDED)
            if self.shop.document() == before:
                break
        self.shop.wait(17 * 60)
        for _ in range(12):
            before = self.shop.document()
            for service in (Service.ORDERS, Service.INVENTORY):
                self._consumer(service, self.shop.parts).sweep(self.shop.now)
            for service in SERVICES:
                self.catch_up(service)
            if self.shop.document() == before:
                break
        states = {own: self.shop.order(own)["state"] for own in self.shop.orders}
        assert set(states.values()) <= {"confirmed", "cancelled"}, states
        assert not any(self.shop.reservation(own)["state"] == "held" for own in self.shop.orders)
        assert wrong(self.shop) == []

    # --- How it is done -----------------------------------------------------------------------------------------------

    def _log(self) -> list[Event]:
        found = self.shop.mongo[OUTBOX.name].find({"aggregateid": {"$in": self.shop.orders}})
        return [event_in(row) for row in found]

    def _consumer(self, service: Service, parts: Parts) -> SagaConsumer:
        if service is Service.PAYMENTS:
            dying = Payments(replace(self.shop, client=parts.mongo), self.payments.outcomes)
            return dying.consumer(parts)
        return orders.consumer(parts) if service is Service.ORDERS else inventory.consumer(parts)

    def _crashing(self, crash: int | None, act: Callable[[Parts], object]) -> bool:
        """Do something in a process that may end at it; returns whether it did not."""
        if crash is None:
            act(self.shop.parts)
            return True
        crashes = Crashes()
        with crashing_client(self.url, crashes) as dying, suppress(Crash):
            if crash:
                crashes.arm(crash)
            else:
                crashes.arm_after_commit()
            act(Parts(dying, self.shop.database))
            crashes.disarm()
            return True
        return False

    def _ask(self, data: st.DataObject, decide: Callable[[Order], OrderDecision]) -> None:
        """Somebody wants something of an order, as by the API."""
        own, now_ms = data.draw(st.sampled_from(self.shop.orders)), ms(self.shop.now)
        repository = OrderRepository(self.shop.client, self.shop.database)

        def work(session: Session) -> tuple[Event, ...]:
            kept = repository.get(own, session)
            assert kept is not None
            made = decide(kept.order)
            repository.save(kept, made.order, now_ms, session)
            return made.events

        with suppress(NotNow):
            SagaSteps(self.shop.client, self.shop.database, order_state.SERVICE).act(self.shop.now, work)


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[tuple[MongoClient[dict[str, Any]], str]]:
    with saga_database(stack) as made:
        yield made


@CHAOS
def test_whatever_comes_in_between_money_and_stock_add_up_and_every_order_ends(
    stack: Stack, database: tuple[MongoClient[dict[str, Any]], str]
) -> None:
    Machine.url, Machine.database = stack.urls.mongo, database
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            phases=(Phase.explicit, Phase.generate) if CHAOS_SEEDS < 3 else tuple(Phase),
            suppress_health_check=list(HealthCheck),
        ),
    )
