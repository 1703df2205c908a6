"""The payments service on a real database and provider: one effect and one transition, whatever is lost or late."""

from __future__ import annotations

import itertools
import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from connectors.errors import Unavailable
from connectors.mongo.client import connect
from connectors.mongo.sagas.payment_review import PaymentReview
from connectors.payments.provider import Charge
from connectors.payments.sandbox import SandboxProvider
from connectors.payments.secrets import KnownSecrets, ProviderSecrets
from marketplace.collections import INBOX
from marketplace.errors import Reject
from marketplace.sagas.events import OrderCancelled, OrderedItem, OrderRefundRequested, StockInsufficient
from marketplace.sagas.payment_state import Payment, PaymentState
from marketplace.sagas.provider_calls import Call, CallKind, Outcome, Report
from ops.cli import make_app
from ops.stack import Stack
from saga_consumers.consumer import Absent
from saga_consumers.payments.calls import FAILURES_IN_A_ROW
from saga_consumers.payments.store import Applied
from saga_consumers.sweeps import SomeFailed
from tests.kits.payments import SHORT_SECONDS, Orders, Recorded, Sandbox, Worker, payments_database, sandbox
from tests.kits.stack import eventually, polled

AMOUNT = 2_500


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[str]:
    with payments_database(stack) as name:
        yield name


@pytest.fixture
def orders(stack: Stack, database: str, provider: Sandbox) -> Iterator[Orders]:
    with connect(polled(stack.urls.mongo)) as client:
        made = Orders(client, database, provider)
        with closing(made):
            yield made
        # What is due still would be asked about by the sweeps of the next test.
        for name in ("payments", "payment_webhooks"):
            client[database][name].update_many({}, {"$set": {"due_ms": None}})


def message(report: Report, kind: str = "charge", created: int = 1, **changed: Any) -> bytes:
    """A webhook about a report."""
    status = {Outcome.SUCCEEDED: "succeeded", Outcome.DECLINED: "declined", Outcome.REVERSED: "failed"}
    data = {
        "id": report.reference or "ch_1", "kind": kind, "key": report.key,
        "status": status.get(report.outcome, "pending"), "amount_minor": report.amount_minor,
        "currency": report.currency, "reason": report.reason, "account": "sandbox", "live": False,
    }  # fmt: skip
    said = {"id": f"evt_{uuid.uuid4().hex}", "type": "any", "created": created, "data": {**data, **changed}}
    return msgspec.json.encode(said)


def success(payment: Payment, **changed: Any) -> bytes:
    """A webhook that says that a payment was charged."""
    return message(Report(payment.charge_key, Outcome.SUCCEEDED, payment.amount_minor, "EUR"), **changed)


def assert_books_agree(orders: Orders, payment: Payment, net_minor: int) -> None:
    """The provider, the payment and the ledger say the same of where the money is."""
    did = orders.provider.operations(payment.id)
    signs = {"charge": 1, "refund": -1}
    assert sum(signs[kind] * amount for kind, status, amount in did if status == "succeeded") == net_minor
    ledger = orders.ledger(payment)
    assert sum(ledger.values()) == 0
    assert ledger.get("provider", 0) == net_minor == -ledger.get(f"store:{payment.store}", 0)


def test_an_order_that_is_placed_is_charged_at_once_and_once(orders: Orders) -> None:
    worker = orders.worker()
    payment = orders.place("success")
    event = orders.created(payment)
    assert [worker.service.handle(event, orders.now) for _ in range(5)] == [True, False, False, False, False]
    assert worker.service.wait(20)
    assert (orders.state(payment), orders.said(payment)) == ("completed", ["PAYMENT_COMPLETED"])
    assert_books_agree(orders, payment, AMOUNT)


def test_a_declined_card_fails_the_payment_and_books_nothing(orders: Orders) -> None:
    payment = orders.charge(orders.worker(), "no_funds")
    assert (orders.state(payment), orders.said(payment)) == ("failed", ["PAYMENT_FAILED"])
    assert_books_agree(orders, payment, 0)


def test_a_card_that_nobody_knows_fails_the_payment(orders: Orders) -> None:
    payment = orders.charge(orders.worker(), "pm_of_nobody")
    assert orders.state(payment) == "failed"


