"""Drift: differences from the declarations, and their effects. Pure comparisons, without IO."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from connectors.debezium.declared import Connector
from connectors.kafka.topics import ActualTopic
from marketplace.collections import Collection, Index
from marketplace.tables import Column, Table
from marketplace.topics import Topic

_ENGINE: Final = re.compile(
    r"(?P<engine>\w+(?:\(.*?\))?)(?: PARTITION BY .*?)?(?: PRIMARY KEY .*?)? ORDER BY ", re.DOTALL
)
_TTL: Final = re.compile(r" TTL (.*?)(?: SETTINGS .*)?$", re.DOTALL)
_COLUMN_TTL: Final = re.compile(r"`(\w+)` [^`]*? TTL ")
# Replicated servers put a prefix before the engine's name, and the replication path before the engine's own arguments.
_COPIED: Final = re.compile(r"^(?:Replicated|Shared)(\w+)(?:\('[^']*', '[^']*'(?:, )?(.*)\))?$", re.DOTALL)
_WINDOW: Final = "non_replicated_deduplication_window"

_TOPIC_HARM: Final[Mapping[str, str]] = {
    "cleanup.policy": "records may disappear that were never counted",
    "retention.ms": "records are kept for a different time than promised",
    "retention.bytes": "records may disappear before their time",
    "max.message.bytes": "large records may be refused",
    "min.insync.replicas": "an acknowledged record may be on fewer brokers, or writes stop when one is unavailable",
    "unclean.leader.election.enable": "acknowledged records may be lost with a broker",
}


@dataclass(frozen=True)
class ActualTable:
    """A table as ClickHouse has it.

    Attributes:
        columns: Type, kind of default and its expression, by name.
        engine_full: Engine, keys, TTL and settings, in the server's spelling.
        create_query: The whole CREATE statement.
        partition_key: Empty if there is none.
        sorting_key: The columns, separated by commas.
        indexes: Type, expression and granularity of the skipping indexes, by name.
    """

    columns: Mapping[str, tuple[str, str, str]]
    engine_full: str
    create_query: str
    partition_key: str
    sorting_key: str
    indexes: Mapping[str, tuple[str, str, int]] = field(default_factory=dict)


def topic_drift(topic: Topic, actual: ActualTopic, brokers: int) -> Iterator[str]:
    """Differences of a topic.

    Args:
        topic: The declaration.
        actual: The topic on the cluster.
        brokers: The number of brokers that are up: a topic needs at most that many replicas.
    """
    what = f"topic {topic.name}"
    if actual.partitions != topic.partitions:
        yield (
            f"{what}: {actual.partitions} partitions, declared {topic.partitions}; "
            "adding some moves visitors between partitions, so do it while the flow is stopped and has counted all"
        )
    wanted_replicas = topic.replicas(brokers)
    if actual.replicas < wanted_replicas:
        yield (
            f"{what}: {actual.replicas} copies of each record, declared {wanted_replicas}; acknowledged records "
            "are lost with a broker. kafka-reassign-partitions adds copies"
        )
    for name, wanted in topic.settings(actual.replicas).items():
        if actual.settings.get(name) != wanted:
            yield f"{what}: {name}={actual.settings.get(name)}, declared {wanted}; {_TOPIC_HARM[name]}"


def table_drift(table: Table, actual: ActualTable) -> Iterator[str]:
    """Differences of a table: columns, engine, keys, TTL, settings, indexes."""
    what = f"table {table.name}"
    for text in (*_columns(table, actual), *_storage(table, actual), *_indexes(table, actual)):
        yield f"{what}: {text}"


def index_drift(collection: Collection, present: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Differences of a collection's existing indexes, and indexes that expire documents but are not declared.

    Args:
        collection: The declaration.
        present: pymongo's ``index_information``.
    """
    declared = {index.name: index for index in collection.indexes}
    for name, actual in present.items():
        index, what = declared.get(name), f"index {collection.name}.{name}"
        expires = actual.get("expireAfterSeconds")
        if index is not None:
            yield from (f"{what}: {text}" for text in _index(index, actual, expires))
        elif expires is not None:
            yield f"{what}: not declared, and it deletes documents after {expires:g} s"


def schema_drift(collection: Collection, actual: Mapping[str, Any] | None) -> Iterator[str]:
    """The difference of a collection's schema.

    Args:
        collection: The declaration.
        actual: The JSON schema that Mongo checks; None for none.
    """
    if (collection.schema or None) != (actual or None):
        stated = "no schema" if not actual else "another schema than is declared"
        yield f"collection {collection.name}: {stated}; documents may be written that nobody can use"


