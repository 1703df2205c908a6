"""What a service says in a transaction arrives in Kafka, exactly as it was said, whatever is killed on the way."""

from __future__ import annotations

import base64
import json
import os
import signal
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from bson import decode, encode
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the package does not list what it exports
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from pymongo.errors import DuplicateKeyError

from connectors.debezium.declared import OUTBOX_CONNECTOR
from connectors.errors import Unavailable
from connectors.mongo.sagas.documents import outbox_document
from connectors.mongo.transactions import in_transaction
from marketplace.sagas.events import Event, EventType, OrderedItem, StockCountUpdated, event_id
from marketplace.topics import ORDERS_EVENTS
from ops.relay.connector import restart
from ops.stack import StackError
from tests.kits.depth import CHAOS, CHAOS_SEEDS, LONG
from tests.kits.relay import Relay, eventually, ids_of, relayed_stack

NAME: Final = OUTBOX_CONNECTOR.name
HANG_SECONDS: Final = 6.0
GOLDEN: Final = Path(__file__).parents[1] / "golden" / "outbox_records.json"
EXAMPLES: Final[list[dict[str, Any]]] = json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    try:
        with relayed_stack(tmp_path_factory.mktemp("relay"), hang_seconds=HANG_SECONDS) as running:
            yield running
    except StackError as error:
        pytest.skip(str(error))


def new_order() -> str:
    return uuid.uuid4().hex


def said(order: str, version: int = 1) -> Event:
    payload = StockCountUpdated((OrderedItem("variant", version),))
    event = event_id(order, "inventory", version)
    return Event(event, EventType.STOCK_COUNT_UPDATED, order, "berlin-bikes", 1_796_000_000_000 + version, payload)


def row_of(example: dict[str, Any]) -> dict[str, Any]:
    return {**example["row"], "created_at": datetime.fromisoformat(example["row"]["created_at"])}


def test_a_row_of_each_type_arrives_as_its_example_says_and_is_the_event_that_was_written(relay: Relay) -> None:
    tail = relay.tail()
    relay.outbox.insert_many([row_of(example) for example in EXAMPLES])
    arrived = {ids_of(each): each for each in tail.until([example["row"]["_id"] for example in EXAMPLES])}
    assert {example["type"] for example in EXAMPLES} == {kind.value for kind in EventType}
    for example in EXAMPLES:
        record, expected = arrived[example["row"]["_id"]], example["record"]
        assert (record.key, record.value) == (expected["key"].encode(), expected["value"].encode())
        assert record.headers == [(name, text.encode()) for name, text in expected["headers"]]
        trace = dict(record.headers).get("traceparent", b"").decode()
        written = outbox_document(record.event, example["service"], datetime.now(UTC), trace)
        assert written | {"created_at": None} == example["row"] | {"created_at": None}


def test_what_a_transaction_says_arrives_once_it_is_committed_and_never_where_it_is_aborted(relay: Relay) -> None:
    tail, committed, aborted = relay.tail(), said(new_order()), said(new_order())
    with relay.client.start_session() as session:
        session.start_transaction()
        relay.outbox.insert_one(outbox_document(aborted, "tests", datetime.now(UTC)), session=session)
        session.abort_transaction()
        session.start_transaction()
        relay.outbox.insert_one(outbox_document(committed, "tests", datetime.now(UTC)), session=session)
        assert tail.poll(0.5) == []
        session.commit_transaction()
    tail.until([committed.id])
    last = said(new_order())
    relay.say(last)
    assert [each.event for each in tail.until([last.id])] == [committed, last]


def test_of_an_outbox_only_inserts_leave(relay: Relay) -> None:
    tail, event, last = relay.tail(), said(new_order()), said(new_order())
    relay.say(event)
    relay.outbox.update_one({"_id": event.id}, {"$set": {"payload": "{}"}})
    relay.outbox.replace_one({"_id": event.id}, outbox_document(event, "others", datetime.now(UTC)))
    relay.outbox.delete_one({"_id": event.id})
    relay.say(last)
    assert sorted(map(ids_of, tail.until([last.id]))) == sorted([event.id, last.id])
    status = relay.connect.status(NAME)
    assert status is not None
    assert status.running