@pytest.mark.parametrize("card", ["error_once", "hang_once", "cut_once", "answer_lost", "answer_cut"])
def test_a_question_without_an_answer_is_looked_up_before_it_is_asked_again_and_charges_once(
    orders: Orders, card: str
) -> None:
    worker = orders.worker(orders.provider.client(SHORT_SECONDS))
    payment = orders.charge(worker, card)
    assert (orders.state(payment), orders.said(payment)) == ("charging", [])
    orders.sweep(worker)
    assert orders.state(payment) == "charging", "it is left alone for a while"
    orders.sweep(worker, 10)
    assert (orders.state(payment), orders.said(payment)) == ("completed", ["PAYMENT_COMPLETED"])
    assert orders.provider.operations(payment.id) == [("charge", "succeeded", AMOUNT)]
    assert_books_agree(orders, payment, AMOUNT)


def test_every_question_about_one_effect_has_its_key_and_its_amount_also_of_another_process(orders: Orders) -> None:
    first, second = (Recorded(orders.provider.client(SHORT_SECONDS)) for _ in range(2))
    payment = orders.charge(orders.worker(first), "hang_once")
    worker = orders.worker(second)
    orders.sweep(worker, 10)
    orders.refund(worker, payment, "r1", 600)
    orders.refund(worker, payment, "r2", 700, number=3)
    key = f"{payment.id}:charge"
    assert first.questions == [("charge", key, AMOUNT)]
    assert second.questions == [
        ("look_up", key, None),
        ("charge", key, AMOUNT),
        ("refund", f"{payment.id}:refund:r1", 600),
        ("refund", f"{payment.id}:refund:r2", 700),
    ]
    assert_books_agree(orders, payment, AMOUNT - 1_300)


def test_a_provider_that_never_heard_is_asked_ever_less_often(orders: Orders) -> None:
    worker = orders.worker()
    payment = orders.charge(worker, "down")
    waits = []
    for _ in range(5):
        due = orders.row(payment)["due_ms"]
        waits.append(due // 1_000 - int(orders.now.timestamp()))
        orders.sweep(worker, waits[-1] + 1)
    assert waits == sorted(waits)
    assert waits[-1] > 60
    assert orders.state(payment) == "charging"


@pytest.mark.parametrize("asked", [False, True])
def test_a_worker_that_dies_around_its_question_is_followed_by_one_that_looks_it_up(
    orders: Orders, asked: bool
) -> None:
    worker = orders.worker()
    payment = orders.place("success")
    # The dead one wrote down that it will ask; then it asked, or not, and never applied an answer.
    worker.store.react(orders.created(payment), orders.now)
    (begun,) = worker.store.begin(payment.id, orders.now)
    if asked:
        with closing(orders.provider.client()) as client:
            client.charge(Charge(begun.call.key, AMOUNT, "EUR", payment.method))
    orders.sweep(worker, 10)
    assert orders.state(payment) == "completed"
    assert orders.provider.operations(payment.id) == [("charge", "succeeded", AMOUNT)]
    assert_books_agree(orders, payment, AMOUNT)


def test_of_several_workers_that_find_a_payment_due_one_asks(orders: Orders) -> None:
    notes = [Recorded(orders.provider.client()) for _ in range(4)]
    workers = [orders.worker(each) for each in notes]
    payment = orders.place("slow")
    workers[0].store.react(orders.created(payment), orders.now)
    together = threading.Barrier(4)

    def sweep(worker: Worker) -> None:
        together.wait(10)
        worker.service.sweep(orders.now)
        assert worker.service.wait(20)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(sweep, workers))
    assert [question[0] for each in notes for question in each.questions] == ["charge"]
    assert orders.said(payment) == ["PAYMENT_COMPLETED"]


