"""Records that retention deleted are written off once, and only right behind what the checkpoint holds."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from connectors.clickhouse.insert_shape import structure_of
from flows.delivery.expiry import record_expired
from flows.delivery.fencing import read_fences
from marketplace.flows import CLICKS_FLOW, DEAD_LETTERS_FLOW, FLOWS, FlowSpec
from tests.kits.sql_tables import SqlTables


def row_of(flow: FlowSpec, topic: str, partition: int, last: int) -> pa.Table:
    known: dict[str, Any] = {"source_topic": topic, "source_partition": partition, "source_offset": last}
    return pa.table({name: [known.get(name, 0)] for name, _ in structure_of(flow.checkpoint)})


def fence(tables: SqlTables, flow: FlowSpec, topic: str, partition: int) -> int | None:
    return read_fences(tables.client, flow)[topic].get(partition, {}).get(flow.checkpoint.name)


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
@pytest.mark.parametrize("held", [None, 9])
def test_the_fence_of_one_partition_moves_behind_what_expired(flow: FlowSpec, held: int | None) -> None:
    topic, tables = flow.reads[0].name, SqlTables()
    if held is not None:
        tables.insert(flow.checkpoint.name, source_partition=2, source_offset=held, **several(flow, topic))
    first = 0 if held is None else held + 1

    record_expired(tables.client, flow, row_of(flow, topic, 2, 14), first)

    assert (fence(tables, flow, topic, 2), fence(tables, flow, topic, 3)) == (14, None)


def several(flow: FlowSpec, topic: str) -> dict[str, str]:
    return {"source_topic": topic} if flow.reads_several else {}


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
@pytest.mark.parametrize("first", [9, 11])
def test_nothing_is_written_where_the_checkpoint_does_not_end_right_before(flow: FlowSpec, first: int) -> None:
    topic, tables = flow.reads[0].name, SqlTables()
    tables.insert(flow.checkpoint.name, source_partition=2, source_offset=9, **several(flow, topic))
    tables.insert(flow.checkpoint.name, source_partition=3, source_offset=first - 1, **several(flow, topic))

    record_expired(tables.client, flow, row_of(flow, topic, 2, 14), first)

    assert fence(tables, flow, topic, 2) == 9


def test_a_partition_of_another_topic_is_another_one() -> None:
    one, other = (topic.name for topic in DEAD_LETTERS_FLOW.reads[:2])
    tables = SqlTables()
    tables.insert(DEAD_LETTERS_FLOW.checkpoint.name, source_topic=other, source_partition=2, source_offset=9)

    for topic, first in ((one, 0), (other, 10)):
        record_expired(tables.client, DEAD_LETTERS_FLOW, row_of(DEAD_LETTERS_FLOW, topic, 2, 14), first)

    assert [fence(tables, DEAD_LETTERS_FLOW, topic, 2) for topic in (one, other)] == [14, 14]
    assert len(set(tables.tokens)) == 2


def test_a_further_condition_that_does_not_hold_lets_nothing_be_written() -> None:
    topic, tables = CLICKS_FLOW.reads[0].name, SqlTables()

    record_expired(tables.client, CLICKS_FLOW, row_of(CLICKS_FLOW, topic, 2, 14), 0, "1 = 2")

    assert fence(tables, CLICKS_FLOW, topic, 2) is None


def test_what_was_written_off_of_two_partitions_or_at_two_times_has_two_tokens() -> None:
    topic, tables = CLICKS_FLOW.reads[0].name, SqlTables()

    for partition, first, last in ((2, 0, 14), (3, 0, 14), (2, 15, 20)):
        record_expired(tables.client, CLICKS_FLOW, row_of(CLICKS_FLOW, topic, partition, last), first)

    assert len(tables.tokens) == 3
    assert (fence(tables, CLICKS_FLOW, topic, 2), fence(tables, CLICKS_FLOW, topic, 3)) == (20, 14)
