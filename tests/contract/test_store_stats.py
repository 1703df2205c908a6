"""The hot read model in a real Mongo: late answers never win, and tables that were made again do."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.mongo.client import connect
from connectors.mongo.store_stats import DayStats, StoreStats
from ops.stack import Stack


@pytest.fixture(scope="module")
def stats(stack: Stack) -> Iterator[StoreStats]:
    database = f"stats_{uuid.uuid4().hex}"
    with connect(stack.urls.mongo) as client:
        yield StoreStats(client, database)
        client.drop_database(database)


def day(store: str, revision: int, views: int, lineage: str) -> DayStats:
    return DayStats(store, "2025-06-15", revision, views, 0, 0, 2, 3, 0, 0, datetime(2025, 6, 15, tzinfo=UTC), lineage)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99)), min_size=1, max_size=8), st.integers(0, 3))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_of_answers_in_any_order_the_newest_revision_stands_and_a_new_lineage_begins_again(
    stats: StoreStats, answers: list[tuple[int, int]], second: int
) -> None:
    store = f"shop-{uuid.uuid4().hex}"
    for revision, views in answers:
        stats.save([day(store, revision, views, "first")])
    newest = max(revision for revision, _ in answers)
    # Of equal revisions the first stands: they are the same answer.
    expected = next(views for revision, views in answers if revision == newest)
    assert [found["views"] for found in stats.of(store)] == [expected]
    stats.save([day(store, second, 1_000, "second")])
    assert [(found["revision"], found["views"]) for found in stats.of(store)] == [(second, 1_000)]


def test_a_document_of_an_earlier_version_without_a_lineage_is_replaced(stats: StoreStats) -> None:
    store = f"shop-{uuid.uuid4().hex}"
    stats.save([day(store, 90, 5, "")])
    stats.save([day(store, 3, 7, "tables")])
    assert [found["views"] for found in stats.of(store)] == [7]