def test_webhooks_an_answer_and_a_look_up_at_one_time_are_one_transition(orders: Orders) -> None:
    workers = [orders.worker() for _ in range(3)]
    payment = orders.place("success")
    workers[0].store.react(orders.created(payment), orders.now)
    workers[0].store.begin(payment.id, orders.now)
    webhooks = [orders.webhook(success(payment)) for _ in range(5)]
    report = Report(payment.charge_key, Outcome.SUCCEEDED, AMOUNT, "EUR", "ch_1")
    together = threading.Barrier(5)

    def at_once(act: Callable[[], object]) -> object:
        together.wait(10)
        return act()

    acts: list[Callable[[], object]] = [
        *(lambda worker=worker: worker.service.sweep(orders.now) for worker in workers),
        *(lambda worker=worker: worker.store.apply(report, orders.now) for worker in workers[:2]),
    ]
    with ThreadPoolExecutor(5) as pool:
        outcomes = list(pool.map(at_once, acts))
    assert {each for each in outcomes if isinstance(each, Applied)} <= {Applied.CHANGED, Applied.KNOWN}
    orders.sweep(workers[0])
    assert {orders.webhook_row(each)["state"] for each in webhooks} == {"applied"}
    assert (orders.state(payment), orders.said(payment)) == ("completed", ["PAYMENT_COMPLETED"])
    assert orders.ledger(payment) == {"provider": AMOUNT, "store:shop": -AMOUNT}


CHARGED = [("charge", Outcome.PENDING), ("charge", Outcome.SUCCEEDED), ("refund", Outcome.PENDING)]
GIVEN_BACK = [*CHARGED[1:2], ("refund", Outcome.SUCCEEDED), ("refund", Outcome.REVERSED)]


@pytest.mark.parametrize("said", [CHARGED, GIVEN_BACK], ids=["charged", "given back"])
def test_webhooks_in_any_order_with_equal_time_stamps_end_in_the_same_state(
    orders: Orders, said: list[tuple[str, Outcome]]
) -> None:
    ends = set()
    worker = orders.worker()
    for permutation in itertools.permutations(said):
        payment = orders.place("success")
        worker.store.react(orders.created(payment), orders.now)
        worker.store.begin(payment.id, orders.now)
        refunded = any(kind == "refund" and outcome is not Outcome.PENDING for kind, outcome in said)
        if refunded:
            # A refund is asked for after the money is known to be there.
            worker.store.apply(Report(payment.charge_key, Outcome.SUCCEEDED, AMOUNT, "EUR"), orders.now)
            worker.store.react(orders.say(payment, OrderRefundRequested("r1", AMOUNT), 2), orders.now)
            worker.store.begin(payment.id, orders.now)
        for number, (kind, outcome) in enumerate(permutation):
            key = payment.charge_key if kind == "charge" else payment.refund_key("r1")
            raw = message(Report(key, outcome, AMOUNT, "EUR"), kind, created=7)
            orders.webhook(raw, f"{payment.id}-{number}")
        orders.sweep(worker)
        ends.add((orders.state(payment), *orders.refunds(payment).values(), orders.ledger(payment)["provider"]))
    assert ends == {("completed", "stuck", AMOUNT) if refunded else ("completed", AMOUNT)}


def test_a_success_that_comes_late_once_more_changes_nothing_of_a_payment_that_went_back(orders: Orders) -> None:
    worker = orders.worker()
    payment = orders.charge(worker, "success")
    orders.refund(worker, payment, "r1", AMOUNT)
    worker.service.handle(orders.say(payment, OrderCancelled("ann", "buyer", AMOUNT), 3), orders.now)
    before, said = orders.row(payment), orders.said(payment)
    for hours in (0, 2, 72):
        webhook = orders.webhook(success(payment))
        orders.sweep(worker, hours * 3_600)
        assert orders.webhook_row(webhook)["state"] == "applied"
        assert (orders.row(payment), orders.said(payment)) == (before, said)
    assert_books_agree(orders, payment, 0)


def test_a_success_of_a_payment_that_was_given_up_is_not_overlooked(orders: Orders) -> None:
    worker = orders.worker()
    payment = orders.place("success")
    worker.store.react(orders.created(payment), orders.now)
    (begun,) = worker.store.begin(payment.id, orders.now)
    worker.service.handle(orders.say(payment, OrderCancelled("ann", "buyer"), 2), orders.now)
    # It is looked up while the question is on its way still.
    worker.store.apply(Report(payment.charge_key, Outcome.NOT_FOUND), orders.now)
    assert orders.state(payment) == "voided"
    with closing(orders.provider.client()) as client:
        client.charge(Charge(begun.call.key, AMOUNT, "EUR", payment.method))
    orders.webhook(success(payment))
    orders.sweep(worker)
    assert (orders.state(payment), orders.said(payment)) == ("completed", ["PAYMENT_COMPLETED"])


