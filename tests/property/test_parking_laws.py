"""No event of an order overtakes an earlier one, whichever process has its partition, had it, or believes that it has.

Two processes of one consumer, of different versions, share what is parked and what was handled. Partitions change
between them at any moment; one that has lost its partition goes on with the records that it has fetched.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from connectors.errors import Unavailable
from connectors.kafka.records import ConsumerRecord, TopicPartition
from marketplace.errors import Reject
from marketplace.sagas.declaration import Service
from marketplace.sagas.events import Event, EventType, PaymentFailed, encode_payload
from marketplace.sagas.wire import headers
from saga_consumers.consumer import SagaConsumer
from saga_consumers.parked_keys import ParkedKeys
from saga_consumers.records import RecordHandler
from tests.kits.parking import MemoryParked

NOW = datetime(2026, 11, 30, tzinfo=UTC)
SOURCE = TopicPartition("orders.events.v1", 0)
KEYS = ("o1", "o2", "o3")


def a_record(offset: int, key: str) -> ConsumerRecord:
    payload = PaymentFailed("p", "declined")
    event = Event(f"{key}:{offset}", EventType.PAYMENT_FAILED, key, "shop", 1, payload)
    pairs = tuple((name, text.encode()) for name, text in headers(event, "payments").items())
    return ConsumerRecord(SOURCE.topic, 0, offset, encode_payload(payload), key.encode(), pairs, 1)


class Member:
    """A process, with the records that it has fetched; it rejects events that it does not know."""

    def __init__(self, machine: Parking) -> None:
        self.machine = machine
        self.unknown: set[str] = set()
        self.queue: list[ConsumerRecord] = []
        self.handle = RecordHandler(
            SagaConsumer(Service.ORDERS, self._handle, lambda now: 0), machine.parked, lambda: NOW, lambda: 0.0
        )

    def _handle(self, event: Event, now: datetime, trace_parent: str) -> bool:
        if event.id in self.unknown:
            raise Reject("unknown")
        return self.machine.has_effect(event.id)


class Parking(RuleBasedStateMachine):
    """One partition, which one of two members has."""

    def __init__(self) -> None:
        super().__init__()
        self.parked = MemoryParked()
        self.log: list[ConsumerRecord] = []
        self.effects: list[str] = []
        self.members = [Member(self), Member(self)]
        self.owner, self.committed = 0, 0
        self._give(0)

    def has_effect(self, event: str) -> bool:
        if event in self.effects:
            return False
        key, offset = event.split(":")
        earlier = [
            f"{key}:{each.offset}" for each in self.log if each.key == key.encode() and each.offset < int(offset)
        ]
        assert [each for each in earlier if each not in self.effects] == [], f"{event} overtakes"
        self.effects.append(event)
        return True

    def _give(self, owner: int) -> None:
        member = self.members[owner]
        self.owner = owner
        member.handle.assigned([SOURCE])
        member.queue = self.log[self.committed :]

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=4), unknown=st.sets(st.integers(0, 1)))
    def say(self, keys: list[str], unknown: set[int]) -> None:
        """Events are sent, the first of which some members do not know; whoever has the partition fetches them."""
        for number, key in enumerate(keys):
            record = a_record(len(self.log), key)
            self.log.append(record)
            self.members[self.owner].queue.append(record)
            if not number:
                for member in unknown:
                    self.members[member].unknown.add(f"{key}:{record.offset}")

    @precondition(lambda self: any(member.queue for member in self.members))
    @rule(number=st.integers(0, 1), count=st.integers(1, 4))
    def work(self, number: int, count: int) -> None:
        """A member goes on, whether the partition is its own still or not; only then its commit counts."""
        member = self.members[number]
        for record in member.queue[:count]:
            with suppress(Reject):
                member.handle(record)
            member.queue.pop(0)
            if number == self.owner:
                self.committed = record.offset + 1

    @rule(number=st.integers(0, 1))
    def rebalance(self, number: int) -> None:
        """A member gets the partition; another one that had it does not hear of that."""
        self._give(number)

    @rule(number=st.integers(0, 1))
    def restart(self, number: int) -> None:
        """A process is killed, and another one of the same version takes its place; it may have the partition again."""
        unknown = self.members[number].unknown
        self.members[number] = Member(self)
        self.members[number].unknown = unknown
        if number == self.owner:
            self._give(number)

    @precondition(lambda self: self.parked.rows)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        """An operator lets an order's parked events be handled, by a version that knows all of them."""
        key = data.draw(st.sampled_from(sorted({row.key for row in self.parked.rows.values()})))
        for row in self.parked.of_key(key):
            self.has_effect(f"{key}:{row.record.offset}")
            del self.parked.rows[row.id]

    def teardown(self) -> None:
        """In the end nothing is lost: all that is not parked was handled, and all that is parked can be."""
        self.work(self.owner, len(self.log))
        for row in sorted(self.parked.rows.values(), key=lambda row: row.record.offset):
            self.has_effect(f"{row.key}:{row.record.offset}")
        assert {(record.key or b"").decode() + f":{record.offset}" for record in self.log} == set(self.effects)


