"""Makes topics, tables, collections and indexes as they are declared, and reports where something else was found.

Applying twice changes nothing. What is missing is made; what differs is reported and left, because a table with data
or a topic with keys is not altered behind anybody's back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from pymongo.errors import CollectionInvalid, OperationFailure, PyMongoError

from connectors.clickhouse import ClickHouse
from connectors.errors import Unavailable
from connectors.kafka.topics import TopicAdmin
from connectors.mongo_stores import connect
from marketplace.collections import COLLECTIONS, Collection
from marketplace.settings import Settings
from marketplace.tables import TABLES, Table
from marketplace.topics import TOPICS

_NAMESPACE_EXISTS: Final = 48


@dataclass
class Report:
    """What provisioning did: ``made`` are things that were missing, ``drift`` things that are not as declared."""

    made: list[str] = field(default_factory=list)
    drift: list[str] = field(default_factory=list)


def ensure_provisioned(settings: Settings) -> Report:
    """Apply everything that ``marketplace`` declares.

    Raises:
        Unavailable: A part is away.
        Refused: A part does not take a declaration.
    """
    report = Report()
    _topics(settings, report)
    _tables(settings, report)
    _collections(settings, report)
    return report


def _topics(settings: Settings, report: Report) -> None:
    admin = TopicAdmin(settings.urls.kafka)
    found = admin.describe([topic.name for topic in TOPICS])
    brokers = admin.broker_count()
    for topic in TOPICS:
        actual = found.get(topic.name)
        if actual is None:
            # Three copies where there are three brokers; an acknowledged click then outlives one of them.
            admin.create(topic.name, topic.partitions, min(brokers, 3), topic.settings())
            report.made.append(f"topic {topic.name}")
            continue
        if actual.partitions != topic.partitions:
            report.drift.append(f"topic {topic.name}: {actual.partitions} partitions, declared {topic.partitions}")
        for name, wanted in topic.settings().items():
            if actual.settings.get(name) != wanted:
                report.drift.append(f"topic {topic.name}: {name}={actual.settings.get(name)}, declared {wanted}")


def _tables(settings: Settings, report: Report) -> None:
    clickhouse = ClickHouse(settings.urls.clickhouse, settings.database)
    clickhouse.command(f"CREATE DATABASE IF NOT EXISTS {settings.database}")
    for table in TABLES:
        actual = clickhouse.rows(
            "SELECT name, type FROM system.columns WHERE database = {d:String} AND table = {t:String}",
            {"d": settings.database, "t": table.name},
        )
        if not actual:
            clickhouse.command(table.create(settings.database))
            report.made.append(f"table {table.name}")
        else:
            report.drift += _table_drift(table, {str(name): str(kind) for name, kind in actual})


def _table_drift(table: Table, actual: dict[str, str]) -> list[str]:
    declared = {c.name: c.type for c in table.columns if not c.name.startswith("INDEX ") and c.default != "EPHEMERAL"}
    drift = [f"table {table.name}: column {name} is missing" for name in declared if name not in actual]
    drift += [
        f"table {table.name}: {name} is {actual[name]}, declared {kind}"
        for name, kind in declared.items()
        if name in actual and actual[name].replace(" ", "") != kind.replace(" ", "")
    ]
    ephemeral = {c.name for c in table.columns if c.default == "EPHEMERAL"}
    drift += [
        f"table {table.name}: column {n} is not declared" for n in actual if n not in declared and n not in ephemeral
    ]
    return drift


def _collections(settings: Settings, report: Report) -> None:
    client = connect(settings.urls.mongo)
    try:
        database = client[settings.database]
        existing = set(database.list_collection_names())
        for collection in COLLECTIONS:
            if collection.name not in existing:
                _create(database, collection.name)
                report.made.append(f"collection {collection.name}")
            _indexes(database[collection.name], collection, report)
    except PyMongoError as error:
        raise Unavailable(f"Mongo does not answer: {' '.join(str(error).split())[:200]}") from error
    finally:
        client.close()


def _create(database: Any, name: str) -> None:
    try:
        database.create_collection(name)
    except CollectionInvalid:
        return  # another process made it in between, which is as good
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise


def _indexes(target: Any, collection: Collection, report: Report) -> None:
    present = target.index_information()
    for index in collection.indexes:
        actual = present.get(index.name)
        if actual is None:
            options: dict[str, Any] = {"name": index.name, "unique": index.unique}
            if index.expire_after_seconds is not None:
                options["expireAfterSeconds"] = index.expire_after_seconds
            target.create_index(list(index.fields), **options)
            report.made.append(f"index {collection.name}.{index.name}")
        elif [tuple(pair) for pair in actual["key"]] != list(index.fields) or bool(
            actual.get("unique")
        ) != index.unique:
            report.drift.append(f"index {collection.name}.{index.name} is not as declared")