@pytest.mark.parametrize("when", ["before the event", "before the question", "before the answer"])
def test_an_order_that_is_cancelled_is_not_charged_unless_it_was_asked_for_before(orders: Orders, when: str) -> None:
    worker = orders.worker()
    payment = orders.place("success")
    cancelled = orders.say(payment, OrderCancelled("ann", "buyer"), 2)
    if when == "before the event":
        worker.service.handle(cancelled, orders.now)
    worker.store.react(orders.created(payment), orders.now)
    begun = worker.store.begin(payment.id, orders.now) if when == "before the answer" else []
    worker.service.handle(cancelled, orders.now)
    for each in begun:
        with closing(orders.provider.client()) as client:
            worker.store.apply(client.charge(Charge(each.call.key, AMOUNT, "EUR", payment.method)), orders.now)
    orders.sweep(worker, 10)
    if when == "before the answer":
        # The orders service hears of it, and lets it go back.
        assert orders.said(payment) == ["PAYMENT_COMPLETED"]
        assert_books_agree(orders, payment, AMOUNT)
    else:
        assert (orders.state(payment), orders.said(payment)) == ("voided", [])
        assert orders.provider.operations(payment.id) == []


@pytest.mark.parametrize(
    ("card", "state", "said"),
    [
        ("pending_success", "completed", ["PAYMENT_COMPLETED"]),
        ("pending_decline", "failed", ["PAYMENT_FAILED"]),
    ],
)
def test_what_is_pending_is_neither_paid_nor_failed_until_it_is_decided(
    orders: Orders, card: str, state: str, said: list[str]
) -> None:
    worker = orders.worker()
    payment = orders.charge(worker, card)
    assert (orders.state(payment), orders.said(payment)) == ("charging", [])

    def decided() -> bool:
        orders.sweep(worker, 3_600)
        return orders.state(payment) == state

    assert eventually(decided)
    assert orders.said(payment) == said


OTHER_MONEY: list[dict[str, Any]] = [
    {"amount_minor": AMOUNT - 1},
    {"amount_minor": AMOUNT + 1},
    {"amount_minor": None},
    {"currency": "USD"},
    {"account": "other"},
    {"live": True},
    {"kind": "dispute"},
]


def test_webhooks_about_other_money_are_parked_and_payments_are_as_they_were(orders: Orders) -> None:
    worker = orders.worker()
    payments = [orders.waiting(PaymentState.CHARGING) for _ in OTHER_MONEY]
    for payment in payments:
        orders.write(payment)
    before = [orders.row(payment) for payment in payments]
    both = zip(payments, OTHER_MONEY, strict=True)
    webhooks = [orders.webhook(success(payment, **changed)) for payment, changed in both]
    good = orders.webhook(success(orders.place("success")))
    orders.sweep(worker)
    for webhook in webhooks:
        row = orders.webhook_row(webhook)
        assert (row["state"], row["due_ms"]) == ("parked", None)
        assert row["reason"]
    for payment, was in zip(payments, before, strict=True):
        after = orders.row(payment)
        assert {name: after[name] for name in was} == was
        assert (orders.said(payment), orders.ledger(payment)) == ([], {})
    assert orders.webhook_row(good)["state"] == "applied", "they keep no other one waiting"
    assert worker.counts.of("mismatch") + worker.counts.of("unreadable") == len(OTHER_MONEY)


def test_an_answer_about_other_money_changes_nothing_and_is_noted_on_the_payment(orders: Orders) -> None:
    worker = orders.worker()
    payment = orders.charge(worker, "error_once")
    before = orders.row(payment)
    wrong = Report(payment.charge_key, Outcome.SUCCEEDED, AMOUNT + 1, "EUR")
    assert worker.store.apply(wrong, orders.now) is Applied.MISMATCH
    after = orders.row(payment)
    assert str(AMOUNT + 1) in after["problem"]
    assert {name: after[name] for name in before} == before
    assert orders.ledger(payment) == {}


