"""What a service says in a transaction arrives in Kafka, exactly as it was said, whatever is killed on the way."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
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
from typer.testing import CliRunner, Result

from connectors.debezium.client import Connect
from connectors.debezium.declared import OUTBOX_CONNECTOR
from connectors.errors import Unavailable
from connectors.mongo.client import NeverWritten
from connectors.mongo.sagas.documents import outbox_document
from connectors.mongo.transactions import in_transaction
from marketplace.relay import CANARY_SECONDS, READY_LAG_SECONDS
from marketplace.sagas.events import EventType
from marketplace.topics import ORDERS_EVENTS
from ops.cli import make_app
from ops.provision import ensure_provisioned
from ops.relay.connector import STOPPED_SECONDS, ConnectorWatch, restart
from ops.stack import StackError
from ops.stack.registry import REGISTRY
from runtime.sections import Settings
from tests.kits.depth import LONG
from tests.kits.relay import Relay, event_for_tests, eventually, ids_of, relayed_stack, resend_killed_at

OTHERS: Final = {"created_at": None, "payload": None}
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


def row_of(example: dict[str, Any]) -> dict[str, Any]:
    return {**example["row"], "created_at": datetime.fromisoformat(example["row"]["created_at"])}


def test_a_row_of_each_type_arrives_as_its_example_says_and_is_the_event_that_was_written(relay: Relay) -> None:
    tail = relay.tail()
    relay.outbox.insert_many([row_of(example) for example in EXAMPLES])
    arrived = {ids_of(each): each for each in tail.until([example["row"]["_id"] for example in EXAMPLES])}
    types = {kind.value for kind in EventType}
    assert {example["type"] for example in EXAMPLES} >= types
    for example in EXAMPLES:
        record, expected = arrived[example["row"]["_id"]], example["record"]
        assert (record.key, record.value) == (expected["key"].encode(), expected["value"].encode())
        assert record.headers == [(name, text.encode()) for name, text in expected["headers"]]
        if example["type"] not in types:
            continue
        trace = dict(record.headers).get("traceparent", b"").decode()
        written = outbox_document(record.event, example["service"], datetime.now(UTC), trace)
        assert {**written, **OTHERS} == {**example["row"], **OTHERS}
        # A payload that has gained a field since has its default.
        payload = json.loads(written["payload"])
        assert {**payload, **json.loads(example["row"]["payload"])} == payload


def test_what_a_transaction_says_arrives_once_it_is_committed_and_never_where_it_is_aborted(relay: Relay) -> None:
    tail, committed, aborted = relay.tail(), event_for_tests(new_order()), event_for_tests(new_order())
    with relay.client.start_session() as session:
        session.start_transaction()
        relay.outbox.insert_one(outbox_document(aborted, "tests", datetime.now(UTC)), session=session)
        session.abort_transaction()
        session.start_transaction()
        relay.outbox.insert_one(outbox_document(committed, "tests", datetime.now(UTC)), session=session)
        tail.poll(0.5)
        assert tail.of(committed, aborted) == []
        session.commit_transaction()
    tail.until([committed.id])
    last = event_for_tests(new_order())
    relay.say(last)
    tail.until([last.id])
    assert tail.of(committed, aborted, last) == [committed, last]


def test_of_an_outbox_only_inserts_leave(relay: Relay) -> None:
    tail, event, last = relay.tail(), event_for_tests(new_order()), event_for_tests(new_order())
    relay.say(event)
    relay.outbox.update_one({"_id": event.id}, {"$set": {"payload": "{}"}})
    relay.outbox.replace_one({"_id": event.id}, outbox_document(event, "others", datetime.now(UTC)))
    relay.outbox.delete_one({"_id": event.id})
    relay.say(last)
    tail.until([event.id, last.id])
    assert sorted(each.id for each in tail.of(event, last)) == sorted([event.id, last.id])
    status = relay.connect.status(NAME)
    assert status is not None
    assert status.running


@pytest.mark.parametrize(
    "change",
    [
        {"aggregateid": ""}, {"aggregateid": 7}, {"aggregatetype": "others"}, {"payload": {"a": 1}},
        {"payload": "x" * 200_001}, {"type": None}, {"created_at": "today"},
    ],
    ids=["no key", "key", "topic", "payload", "size", "type", "time"],
)  # fmt: skip
def test_a_row_that_could_not_be_sent_cannot_be_written(relay: Relay, change: dict[str, Any]) -> None:
    row = outbox_document(event_for_tests(new_order()), "tests", datetime.now(UTC)) | change
    with pytest.raises(NeverWritten, match="schema"):
        in_transaction(relay.client, lambda session: relay.outbox.insert_one(row, session=session))


def test_a_row_of_another_shape_that_is_written_all_the_same_stops_nobody(relay: Relay) -> None:
    tail, last = relay.tail(), event_for_tests(new_order())
    for row in ({"a": 1}, {"aggregatetype": "others", "aggregateid": "a", "type": "X", "payload": "{}"}):
        relay.client["marketplace"].command("insert", "outbox", documents=[row], bypassDocumentValidation=True)
    relay.say(last)
    tail.until([last.id])
    assert [each.key for each in tail.arrived if each.key in (None, b"a")] == []
    relay.outbox.delete_many({"ce_id": {"$exists": False}, "aggregatetype": {"$ne": "relay"}})


def test_what_was_written_while_the_connector_was_stopped_arrives_in_its_order_when_it_is_started(relay: Relay) -> None:
    tail, orders = relay.tail(), [new_order() for _ in range(5)]
    events = [event_for_tests(order, version) for version in (3, 1, 2) for order in orders]
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
    events = [event_for_tests(order, version) for version in (2, 9, 1, 30, 4)]
    relay.connect.stop(NAME)
    # Until its task has ended it sends what is said, and what comes after its start is sent again then.
    eventually(lambda: not relay.connect.status(NAME).tasks, "it stops")  # type: ignore[union-attr]  # None fails the test
    for event in events:
        relay.say(event)
    restart(relay.connect, NAME)
    arrived = tail.until([event.id for event in events])
    assert [each.event for each in arrived if each.key == order.encode()] == events
    relay.wait_running()


def lost(place: dict[str, Any]) -> dict[str, Any]:
    """A place in the change stream that is older than all that Mongo has."""
    token = decode(base64.b64decode(place["offset"]["resume_token"]))["_data"]
    older = encode({"_data": encode({**decode(bytes.fromhex(token)), "s": 0}).hex()})
    return {**place, "offset": {**place["offset"], "resume_token": base64.b64encode(older).decode()}}


def test_where_mongo_has_lost_the_changes_the_whole_outbox_is_sent_again_and_that_is_shown(relay: Relay) -> None:
    relay.wait_running()
    before = relay.metric("marketplace_relay_resends_total")
    tail, missed = relay.tail(), [event_for_tests(new_order()) for _ in range(3)]
    relay.connect.stop(NAME)
    relay.say(*missed)
    eventually(lambda: not relay.connect.status(NAME).tasks, "it stops")  # type: ignore[union-attr]  # None fails the test
    relay.connect.set_places(NAME, [lost(place) for place in relay.connect.places(NAME)])
    relay.connect.resume(NAME)
    tail.until([event.id for event in missed])
    eventually(lambda: relay.metric("marketplace_relay_resends_total") == before + 1, "it is counted")
    relay.wait_running()
    eventually(lambda: "sent again: 1" in relay.stack.process("relay").note, "the status says so")


def commanded(relay: Relay, *arguments: str) -> Result:
    """What a command of the relay says and how it ends."""
    return CliRunner().invoke(make_app(["relay"]), ["relay", *arguments, "--data", str(relay.stack.data_dir)])


def test_a_connector_that_is_not_as_declared_is_reported_and_left_until_it_is_applied(relay: Relay) -> None:
    relay.wait_running()
    settings = Settings(relay.stack.urls, PurePosixPath("unused"))
    resources = REGISTRY.service("relay").resources
    as_declared = ensure_provisioned(settings, resources=resources)
    assert (as_declared.made, as_declared.drift) == ([], [])
    other = {**OUTBOX_CONNECTOR.config, "poll.interval.ms": "2000"}
    relay.connect.put(NAME, other)
    (line,) = ensure_provisioned(settings, resources=resources).drift
    assert "poll.interval.ms is another" in line
    assert relay.connect.config(NAME) == other
    shown = commanded(relay, "status")
    assert (shown.exit_code, "drift: connector outbox: poll.interval.ms" in shown.output) == (1, True)
    assert commanded(relay, "apply").exit_code == 0
    assert relay.connect.config(NAME) == OUTBOX_CONNECTOR.config
    relay.wait_running()
    eventually(lambda: commanded(relay, "status").exit_code == 0, "it runs as declared")
    running = commanded(relay, "status").output
    assert "connector: it is running; task 0 is running\nconfiguration: as its file declares it\nlag: " in running
    assert f"(marketplace_relay_lag_seconds at {relay.stack.process('relay').url}/metrics)" in running
    document = json.loads(commanded(relay, "status", "--json").output)
    assert (document["state"], document["tasks"], document["drift"]) == ("RUNNING", [{"id": 0, "state": "RUNNING"}], [])
    assert document["lag_seconds"] >= 0


def test_options_that_nothing_reads_and_values_that_nothing_takes_are_named(relay: Relay) -> None:
    wrong = {**OUTBOX_CONNECTOR.config, "transforms.outbox.collection.op.invalid.behavior": "fatal"}
    assert relay.connect.unknown_options(wrong) == ["transforms.outbox.collection.op.invalid.behavior"]
    assert relay.connect.unknown_options(OUTBOX_CONNECTOR.config) == []
    assert relay.connect.problems(NAME, OUTBOX_CONNECTOR.config) == []
    wrong = {**OUTBOX_CONNECTOR.config, "snapshot.mode": "sometimes"}
    assert any(line.startswith("snapshot.mode: ") for line in relay.connect.problems(NAME, wrong))


def test_a_connector_that_somebody_removed_is_put_back_and_goes_on_where_it_had_come_to(relay: Relay) -> None:
    relay.wait_running()
    tail, event = relay.tail(), event_for_tests(new_order())
    relay.connect.delete(NAME)
    relay.say(event)
    tail.until([event.id])
    eventually(lambda: relay.connect.config(NAME) == OUTBOX_CONNECTOR.config, "it is there again")
    relay.wait_running()


@LONG
def test_an_order_to_send_everything_again_sends_what_is_there(relay: Relay) -> None:
    relay.wait_running()
    event = event_for_tests(new_order())
    before = relay.tail()
    relay.say(event)
    before.until([event.id])
    tail = relay.tail()
    assert commanded(relay, "resend").exit_code == 0
    assert event in [each.event for each in tail.until([event.id])]
    relay.wait_running()


@pytest.mark.parametrize(
    ("method", "ending"),
    [
        pytest.param("PUT", "/stop", id="stopped"),
        pytest.param("GET", "/status", id="looked", marks=LONG),
        pytest.param("DELETE", "/offsets", id="forgotten", marks=LONG),
        pytest.param("PUT", "/resume", id="resumed", marks=LONG),
    ],
)
def test_a_connector_that_nobody_resends_with_any_more_goes_on_by_itself(
    relay: Relay, method: str, ending: str
) -> None:
    relay.wait_running()
    now = [0.0]
    watch = ConnectorWatch(relay.connect, OUTBOX_CONNECTOR, lambda: now[0])
    watch.look()
    tail, event = relay.tail(), event_for_tests(new_order())
    assert resend_killed_at(relay, method, ending)[0].endswith("/stop")
    relay.say(event)
    if ending != "/resume":
        eventually(lambda: relay.connect.status(NAME).state == "STOPPED", "it is stopped")  # type: ignore[union-attr]  # None fails the test
        for now[0] in (1.0, STOPPED_SECONDS):
            watch.look()
            assert relay.connect.status(NAME).state == "STOPPED"  # type: ignore[union-attr]  # None fails the test
        now[0] = 1.0 + STOPPED_SECONDS
        watch.look()
    tail.until([event.id])
    relay.wait_running()


def test_one_who_fails_half_way_to_send_everything_again_lets_the_connector_go_on(relay: Relay) -> None:
    relay.wait_running()

    class Impatient(Connect):
        def forget_place(self, name: str) -> None:
            raise Unavailable("it takes too long")

    with closing(Impatient(relay.stack.urls.connect)) as impatient, pytest.raises(Unavailable):
        restart(impatient, NAME)
    tail, event = relay.tail(), event_for_tests(new_order())
    relay.say(event)
    tail.until([event.id])
    relay.wait_running()


@LONG
def test_the_lag_that_operators_see_is_that_of_canaries_which_are_removed_again(relay: Relay) -> None:
    relay.wait_running()
    eventually(lambda: relay.metric("marketplace_relay_lag_seconds") < READY_LAG_SECONDS, "canaries arrive")
    relay.connect.pause(NAME)
    try:
        eventually(lambda: relay.metric("marketplace_relay_lag_seconds") > CANARY_SECONDS, "the lag grows")
        assert relay.metric("marketplace_relay_running") == 0.0
    finally:
        relay.connect.resume(NAME)
    eventually(lambda: relay.metric("marketplace_relay_lag_seconds") < CANARY_SECONDS, "the lag is small again")
    eventually(lambda: relay.outbox.count_documents({"aggregatetype": "relay"}) <= 3, "canaries are removed")


def limit(relay: Relay, max_bytes: int) -> None:
    """The largest record that the orders' topic takes."""
    admin = AdminClient({"bootstrap.servers": relay.stack.urls.kafka})
    entry = ConfigEntry("max.message.bytes", str(max_bytes), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, ORDERS_EVENTS.name, incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(20.0)


def test_a_task_that_has_failed_is_shown_and_started_again_until_it_runs(relay: Relay) -> None:
    relay.wait_running()
    tail, event, before = relay.tail(), event_for_tests(new_order()), relay.metric("marketplace_relay_restarts_total")
    limit(relay, 100)
    try:
        relay.say(event)
        eventually(lambda: relay.metric("marketplace_relay_restarts_total") > before, "it is started again")
        for name in ("connect", "relay"):
            eventually(
                lambda name=name: "task outbox-0 has failed" in relay.stack.process(name).problem,  # type: ignore[misc]  # mypy infers no lambda with a default
                f"{name} says so in the status",
            )
        assert "RecordTooLargeException" in relay.stack.process("relay").problem
    finally:
        limit(relay, ORDERS_EVENTS.max_record_bytes)
    assert tail.until([event.id])[0].event == event
    relay.wait_running()
    assert relay.stack.process("connect").restarts == 0