@LONG
def test_a_row_that_expires_sends_nothing(relay: Relay) -> None:
    tail, event, last = relay.tail(), said(new_order()), said(new_order())
    in_transaction(
        relay.client,
        lambda session: relay.outbox.insert_one(
            outbox_document(event, "tests", datetime.now(UTC) - timedelta(days=30)), session=session
        ),
    )
    eventually(lambda: relay.outbox.find_one({"_id": event.id}) is None, "the row expires", 150.0)
    relay.say(last)
    assert list(map(ids_of, tail.until([last.id]))).count(event.id) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"aggregateid": ""}, {"aggregateid": 7}, {"aggregatetype": "others"}, {"payload": {"a": 1}},
        {"payload": "x" * 200_001}, {"type": None}, {"created_at": "today"},
    ],
    ids=["no key", "key", "topic", "payload", "size", "type", "time"],
)  # fmt: skip
def test_a_row_that_could_not_be_sent_cannot_be_written(relay: Relay, change: dict[str, Any]) -> None:
    row = outbox_document(said(new_order()), "tests", datetime.now(UTC)) | change
    with pytest.raises(Unavailable, match="failed validation"):
        in_transaction(relay.client, lambda session: relay.outbox.insert_one(row, session=session))


def test_a_row_of_another_shape_that_is_written_all_the_same_stops_nobody(relay: Relay) -> None:
    tail, last = relay.tail(), said(new_order())
    for row in ({"a": 1}, {"aggregatetype": "others", "aggregateid": "a", "type": "X", "payload": "{}"}):
        relay.client["marketplace"].command("insert", "outbox", documents=[row], bypassDocumentValidation=True)
    relay.say(last)
    assert list(map(ids_of, tail.until([last.id]))) == [last.id]
    relay.outbox.delete_many({"ce_id": {"$exists": False}, "aggregatetype": {"$ne": "relay"}})


def test_what_was_written_while_the_connector_was_stopped_arrives_in_its_order_when_it_is_started(relay: Relay) -> None:
    tail, orders = relay.tail(), [new_order() for _ in range(5)]
    events = [said(order, version) for version in (3, 1, 2) for order in orders]
    relay.connect.stop(NAME)
    relay.say(*events)
    relay.connect.resume(NAME)
    arrived = tail.until([event.id for event in events])
    for order in orders:
        of_order = [each.event for each in arrived if each.key == order.encode()]
        assert of_order == [event for event in events if event.order == order]
    relay.wait_running()


def test_a_connector_that_starts_for_the_first_time_sends_what_was_there_before_it(relay: Relay) -> None:
    relay.wait_running()
    order, tail = new_order(), relay.tail()
    events = [said(order, version) for version in (2, 9, 1, 30, 4)]
    relay.connect.stop(NAME)
    for event in events:
        relay.say(event)
    restart(relay.connect, NAME)
    arrived = tail.until([event.id for event in events])
    assert [each.event for each in arrived if each.key == order.encode()] == events
    relay.wait_running()


