"""Fences and generations, asked of tables in SQLite."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from connectors.errors import Fenced, Unavailable
from flows.delivery.fencing import (
    begin_generation,
    check_generation,
    is_newest,
    read_fences,
    wait_for_running_inserts,
)
from marketplace.flows import CLICKS_FLOW, DEAD_LETTERS_FLOW, FLOWS, FlowSpec
from marketplace.tables import CLICK_TABLES, CLICKS, DEAD_LETTERS, GENERATIONS, LEDGER
from tests.kits.sql_tables import DATABASE, SqlTables

TOPIC = CLICKS_FLOW.reads[0].name
LETTERS = [topic.name for topic in DEAD_LETTERS_FLOW.reads]


def filled() -> SqlTables:
    tables = SqlTables()
    for partition, offsets in ((0, (4, 9, 7)), (3, (2,))):
        for offset in offsets:
            tables.insert(CLICKS.name, source_partition=partition, source_offset=offset)
    tables.insert(LEDGER.name, source_partition=0, source_offset=7)
    for topic, offset in zip(LETTERS, (5, 6), strict=False):
        tables.insert(DEAD_LETTERS.name, source_topic=topic, source_partition=1, source_offset=offset)
    return tables


def test_a_fence_is_the_highest_offset_of_a_partition_in_each_table_that_has_one() -> None:
    assert read_fences(filled().client, CLICKS_FLOW) == {
        TOPIC: {0: {CLICKS.name: 9, LEDGER.name: 7}, 3: {CLICKS.name: 2}}
    }


def test_fences_of_some_tables_are_of_these_alone() -> None:
    assert read_fences(filled().client, CLICKS_FLOW, [LEDGER]) == {TOPIC: {0: {LEDGER.name: 7}}}


def test_a_flow_of_several_topics_has_fences_by_topic_and_none_for_one_without_rows() -> None:
    expected: dict[str, Any] = {topic: {} for topic in LETTERS}
    expected[LETTERS[0]] = {1: {DEAD_LETTERS.name: 5}}
    expected[LETTERS[1]] = {1: {DEAD_LETTERS.name: 6}}

    assert read_fences(filled().client, DEAD_LETTERS_FLOW) == expected


@pytest.mark.parametrize("table", CLICK_TABLES, ids=lambda table: table.name)
def test_fences_wait_for_an_insert_into_any_of_their_tables(table: Any) -> None:
    tables = SqlTables()
    tables.begin_insert(f"INSERT INTO {DATABASE}.{table.name} (a) SELECT a")
    with pytest.raises(Unavailable, match="working on 1 insert"):
        wait_for_running_inserts(tables.client, CLICK_TABLES)

    tables.end_inserts()
    wait_for_running_inserts(tables.client, CLICK_TABLES)


@pytest.mark.parametrize(
    "statement",
    [f"SELECT * FROM {DATABASE}.clicks", "INSERT INTO other.clicks (a)", f"INSERT INTO {DATABASE}.clicks2 (a)"],
)
def test_nobody_waits_for_what_writes_to_none_of_their_tables(statement: str) -> None:
    tables = SqlTables()
    tables.begin_insert(statement)

    wait_for_running_inserts(tables.client, CLICK_TABLES)


@pytest.mark.parametrize(("generation", "newest"), [(6, False), (7, True), (8, True)])
def test_only_the_newest_generation_of_a_flow_may_write(generation: int, newest: bool) -> None:
    tables = SqlTables()
    tables.insert(GENERATIONS.name, flow="clicks", generation=7)
    tables.insert(GENERATIONS.name, flow="clicks", generation=3)
    tables.insert(GENERATIONS.name, flow="dead_letters", generation=99)

    ((holds,),) = tables.rows(f"SELECT {is_newest(DATABASE, CLICKS_FLOW, generation)}")

    assert bool(holds) == newest
    if newest:
        check_generation(tables.client, CLICKS_FLOW, generation)
    else:
        with pytest.raises(Fenced, match="generation 7 of the flow has taken over from 6"):
            check_generation(tables.client, CLICKS_FLOW, generation)


class Starts:
    """What a start meets: tables, and a count of starts, in the order in which it asks."""

    def __init__(self) -> None:
        self.tables, self.counted, self.asked = SqlTables(), 0, list[str]()

    def take(self, flow: FlowSpec) -> int:
        return begin_generation(self.tables.client, self, flow, lambda: self.asked.append("step"))

    def next(self, flow: str, at_least: int) -> int:
        self.asked.append(flow)
        self.counted = max(self.counted, at_least) + 1
        return self.counted


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_a_start_is_newer_than_every_one_before_and_those_may_write_no_more(flow: FlowSpec) -> None:
    starts = Starts()

    first, second = starts.take(flow), starts.take(flow)

    assert second > first
    check_generation(starts.tables.client, flow, second)
    with pytest.raises(Fenced):
        check_generation(starts.tables.client, flow, first)


def test_a_start_is_newer_than_the_tables_know_though_mongo_lost_its_count() -> None:
    starts = Starts()
    starts.tables.insert(GENERATIONS.name, flow="clicks", generation=41)

    assert starts.take(CLICKS_FLOW) == 42


def test_each_question_to_a_part_has_a_sign_of_life_before_it() -> None:
    starts = Starts()
    starts.take(CLICKS_FLOW)

    assert starts.asked == ["step", "step", "clicks", "step", "step"]


def test_a_start_waits_for_what_an_earlier_one_is_still_writing() -> None:
    starts = Starts()
    starts.tables.begin_insert(f"INSERT INTO {DATABASE}.{LEDGER.name} (a)")

    with pytest.raises(Unavailable):
        starts.take(CLICKS_FLOW)


def test_two_flows_count_apart() -> None:
    starts = Starts()
    clicks = starts.take(CLICKS_FLOW)
    starts.take(DEAD_LETTERS_FLOW)

    check_generation(starts.tables.client, CLICKS_FLOW, clicks)


def test_a_generation_is_sent_in_the_type_of_its_column() -> None:
    starts = Starts()
    starts.take(CLICKS_FLOW)

    assert starts.tables.schemas[GENERATIONS.name].field("generation").type == pa.uint64()
