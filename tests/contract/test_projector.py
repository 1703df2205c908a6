"""How far counting may run ahead of the read models in Mongo."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import MongoClient

from connectors.clickhouse.client import ClickHouse
from connectors.errors import Unavailable
from connectors.mongo.client import connect
from connectors.mongo.store_stats import DayStats, StoreStats
from connectors.redis.live_tile import LiveTile
from flows.clicks.processed_batch import ProcessedBatch
from flows.clicks.read_models.projector import CATCH_UP_RECORDS, MAX_RECORDS_AHEAD, Projector
from flows.delivery.fenced_writer import MAX_BUFFERED_EVENTS
from marketplace.tables import ROLLUPS
from ops.stack import Stack
from runtime.breaker import CircuitBreaker
from tests.kits.clicks import encoding_of
from tests.kits.tcp_proxy import TcpProxy

NOWHERE = "mongodb://127.0.0.1:1/?directConnection=true"
DAY = 20_000
DAYS = 700


@pytest.fixture
def rollups(clickhouse: Stack) -> Iterator[ClickHouse]:
    """A database with one day of one store."""
    made = ClickHouse(clickhouse.urls.clickhouse, f"projector_{uuid.uuid4().hex}")
    made.command(f"CREATE DATABASE {made.database}")
    made.command(ROLLUPS.create(made.database))
    made.command(
        f"INSERT INTO {made.database}.{ROLLUPS.name} (store, grain, dimension, bucket, value, is_bot, views, "
        "visitor_ids, source_partition, source_offset) "
        f"VALUES ('shop', 'day', 'all', toDateTime({DAY * 86_400}, 'UTC'), '', 0, 3, [1, 2], 0, 9)"
    )
    yield made
    made.command(f"DROP DATABASE {made.database}")
    made.close()


@pytest.fixture
def nobody() -> Iterator[MongoClient[dict[str, Any]]]:
    client = connect(NOWHERE, 0.3)
    yield client
    client.close()


@pytest.fixture
def projector(rollups: ClickHouse, nobody: MongoClient[dict[str, Any]]) -> Projector:
    """One whose Mongo and Redis are away."""
    stats, tile = StoreStats(nobody, "any"), LiveTile("redis://127.0.0.1:1/0")
    return Projector(rollups, stats, tile, lambda: datetime.now(UTC), CircuitBreaker(), lambda: 0.0, DAYS)


def result(first: int, last: int, days: set[tuple[str, int]] | None = None) -> ProcessedBatch:
    made = ProcessedBatch(0, first, last, last - first + 1, encoding_of().book())
    made.store_days = days or {("shop", DAY)}
    return made


def test_without_mongo_counting_stops_only_when_a_restart_could_no_longer_catch_up(projector: Projector) -> None:
    projector.mark_dirty([result(10, 19)])
    projector.mark_dirty([result(20, 10 + MAX_RECORDS_AHEAD)])
    projector.check_room()
    projector.mark_dirty([result(11 + MAX_RECORDS_AHEAD, 20 + MAX_RECORDS_AHEAD)])
    for _ in range(2):
        with pytest.raises(Unavailable, match="1 days wait"):
            projector.check_room()


def test_records_that_changed_nothing_never_stop_counting(projector: Projector) -> None:
    copies = result(10, 20 + 2 * MAX_RECORDS_AHEAD)
    copies.store_days = set()
    projector.mark_dirty([copies])
    projector.refresh()
    projector.check_room()


def test_a_restart_looks_back_further_than_counting_may_run_ahead_with_all_that_is_in_flight() -> None:
    assert CATCH_UP_RECORDS >= MAX_RECORDS_AHEAD + 2 * MAX_BUFFERED_EVENTS


def test_without_mongo_counting_stops_before_too_many_days_have_to_be_remembered(
    projector: Projector, rollups: ClickHouse
) -> None:
    rollups.command(
        f"INSERT INTO {rollups.database}.{ROLLUPS.name} (store, grain, dimension, bucket, value, is_bot, views, "
        "visitor_ids, source_partition, source_offset) SELECT 'shop', 'day', 'all', "
        f"toDateTime({DAY * 86_400} - 86400 * (number + 1), 'UTC'), '', 0, 1, [1], 0, 9 FROM numbers({DAYS - 1})"
    )
    many = {("shop", DAY - before) for before in range(DAYS)}
    projector.mark_dirty([result(0, 9, many)])
    projector.check_room()
    projector.mark_dirty([result(10, 19, {("other", DAY)})])
    with pytest.raises(Unavailable, match=f"{DAYS + 1} days"):
        projector.check_room()


def test_a_day_has_a_revision_that_grows_with_each_change(projector: Projector, rollups: ClickHouse) -> None:
    (before,) = projector.read([("shop", DAY)])
    rollups.command(
        f"INSERT INTO {rollups.database}.{ROLLUPS.name} (store, grain, dimension, bucket, value, is_bot, bounces, "
        f"visitor_ids, source_partition, source_offset) VALUES ('shop', 'day', 'all', "
        f"toDateTime({DAY * 86_400}, 'UTC'), '', 0, -1, [], 0, 10)"
    )
    (after,) = projector.read([("shop", DAY)])
    assert (before.views, before.visitors, before.bounces, before.revision) == (3, 2, 0, 10)
    assert (after.views, after.visitors, after.bounces, after.revision) == (3, 2, -1, 11)


class Clock:
    """Goes on by itself with each look at it, as if all work took a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_the_projector_rests_between_two_readings_so_that_the_engine_has_time_for_others(
    rollups: ClickHouse, nobody: MongoClient[dict[str, Any]]
) -> None:
    clock, asked = Clock(), list[float]()
    watched = ClickHouse(rollups.url, rollups.database, on_answer=lambda: asked.append(clock.now))
    stats, tile = StoreStats(nobody, "any"), LiveTile("redis://127.0.0.1:1/0")
    projector = Projector(watched, stats, tile, lambda: datetime.now(UTC), CircuitBreaker(), clock)
    for first in (0, 10):
        projector.mark_dirty([result(first, first + 9)])
        projector.refresh()
        assert len(asked) == 1
    while len(asked) == 1:
        projector.refresh()
    assert asked[1] - asked[0] >= 5.0
    watched.close()


