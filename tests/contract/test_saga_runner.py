"""The runner of consumers on a real Mongo and a broker in memory: what becomes of events, whatever comes between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from pymongo import MongoClient

from connectors.errors import Unavailable
from connectors.kafka.memory import MemoryGroupClient
from connectors.kafka.records import ConsumerRecord, Record
from connectors.mongo.client import connect
from connectors.mongo.sagas.parking import BEHIND, Parked, ParkedEvents
from marketplace.dead_letters import read
from marketplace.errors import Reject, Retry, Stop
from marketplace.sagas.declaration import Service
from marketplace.sagas.events import Event, EventType
from marketplace.sagas.provider_calls import Outcome
from marketplace.topics import ORDERS_EVENTS
from ops.stack import Stack
from saga_consumers import parked as parking
from saga_consumers.consumer import Absent, Parts, SagaConsumer
from saga_consumers.inventory import store as inventory
from saga_consumers.orders import store as orders
from saga_consumers.records import ABSENT_SECONDS, BUG_ATTEMPTS, MOST_BUGS, RecordHandler
from tests.kits.consumer import eventually
from tests.kits.saga_fleet import MemoryFleet, memory_fleet, shuffled_keys
from tests.kits.sagas import Shop, consumed, record_of, saga_database, wrong

TOPIC = ORDERS_EVENTS.name


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[tuple[MongoClient[dict[str, Any]], str]]:
    with saga_database(stack) as made:
        yield made


@pytest.fixture
def shop(database: tuple[MongoClient[dict[str, Any]], str]) -> Shop:
    return Shop(*database)


@pytest.fixture
def fleet(shop: Shop) -> Iterator[MemoryFleet]:
    with memory_fleet(shop) as made:
        yield made


class Seen:
    """A consumer that notes what it is given, and does what it is asked to at some of it."""

    def __init__(self, **errors: Exception) -> None:
        self.events: list[str] = []
        self.errors: dict[str, Exception] = errors
        self.tries = 0

    def handle(self, event: Event, now: datetime, trace_parent: str) -> bool:
        self.tries += 1
        error = self.errors.get(event.id.split(":", 1)[1].replace(":", "_"))
        if error is not None:
            raise error
        new = event.id not in self.events
        self.events.append(event.id)
        return new

    def make(self, parts: Parts) -> SagaConsumer:
        return SagaConsumer(Service.ORDERS, self.handle, lambda now: 0)


def an_event(shop: Shop, own: str, number: int) -> Record:
    """The event of an order that begins it, under another id each time."""
    row = next(row for row in shop.rows(own) if row["type"] == "ORDER_CREATED")
    return record_of({**row, "_id": "", "ce_id": f"{own}:e{number}"})


def with_header(record: Record, name: str, value: bytes) -> Record:
    kept = tuple(pair for pair in record.headers if pair[0] != name)
    return Record(record.topic, record.value, record.key, headers=(*kept, (name, value)))


def handler(shop: Shop, consumer: SagaConsumer, monotonic: Callable[[], float] = lambda: 0.0) -> RecordHandler:
    parked = ParkedEvents(shop.client, shop.database, consumer.service.value)
    return RecordHandler(consumer, parked, lambda: shop.now, monotonic)


def reads(shop: Shop, own: str, count: int, first: int = 0) -> list[ConsumerRecord]:
    """So many events of an order, as they are read from a partition of their own."""
    partition = int(own[:7], 16)
    return [consumed(an_event(shop, own, first + at), first + at, partition) for at in range(count)]


# --- All of it --------------------------------------------------------------------------------------------------------


def test_orders_reach_their_ends_when_every_event_comes_five_times_with_poison_in_between(shop: Shop) -> None:
    variant, scarce = shop.sells(50), shop.sells(1)
    with memory_fleet(shop, times=5) as fleet:
        for number in range(6):
            own = shop.place({variant: 1 + number % 2})
            fleet.payments.outcomes[own] = Outcome.DECLINED if number % 3 == 2 else Outcome.SUCCEEDED
        shop.place({scarce: 1})
        fleet.send([Record(TOPIC, b"{nothing", b"nobody's", None), Record(TOPIC, b"\xff", None)])
        fleet.start_all()

        fleet.until_ended()

        states = [shop.order(own)["state"] for own in shop.orders]
        assert states == ["confirmed", "confirmed", "cancelled", "confirmed", "confirmed", "cancelled", "confirmed"]
        assert wrong(shop) == []
        eventually(lambda: len(fleet.dead_letters()) == 6, "both poisons of three consumers are dead letters")
        assert {letter.value for letter in fleet.dead_letters()} == {b"{nothing", b"\xff"}


def test_a_replay_of_the_whole_log_in_another_order_of_keys_changes_nothing(shop: Shop, fleet: MemoryFleet) -> None:
    variant = shop.sells(50)
    for _ in range(5):
        shop.place({variant: 1})
    fleet.start_all()
    fleet.until_ended()
    before = shop.document()

    log = fleet.log()
    fleet.send(shuffled_keys(log, seed=3))

    for service in (Service.ORDERS, Service.INVENTORY, Service.PAYMENTS):
        fleet.until(lambda service=service: fleet.caught_up(service), f"{service} has heard all")  # type: ignore[misc]  # mypy infers no lambda with a default
    assert shop.document() == before
    assert wrong(shop) == []
    duplicates = fleet.running[0].runner.counts().records.duplicates
    assert duplicates >= 10, "what orders had handled was recognised"


def test_a_new_group_that_begins_at_the_start_of_the_log_changes_nothing(shop: Shop, fleet: MemoryFleet) -> None:
    for _ in range(3):
        shop.place({shop.sells(5): 1})
    fleet.start_all()
    fleet.until_ended()
    before = shop.document()
    for each in fleet.running:
        each.stop()
    fleet.broker.group("saga.orders").offsets.clear()

    again = fleet.start(orders.consumer)

    fleet.until(lambda: fleet.caught_up(Service.ORDERS), "all is heard once more")
    assert shop.document() == before
    assert again.runner.counts().records.duplicates >= 6


def test_an_unpaid_order_is_cancelled_and_released_by_the_sweeps_of_the_running_consumers(
    shop: Shop, fleet: MemoryFleet
) -> None:
    variant = shop.sells(5)
    own = shop.place({variant: 2})
    fleet.payments.outcomes[own] = Outcome.UNKNOWN
    fleet.start_all()
    fleet.until(lambda: shop.payment(own)["state"] == "charging", "the provider is asked")
    shop.wait(16 * 60 + 1)

    fleet.until_ended()

    assert (shop.order(own)["reason"], shop.stock(variant)) == ("unpaid", (5, 0))
    fleet.payments.says(own, Outcome.SUCCEEDED)
    fleet.until(lambda: shop.order(own)["state"] == "confirmed", "late money gets what is there still")
    assert wrong(shop) == []


# --- Poison and parking -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (lambda record: replaced(record, value=b"{"), "bad_payload"),
        (lambda record: replaced(record, value=b"\xff\xfe"), "bad_payload"),
        (lambda record: with_header(record, "ce_type", b"ORDER_SHIPPED"), "unknown_type"),
        (lambda record: with_header(record, "ce_dataversion", b"2"), "unknown_version"),
        (lambda record: with_header(record, "ce_time", b"yesterday"), "bad_headers"),
        (lambda record: with_header(record, "ce_subject", b"another order"), "bad_headers"),
        (lambda record: with_header(record, "ce_id", b""), "bad_headers"),
        (lambda record: with_header(record, "ce_store", b"other"), "other_store"),
    ],
)
def test_a_record_that_is_no_event_is_parked_and_a_dead_letter_with_its_bytes_and_its_cause(
    shop: Shop, fleet: MemoryFleet, poison: Callable[[Record], Record], reason: str
) -> None:
    own, other = shop.place({shop.sells(5): 1}), shop.place({shop.sells(5): 1})
    good = record_of({**shop.rows(own)[0], "ce_type": "PAYMENT_FAILED", "payload": '{"payment":"p","reason":"x"}'})
    bad = poison(good)
    fleet.send([bad])
    running = fleet.start(orders.consumer)
    fleet.start(fleet.payments.consumer)

    fleet.until(lambda: shop.order(other)["state"] == "paid", "other orders go on")
    fleet.until(lambda: fleet.parked(Service.ORDERS).of_key(own, 9), "it is parked")

    def letters() -> list[Record]:
        return [each for each in fleet.dead_letters() if read(each.headers).group == "saga.orders"]

    eventually(letters, "it is a dead letter")
    (letter,) = letters()
    known = read(letter.headers)
    assert (letter.key, letter.value, known.reason, known.attempt) == (own.encode(), bad.value, reason, 1)
    assert [pair for pair in letter.headers if not pair[0].startswith("dlq_")] == list(bad.headers)
    assert len(known.stack) == 16
    parked = fleet.parked(Service.ORDERS).of_key(own, 9)[0]
    assert (parked.record.value, parked.record.headers, parked.reason) == (bad.value, bad.headers, reason)
    assert shop.order(own)["state"] == "pending"
    assert running.runner.counts().records.rejected == 1


def replaced(record: Record, value: bytes) -> Record:
    return Record(record.topic, value, record.key, headers=record.headers)


def test_a_record_without_a_usable_key_is_a_dead_letter_and_parks_nothing(shop: Shop, fleet: MemoryFleet) -> None:
    keys = [None, b"", b"\xff", b"k" * 500]
    fleet.send([Record(TOPIC, b"x", key) for key in keys])
    fleet.start(orders.consumer)

    eventually(lambda: len(fleet.dead_letters()) == len(keys), "all are dead letters")
    fleet.until(lambda: fleet.caught_up(Service.ORDERS), "it goes on")
    assert not any(fleet.parked(Service.ORDERS).of_key(key, 1) for key in ("", "k" * 500))


def test_later_events_of_an_order_wait_behind_the_one_that_was_rejected_and_are_handled_after_it(shop: Shop) -> None:
    own, other = shop.place({shop.sells(5): 1}), shop.place({shop.sells(5): 1})
    seen = Seen(e1=Reject("unwanted", "for a while"))
    handle = handler(shop, seen.make(shop.parts))
    parked = ParkedEvents(shop.client, shop.database, "orders")

    give(handle, [*reads(shop, own, 4), *reads(shop, other, 1)])

    assert seen.events == [f"{own}:e0", f"{other}:e0"]
    assert [each.reason for each in parked.of_key(own, 9)] == ["unwanted", BEHIND, BEHIND]
    assert (handle.counts.rejected, handle.counts.parked) == (1, 2)

    seen.errors.clear()
    assert parking.retry(parked, seen.handle, own) == parking.Retried(3, None)
    assert seen.events[2:] == [f"{own}:e1", f"{own}:e2", f"{own}:e3"]
    handle(reads(shop, own, 1, first=4)[0])
    assert seen.events[-1] == f"{own}:e4"


def test_a_retry_stops_at_the_first_event_that_is_rejected_again_and_says_why(shop: Shop) -> None:
    own = shop.place({shop.sells(5): 1})
    seen = Seen(e0=Reject("first"), e2=ValueError("another one"))
    handle = handler(shop, seen.make(shop.parts))
    parked = ParkedEvents(shop.client, shop.database, "orders")
    give(handle, reads(shop, own, 4))
    del seen.errors["e0"]

    made = parking.retry(parked, seen.handle, own)

    assert made.handled == 2
    assert made.failed is not None
    assert made.failed.reason == "unexpected"
    left = parked.of_key(own, 9)
    assert [(each.record.offset, each.reason, each.attempts) for each in left] == [(2, "unexpected", 1), (3, BEHIND, 0)]
    assert "another one" in left[0].detail


def give(handle: RecordHandler, records: list[ConsumerRecord]) -> None:
    for record in records:
        with suppress(Reject):
            handle(record)


def test_discarding_the_first_event_lets_those_behind_it_be_retried(shop: Shop) -> None:
    own = shop.place({shop.sells(5): 1})
    seen = Seen(e0=Reject("for good"))
    handle = handler(shop, seen.make(shop.parts))
    parked = ParkedEvents(shop.client, shop.database, "orders")
    give(handle, reads(shop, own, 3))

    (gone,) = parking.discard(parked, own)

    assert gone.record.offset == 0
    give(handle, reads(shop, own, 1, first=3))
    assert [each.record.offset for each in parked.of_key(own, 9)] == [1, 2, 3]
    assert parking.retry(parked, seen.handle, own).handled == 3
    assert seen.events == [f"{own}:e{number}" for number in (1, 2, 3)]
    assert [key.key for key in parked.keys(10_000) if key.key == own] == []


def test_discarding_everything_leaves_nothing_of_the_order_and_all_of_the_others(shop: Shop) -> None:
    own, other = shop.place({shop.sells(5): 1}), shop.place({shop.sells(5): 1})
    seen = Seen(e0=Reject("for good"))
    handle = handler(shop, seen.make(shop.parts))
    parked = ParkedEvents(shop.client, shop.database, "orders")
    give(handle, reads(shop, own, 3) + reads(shop, other, 2))

    assert len(parking.discard(parked, own, everything=True)) == 3

    assert (parked.first(own), len(parked.of_key(other, 9))) == (None, 2)


def test_events_that_come_again_while_they_are_parked_are_parked_once(shop: Shop) -> None:
    """After a crash between the rows and the commit; the dead letter may be missing, and is written again."""
    own = shop.place({shop.sells(5): 1})
    seen = Seen(e1=Reject("unwanted"))
    handle = handler(shop, seen.make(shop.parts))
    parked = ParkedEvents(shop.client, shop.database, "orders")
    records = reads(shop, own, 4)
    give(handle, records)
    tries = seen.tries

    with pytest.raises(Reject, match="unwanted"):
        handle(records[1])
    give(handle, records[2:])

    assert [each.record.offset for each in parked.of_key(own, 9)] == [1, 2, 3]
    assert seen.tries == tries, "nothing is handled before its turn"


def test_an_event_from_before_the_parked_one_is_handled_when_it_comes_again(shop: Shop) -> None:
    own = shop.place({shop.sells(5): 1})
    seen = Seen(e1=Reject("unwanted"))
    handle = handler(shop, seen.make(shop.parts))
    records = reads(shop, own, 3)
    give(handle, records)

    handle(records[0])

    assert handle.counts.duplicates == 1
    assert seen.events == [f"{own}:e0"] * 2


class Counted(ParkedEvents):
    """Parked events that note the keys that were asked about."""

    asked: list[str]

    def first(self, key: str) -> Parked | None:
        self.asked.append(key)
        return super().first(key)


def test_a_process_that_begins_knows_what_another_one_has_parked_and_asks_about_nothing_else(
    shop: Shop, fleet: MemoryFleet
) -> None:
    own, other = shop.place({shop.sells(5): 1}), shop.place({shop.sells(5): 1})
    fleet.send([replaced(record_of(shop.rows(own)[0]), value=b"{")])
    first = fleet.start(orders.consumer)
    fleet.until(lambda: len(fleet.parked(Service.ORDERS).of_key(own, 9)) == 2, "it is parked, and what follows it")
    first.stop()
    counted = Counted(shop.client, shop.database, "orders")
    counted.asked = []

    fleet.start(orders.consumer, parked=counted)
    fleet.start(fleet.payments.consumer)
    fleet.send([record_of(shop.rows(own)[0])])

    fleet.until(lambda: shop.order(other)["state"] == "paid", "other orders go on")
    fleet.until(lambda: len(fleet.parked(Service.ORDERS).of_key(own, 9)) == 3, "a later one waits behind it")
    assert set(counted.asked) == {own}


def test_an_event_that_comes_while_an_operator_retries_is_handled_after_those_that_waited(shop: Shop) -> None:
    """Whoever is first: it waits behind what is parked still, or comes after all that was."""
    parked = ParkedEvents(shop.client, shop.database, "orders")
    for _ in range(6):
        own = shop.place({shop.sells(5): 1})
        seen = Seen(e0=Reject("for a while"))
        handle = handler(shop, seen.make(shop.parts))
        give(handle, reads(shop, own, 3))
        seen.errors.clear()
        retrying = threading.Thread(target=parking.retry, args=(parked, seen.handle, own))
        retrying.start()
        give(handle, reads(shop, own, 6, first=3))
        retrying.join()

        assert seen.events == [f"{own}:e{number}" for number in range(9)]
        assert parked.first(own) is None


def test_nothing_is_parked_behind_an_event_that_was_handled_a_moment_ago(shop: Shop) -> None:
    own = shop.place({shop.sells(5): 1})
    parked = ParkedEvents(shop.client, shop.database, "orders")
    give(handler(shop, Seen(e0=Reject("x")).make(shop.parts)), reads(shop, own, 1))
    first = parked.first(own)
    assert first is not None
    (later,) = reads(shop, own, 1, first=1)
    parked.remove(first)

    assert not parked.park_behind(first, replace(first, record=later))
    assert parked.first(own) is None


def test_consumers_park_for_themselves_alone(shop: Shop) -> None:
    own = shop.place({shop.sells(5): 1})
    give(handler(shop, Seen(e0=Reject("x")).make(shop.parts)), reads(shop, own, 2))

    assert ParkedEvents(shop.client, shop.database, "inventory").first(own) is None


# --- What is tried again ----------------------------------------------------------------------------------------------


def test_an_event_of_an_order_that_is_not_there_is_tried_for_some_seconds_and_rejected_then(shop: Shop) -> None:
    own, now = shop.place({shop.sells(5): 1}), [0.0]
    seen = Seen(e0=Absent("no_order", "there is no such order"))
    handle = handler(shop, seen.make(shop.parts), lambda: now[0])
    (record,) = reads(shop, own, 1)

    for now[0] in (0.0, ABSENT_SECONDS - 0.01):
        with pytest.raises(Absent):
            handle(record)
    now[0] = ABSENT_SECONDS
    with pytest.raises(Reject) as rejected:
        handle(record)

    assert rejected.value.reason == "no_order"
    assert ParkedEvents(shop.client, shop.database, "orders").first(own) is not None


def test_an_order_that_appears_in_time_is_handled(shop: Shop) -> None:
    own = shop.place({shop.sells(5): 1})
    seen = Seen(e0=Absent("no_order", "not yet"))
    handle = handler(shop, seen.make(shop.parts))
    (record,) = reads(shop, own, 1)
    with pytest.raises(Absent):
        handle(record)
    seen.errors.clear()

    handle(record)

    assert (seen.events, handle.counts.handled) == ([f"{own}:e0"], 1)


@pytest.mark.parametrize("error", [Retry(1.0, "a limit"), Unavailable("Mongo is down")])
def test_transient_trouble_fills_neither_the_parking_nor_the_dead_letters_however_long_it_lasts(
    shop: Shop, error: Exception
) -> None:
    own, now = shop.place({shop.sells(5): 1}), [0.0]
    handle = handler(shop, Seen(e0=error).make(shop.parts), lambda: now[0])
    (record,) = reads(shop, own, 1)

    for now[0] in range(0, 36_000, 600):
        with pytest.raises(type(error)):
            handle(record)

    assert ParkedEvents(shop.client, shop.database, "orders").first(own) is None
    assert handle.counts.rejected == 0


def test_without_mongo_nothing_is_rejected_not_even_poison(shop: Shop) -> None:
    with connect("mongodb://127.0.0.1:1/?directConnection=true", deadline_seconds=0.1) as nowhere:
        parked = ParkedEvents(nowhere, shop.database, "orders")
        handle = RecordHandler(Seen().make(shop.parts), parked, lambda: shop.now)
        with pytest.raises(Unavailable):
            handle(ConsumerRecord(TOPIC, 0, 0, b"{", b"an order"))


def test_an_error_that_nobody_foresaw_is_tried_a_few_times_and_parks_its_order_then(shop: Shop) -> None:
    own, other = shop.place({shop.sells(5): 1}), shop.place({shop.sells(5): 1})
    seen = Seen(e0=ZeroDivisionError("a bug"))
    handle = handler(shop, seen.make(shop.parts))
    (record,) = reads(shop, own, 1)

    for _ in range(BUG_ATTEMPTS - 1):
        with pytest.raises(Retry):
            handle(record)
    with pytest.raises(Reject) as rejected:
        handle(record)

    assert (rejected.value.reason, rejected.value.detail) == ("unexpected", "ZeroDivisionError: a bug")
    assert isinstance(rejected.value.__cause__, ZeroDivisionError)
    seen.errors.clear()
    handle(reads(shop, other, 1)[0])
    assert seen.events == [f"{other}:e0"]


def test_an_error_that_every_event_meets_stops_the_consumer_and_not_all_orders(shop: Shop) -> None:
    seen = Seen(e0=ZeroDivisionError("a bug"))
    handle = handler(shop, seen.make(shop.parts))
    owns = [shop.place({shop.sells(5): 1}) for _ in range(MOST_BUGS)]

    tries = [record for own in owns for record in reads(shop, own, 1) * BUG_ATTEMPTS]
    for record in tries[:-1]:
        with suppress(Retry, Reject):
            handle(record)
    with pytest.raises(Stop, match="a bug"):
        handle(tries[-1])

    parked = ParkedEvents(shop.client, shop.database, "orders")
    assert [parked.first(own) is not None for own in owns] == [True] * (MOST_BUGS - 1) + [False]


def test_whoever_asks_to_stop_at_an_event_stops_at_it(shop: Shop) -> None:
    own = shop.place({shop.sells(5): 1})
    handle = handler(shop, Seen(e0=Stop("a schema from the future")).make(shop.parts))

    with pytest.raises(Stop):
        handle(reads(shop, own, 1)[0])

    assert ParkedEvents(shop.client, shop.database, "orders").first(own) is None


def test_a_consumer_that_comes_back_after_its_session_does_nothing_twice(shop: Shop, fleet: MemoryFleet) -> None:
    """It was stopped between poll and transaction; meanwhile another one has its partitions, and has done it."""
    variant = shop.sells(5)
    own = shop.place({variant: 1})
    stopped, release = threading.Event(), threading.Event()

    def frozen(parts: Parts) -> SagaConsumer:
        real = orders.consumer(parts)

        def handle(event: Event, now: datetime, trace_parent: str) -> bool:
            if event.type is EventType.PAYMENT_COMPLETED:
                stopped.set()
                release.wait(20)
            return real.handle(event, now, trace_parent)

        return replace(real, handle=handle)

    client = MemoryGroupClient(fleet.broker, fleet.membership(Service.ORDERS, session_seconds=0.5))
    zombie = fleet.start(frozen, client)
    fleet.start(inventory.consumer)
    fleet.start(fleet.payments.consumer)
    fleet.until(stopped.is_set, "it is at the payment")
    client.kill()
    fleet.start(orders.consumer)
    fleet.until_ended()
    before = shop.document()

    release.set()

    eventually(lambda: zombie.runner.counts().records.duplicates == 1, "the zombie's event is known")
    assert (shop.document(), shop.order(own)["state"]) == (before, "confirmed")
    assert wrong(shop) == []
