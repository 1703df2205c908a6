"""The topics, tables, collections and connectors that a service needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from connectors.debezium.declared import CONNECTORS, Connector
from marketplace.collections import COLLECTIONS, Collection
from marketplace.tables import TABLES, Table
from marketplace.topics import TOPICS, Topic


@dataclass(frozen=True)
class Resources:
    """Declarations of topics, tables, collections and connectors, without duplicates."""

    topics: tuple[Topic, ...] = ()
    tables: tuple[Table, ...] = ()
    collections: tuple[Collection, ...] = ()
    connectors: tuple[Connector, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that they are in."""
        there: dict[str, tuple[object, ...]] = {
            "kafka": self.topics,
            "clickhouse": self.tables,
            "mongo": self.collections,
            "connect": self.connectors,
        }
        return tuple(part for part, declared in there.items() if declared)

    @staticmethod
    def union(many: Iterable[Resources]) -> Resources:
        """The union, in the order in which the product declares them."""
        each = tuple(many)
        topics = {topic.name: topic for resources in each for topic in resources.topics}
        tables = {table.name: table for resources in each for table in resources.tables}
        collections = {collection.name: collection for resources in each for collection in resources.collections}
        connectors = {connector.name: connector for resources in each for connector in resources.connectors}
        return Resources(
            tuple(topics.values()), tuple(tables.values()), tuple(collections.values()), tuple(connectors.values())
        )


EVERYTHING: Final = Resources(TOPICS, TABLES, COLLECTIONS, CONNECTORS)
