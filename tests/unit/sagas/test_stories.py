"""What becomes of an order, told step by step; together the stories take every step that is declared."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import pytest

from marketplace.sagas import inventory, orders, payments
from marketplace.sagas.declaration import DEADLINES, TERMINAL, TRANSITIONS, deadline_of, listeners, speakers
from marketplace.sagas.events import (
    PAYLOADS,
    STOCK_REFUND,
    Event,
    EventType,
    OrderedItem,
    Payload,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundReversed,
    StockInsufficient,
    UnknownEvent,
    decode_payload,
)
from marketplace.sagas.inventory import Reservation, ReservationState
from marketplace.sagas.orders import NotNow, Order, OrderLine, OrderState, Reason
from marketplace.sagas.payments import Mismatch, Outcome, Payment, PaymentState, RefundState, Report

NOW = 1_000_000
LINES = (OrderLine(1, "mug", "mug-s", "Mug", 2, 1250), OrderLine(2, "bowl", "bowl-l", "Bowl", 1, 990))


@dataclass
class Story:
    """One order, with a provider that says what the story wants; events reach everybody at once, in order."""

    stock: dict[str, int] = field(default_factory=lambda: {"mug-s": 5, "bowl-l": 5})
    now: int = NOW
    said: list[EventType] = field(default_factory=list)

    lines: tuple[OrderLine, ...] = LINES

    def __post_init__(self) -> None:
        pay_by = self.now + orders.PAY_SECONDS * 1_000
        made = orders.placed(Order("o1", "shop", "ann", "c1", "EUR", self.lines, OrderState.PENDING, pay_by), self.now)
        self.order = made.order
        self.payment = Payment("p1", "o1", "shop", made.order.total_minor, "EUR", "card")
        expires = pay_by + inventory.GRACE_SECONDS * 1_000
        items = inventory.merged(made.order.items)
        self.reservation = Reservation("o1", "shop", items, ReservationState.HELD, expires)
        self.spread(made.events)

    def spread(self, events: tuple[Event, ...]) -> None:
        for event in events:
            self.said.append(event.type)
            made = orders.on_event(self.order, event, self.now)
            paid = payments.on_event(self.payment, event, self.now)
            stocked = inventory.on_event(self.reservation, event, self.stock, self.now)
            self.order, self.payment, self.reservation = made.order, paid.payment, stocked.reservation
            for movement in stocked.movements:
                self.stock[movement.variant] += movement.quantity
            self.spread((*made.events, *paid.events, *stocked.events))

    def provider(self, outcome: Outcome, amount: int | None = None) -> None:
        """The provider answers all that is due."""
        for call in payments.due_calls(self.payment, self.now):
            self.payment = payments.asking(self.payment, call, self.now)
            said = call.amount_minor if amount is None else amount
            self.report(Report(call.key, outcome, said if outcome is Outcome.SUCCEEDED else None))

    def report(self, report: Report) -> None:
        made = payments.apply_report(self.payment, report, self.now)
        self.payment = made.payment
        self.spread(made.events)

    def wait(self, seconds: int) -> None:
        self.now += seconds * 1_000
        ended, released = orders.on_deadline(self.order, self.now), inventory.on_deadline(self.reservation, self.now)
        self.order, self.reservation = ended.order, released.reservation
        self.spread(ended.events)

    def cancel(self, who: Reason = Reason.BUYER) -> None:
        made = orders.cancel(self.order, who, self.now)
        self.order = made.order
        self.spread(made.events)


def test_an_order_that_is_paid_gets_its_goods() -> None:
    story = Story()
    story.provider(Outcome.SUCCEEDED)
    assert (story.order.state, story.reservation.state) == (OrderState.CONFIRMED, ReservationState.TAKEN)
    assert story.stock == {"mug-s": 3, "bowl-l": 4}
    assert story.said == [
        EventType.ORDER_CREATED, EventType.PAYMENT_COMPLETED, EventType.ORDER_PAYMENT_COMPLETED,
        EventType.STOCK_COUNT_UPDATED, EventType.ORDER_CONFIRMED,
    ]  # fmt: skip


def test_an_order_whose_card_is_declined_is_cancelled_and_its_stock_released() -> None:
    story = Story()
    story.provider(Outcome.DECLINED)
    assert (story.order.state, story.order.reason) == (OrderState.CANCELLED, Reason.DECLINED)
    assert story.reservation.state is ReservationState.RELEASED
    assert story.said[-2:] == [EventType.PAYMENT_FAILED, EventType.ORDER_CANCELLED]


def test_an_order_whose_goods_are_gone_gets_its_money_back() -> None:
    story = Story()
    story.stock = {"mug-s": 1, "bowl-l": 5}
    story.provider(Outcome.SUCCEEDED)
    assert (story.order.state, story.reservation.state) == (OrderState.REFUNDING, ReservationState.REFUSED)
    story.provider(Outcome.SUCCEEDED)
    assert (story.order.state, story.order.reason) == (OrderState.CANCELLED, Reason.NO_STOCK)
    assert story.order.refunded_minor == story.order.paid_minor == story.order.total_minor
    assert story.stock == {"mug-s": 1, "bowl-l": 5}


def test_an_order_that_nobody_pays_is_cancelled_after_a_quarter_of_an_hour_and_nobody_is_charged() -> None:
    story = Story()
    story.provider(Outcome.UNKNOWN)
    story.wait(orders.PAY_SECONDS)
    assert (story.order.state, story.order.reason) == (OrderState.CANCELLED, Reason.UNPAID)
    story.provider(Outcome.NOT_FOUND)
    assert story.payment.state is PaymentState.VOIDED


@pytest.mark.parametrize(
    ("left", "state"),
    [({"mug-s": 2, "bowl-l": 1}, OrderState.CONFIRMED), ({"mug-s": 2, "bowl-l": 0}, OrderState.CANCELLED)],
)
def test_a_payment_that_comes_after_the_end_buys_what_is_there_still_or_goes_back(
    left: dict[str, int], state: OrderState
) -> None:
    story = Story()
    story.provider(Outcome.UNKNOWN)
    story.wait(orders.PAY_SECONDS + 3_600)
    story.stock = dict(left)
    story.provider(Outcome.SUCCEEDED)
    story.provider(Outcome.SUCCEEDED)
    assert story.order.state is state
    assert story.order.paid_minor - story.order.refunded_minor == (
        story.order.total_minor if state is OrderState.CONFIRMED else 0
    )


def test_a_payment_that_comes_after_the_buyer_has_cancelled_goes_back_although_the_goods_are_there() -> None:
    story = Story()
    story.provider(Outcome.UNKNOWN)
    story.cancel()
    story.now += 3_600_000
    story.provider(Outcome.SUCCEEDED)
    assert story.said[-1] is EventType.ORDER_REFUND_REQUESTED
    story.provider(Outcome.SUCCEEDED)
    assert story.order.state is OrderState.CANCELLED
    assert story.stock == {"mug-s": 5, "bowl-l": 5}


def test_a_confirmed_order_that_is_cancelled_brings_its_goods_and_its_money_back() -> None:
    story = Story()
    story.provider(Outcome.SUCCEEDED)
    story.cancel(Reason.SELLER)
    story.provider(Outcome.SUCCEEDED)
    assert (story.order.state, story.order.refunded_minor) == (OrderState.CANCELLED, story.order.total_minor)
    assert story.stock == {"mug-s": 5, "bowl-l": 5}


def test_a_line_is_refunded_piece_by_piece_and_no_piece_twice() -> None:
    story = Story()
    story.provider(Outcome.SUCCEEDED)
    for _ in range(2):
        made = orders.refund_lines(story.order, {1: 1}, story.now)
        story.order = made.order
        story.spread(made.events)
        story.provider(Outcome.SUCCEEDED)
    assert (story.order.state, story.order.refunded_minor, story.stock["mug-s"]) == (OrderState.CONFIRMED, 2500, 5)
    with pytest.raises(NotNow, match="0 left"):
        orders.refund_lines(story.order, {1: 1}, story.now)
    for bad in ({}, {9: 1}, {2: 0}, {2: 2}):
        with pytest.raises(NotNow):
            orders.refund_lines(story.order, bad, story.now)


@pytest.mark.parametrize("seller", [False, True])
def test_goods_that_cost_nothing_come_back_without_a_question_to_the_provider(seller: bool) -> None:
    gift = replace(LINES[1], unit_minor=0)
    story = Story(lines=(LINES[0], gift))
    story.provider(Outcome.SUCCEEDED)
    for number in (2, 1) if seller else (1, 2):
        made = orders.refund_lines(story.order, {number: story.order.lines[number - 1].quantity}, story.now)
        story.order = made.order
        story.spread(made.events)
        asked = [call.amount_minor for call in payments.due_calls(story.payment, story.now)]
        assert asked == ([2_500] if number == 1 else [])
        story.provider(Outcome.SUCCEEDED)
    assert (story.order.state, story.order.refunded_minor) == (OrderState.CANCELLED, 2_500)
    assert (story.payment.next_due_ms, story.payment.refunded_minor) == (None, 2_500)
    assert story.stock == {"mug-s": 5, "bowl-l": 5}


def test_an_operator_lets_a_refund_that_waits_be_asked_for_now_and_one_that_is_done_never_again() -> None:
    story = Story()
    story.provider(Outcome.SUCCEEDED)
    story.cancel()
    for _ in range(3):
        story.provider(Outcome.DECLINED)
        story.now += 60_000
    story.provider(Outcome.UNKNOWN)
    assert payments.due_calls(story.payment, story.now) == []
    key = story.payment.refund_key("r1")
    story.payment = payments.retry_refund(story.payment, "r1", story.now).payment
    assert [call.key for call in payments.due_calls(story.payment, story.now)] == [key]
    assert story.payment.refunds[0].attempts == 4, "it is refused no more often than any other one"
    story.provider(Outcome.SUCCEEDED)
    for refund in ("r1", "r9"):
        assert payments.retry_refund(story.payment, refund, story.now).payment == story.payment


def heard_by_orders(events: tuple[Event, ...], before: Order) -> Order:
    for event in events:
        before = orders.on_event(before, event, NOW).order
    return before


@pytest.mark.parametrize("reversals", [0, 1])
def test_an_order_whose_goods_are_missing_ends_in_whatever_order_it_hears_of_it(reversals: int) -> None:
    """Its money may be back before it hears why; then it may come back, and go once more."""
    paid = replace(Story().order, state=OrderState.PAID, paid_minor=3_490)
    said: list[tuple[EventType, Payload]] = [
        (EventType.STOCK_INSUFFICIENT, StockInsufficient((OrderedItem("mug-s", 2),)))
    ]
    said.append((EventType.PAYMENT_REFUNDED, PaymentRefunded("p1", STOCK_REFUND, 3_490)))
    if reversals:
        said.append((EventType.PAYMENT_REFUND_REVERSED, PaymentRefundReversed("p1", STOCK_REFUND, 3_490, 1)))
        said.append((EventType.PAYMENT_REFUNDED, PaymentRefunded("p1", STOCK_REFUND, 3_490, 1)))
    events = [Event(f"o1:{number}", kind, "o1", "shop", NOW, payload) for number, (kind, payload) in enumerate(said)]

    ends = {heard_by_orders(each, paid) for each in itertools.permutations(events)}

    assert {(end.state, end.reason, end.refunded_minor) for end in ends} == {
        (OrderState.CANCELLED, Reason.NO_STOCK, 3_490)
    }


def test_a_refund_that_the_provider_refuses_again_and_again_waits_for_an_operator() -> None:
    story = Story()
    story.provider(Outcome.SUCCEEDED)
    story.cancel()
    for _ in range(payments.MAX_REFUND_ATTEMPTS):
        story.provider(Outcome.DECLINED)
        story.now += 3_600_000
    assert [refund.state for refund in story.payment.refunds] == [RefundState.STUCK]
    assert payments.due_calls(story.payment, story.now) == []
    story.payment = payments.retry_refund(story.payment, "r1", story.now).payment
    story.provider(Outcome.SUCCEEDED)
    assert story.order.state is OrderState.CANCELLED


def test_a_refund_that_comes_back_is_owed_again_and_ends_the_order_once_more_when_it_has_gone() -> None:
    story = Story()
    story.provider(Outcome.SUCCEEDED)
    story.cancel()
    story.provider(Outcome.SUCCEEDED)
    gone, old_key = story.payment, story.payment.refund_key("r1")
    assert (story.order.state, story.order.refunded_minor) == (OrderState.CANCELLED, 3490)
    for _ in range(2):
        story.report(Report(old_key, Outcome.REVERSED))
    assert (story.order.state, story.order.refunded_minor) == (OrderState.REFUNDING, 0)
    assert (story.payment.refunds[0].state, story.payment.refunded_minor) == (RefundState.STUCK, 0)
    assert payments.due_calls(story.payment, story.now + 10**9) == [], "an operator decides"
    story.payment = payments.retry_refund(story.payment, "r1", story.now).payment
    (call,) = payments.due_calls(story.payment, story.now)
    assert call.key == f"{old_key}:1" != old_key, "another effect has another key"
    story.report(Report(old_key, Outcome.SUCCEEDED, 3490))
    assert story.order.state is OrderState.REFUNDING, "the old one says nothing any more"
    story.provider(Outcome.SUCCEEDED)
    assert (story.order.state, story.order.refunded_minor) == (OrderState.CANCELLED, 3490)
    assert story.said.count(EventType.PAYMENT_REFUND_REVERSED) == 1
    assert story.payment.refunded_minor == gone.refunded_minor
    assert story.stock == {"mug-s": 5, "bowl-l": 5}, "goods come back once"


def test_a_refund_that_came_back_before_it_was_known_to_be_gone_was_never_gone() -> None:
    story = Story()
    story.provider(Outcome.SUCCEEDED)
    story.cancel()
    key = story.payment.refund_key("r1")
    before = story.said[:]
    story.report(Report(key, Outcome.REVERSED))
    story.report(Report(key, Outcome.SUCCEEDED, 3490))
    assert (story.order.state, story.said) == (OrderState.REFUNDING, before)
    assert story.payment.refunds[0].state is RefundState.STUCK


def test_money_of_a_payment_that_was_given_up_goes_back() -> None:
    story = Story()
    story.provider(Outcome.UNKNOWN)
    story.cancel()
    story.now += 10_000
    story.provider(Outcome.NOT_FOUND)
    assert story.payment.state is PaymentState.VOIDED
    # The question was on its way still.
    story.report(Report(story.payment.charge_key, Outcome.SUCCEEDED, 3490, "EUR"))
    assert (story.payment.state, story.order.state) == (PaymentState.COMPLETED, OrderState.REFUNDING)
    story.provider(Outcome.SUCCEEDED)
    assert (story.order.state, story.payment.refunded_minor) == (OrderState.CANCELLED, 3490)


def test_a_question_that_was_never_heard_is_asked_again_at_once_and_then_ever_more_slowly() -> None:
    story = Story()
    waits = []
    for _ in range(4):
        (call,) = payments.due_calls(story.payment, story.now)
        assert call.kind is payments.CallKind.CHARGE
        story.payment = payments.asking(story.payment, call, story.now)
        assert story.payment.next_due_ms is not None
        waits.append((story.payment.next_due_ms - story.now) // 1_000)
        story.now = story.payment.next_due_ms
        (call,) = payments.due_calls(story.payment, story.now)
        assert call.kind is payments.CallKind.LOOK_UP
        story.payment = payments.asking(story.payment, call, story.now)
        story.report(Report(call.key, Outcome.NOT_FOUND))
    assert waits == [5, 60, 900, 3600]


def test_a_provider_that_speaks_of_another_amount_changes_nothing() -> None:
    story = Story()
    before = story.payment
    with pytest.raises(Mismatch, match="1 None, and it is 3490 EUR"):
        payments.apply_report(before, Report(before.charge_key, Outcome.SUCCEEDED, 1), NOW)
    wrong = Report(before.charge_key, Outcome.SUCCEEDED, before.amount_minor, "USD")
    with pytest.raises(Mismatch):
        payments.apply_report(before, wrong, NOW)


def test_a_question_that_was_asked_is_looked_up_before_it_is_asked_again_and_ever_more_slowly() -> None:
    story = Story()
    waits = []
    for _ in range(8):
        due = story.payment.next_due_ms
        assert due is not None
        story.now = due
        (call,) = payments.due_calls(story.payment, story.now)
        story.payment = payments.asking(story.payment, call, story.now)
        assert story.payment.next_due_ms is not None
        waits.append((story.payment.next_due_ms - story.now) // 1_000)
    assert waits == [5, 15, 60, 300, 900, 3600, 3600, 3600]
    assert call.kind is payments.CallKind.LOOK_UP


def test_who_cancels_while_stock_is_deducted_is_asked_to_try_again() -> None:
    story = Story()
    paid = replace(story.order, state=OrderState.PAID)
    with pytest.raises(NotNow, match="try again"):
        orders.cancel(paid, Reason.BUYER, NOW)
    for state in (OrderState.CANCELLED, OrderState.REFUNDING):
        with pytest.raises(NotNow):
            orders.cancel(replace(story.order, state=state), Reason.BUYER, NOW)


def test_every_state_waits_for_somebody_until_a_deadline_or_for_nobody() -> None:
    states = {*OrderState, *PaymentState, *RefundState, *ReservationState}
    waiting = {deadline.state for deadline in DEADLINES}
    assert waiting | TERMINAL == states
    assert not waiting & TERMINAL
    assert all((deadline_of(state) is None) == (state in TERMINAL) for state in states)


def test_every_event_has_a_payload_a_speaker_and_a_listener() -> None:
    assert PAYLOADS.keys() == set(EventType)
    for kind in EventType:
        # An order is placed by the API, and confirmations are for notifications and people.
        assert speakers(kind) or kind is EventType.ORDER_CREATED
        assert listeners(kind) or kind is EventType.ORDER_CONFIRMED
    assert len(TRANSITIONS) == len({replace(step, why="") for step in TRANSITIONS})


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("ORDER_BURNT", b"{}"),
        ("ORDER_CREATED", b"{}"),
        ("ORDER_CREATED", b"\xff"),
        ("", b""),
        ("PAYMENT_FAILED", b"[]"),
    ],
)
def test_what_is_no_event_is_refused_with_a_reason(kind: str, value: bytes) -> None:
    with pytest.raises(UnknownEvent):
        decode_payload(kind, value)


def test_a_payload_of_a_later_version_is_read_without_what_is_not_known() -> None:
    found = decode_payload("PAYMENT_FAILED", b'{"payment": "p1", "reason": "declined", "since_v2": 1}')
    assert found == PaymentFailed(payment="p1", reason="declined")


def test_items_of_one_variant_are_one_and_sorted() -> None:
    items = [OrderedItem("b", 1), OrderedItem("a", 2), OrderedItem("b", 3)]
    assert inventory.merged(items) == (OrderedItem("a", 2), OrderedItem("b", 4))
    assert inventory.missing(items, {"a": 2, "b": 1}) == (OrderedItem("b", 3),)