def limit(relay: Relay, max_bytes: int) -> None:
    """The largest record that the orders' topic takes."""
    admin = AdminClient({"bootstrap.servers": relay.stack.urls.kafka})
    entry = ConfigEntry("max.message.bytes", str(max_bytes), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, ORDERS_EVENTS.name, incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(20.0)


def test_a_task_that_has_failed_is_shown_and_started_again_until_it_runs(relay: Relay) -> None:
    relay.wait_running()
    tail, event, before = relay.tail(), said(new_order()), relay.metric("marketplace_relay_restarts_total")
    limit(relay, 100)
    try:
        relay.say(event)
        eventually(lambda: relay.metric("marketplace_relay_restarts_total") >= before + 2, "it is started again")
        for name in ("connect", "relay"):
            eventually(
                lambda name=name: "task outbox-0 has failed" in relay.stack.process(name).problem,  # type: ignore[misc]
                f"{name} says so in the status",
            )
        assert "RecordTooLargeException" in relay.stack.process("relay").problem
    finally:
        limit(relay, ORDERS_EVENTS.max_record_bytes)
    assert tail.until([event.id])[0].event == event
    relay.wait_running()
    assert relay.stack.process("connect").restarts == 0


def lost(place: dict[str, Any]) -> dict[str, Any]:
    """A place in the change stream that is older than all that Mongo has."""
    token = decode(base64.b64decode(place["offset"]["resume_token"]))["_data"]
    older = encode({"_data": encode({**decode(bytes.fromhex(token)), "s": 0}).hex()})
    return {**place, "offset": {**place["offset"], "resume_token": base64.b64encode(older).decode()}}


def test_where_mongo_has_lost_the_changes_the_whole_outbox_is_sent_again_and_that_is_shown(relay: Relay) -> None:
    relay.wait_running()
    before = relay.metric("marketplace_relay_resends_total")
    tail, missed = relay.tail(), [said(new_order()) for _ in range(3)]
    relay.connect.stop(NAME)
    relay.say(*missed)
    eventually(lambda: not relay.connect.status(NAME).tasks, "it stops")  # type: ignore[union-attr]
    relay.connect.set_places(NAME, [lost(place) for place in relay.connect.places(NAME)])
    relay.connect.resume(NAME)
    tail.until([event.id for event in missed])
    eventually(lambda: relay.metric("marketplace_relay_resends_total") == before + 1, "it is counted")
    relay.wait_running()
    eventually(lambda: "sent again: 1" in relay.stack.process("relay").note, "the status says so")


class Writer:
    """Writes events of some orders, one transaction after the other, through whatever happens."""

    def __init__(self, relay: Relay, orders: int = 8) -> None:
        self._relay, self._orders = relay, [new_order() for _ in range(orders)]
        self.written: list[Event] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, name="writer")
        self._thread.start()

    def _write(self) -> None:
        version = 0
        while not self._stop.is_set():
            version += 1
            for order in self._orders:
                event = said(order, version)
                # A row whose transaction may have been committed is written again under its id, as a service does.
                while not self._stop.is_set():
                    try:
                        self._relay.say(event)
                    except (Unavailable, DuplicateKeyError) as error:
                        if isinstance(error, Unavailable):
                            continue
                    self.written.append(event)
                    break
                self._stop.wait(0.01)

    def stop(self) -> list[Event]:
        """What is in the outbox for certain."""
        self._stop.set()
        self._thread.join()
        return self.written


def firsts(arrived: list[Event]) -> list[str]:
    """The ids of events in the order in which each arrived first."""
    return list(dict.fromkeys(event.id for event in arrived))


@CHAOS
@pytest.mark.parametrize("seed", range(CHAOS_SEEDS))
@pytest.mark.parametrize(
    ("victim", "sig"),
    [
        pytest.param("connect", signal.SIGKILL, id="connect killed"),
        pytest.param("mongo", signal.SIGKILL, id="mongo killed", marks=LONG),
        pytest.param("kafka", signal.SIGKILL, id="kafka killed", marks=LONG),
        pytest.param("relay", signal.SIGKILL, id="watch killed", marks=LONG),
        pytest.param("connect", signal.SIGSTOP, id="connect frozen", marks=LONG),
    ],
)
def test_every_row_arrives_in_the_order_of_its_key_whatever_ends_meanwhile(
    relay: Relay, victim: str, sig: signal.Signals, seed: int
) -> None:
    relay.wait_running()
    tail, writer = relay.tail(), Writer(relay)
    try:
        eventually(lambda: len(writer.written) > 20 * (1 + seed % 5), "rows are written")
        tail.poll(0.0)
        if sig is signal.SIGKILL:
            relay.stack.kill(victim)
        else:
            hangs = relay.stack.process(victim).hangs
            os.kill(relay.stack.pid(victim), sig)
            eventually(lambda: relay.stack.process(victim).hangs > hangs, "it is seen to hang")
        relay.stack.wait_healthy(victim, 90.0)
        before = len(writer.written)
        eventually(lambda: len(writer.written) > before + 20, "rows are written again")
    finally:
        written = writer.stop()
    arrived = [each.event for each in tail.until([event.id for event in written]) if each.event.payload]
    for order in {event.order for event in written}:
        expected = [event.id for event in written if event.order == order]
        assert [found for found in firsts(arrived) if found in set(expected)] == expected
    relay.wait_running()