def test_a_webhook_before_its_payment_waits_and_is_applied_once_it_is_there(orders: Orders) -> None:
    worker = orders.worker()
    payment = orders.waiting(PaymentState.CHARGING)
    webhook = orders.webhook(success(payment))
    pauses = []
    for _ in range(3):
        orders.sweep(worker)
        row = orders.webhook_row(webhook)
        pauses.append(row["due_ms"] / 1_000 - orders.now.timestamp())
        assert row["state"] == "waiting"
        orders.now += timedelta(seconds=pauses[-1])
    assert pauses == [1, 2, 5]
    orders.write(payment)
    orders.sweep(worker)
    assert orders.webhook_row(webhook)["state"] == "applied"
    assert orders.state(payment) == "completed"


def test_a_payment_that_cannot_be_read_keeps_no_webhook_and_no_question_about_others_waiting(orders: Orders) -> None:
    """It stays due for ever, and is asked about again after a minute and not at once."""
    worker = orders.worker()
    broken, asked, answered = (orders.place("success") for _ in range(3))
    rows = orders.client[orders.database]["payments"]
    for payment in (broken, asked):
        rows.update_one({"_id": payment.id}, {"$set": {"state": "charging", "due_ms": 1, "charge_due_ms": 1}})
    rows.update_one({"_id": broken.id}, {"$set": {"refunds": "nonsense"}})
    orders.webhook(success(broken), "a first one")
    orders.webhook(success(replace(answered, state=PaymentState.CHARGING)))
    rows.update_one({"_id": answered.id}, {"$set": {"state": "charging"}})

    for _ in range(3):
        with pytest.raises(SomeFailed, match="webhook sandbox:a first one"):
            worker.service.sweep(orders.now)
        assert worker.service.wait(20)

    assert [orders.state(payment) for payment in (asked, answered)] == ["completed", "completed"]
    assert worker.counts.of("failed") == 1
    rows.delete_one({"_id": broken.id})


def test_of_refunds_at_one_time_no_more_is_taken_on_than_there_was_and_the_rest_is_rejected(orders: Orders) -> None:
    workers = [orders.worker() for _ in range(5)]
    payment = orders.charge(workers[0], "success", 1_000)
    together = threading.Barrier(10)

    def refund(number: int) -> str:
        event = orders.say(payment, OrderRefundRequested(f"r{number}", 600), 10 + number)
        together.wait(10)
        # Another transaction may be faster as often as a transaction is repeated: then the event comes again.
        while True:
            try:
                workers[number % 5].service.handle(event, orders.now)
            except Unavailable:
                continue
            except Reject as rejection:
                return rejection.reason
            return "taken"

    with ThreadPoolExecutor(10) as pool:
        taken = list(pool.map(refund, range(10)))
    assert sorted(taken) == ["over_refund"] * 9 + ["taken"]
    for worker in workers:
        assert worker.service.wait(20)
    orders.sweep(workers[0])
    assert list(orders.refunds(payment).values()) == ["done"]
    assert_books_agree(orders, payment, 400)


def test_an_event_that_asks_for_too_much_is_rejected_and_leaves_no_trace(orders: Orders) -> None:
    worker = orders.worker()
    payment = orders.charge(worker, "success")
    before = orders.row(payment)
    event = orders.say(payment, OrderRefundRequested("r1", AMOUNT + 1), 2)
    for _ in range(2):
        with pytest.raises(Reject, match="over_refund"):
            worker.service.handle(event, orders.now)
    assert orders.row(payment) == before
    assert orders.client[orders.database][INBOX.name].find_one({"_id": f"payments:{event.id}"}) is None


def test_an_event_of_another_store_is_rejected_and_changes_nothing(orders: Orders) -> None:
    worker = orders.worker()
    payment = orders.charge(worker, "success")
    before = orders.row(payment)
    event = orders.say(payment, OrderRefundRequested("r1", 100), 2, store="other")
    with pytest.raises(Reject, match="other_store"):
        worker.service.handle(event, orders.now)
    assert orders.row(payment) == before


