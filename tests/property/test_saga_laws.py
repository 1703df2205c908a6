"""The saga of an order as its rules alone: whatever is lost, repeated, late or out of order, money and stock add up.

Services, a provider and a log are plain Python here. An event is delivered to a service at least once, in any order and
without an inbox; the provider's answers are lost, repeated and late; clocks jump past deadlines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from marketplace.sagas import inventory, orders, payments
from marketplace.sagas.declaration import TERMINAL, TRANSITIONS, Service, State, Trigger
from marketplace.sagas.events import Event, EventType, OrderedItem, decode_payload, encode_payload
from marketplace.sagas.inventory import Movement, Reservation, ReservationState
from marketplace.sagas.orders import Order, OrderLine, OrderState, Reason
from marketplace.sagas.payments import Call, CallKind, Entry, Outcome, Payment, RefundState, Report
from marketplace.sagas.reconcile import OrderRows, Said, Subject, check_order
from tests.kits.depth import CHAOS_SEEDS

VARIANTS = ("mug", "bowl")
PRICES = {"mug": 1250, "bowl": 990}
SERVICES = (Service.ORDERS, Service.PAYMENTS, Service.INVENTORY)
OUTCOMES = st.sampled_from(["success", "decline", "lost", "unheard", "pending", "on its way"])
EXAMPLES = 2_000 if CHAOS_SEEDS >= 3 else 500

_STEPS = {(step.service, step.on, step.before, step.after, step.says) for step in TRANSITIONS}


@dataclass
class Provider:
    """Charges and refunds by key, at most once each; what it did it says again for ever."""

    done: dict[str, tuple[Outcome, int]] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)
    on_their_way: list[Call] = field(default_factory=list)

    def ask(self, call: Call, how: str) -> Report | None:
        """What it answers; None where the answer, or the question, is lost."""
        if call.kind is CallKind.LOOK_UP:
            found = self.done.get(call.key)
            return Report(call.key, Outcome.NOT_FOUND) if found is None else self._report(call.key)
        if how == "on its way":
            self.on_their_way.append(call)
        if how in ("unheard", "on its way"):
            return None
        if call.key not in self.done:
            if how == "pending":
                return Report(call.key, Outcome.UNKNOWN)
            if how == "decline" and call.kind is CallKind.REFUND:
                self.refusals[call.key] += 1
                return Report(call.key, Outcome.DECLINED)
            self.done[call.key] = (Outcome.DECLINED if how == "decline" else Outcome.SUCCEEDED), call.amount_minor
        return None if how == "lost" else self._report(call.key)

    def _report(self, key: str) -> Report:
        outcome, amount = self.done[key]
        return Report(key, outcome, amount if outcome is Outcome.SUCCEEDED else None)

    def webhook(self, key: str) -> Report:
        return self._report(key)

    def refunds(self) -> list[str]:
        """Keys of the refunds that it has made."""
        return sorted(
            key for key, (outcome, _) in self.done.items() if ":refund:" in key and outcome is Outcome.SUCCEEDED
        )

    def net(self, payment: str) -> int:
        """What it has of a payment."""
        found = {key: amount for key, (outcome, amount) in self.done.items() if outcome is Outcome.SUCCEEDED}
        return sum(
            amount * (1 if key.endswith(":charge") else -1)
            for key, amount in found.items()
            if key.startswith(f"{payment}:")
        )


class Saga(RuleBasedStateMachine):
    """A few orders of one store."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000
        self.orders: dict[str, Order] = {}
        self.payments: dict[str, Payment] = {}
        self.reservations: dict[str, Reservation] = {}
        self.log: list[Event] = []
        self.heard: dict[Service, set[str]] = {service: set() for service in Service}
        self.movements: dict[str, Movement] = {}
        self.entries: dict[str, Entry] = {}
        self.provider = Provider()
        self.unwanted: set[str] = set()

    @initialize(mugs=st.integers(1, 3), bowls=st.integers(1, 3))
    def stock(self, mugs: int, bowls: int) -> None:
        for variant, quantity in zip(VARIANTS, (mugs, bowls), strict=True):
            self._move(Movement(f"first:{variant}", variant, quantity, inventory.MovementKind.RECEIVED, "first"))

    # --- What happens -------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.orders) < 4)
    @rule(counts=st.sampled_from([(1, 0), (0, 1), (1, 1), (2, 0), (2, 1)]))
    def place(self, counts: tuple[int, int]) -> None:
        items = [OrderedItem(variant, count) for variant, count in zip(VARIANTS, counts, strict=True) if count]
        if inventory.missing(items, self._available("")):
            return
        own = f"o{len(self.orders) + 1}"
        lines = tuple(
            OrderLine(number, item.variant, item.variant, item.variant, item.quantity, PRICES[item.variant])
            for number, item in enumerate(items, 1)
        )
        pay_by = self.now + orders.PAY_SECONDS * 1_000
        made = orders.placed(Order(own, "shop", "ann", "c1", "EUR", lines, OrderState.PENDING, pay_by), self.now)
        self.orders[own] = made.order
        self.payments[own] = Payment(f"p-{own}", own, "shop", made.order.total_minor, "EUR", "card")
        self.reservations[own] = Reservation(
            own, "shop", inventory.merged(items), ReservationState.HELD, pay_by + inventory.GRACE_SECONDS * 1_000
        )
        self._say(made.events)

    @precondition(lambda self: self._unheard())
    @rule(data=st.data())
    def deliver_next(self, data: st.DataObject) -> None:
        """An event that a service has not heard, whatever came before it."""
        self._deliver(*data.draw(st.sampled_from(self._unheard())))

    @precondition(lambda self: self._unheard())
    @rule(service=st.sampled_from(SERVICES))
    def catch_up(self, service: Service) -> None:
        """A service hears all that it has not heard, in order."""
        for event in list(self.log):
            if event.id not in self.heard[service]:
                self._deliver(service, event)

    @precondition(lambda self: self._unheard() or self._due())
    @rule()
    def calm(self) -> None:
        """For a moment all goes well."""
        for service in SERVICES:
            self.catch_up(service)
        for own in self._due():
            self._ask(own, "success")

    @precondition(lambda self: self.log)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        """An event to one service, for the first time or again, whatever came before it."""
        event = data.draw(st.sampled_from(self.log))
        service = data.draw(st.sampled_from(SERVICES))
        self._deliver(service, event)

    @precondition(lambda self: self._due())
    @rule(data=st.data(), how=OUTCOMES)
    def ask_provider(self, data: st.DataObject, how: str) -> None:
        own = data.draw(st.sampled_from(self._due()))
        self._ask(own, how)

    @precondition(lambda self: self.provider.done)
    @rule(data=st.data())
    def webhook(self, data: st.DataObject) -> None:
        """The provider says once more what it did, however long ago."""
        key = data.draw(st.sampled_from(sorted(self.provider.done)))
        own = key.split(":")[0].removeprefix("p-")
        self._report(own, self.provider.webhook(key))

    @precondition(lambda self: any(outcome is Outcome.DECLINED for outcome, _ in self.provider.done.values()))
    @rule(data=st.data())
    def change_of_mind(self, data: st.DataObject) -> None:
        """What was declined is charged after all, such as by a bank that answers late."""
        declined = sorted(key for key, (outcome, _) in self.provider.done.items() if outcome is Outcome.DECLINED)
        key = data.draw(st.sampled_from(declined))
        own = key.split(":")[0].removeprefix("p-")
        self.provider.done[key] = Outcome.SUCCEEDED, self.payments[own].amount_minor
        self._report(own, self.provider.webhook(key))

    @precondition(lambda self: self._due())
    @rule(data=st.data())
    def lose_patience(self, data: st.DataObject) -> None:
        """The buyer cancels while a question is on its way."""
        own = data.draw(st.sampled_from(self._due()))
        self._ask(own, "on its way")
        self._decide_order(own, Trigger.REQUEST, lambda order: orders.cancel(order, Reason.BUYER, self.now))
        if self.orders[own].reason is Reason.BUYER:
            self.unwanted.add(own)
        self.catch_up(Service.PAYMENTS)

    @precondition(lambda self: self.provider.on_their_way)
    @rule()
    def arrive(self) -> None:
        """A question that nobody waits for any more reaches the provider, which says so."""
        call = self.provider.on_their_way.pop(0)
        self.provider.ask(call, "success")
        self._report(call.key.split(":")[0].removeprefix("p-"), self.provider.webhook(call.key))

    @precondition(lambda self: self.provider.refunds())
    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        """Money that had gone back does not arrive."""
        key = data.draw(st.sampled_from(self.provider.refunds()))
        self.provider.done[key] = Outcome.REVERSED, self.provider.done[key][1]
        self._report(key.split(":")[0].removeprefix("p-"), self.provider.webhook(key))

    @rule(seconds=st.sampled_from([1, 60, 16 * 60, 3_600, 24 * 3_600]))
    def wait(self, seconds: int) -> None:
        self.now += seconds * 1_000

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def sweep(self, data: st.DataObject) -> None:
        self._sweep(data.draw(st.sampled_from(sorted(self.orders))))

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), who=st.sampled_from([Reason.BUYER, Reason.SELLER]))
    def cancel(self, data: st.DataObject, who: Reason) -> None:
        own = data.draw(st.sampled_from(sorted(self.orders)))
        before = self.orders[own]
        self._decide_order(own, Trigger.REQUEST, lambda order: orders.cancel(order, who, self.now))
        if self.orders[own] != before:
            self.unwanted.add(own)

    @precondition(lambda self: any(order.state is OrderState.CONFIRMED for order in self.orders.values()))
    @rule(data=st.data())
    def refund(self, data: st.DataObject) -> None:
        confirmed = sorted(own for own, order in self.orders.items() if order.state is OrderState.CONFIRMED)
        own = data.draw(st.sampled_from(confirmed))
        number = data.draw(st.sampled_from([line.number for line in self.orders[own].lines]))
        self._decide_order(own, Trigger.REQUEST, lambda order: orders.refund_lines(order, {number: 1}, self.now))

    @rule(variant=st.sampled_from(VARIANTS))
    def receive(self, variant: str) -> None:
        name = f"more:{len(self.movements)}"
        self._move(Movement(name, variant, 1, inventory.MovementKind.RECEIVED, "more"))

    # --- What always is -----------------------------------------------------------------------------------------------

    @invariant()
    def stock_is_never_negative(self) -> None:
        assert all(count >= 0 for count in self._on_hand().values())

    @invariant()
    def no_more_goes_back_than_was_taken(self) -> None:
        for own, payment in self.payments.items():
            assert 0 <= payment.refunded_minor <= payment.captured_minor
            assert 0 <= self.provider.net(payment.id) <= payment.amount_minor
            assert self.orders[own].refunded_minor <= self.orders[own].paid_minor

    @invariant()
    def the_ledger_adds_up_to_zero(self) -> None:
        assert sum(entry.amount_minor for entry in self.entries.values()) == 0

    @invariant()
    def the_reconciler_finds_nothing_wrong(self) -> None:
        for own in self.orders:
            found = [each for each in check_order(self._rows(own), self.now) if each.subject is not Subject.INBOX]
            assert not found, found

    def teardown(self) -> None:
        """In the end everything that was said is heard, the provider answers, and nobody waits any more.

        After that what was on its way to the provider all the time arrives.
        """
        self._settle()
        if self.provider.on_their_way:
            while self.provider.on_their_way:
                self.arrive()
            self._settle()
        for own, order in self.orders.items():
            self._check_end(own, order)

    def _settle(self) -> None:
        for _ in range(60):
            before = len(self.log), self._versions()
            for event in list(self.log):
                for service in SERVICES:
                    if event.id not in self.heard[service]:
                        self._deliver(service, event)
            for own in sorted(self.orders):
                for refund in self.payments[own].refunds:
                    if refund.state is RefundState.STUCK:
                        again = payments.retry_refund(self.payments[own], refund.id, self.now)
                        self.payments[own] = again.payment
                self._ask(own, "success")
                self._sweep(own)
            if before == (len(self.log), self._versions()):
                self.now += 2 * 3_600_000
                if all(payment.next_due_ms is None for payment in self.payments.values()) and self._is_quiet():
                    break

    def _check_end(self, own: str, order: Order) -> None:
        payment, reservation = self.payments[own], self.reservations[own]
        assert order.state in TERMINAL, order
        assert own not in self.unwanted or order.state is OrderState.CANCELLED, order
        assert payment.state in TERMINAL, payment
        assert reservation.state in TERMINAL, reservation
        back = sum(line.returned * line.unit_minor for line in order.lines)
        sold = Counter[str]()
        for movement in self.movements.values():
            if movement.cause == own:
                sold[movement.variant] -= movement.quantity
        if order.state is OrderState.CONFIRMED:
            assert self.provider.net(payment.id) == order.total_minor - back
            assert order.paid_minor - order.refunded_minor == order.total_minor - back
            kept = {line.variant: line.quantity - line.returned for line in order.lines}
            assert {variant: sold[variant] for variant in kept} == kept
        else:
            assert self.provider.net(payment.id) == 0
            assert order.paid_minor == order.refunded_minor
            assert not any(sold.values())
            assert order.reason is not None

    # --- How the services work ----------------------------------------------------------------------------------------

    def _deliver(self, service: Service, event: Event) -> None:
        self.heard[service].add(event.id)
        own = event.order
        if service is Service.ORDERS:
            self._decide_order(own, event.type, lambda order: orders.on_event(order, event, self.now))
        elif service is Service.PAYMENTS:
            self._decide_payment(own, event.type, lambda payment: payments.on_event(payment, event, self.now))
        else:
            before = self.reservations[own]
            made = inventory.on_event(before, event, self._available(own), self.now)
            self.reservations[own] = made.reservation
            self._declared(
                Service.INVENTORY, event.type, before.state, made.reservation.state, made.events,
                changed=made.reservation != before,
            )  # fmt: skip
            for movement in made.movements:
                self._move(movement)
            self._say(made.events)

    def _ask(self, own: str, how: str) -> None:
        for call in payments.due_calls(self.payments[own], self.now):
            self.payments[own] = payments.asking(self.payments[own], call, self.now)
            report = self.provider.ask(call, how)
            if report is not None:
                self._report(own, report)

    def _report(self, own: str, report: Report) -> None:
        self._decide_payment(own, Trigger.PROVIDER, lambda payment: payments.apply_report(payment, report, self.now))

    def _sweep(self, own: str) -> None:
        self._decide_order(own, Trigger.DEADLINE, lambda order: orders.on_deadline(order, self.now))
        before = self.reservations[own]
        made = inventory.on_deadline(before, self.now)
        self.reservations[own] = made.reservation
        self._declared(
            Service.INVENTORY, Trigger.DEADLINE, before.state, made.reservation.state, (),
            changed=made.reservation != before,
        )  # fmt: skip

    def _decide_order(self, own: str, on: EventType | Trigger, decide: Callable[[Order], orders.OrderDecision]) -> None:
        before = self.orders[own]
        try:
            made = decide(before)
        except orders.NotNow:
            return
        assert made.order != before or not made.events
        self.orders[own] = made.order
        self._declared(Service.ORDERS, on, before.state, made.order.state, made.events, changed=made.order != before)
        self._say(made.events)

    def _decide_payment(
        self, own: str, on: EventType | Trigger, decide: Callable[[Payment], payments.PaymentDecision]
    ) -> None:
        before = self.payments[own]
        made = decide(before)
        self.payments[own] = made.payment
        self._declared(
            Service.PAYMENTS, on, before.state, made.payment.state, made.events,
            changed=made.payment != before,
        )  # fmt: skip
        for entry in made.entries:
            assert entry.id not in self.entries
            self.entries[entry.id] = entry
        self._say(made.events)

    def _declared(
        self,
        service: Service,
        on: EventType | Trigger,
        before: State,
        after: State,
        said: tuple[Event, ...],
        *,
        changed: bool,
    ) -> None:
        if not changed:
            assert not said
            return
        assert len(said) <= 1
        step = (service, on, before, after, said[0].type if said else None)
        assert step in _STEPS, step

    def _say(self, events: tuple[Event, ...]) -> None:
        for event in events:
            assert event.id not in {known.id for known in self.log}
            assert decode_payload(event.type, encode_payload(event.payload)) == event.payload
            self.log.append(event)

    def _move(self, movement: Movement) -> None:
        assert movement.id not in self.movements
        self.movements[movement.id] = movement

    def _on_hand(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for movement in self.movements.values():
            found[movement.variant] += movement.quantity
        return found

    def _available(self, own: str) -> dict[str, int]:
        found = self._on_hand()
        for other, reservation in self.reservations.items():
            if other != own and reservation.holds(self.now):
                for item in reservation.items:
                    found[item.variant] -= item.quantity
        return dict(found)

    def _rows(self, own: str) -> OrderRows:
        payment = self.payments[own]
        return OrderRows(
            order=self.orders[own],
            payment=payment,
            reservation=self.reservations[own],
            entries=tuple(entry for entry in self.entries.values() if entry.id.startswith(f"{payment.id}:")),
            movements=tuple(movement for movement in self.movements.values() if movement.cause == own),
            said=tuple(Said(event.id, event.type, event.at_ms) for event in self.log if event.order == own),
            heard=frozenset((service.value, event) for service, events in self.heard.items() for event in events),
        )

    def _unheard(self) -> list[tuple[Service, Event]]:
        return [(each, event) for event in self.log for each in SERVICES if event.id not in self.heard[each]]

    def _due(self) -> list[str]:
        return [own for own, payment in sorted(self.payments.items()) if payments.due_calls(payment, self.now)]

    def _versions(self) -> list[int]:
        return [each.version for kind in (self.orders, self.payments, self.reservations) for each in kind.values()]

    def _is_quiet(self) -> bool:
        return not self._unheard() and all(order.state in TERMINAL for order in self.orders.values())


TestSaga = Saga.TestCase
TestSaga.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)