def test_what_rests_is_brought_up_to_date_at_once_before_the_flow_leaves(
    rollups: ClickHouse, nobody: MongoClient[dict[str, Any]]
) -> None:
    asked = list[str]()
    watched = ClickHouse(rollups.url, rollups.database, on_answer=lambda: asked.append("answer"))
    stats, tile = StoreStats(nobody, "any"), LiveTile("redis://127.0.0.1:1/0")
    projector = Projector(watched, stats, tile, lambda: datetime.now(UTC), CircuitBreaker(), Clock())
    for first in (0, 10):
        projector.mark_dirty([result(first, first + 9)])
        projector.refresh()
    assert len(asked) == 1
    projector.drain()
    assert len(asked) == 2
    watched.close()


def test_a_day_that_is_marked_dirty_while_it_is_read_waits_for_the_next_time(
    rollups: ClickHouse, stack: Stack, nobody: MongoClient[dict[str, Any]]
) -> None:
    asked = list[str]()

    def answered() -> None:
        asked.append("answer")
        own.mark_dirty([result(10 * len(asked), 10 * len(asked) + 9)])

    watched = ClickHouse(rollups.url, rollups.database, on_answer=answered)
    stats, tile = StoreStats(nobody, "any"), LiveTile(stack.urls.redis)
    own = Projector(watched, stats, tile, lambda: datetime.now(UTC), CircuitBreaker(), lambda: 0.0)
    own.mark_dirty([result(0, 9)])
    for tends in range(1, 4):
        own.refresh()
        assert len(asked) == tends
    watched.close()


def test_leaving_ends_in_time_however_much_is_left(rollups: ClickHouse, nobody: MongoClient[dict[str, Any]]) -> None:
    asked, clock = list[str](), Clock()

    def answered() -> None:
        asked.append("answer")
        own.mark_dirty([result(10 * len(asked), 10 * len(asked) + 9)])

    watched = ClickHouse(rollups.url, rollups.database, on_answer=answered)
    stats, tile = StoreStats(nobody, "any"), LiveTile("redis://127.0.0.1:1/0")
    own = Projector(watched, stats, tile, lambda: datetime.now(UTC), CircuitBreaker(), clock)
    own.mark_dirty([result(0, 9)])
    own.drain()
    so_far = len(asked)
    own.drain()
    own.refresh()
    assert 1 <= so_far <= 5
    assert len(asked) == so_far
    watched.close()


def test_clickhouse_away_is_not_asked_in_each_epoch(nobody: MongoClient[dict[str, Any]]) -> None:
    present = [0.0]
    away = ClickHouse("http://127.0.0.1:1", "any")
    stats, tile = StoreStats(nobody, "any"), LiveTile("redis://127.0.0.1:1/0")
    projector = Projector(away, stats, tile, lambda: datetime.now(UTC), CircuitBreaker(), lambda: present[0])
    failures = 0
    projector.mark_dirty([result(0, 9)])
    with pytest.raises(Unavailable):
        projector.refresh()
    for present[0] in (0.1, 0.2, 0.3, 0.4, 0.6):
        try:
            projector.refresh()
        except Unavailable:
            failures += 1
    assert failures == 1


