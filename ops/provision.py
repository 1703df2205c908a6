"""Creates topics, tables, collections, indexes and connectors as declared, and reports drift.

It is idempotent. What is missing is created; what differs is reported with its effect and left as it is, because a
table with data or a topic with keys must not be altered silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

from connectors.clickhouse.client import ClickHouse
from connectors.debezium.declared import Connector
from connectors.errors import Refused
from connectors.kafka.topics import TopicAdmin
from connectors.mongo.collections import CollectionAdmin
from marketplace.collections import Collection
from marketplace.tables import Table
from marketplace.topics import Topic
from ops.drift import ActualTable, connector_drift, index_drift, schema_drift, table_drift, topic_drift
from ops.resources import EVERYTHING, Resources
from runtime.sections import Settings

_ANSWER_SECONDS: Final = 20.0


@dataclass
class Report:
    """The result of provisioning: ``made`` lists what was missing, ``drift`` what differs from its declaration."""

    made: list[str] = field(default_factory=list)
    drift: list[str] = field(default_factory=list)


def ensure_provisioned(
    settings: Settings, answer_seconds: float = _ANSWER_SECONDS, resources: Resources = EVERYTHING
) -> Report:
    """Create what ``marketplace`` declares, where it is missing.

    Args:
        settings: The parts' URLs; a part that has none of the resources is not connected to, and connectors are left
            out where there is no Kafka Connect.
        answer_seconds: The timeout of each request.
        resources: What to create; everything by default.

    Raises:
        Unavailable: A part is unavailable.
        Refused: A part refuses a declaration.
    """
    report = Report()
    if resources.tables:
        _tables(settings, resources.tables, report, answer_seconds)
    if resources.collections:
        _collections(settings, resources.collections, report)
    # Last: where everything starts at one time, Kafka is the last to answer.
    if resources.topics:
        _topics(settings, resources.topics, report, answer_seconds)
    # A connector starts at once, and finds the others' topics and collections.
    if resources.connectors and settings.urls.connect:
        _connectors(settings, resources.connectors, report, answer_seconds)
    return report


def _topics(settings: Settings, topics: Sequence[Topic], report: Report, answer_seconds: float) -> None:
    admin = TopicAdmin(settings.kafka, answer_seconds)
    found = admin.describe([topic.name for topic in topics])
    brokers = admin.broker_count()
    for topic in topics:
        actual = found.get(topic.name)
        if actual is None:
            replicas = topic.replicas(brokers)
            admin.create(topic.name, topic.partitions, replicas, topic.settings(replicas))
            report.made.append(f"topic {topic.name}")
        else:
            report.drift += topic_drift(topic, actual, brokers)


def _tables(settings: Settings, tables: Sequence[Table], report: Report, answer_seconds: float) -> None:
    with closing(ClickHouse(settings.urls.clickhouse, settings.database, timeout_seconds=answer_seconds)) as clickhouse:
        clickhouse.command(f"CREATE DATABASE IF NOT EXISTS {settings.database}")
        found = _actual_tables(clickhouse, settings.database)
        for table in tables:
            if table.name not in found:
                clickhouse.command(table.create(settings.database))
                report.made.append(f"table {table.name}")
            else:
                report.drift += table_drift(table, found[table.name])


def _actual_tables(clickhouse: ClickHouse, database: str) -> dict[str, ActualTable]:
    def of_each(source: str, fields: str, key: str) -> dict[str, list[tuple[Any, ...]]]:
        rows: dict[str, list[tuple[Any, ...]]] = {}
        query = f"SELECT {key}, {fields} FROM system.{source} WHERE database = {{d:String}}"
        for name, *values in clickhouse.rows(query, {"d": database}):
            rows.setdefault(str(name), []).append(tuple(values))
        return rows

    tables = of_each("tables", "engine_full, create_table_query, partition_key, sorting_key", "name")
    columns = of_each("columns", "name, type, default_kind, default_expression", "table")
    indexes = of_each("data_skipping_indices", "name, type_full, expr, granularity", "table")
    return {
        name: ActualTable(
            columns={column: (kind, default, text) for column, kind, default, text in columns.get(name, ())},
            engine_full=engine_full,
            create_query=create_query,
            partition_key=partition_key,
            sorting_key=sorting_key,
            indexes={index: (kind, text, granularity) for index, kind, text, granularity in indexes.get(name, ())},
        )
        for name, ((engine_full, create_query, partition_key, sorting_key),) in tables.items()
    }


def _collections(settings: Settings, collections: Sequence[Collection], report: Report) -> None:
    with closing(CollectionAdmin(settings.urls.mongo, settings.database)) as admin:
        existing = admin.names()
        schemas = admin.schemas() if any(collection.schema for collection in collections) else {}
        for collection in collections:
            if collection.name not in existing:
                admin.create(collection.name, collection.schema)
                report.made.append(f"collection {collection.name}")
            else:
                report.drift += schema_drift(collection, schemas.get(collection.name))
            _indexes(admin, collection, report)


def _indexes(admin: CollectionAdmin, collection: Collection, report: Report) -> None:
    present = admin.indexes(collection.name)
    report.drift += index_drift(collection, present)
    for index in collection.indexes:
        if index.name not in present:
            admin.create_index(collection.name, index)
            report.made.append(f"index {collection.name}.{index.name}")


def _connectors(settings: Settings, connectors: Sequence[Connector], report: Report, answer_seconds: float) -> None:
    # The client takes a third of a second to import, which few services need.
    from connectors.debezium.client import Connect

    with closing(Connect(settings.urls.connect, answer_seconds)) as connect:
        for connector in connectors:
            actual = connect.config(connector.name)
            if actual is None:
                if problems := connect.unknown_options(connector.config):
                    raise Refused(f"connector {connector.name}: nothing reads {', '.join(problems)}")
                connect.put(connector.name, connector.config)
                report.made.append(f"connector {connector.name}")
            else:
                report.drift += connector_drift(connector, actual)
