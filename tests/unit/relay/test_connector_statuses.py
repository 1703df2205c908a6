"""What Kafka Connect says of a connector, as one line for an operator."""

from __future__ import annotations

import msgspec
import pytest

from connectors.debezium.declared import CONNECTORS, OUTBOX_CONNECTOR, Connector
from connectors.debezium.statuses import ConnectorStatus, reason_of
from marketplace.collections import OUTBOX
from marketplace.sagas.wire import AGGREGATE, headers
from marketplace.topics import TOPICS
from ops.drift import connector_drift, schema_drift
from tests.kits.relay import event_for_tests

TRACE = """org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler
\tat org.apache.kafka.connect.runtime.WorkerTask.run(WorkerTask.java:298)
Caused by: org.apache.kafka.common.errors.RecordTooLargeException: The message is 1200346 bytes.
\t... 13 more
"""


def status(state: str, *tasks: str, trace: str = "") -> ConnectorStatus:
    said = {
        "name": "outbox",
        "connector": {"state": state, "worker_id": "127.0.0.1:1", "version": "3.6.1.Final"},
        "tasks": [
            {"id": at, "state": task, "worker_id": "127.0.0.1:1", **({"trace": trace} if trace else {})}
            for at, task in enumerate(tasks)
        ],
        "type": "source",
    }
    return msgspec.convert(said, ConnectorStatus)


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (status("RUNNING", "RUNNING"), ""),
        (status("RUNNING"), "connector outbox is running, without a task"),
        (status("STOPPED"), "connector outbox is stopped, without a task"),
        (status("PAUSED", "PAUSED"), "connector outbox is paused"),
        (status("RUNNING", "UNASSIGNED"), "task outbox-0 is unassigned"),
        (status("RUNNING", "RUNNING", "RESTARTING"), "task outbox-1 is restarting"),
        (
            status("RUNNING", "FAILED", trace=TRACE),
            "task outbox-0 has failed: org.apache.kafka.common.errors.RecordTooLargeException: The message is 1200346 "
            "bytes.",
        ),
        (status("FAILED"), "connector outbox has failed: no reason given"),
    ],
)
def test_a_connector_runs_where_it_and_its_tasks_do_and_otherwise_there_is_a_reason(
    found: ConnectorStatus, problem: str
) -> None:
    assert (found.problem, found.running) == (problem, problem == "")


def test_the_reason_of_a_failure_is_its_last_cause() -> None:
    assert reason_of(TRACE).startswith("org.apache.kafka.common.errors.RecordTooLargeException")
    assert reason_of("java.lang.Error: x\n\tat y") == "java.lang.Error: x"
    assert len(reason_of("x" * 10_000)) == 300


@pytest.mark.parametrize("connector", CONNECTORS, ids=lambda connector: connector.name)
def test_a_connectors_file_names_only_a_database_and_urls_from_outside(connector: Connector) -> None:
    assert connector.variables == {"MARKETPLACE_MONGO_URL", "MARKETPLACE_DATABASE"}
    assert "name" not in connector.config


def test_every_header_of_an_event_is_carried_over() -> None:
    placed = OUTBOX_CONNECTOR.config["transforms.outbox.collection.fields.additional.placement"].split(",")
    assert set(placed) == {f"{name}:header" for name in headers(event_for_tests("order"), "orders", "00-a-b-01")}


def test_every_aggregate_that_may_stand_in_the_outbox_has_a_topic() -> None:
    assert OUTBOX.schema is not None
    aggregates = OUTBOX.schema["properties"]["aggregatetype"]["enum"]
    assert AGGREGATE in aggregates
    route = OUTBOX_CONNECTOR.config["transforms.outbox.route.topic.replacement"]
    assert {route.replace("${routedByValue}", name) for name in aggregates} <= {topic.name for topic in TOPICS}
    pipeline = msgspec.json.decode(OUTBOX_CONNECTOR.config["cursor.pipeline"])
    assert pipeline[0]["$match"]["fullDocument.aggregatetype"]["$in"] == aggregates


def test_a_connector_that_differs_from_its_file_is_reported_without_its_values() -> None:
    declared = dict(OUTBOX_CONNECTOR.config)
    assert list(connector_drift(OUTBOX_CONNECTOR, declared)) == []
    other = {**declared, "mongodb.connection.string": "mongodb://user:hunter2@m", "more": "1"}
    del other["tasks.max"]
    lines = list(connector_drift(OUTBOX_CONNECTOR, other))
    assert [line.partition(";")[0] for line in lines] == [
        "connector outbox: mongodb.connection.string is another",
        "connector outbox: more is not declared",
        "connector outbox: tasks.max is missing",
    ]
    assert "hunter2" not in " ".join(lines)


def test_a_collection_without_its_schema_is_reported() -> None:
    assert list(schema_drift(OUTBOX, OUTBOX.schema)) == []
    assert "no schema" in next(schema_drift(OUTBOX, None))
    assert "another schema" in next(schema_drift(OUTBOX, {"bsonType": "object"}))