def test_an_event_of_an_order_without_a_payment_is_not_taken_for_handled(orders: Orders) -> None:
    worker = orders.worker()
    payment = replace(orders.place("success"), order=uuid.uuid4().hex)
    with pytest.raises(Absent, match="no payment"):
        worker.service.handle(orders.created(payment), orders.now)


def test_goods_that_are_missing_send_all_of_the_money_back_once(orders: Orders) -> None:
    worker = orders.worker(orders.provider.client(SHORT_SECONDS))
    payment = orders.charge(worker, "refund_answer_lost")
    event = orders.say(payment, StockInsufficient((OrderedItem("mug", 1),)), 2)
    for _ in range(3):
        worker.service.handle(event, orders.now)
    assert worker.service.wait(20)
    orders.sweep(worker, 10)
    assert orders.said(payment) == ["PAYMENT_COMPLETED", "PAYMENT_REFUNDED"]
    assert orders.provider.operations(payment.id)[1:] == [("refund", "succeeded", AMOUNT)]
    assert_books_agree(orders, payment, 0)


def test_a_refund_that_is_refused_twice_is_asked_for_a_third_time(orders: Orders) -> None:
    worker = orders.worker()
    payment = orders.charge(worker, "refund_refused")
    orders.refund(worker, payment, "r1", AMOUNT)
    assert (orders.refunds(payment), orders.said(payment)) == ({"r1": "requested"}, ["PAYMENT_COMPLETED"])
    orders.sweep(worker, 10)
    orders.sweep(worker, 60)
    assert orders.refunds(payment) == {"r1": "done"}
    assert orders.said(payment) == ["PAYMENT_COMPLETED", "PAYMENT_REFUNDED"]
    assert_books_agree(orders, payment, 0)


def test_a_refund_that_comes_back_is_owed_again_and_loud(orders: Orders, caplog: pytest.LogCaptureFixture) -> None:
    worker = orders.worker()
    payment = orders.charge(worker, "refund_reversed")
    orders.refund(worker, payment, "r1", AMOUNT)
    assert orders.said(payment)[1:] == ["PAYMENT_REFUNDED"]
    key = payment.refund_key("r1")
    with closing(orders.provider.client()) as client:
        assert eventually(lambda: client.look_up(key).outcome is Outcome.REVERSED)
        back = client.look_up(key)
    for _ in range(3):
        orders.webhook(message(back, "refund"))
    orders.sweep(worker)
    assert orders.refunds(payment) == {"r1": "stuck"}
    assert orders.said(payment)[2:] == ["PAYMENT_REFUND_REVERSED"]
    assert_books_agree(orders, payment, AMOUNT)
    assert worker.counts.of("alarms") == 1
    assert "came back: an operator decides" in caplog.text
    # What it said before changes nothing any more.
    orders.webhook(message(Report(key, Outcome.SUCCEEDED, AMOUNT, "EUR"), "refund"))
    orders.sweep(worker)
    assert orders.refunds(payment) == {"r1": "stuck"}
    assert_books_agree(orders, payment, AMOUNT)


Command = Callable[..., Result]


@pytest.fixture
def command(stack: Stack, orders: Orders) -> Command:
    """Runs a command about payments."""
    names: dict[str, str | None] = {each: None for each in os.environ if each.startswith("MARKETPLACE_")}
    own = {
        "MARKETPLACE_MONGO_URL": stack.urls.mongo,
        "MARKETPLACE_DATABASE": orders.database,
        "MARKETPLACE_PAYMENTS_URL": orders.provider.url,
        "MARKETPLACE_PAYMENTS_SECRETS_FILE": str(orders.provider.secrets_file),
    }

    def run(*arguments: str, **others: str) -> Result:
        whole = ["payments", *arguments]
        return CliRunner().invoke(make_app(whole), whole, env={**names, **own, **others})

    return run


