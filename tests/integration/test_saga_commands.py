"""``marketplace reconcile``, ``saga list`` and ``saga trace`` on a database with orders, and on one that has none."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import pytest
from typer.testing import CliRunner, Result

from connectors.kafka.producer import Producer
from connectors.kafka.records import Record
from connectors.mongo.client import Client, connect
from connectors.mongo.sagas.documents import (
    Document,
    entry_document,
    inbox_document,
    movement_document,
    order_document,
    outbox_document,
    payment_document,
    reservation_document,
)
from connectors.mongo.sagas.payments import webhook_document
from marketplace.collections import (
    INBOX,
    LEDGER_ENTRIES,
    ORDERS,
    OUTBOX,
    PARKED_EVENTS,
    PAYMENT_WEBHOOKS,
    PAYMENTS,
    RESERVATIONS,
    STOCK,
    STOCK_MOVEMENTS,
)
from marketplace.sagas import inventory, orders, payments
from marketplace.sagas.declaration import listeners
from marketplace.sagas.events import Event
from marketplace.sagas.inventory import Movement, MovementKind, Reservation, ReservationState
from marketplace.sagas.order_state import Order, OrderLine, OrderState
from marketplace.sagas.payment_state import Entry, Payment
from marketplace.sagas.provider_calls import Outcome, Report
from marketplace.topics import ORDERS_EVENTS
from ops.cli import make_app
from ops.provision import ensure_provisioned
from ops.resources import Resources
from ops.stack import Stack
from runtime.sections import Settings

COLLECTIONS = (
    ORDERS, PAYMENTS, LEDGER_ENTRIES, RESERVATIONS, STOCK, STOCK_MOVEMENTS, OUTBOX, INBOX, PARKED_EVENTS,
    PAYMENT_WEBHOOKS,
)  # fmt: skip
PLACED = datetime.now(UTC) - timedelta(hours=1)
PLACED_MS = int(PLACED.timestamp() * 1_000)


@dataclass
class Shop:
    """A database of its own, with the commands."""

    client: Client
    database: str
    producer: Producer
    run: Callable[..., Result]

    def insert(self, collection: str, *documents: Document) -> None:
        self.client[self.database][collection].insert_many(documents)

    def set(self, collection: str, row: str, **fields: object) -> None:
        self.client[self.database][collection].update_one({"_id": row}, {"$set": fields})

    def place(self, name: str, *, pays: bool = True, sends: bool = True) -> str:
        """An order of two mugs, as services would leave it; returns its id."""
        own = f"{name}-{uuid.uuid4().hex[:12]}"
        line = OrderLine(1, "mug", f"v-{own}", "Mug", 2, 1_250)
        made = orders.placed(
            Order(own, "shop", "ann", "c1", "EUR", (line,), OrderState.PENDING, PLACED_MS + 900_000), PLACED_MS
        )
        order, said = made.order, list(made.events)
        payment = Payment(f"p-{own}", own, "shop", order.total_minor, "EUR", "card")
        items = inventory.merged(order.items)
        reservation = Reservation(own, "shop", items, ReservationState.HELD, PLACED_MS + 960_000)
        movements = [Movement(f"{own}:first", f"v-{own}", 5, MovementKind.RECEIVED, "first")]
        entries: list[Entry] = []
        if pays:
            payment = payments.on_event(payment, said[0], PLACED_MS).payment
            payment = payments.asking(payment, payments.due_calls(payment, PLACED_MS)[0], PLACED_MS)
            paid = payments.apply_report(payment, Report(payment.charge_key, Outcome.SUCCEEDED), PLACED_MS + 50)
            payment, entries = paid.payment, list(paid.entries)
            ordered = orders.on_event(order, paid.events[0], PLACED_MS + 100)
            taken = inventory.on_event(reservation, ordered.events[0], {f"v-{own}": 5}, PLACED_MS + 150)
            reservation, movements = taken.reservation, [*movements, *taken.movements]
            done = orders.on_event(ordered.order, taken.events[0], PLACED_MS + 200)
            order = done.order
            said += [*paid.events, *ordered.events, *taken.events, *done.events]
        self.insert(ORDERS.name, order_document(order, PLACED_MS))
        self.insert(PAYMENTS.name, payment_document(payment, PLACED_MS))
        self.insert(RESERVATIONS.name, reservation_document(reservation))
        left = sum(movement.quantity for movement in movements)
        reserved = 2 if reservation.state is ReservationState.HELD else 0
        self.insert(STOCK.name, {"_id": f"v-{own}", "store": "shop", "on_hand": left, "reserved": reserved})
        self.insert(STOCK_MOVEMENTS.name, *(movement_document(each, "shop", left, PLACED_MS) for each in movements))
        if entries:
            self.insert(LEDGER_ENTRIES.name, *(entry_document(entry, payment, PLACED_MS) for entry in entries))
        self._say(said, sends=sends)
        return own

    def _say(self, said: list[Event], *, sends: bool) -> None:
        rows = [outbox_document(event, "orders", PLACED) for event in said]
        self.insert(OUTBOX.name, *rows)
        heard = [
            inbox_document(service.value, event, PLACED + timedelta(milliseconds=40))
            for event in said
            for service in listeners(event.type)
        ]
        self.insert(INBOX.name, *heard)
        records = [
            Record(
                ORDERS_EVENTS.name,
                row["payload"].encode(),
                row["aggregateid"].encode(),
                headers=[(name, value.encode()) for name, value in row.items() if name.startswith("ce_")],
            )
            for row in rows
        ]
        self.producer.send_all(records if sends else records[1:], 30)


@pytest.fixture
def shop(stack: Stack, tmp_path: Path) -> Iterator[Shop]:
    name = f"saga_{uuid.uuid4().hex}"
    settings = Settings(stack.urls, PurePosixPath("unused"), name)
    ensure_provisioned(settings, resources=Resources(topics=(ORDERS_EVENTS,), collections=COLLECTIONS))

    def run(*arguments: str) -> Result:
        names: dict[str, str | None] = {each: None for each in os.environ if each.startswith("MARKETPLACE_")}
        own = {
            "MARKETPLACE_DATA": str(tmp_path),
            "MARKETPLACE_MONGO_URL": stack.urls.mongo,
            "MARKETPLACE_KAFKA_URL": stack.urls.kafka,
            "MARKETPLACE_DATABASE": name,
            "COLUMNS": "80",
        }
        return CliRunner().invoke(make_app(arguments), arguments, env={**names, **own})

    producer = Producer(stack.urls.kafka, client_id="tests")
    with connect(stack.urls.mongo) as client:
        yield Shop(client, name, producer, run)
        client.drop_database(name)
    producer.close(5)


def test_a_new_marketplace_adds_up_and_has_nothing_that_waits(shop: Shop) -> None:
    said = shop.run("reconcile")
    assert said.exit_code == 0, said.output
    assert "Everything adds up." in said.stdout
    stuck = shop.run("saga", "list", "--state", "stuck")
    assert (stuck.exit_code, stuck.stdout) == (0, "No order is stuck.\nOrders: none.\n")
    assert "No order waits for anybody." in shop.run("saga", "list").stdout


def test_orders_that_add_up_are_summed_up_and_each_row_that_does_not_is_named_with_exit_code_1(shop: Shop) -> None:
    right, wrong = shop.place("right"), shop.place("wrong")
    said = shop.run("reconcile", "--json")
    assert said.exit_code == 0, said.output
    found = json.loads(said.stdout)
    assert found["clean"]
    assert found["orders"] == {"confirmed": 2}
    assert found["money"]["EUR"]["captured_minor"] == found["money"]["EUR"]["paid_minor"] == 5_000
    assert found["stock"] == {"variants": 2, "on_hand": 6, "reserved": 0, "sold": 4}
    assert found["events"]["outbox"] == 10

    shop.set(ORDERS.name, wrong, paid_minor=1)
    shop.set(STOCK.name, f"v-{right}", on_hand=4)
    unsent = shop.place("unsent", sends=False)
    told = shop.run("reconcile", "--store", "shop")
    assert told.exit_code == 1
    assert f"money: shop {wrong}: 1 of 2500 are paid" in told.stdout
    assert f"stock: shop v-{right}: 4 are there, and its movements add up to 3" in told.stdout
    assert f"outbox: shop {unsent}:orders:1:0: ORDER_CREATED was never sent" in told.stdout
    assert "money: €75.00 charged, €0.00 refunded\n" in told.stdout
    assert told.stdout.endswith("rows are wrong.\n")
    shop.insert("stores", {"_id": "other"})
    assert shop.run("reconcile", "--store", "other").exit_code == 0


def test_a_payment_whose_order_is_gone_is_named(shop: Shop) -> None:
    lost = shop.place("lost")
    shop.client[shop.database][ORDERS.name].delete_one({"_id": lost})
    found = json.loads(shop.run("reconcile", "--json").stdout)["findings"]
    assert {(each["subject"], each["row"]) for each in found} >= {("money", f"p-{lost}"), ("stock", lost)}


def test_an_order_past_its_deadline_is_stuck_and_one_before_it_only_waits(shop: Shop) -> None:
    late, fresh = shop.place("late", pays=False), shop.place("fresh", pays=False)
    now_ms = int(datetime.now(UTC).timestamp() * 1_000)
    for collection, row in ((ORDERS.name, fresh), (PAYMENTS.name, f"p-{fresh}")):
        shop.set(collection, row, state_since_ms=now_ms)
    shop.set(RESERVATIONS.name, fresh, due_ms=now_ms + 960_000)
    stuck = shop.run("saga", "list", "--state", "stuck", "--json")
    assert stuck.exit_code == 1
    rows = json.loads(stuck.stdout)["orders"]
    assert {(each["order"], each["service"], each["state"]) for each in rows} == {
        (late, "orders", "pending"),
        (late, "payments", "waiting"),
        (late, "inventory", "held"),
    }
    waiting = json.loads(shop.run("saga", "list", "--json").stdout)
    assert {each["order"] for each in waiting["orders"]} == {late, fresh}
    assert waiting["states"] == {"pending": 2}
    table = shop.run("saga", "list", "--state", "stuck", "--store", "shop")
    assert late in table.stdout
    assert fresh not in table.stdout


def test_a_refund_of_a_confirmed_order_that_waits_for_an_operator_is_stuck_until_it_is_asked_for_again(
    shop: Shop,
) -> None:
    own = shop.place("refunded")
    refund = {"id": "r1", "amount_minor": 1_250, "state": "stuck", "attempts": 12, "due_ms": None, "reversals": 0}
    shop.set(PAYMENTS.name, f"p-{own}", refunds=[{**refund, "requested_ms": PLACED_MS}])

    stuck = shop.run("saga", "list", "--state", "stuck", "--json")
    assert stuck.exit_code == 1
    assert [(each["order"], each["state"]) for each in json.loads(stuck.stdout)["orders"]] == [(own, "refund r1 stuck")]
    seen = shop.run("payments", "stuck")
    assert seen.exit_code == 1
    assert [part in seen.stdout for part in (own, "refund r1", "€12.50", "an operator decides")] == [True] * 4

    assert json.loads(shop.run("payments", "retry-refund", own, "--json").stdout) == {"refunds": ["r1"]}

    assert json.loads(shop.run("payments", "stuck", "--store", "shop", "--json").stdout) == {"questions": []}
    assert shop.run("saga", "list", "--state", "stuck").exit_code == 0
    refused = shop.run("payments", "retry-refund", own, "r2")
    assert refused.exit_code == 1
    assert f"order {own} has no refund 'r2'; it has r1 (requested)" in str(refused.exception)
    done = {**refund, "state": "done", "requested_ms": PLACED_MS}
    shop.set(PAYMENTS.name, f"p-{own}", refunds=[done])
    says = f"nothing of order {own} is left to be refunded; it has r1 (done)"
    assert says in str(shop.run("payments", "retry-refund", own).exception)
    without = shop.place("without")
    assert f"order {without} has no refunds" in str(shop.run("payments", "retry-refund", without).exception)


def test_a_store_that_there_is_not_is_an_error_and_not_one_in_which_all_is_well(shop: Shop) -> None:
    for command in (("reconcile",), ("saga", "list"), ("payments", "stuck")):
        said = shop.run(*command, "--store", "my-shop")
        assert (said.exit_code, said.stdout) == (1, "")
        assert str(said.exception) == "no store 'my-shop'; there are: none yet"


def test_a_state_that_is_not_one_of_the_listed_ones_is_one_line_and_exit_code_1(shop: Shop) -> None:
    said = shop.run("saga", "list", "--state", "foo")
    assert (said.exit_code, said.stdout) == (1, "")
    assert str(said.exception) == "--state 'foo': choose from waiting, stuck"


def test_a_list_that_goes_into_a_pipe_has_whole_ids_and_a_line_for_each_order(shop: Shop) -> None:
    own = shop.place("w" * 40, pays=False)
    heading, *rows = shop.run("saga", "list").stdout.splitlines()
    assert [name in heading for name in ("order", "waits for", "may last until", "then")] == [True] * 4
    assert [line.split()[0] for line in rows[:-1]] == [own] * 3


def test_a_webhook_that_is_parked_is_listed_with_its_reason_and_can_be_retried_and_discarded(shop: Shop) -> None:
    row = webhook_document("sandbox:evt_1", "sandbox", b"{}", PLACED)
    shop.insert(PAYMENT_WEBHOOKS.name, {**row, "state": "parked", "due_ms": None, "reason": "other money"})

    listed = shop.run("payments", "webhooks")
    assert (listed.exit_code, "  sandbox:evt_1: other money" in listed.stdout) == (1, True)
    assert shop.run("payments", "retry-webhook", "sandbox:evt_1").exit_code == 0
    assert shop.run("payments", "webhooks").stdout == "all webhooks are applied\n"
    assert shop.run("payments", "discard-webhook", "sandbox:evt_1").stdout == "discarded\n"
    for command in ("retry-webhook", "discard-webhook"):
        assert "there is no webhook" in str(shop.run("payments", command, "sandbox:evt_1").exception)


def test_a_trace_shows_each_event_who_handled_it_and_how_long_that_took(shop: Shop) -> None:
    own = shop.place("traced")
    said = shop.run("saga", "trace", own)
    assert said.exit_code == 0, said.output
    events = [(" ".join(words[:2]), words[2]) for words in map(str.split, said.stdout.splitlines()[2:7])]
    assert events == [
        ("0 ms", "ORDER_CREATED"),
        ("50 ms", "PAYMENT_COMPLETED"),
        ("100 ms", "ORDER_PAYMENT_COMPLETED"),
        ("150 ms", "STOCK_COUNT_UPDATED"),
        ("200 ms", "ORDER_CONFIRMED"),
    ]
    assert "payments 40 ms" in said.stdout
    assert "Now: order confirmed; payment completed (1 question to the provider); stock taken." in said.stdout
    document = json.loads(shop.run("saga", "trace", own, "--json").stdout)
    assert (document["state"], document["paid_minor"]) == ("confirmed", 2_500)
    assert document["events"][0]["payload"]["total_minor"] == 2_500


def test_an_order_is_meant_by_the_beginning_of_its_id_and_one_that_several_have_names_them(shop: Shop) -> None:
    own, other = shop.place("beginning", pays=False), shop.place("beginning", pays=False)
    for beginning in (own[:-2].upper(), f"#{own[:-2]}", f" {own} "):
        assert json.loads(shop.run("saga", "trace", beginning, "--json").stdout)["order"] == own
    for command in (("saga", "trace"), ("payments", "retry-refund"), ("consumers", "retry", "inventory")):
        several = shop.run(*command, "BEGINNIN")
        assert several.exit_code == 1
        assert str(several.exception).endswith(f"give more of it: {', '.join(sorted((own, other)))}")
        assert "at least the first 8 characters of it" in str(shop.run(*command, "beginni").exception)
        assert str(shop.run(*command, "00000000").exception) == "there is no order '00000000'"