TestParking = Parking.TestCase
TestParking.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


# --- What a process asks for ------------------------------------------------------------------------------------------


def test_nothing_is_asked_about_orders_that_have_no_parked_events() -> None:
    parked = MemoryParked()
    handle = RecordHandler(SagaConsumer(Service.ORDERS, lambda *_: True, lambda now: 0), parked, lambda: NOW)
    records = [a_record(offset, KEYS[offset % 3]) for offset in range(30)]
    handle(records[0])
    assert parked.asked == 1, "whoever has not said that a partition is assigned asks about each event"

    handle.assigned([SOURCE])
    for record in records:
        handle(record)

    assert parked.asked == 1


def test_an_order_is_asked_about_until_nothing_of_it_is_parked() -> None:
    parked, rejects = MemoryParked(), {"o1:0"}

    def some(event: Event, now: datetime, trace_parent: str) -> bool:
        if event.id in rejects:
            raise Reject("unknown")
        return True

    handle = RecordHandler(SagaConsumer(Service.ORDERS, some, lambda now: 0), parked, lambda: NOW)
    handle.assigned([SOURCE])
    for offset in range(3):
        with suppress(Reject):
            handle(a_record(offset, "o1"))
    assert (parked.asked, len(parked.rows)) == (2, 3)

    parked.rows.clear()
    for offset in range(3, 6):
        handle(a_record(offset, "o1"))

    assert (parked.asked, handle.counts.handled) == (3, 3)


def known(*answers: list[str] | Exception, most: int = 10) -> ParkedKeys:
    left = iter(answers)

    def read(limit: int) -> list[str]:
        found = next(left)
        if isinstance(found, Exception):
            raise found
        return found[:limit]

    return ParkedKeys(read, most)


def test_keys_are_read_once_for_all_partitions_and_again_for_those_that_come_later() -> None:
    other = TopicPartition(SOURCE.topic, 1)
    keys = known(["a"], ["a", "b"])
    keys.assigned([SOURCE, other])
    assert keys.mark(SOURCE, "a") is not None
    assert keys.mark(other, "b") is None

    keys.assigned([other])

    assert keys.mark(other, "b") is not None
    assert keys.mark(SOURCE, "c") is None


def test_keys_that_cannot_be_read_are_read_before_the_next_event() -> None:
    keys = known(Unavailable("Mongo"), ["a"])
    keys.assigned([SOURCE])
    with pytest.raises(Unavailable):
        keys.mark(SOURCE, "a")

    assert keys.mark(SOURCE, "a") is not None


def test_where_too_many_keys_are_parked_every_one_is_asked_about_until_partitions_are_assigned_again() -> None:
    keys = known([str(number) for number in range(11)], ["1"])
    keys.assigned([SOURCE])
    assert keys.mark(SOURCE, "none of them") is not None

    keys.assigned([SOURCE])

    assert keys.mark(SOURCE, "none of them") is None


def test_a_key_that_was_added_since_it_was_asked_about_is_not_forgotten() -> None:
    keys = known(["a"])
    keys.assigned([SOURCE])
    before = keys.mark(SOURCE, "a")
    assert before is not None
    keys.add("a")
    keys.forget("a", before)
    after = keys.mark(SOURCE, "a")
    assert after is not None

    keys.forget("a", after)

    assert keys.mark(SOURCE, "a") is None