def test_a_refund_that_an_operator_has_sent_back_by_hand_is_booked_and_said_once(
    orders: Orders, command: Command
) -> None:
    worker = orders.worker()
    payment = orders.charge(worker, "refund_refused")
    orders.refund(worker, payment, "r1", AMOUNT)
    orders.wait_for_operator(payment)
    settle = ("settle-refund", payment.id, "--reason", "The card is closed", "--provider-reference", "re_81")
    assert "give --yes" in str(command(*settle).exception)
    assert "--reason" in str(command("settle-refund", payment.id, "--reason", " ", "--yes").exception)
    assert "has no refund 'r2'" in str(command(*settle, "r2", "--yes").exception)
    assert orders.said(payment) == ["PAYMENT_COMPLETED"]
    did = orders.provider.operations(payment.id)
    done = command(*settle, "--yes", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {
        "payment": payment.id, "order": payment.order, "refund": "r1", "amount_minor": AMOUNT, "currency": "EUR",
        "reason": "The card is closed", "reference": "re_81",
    }  # fmt: skip
    again = command("settle-refund", payment.order, "r1", "--reason", "once more", "--yes")
    assert (again.exit_code, "it is done already" in str(again.exception)) == (1, True)
    orders.sweep(worker, 10_000.0)
    assert orders.refunds(payment) == {"r1": "done"}
    assert orders.said(payment) == ["PAYMENT_COMPLETED", "PAYMENT_REFUNDED"]
    assert orders.ledger(payment) == {"provider": 0, "store:shop": 0}
    assert orders.provider.operations(payment.id) == did
    # A word of the provider that it did it, too, changes nothing and is for an operator.
    orders.webhook(message(Report(payment.refund_key("r1"), Outcome.SUCCEEDED, AMOUNT, "EUR"), "refund"))
    orders.sweep(worker)
    assert "went back by hand" in orders.row(payment)["problem"]
    assert orders.ledger(payment) == {"provider": 0, "store:shop": 0}


def test_what_the_provider_has_done_or_does_not_say_is_not_settled_by_hand(orders: Orders, command: Command) -> None:
    worker = orders.worker()
    payment = orders.charge(worker, "success")
    orders.refund(worker, payment, "r1", AMOUNT)
    assert orders.refunds(payment) == {"r1": "done"}
    orders.wait_for_operator(payment)
    settle = ("settle-refund", payment.id, "--reason", "by hand", "--yes")
    refused = command(*settle)
    assert (refused.exit_code, "has done it already" in str(refused.exception)) == (1, True)
    unknown = command(*settle, MARKETPLACE_PAYMENTS_API_KEY="another")
    assert (unknown.exit_code, "HTTP 401" in str(unknown.exception)) == (1, True)
    silent = command(*settle, MARKETPLACE_PAYMENTS_URL="http://127.0.0.1:1")
    assert (silent.exit_code, "no answer" in str(silent.exception)) == (1, True)
    assert orders.refunds(payment) == {"r1": "stuck"}
    assert orders.said(payment) == ["PAYMENT_COMPLETED", "PAYMENT_REFUNDED"]


def review(orders: Orders) -> PaymentReview:
    return PaymentReview(orders.client, orders.database)


def test_a_refund_that_waits_is_seen_and_asked_for_now_by_an_operator_and_goes_back_once(orders: Orders) -> None:
    worker = orders.worker()
    payment = orders.charge(worker, "refund_refused")
    orders.refund(worker, payment, "r1", AMOUNT)
    store = worker.store
    for attempts in (1, 2):
        (seen,) = (each for each in review(orders).open_questions("shop", 100) if each.order == payment.order)
        assert (seen.refund, seen.state, seen.attempts, seen.waits_for_operator) == ("r1", "requested", attempts, False)
        orders.sweep(worker)
        assert orders.refunds(payment) == {"r1": "requested"}, "it is not due yet"
        assert [each.id for each in store.retry_refunds(payment.order, "", orders.now)] == ["r1"]
        orders.sweep(worker)

    assert orders.refunds(payment) == {"r1": "done"}
    assert_books_agree(orders, payment, 0)
    for refund in ("", "r1", "r2"):
        assert store.retry_refunds(payment.order, refund, orders.now) == []
    assert [each for each in review(orders).open_questions(None, 100) if each.order == payment.order] == []


def test_webhooks_that_are_not_applied_are_seen_retried_and_discarded_and_those_that_are_stay_so(
    orders: Orders,
) -> None:
    worker, later, other = orders.worker(), *(orders.waiting(PaymentState.CHARGING) for _ in range(2))
    orders.write(other)
    parked = orders.webhook(success(other, amount_minor=AMOUNT + 1))
    early, good = orders.webhook(success(later)), orders.webhook(success(orders.place("success")))
    orders.sweep(worker)

    def seen() -> dict[str, str]:
        return {each.id: each.state.value for each in review(orders).webhooks(100) if each.id in (parked, early, good)}

    assert seen() == {parked: "parked", early: "waiting"}
    orders.write(later)
    for webhook in (parked, early):
        assert review(orders).retry_webhook(webhook, orders.now)
    orders.sweep(worker)
    assert (seen(), orders.state(later)) == ({parked: "parked"}, "completed"), "what is wrong is parked again"
    assert review(orders).discard_webhook(parked, orders.now)
    for webhook in (parked, early, good, "nothing"):
        assert not review(orders).retry_webhook(webhook, orders.now)
        assert not review(orders).discard_webhook(webhook, orders.now)
    assert seen() == {}


def test_payments_whose_questions_hang_keep_no_other_one_waiting(orders: Orders) -> None:
    hanging, others = [orders.place("success") for _ in range(4)], [orders.place("success") for _ in range(6)]
    asked = Recorded(orders.provider.client(), [each.charge_key for each in hanging])
    worker = orders.worker(asked, threads=5)
    for payment in (*hanging, *others):
        worker.service.handle(orders.created(payment), orders.now)
    assert eventually(lambda: all(orders.state(each) == "completed" for each in others))
    assert {orders.state(each) for each in hanging} == {"charging"}
    asked.go_on.set()
    assert worker.service.wait(20)
    assert {orders.state(each) for each in hanging} == {"completed"}


def test_a_provider_that_gives_no_answer_is_left_alone_and_asked_again_when_it_is_back(
    orders: Orders, tmp_path: Path
) -> None:
    with sandbox(tmp_path) as provider:
        own = replace(orders, provider=provider)
        asked = Recorded(provider.client())
        worker = own.worker(asked)
        placed = [own.place("success") for _ in range(FAILURES_IN_A_ROW + 15)]
        for payment in placed:
            worker.store.react(own.created(payment), own.now)
        provider.kill()
        own.sweep(worker)
        assert eventually(lambda: worker.service.wait(1))
        # Some were under way when it was clear.
        assert FAILURES_IN_A_ROW <= len(asked.questions) < len(placed)
        assert not worker.calls.provider_asked
        untouched = [each for each in placed if own.row(each)["attempts"] == 0]
        assert len(untouched) == len(placed) - len(asked.questions)
        provider.start()

        def all_paid() -> bool:
            own.sweep(worker, 60)
            return all(own.state(each) == "completed" for each in placed)

        assert eventually(all_paid, 20)
        assert provider.net() == AMOUNT * len(placed)
        own.close()


def test_a_refusal_is_loud_and_changes_nothing_but_the_note(orders: Orders, caplog: pytest.LogCaptureFixture) -> None:
    stranger = SandboxProvider(orders.provider.url, KnownSecrets(ProviderSecrets("wrong", ("s",))), "sandbox")
    worker = orders.worker(stranger)
    payment = orders.charge(worker, "success")
    assert (orders.state(payment), orders.said(payment)) == ("charging", [])
    assert "api_key" in orders.row(payment)["problem"]
    assert "an operator has to look at it" in caplog.text
    assert worker.counts.of("refused") == 1
    orders.sweep(orders.worker(), 10)
    assert orders.state(payment) == "completed"
    assert "problem" not in orders.row(payment), "it is over"


def test_a_call_says_how_much(orders: Orders) -> None:
    worker = orders.worker()
    payment = orders.place("success")
    worker.store.react(orders.created(payment), orders.now)
    (begun,) = worker.store.begin(payment.id, orders.now)
    assert begun.call == Call(CallKind.CHARGE, payment.charge_key, AMOUNT, "EUR")
