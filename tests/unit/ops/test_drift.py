"""Servers that keep several copies of a table; the rest is tried on the real parts."""

from __future__ import annotations

import pytest

from connectors.kafka.topics import ActualTopic
from marketplace.tables import SESSIONS, Column
from marketplace.topics import CLICKS_COLLECTED
from ops.drift import ActualTable, table_drift, topic_drift


def sessions(engine: str, settings: str) -> ActualTable:
    def stored(column: Column) -> bool:
        return not column.name.startswith("INDEX ")

    return ActualTable(
        columns={column.name: (column.type, "", "") for column in SESSIONS.columns if stored(column)},
        engine_full=f"{engine} ORDER BY ({SESSIONS.order_by}) SETTINGS {settings}",
        create_query="",
        partition_key="",
        sorting_key=SESSIONS.order_by,
        indexes={"ended": ("minmax", "ended_at", 1), "started": ("minmax", "started_at", 1)},
    )


@pytest.mark.parametrize("name", ["Replicated", "Shared"])
def test_a_table_with_copies_is_the_declared_one_with_a_window_of_its_own(name: str) -> None:
    engine = f"{name}CollapsingMergeTree('/clickhouse/tables/{{uuid}}/{{shard}}', '{{replica}}', sign)"

    assert list(table_drift(SESSIONS, sessions(engine, "index_granularity = 8192"))) == []


def test_a_table_with_copies_of_another_engine_is_reported() -> None:
    engine = "ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}')"

    (drift,) = table_drift(SESSIONS, sessions(engine, "index_granularity = 8192"))
    assert f"engine {engine}, declared CollapsingMergeTree(sign)" in drift


def test_while_brokers_are_unavailable_a_topic_with_more_copies_than_brokers_is_as_declared() -> None:
    topic = CLICKS_COLLECTED

    assert list(topic_drift(topic, ActualTopic(topic.partitions, 3, topic.settings(3)), brokers=2)) == []