def connector_drift(connector: Connector, actual: Mapping[str, str]) -> Iterator[str]:
    """Differences of a connector's configuration; `marketplace relay apply` puts the declared one there.

    Args:
        connector: The declaration.
        actual: The configuration as Connect keeps it.
    """
    declared = connector.config
    for name in sorted(declared.keys() | actual.keys()):
        if declared.get(name) != actual.get(name):
            # A value may be a URL with a password that somebody has put in the place of its variable.
            stated = "is missing" if name not in actual else "is another" if name in declared else "is not declared"
            yield f"connector {connector.name}: {name} {stated}; 'marketplace relay apply' puts the declared one there"


def _columns(table: Table, actual: ActualTable) -> Iterator[str]:
    declared = {column.name: column for column in table.columns if not _is_index(column)}
    for name, column in declared.items():
        found = actual.columns.get(name)
        if found is None:
            # Some servers do not list columns that are never stored.
            if column.default != "EPHEMERAL":
                yield f"column {name} is missing"
            continue
        kind, default, expression = found
        if _plain(kind) != _plain(column.type):
            yield f"{name} is {kind}, declared {column.type}"
        stated = f"{default} {expression}" if default == "DEFAULT" else default
        if _plain(stated) != _plain(column.default):
            yield f"{name} has {stated or 'no default'}, declared {column.default or 'no default'}"
    for name in actual.columns:
        if name not in declared:
            yield f"column {name} is not declared"


def _storage(table: Table, actual: ActualTable) -> Iterator[str]:
    match = _ENGINE.match(actual.engine_full)
    found = match["engine"] if match else actual.engine_full
    copied = _COPIED.match(found)
    engine = found if copied is None else copied[1] + (f"({copied[2]})" if copied[2] else "")
    if _plain(engine) != _plain(table.engine):
        yield f"engine {found}, declared {table.engine}; rows are merged by another rule"
    if _plain(actual.partition_key) != _plain(table.partition_by):
        yield (
            f"partitioned by {actual.partition_key or 'nothing'}, declared {table.partition_by or 'nothing'}; "
            "an insert is no longer applied as a whole"
        )
    if _plain(actual.sorting_key) != _plain(table.order_by):
        yield f"ordered by {actual.sorting_key or 'nothing'}, declared {table.order_by}; other rows may be merged"
    ttl = _TTL.search(actual.engine_full)
    if ttl:
        yield f"TTL {ttl[1]}, declared none; counted rows disappear"
    for column in _COLUMN_TTL.findall(actual.create_query.partition(") ENGINE = ")[0]):
        yield f"column {column} has a TTL, declared none; its values disappear"
    for name, wanted in _settings(table.settings).items():
        value = _settings(actual.engine_full.partition(" SETTINGS ")[2]).get(name, "not set")
        # Replicated tables have a deduplication window of their own, which is on by default.
        if value != wanted and not (copied and name == _WINDOW):
            harm = "; an insert that is repeated counts twice" if name == _WINDOW else ""
            yield f"{name} is {value}, declared {wanted}{harm}"


def _indexes(table: Table, actual: ActualTable) -> Iterator[str]:
    declared = {}
    for column in filter(_is_index, table.columns):
        _, name, expression = column.name.split(" ", 2)
        declared[name] = (column.type.removeprefix("TYPE "), expression, int(column.default.split(" ")[1]))
    for name, wanted in declared.items():
        found = actual.indexes.get(name)
        if found != wanted:
            shown = "missing" if found is None else f"{found[0]} of {found[1]}, granularity {found[2]}"
            yield f"index {name} is {shown}; reading at a start takes longer"
    for name in actual.indexes.keys() - declared.keys():
        yield f"index {name} is not declared"


def _index(index: Index, actual: Mapping[str, Any], expires: float | None) -> Iterator[str]:
    fields = [tuple(pair) for pair in actual["key"]]
    if fields != list(index.fields):
        yield f"on {fields}, declared {list(index.fields)}"
    if bool(actual.get("unique")) != index.unique:
        yield "not unique, declared unique" if index.unique else "unique, declared not unique"
    if expires != index.expire_after_seconds:
        yield f"expires after {_seconds(expires)}, declared {_seconds(index.expire_after_seconds)}"


def _is_index(column: Column) -> bool:
    return column.name.startswith("INDEX ")


def _settings(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _seconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:g} s"


def _plain(text: str) -> str:
    """The text without spaces and outer parentheses, in which servers differ."""
    bare = "".join(text.split())
    return bare[1:-1] if bare.startswith("(") and bare.endswith(")") else bare