def test_days_that_mongo_does_not_take_are_saved_in_fewer_at_once_until_it_takes_them(
    rollups: ClickHouse, stack: Stack
) -> None:
    """A document that is too slow, or too large together with others, must not keep those others behind."""
    proxy, sizes = TcpProxy(stack.urls.mongo), list[int]()
    proxy.open()
    client = connect(f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true", 0.2)

    class Watched(StoreStats):
        def save(self, days: Iterable[DayStats]) -> None:
            sizes.append(len(chosen := list(days)))
            super().save(chosen)

    rollups.command(
        f"INSERT INTO {rollups.database}.{ROLLUPS.name} (store, grain, dimension, bucket, value, is_bot, views, "
        "visitor_ids, source_partition, source_offset) SELECT 'shop', 'day', 'all', "
        f"toDateTime({DAY * 86_400} - 86400 * (number + 1), 'UTC'), '', 0, 1, [1], 0, 9 FROM numbers(7)"
    )
    tile, stats = LiveTile(stack.urls.redis), Watched(client, rollups.database)
    projector = Projector(rollups, stats, tile, lambda: datetime.now(UTC), CircuitBreaker(), Clock())
    projector.find_dirty({0: {ROLLUPS.name: 9}})
    proxy.freeze()
    for _ in range(10):
        with pytest.raises(Unavailable):
            projector.catch_up()
    proxy.thaw()
    while projector.catch_up():
        pass
    assert sizes[0] == 8
    assert 1 in sizes
    assert sum(sizes[10:]) == len(stats.of("shop")) == 8
    tile.close()
    client.close()
    proxy.close()


@pytest.fixture
def redis_proxy(stack: Stack) -> Iterator[TcpProxy]:
    """The real Redis, through a proxy that can refuse connections."""
    proxy = TcpProxy(stack.urls.redis)
    proxy.open()
    yield proxy
    proxy.close()


@pytest.fixture
def mongo(stack: Stack) -> Iterator[MongoClient[dict[str, Any]]]:
    client = connect(stack.urls.mongo)
    yield client
    client.close()


@pytest.fixture
def store(rollups: ClickHouse) -> str:
    """A store of its own, with five clicks on its day."""
    slug = f"shop-{uuid.uuid4().hex[:12]}"
    rollups.command(
        f"INSERT INTO {rollups.database}.{ROLLUPS.name} (store, grain, dimension, bucket, value, is_bot, views, "
        f"visitor_ids, source_partition, source_offset) VALUES ('{slug}', 'day', 'all', "
        f"toDateTime({DAY * 86_400}, 'UTC'), '', 0, 5, [1], 0, 9)"
    )
    return slug


def test_a_start_shows_on_the_tile_what_an_earlier_process_counted_and_did_not_show(
    rollups: ClickHouse, stack: Stack, mongo: MongoClient[dict[str, Any]], store: str
) -> None:
    tile, stats = LiveTile(stack.urls.redis), StoreStats(mongo, rollups.database)
    projector = Projector(rollups, stats, tile, lambda: datetime.now(UTC), CircuitBreaker(), lambda: 0.0)
    projector.find_dirty({0: {ROLLUPS.name: 9}})
    while projector.catch_up():
        pass
    assert stats.of(store)[0]["views"] == 5
    assert tile.read(store, 0)["views"] == 5
    tile.close()
    mongo.drop_database(rollups.database)


@pytest.mark.parametrize("mongo_answers", [True, False])
def test_a_tile_that_could_not_be_brought_up_to_date_is_once_redis_answers_again(
    rollups: ClickHouse,
    redis_proxy: TcpProxy,
    mongo: MongoClient[dict[str, Any]],
    nobody: MongoClient[dict[str, Any]],
    store: str,
    mongo_answers: bool,
) -> None:
    stats = StoreStats(mongo if mongo_answers else nobody, rollups.database)
    tile = LiveTile(f"redis://127.0.0.1:{redis_proxy.port}/0")
    projector = Projector(rollups, stats, tile, lambda: datetime.now(UTC), CircuitBreaker(), Clock())
    redis_proxy.cut()
    projector.mark_dirty([result(0, 9, {(store, DAY)})])
    projector.refresh()
    if mongo_answers:
        # What Redis lacks is no reason to stop counting.
        projector.mark_dirty([result(10, 20 + 2 * MAX_RECORDS_AHEAD, {("other", DAY)})])
        for _ in range(100):
            projector.refresh()
        projector.check_room()
    redis_proxy.open()
    deadline = time.monotonic() + 20
    while not (shown := tile.read(store, 0))["day"]:
        assert time.monotonic() < deadline, "the tile still lacks the day"
        projector.refresh()
    assert shown["views"] == 5
    tile.close()
    mongo.drop_database(rollups.database)
