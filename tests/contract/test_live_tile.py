"""The live tile on a real Redis."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import redis

from connectors.errors import Unavailable
from connectors.mongo.store_stats import DayStats
from connectors.redis.live_tile import LIVE_SECONDS, LiveTile
from ops.stack import Stack

NOW_MS = 1_750_000_000_000


@pytest.fixture
def url(stack: Stack) -> str:
    return stack.urls.redis


@pytest.fixture
def tile(url: str) -> LiveTile:
    return LiveTile(url)


@pytest.fixture
def store() -> str:
    return f"shop-{uuid.uuid4().hex}"


@pytest.fixture
def requests(url: str) -> Iterator[redis.Redis]:
    client: redis.Redis = redis.Redis.from_url(url, decode_responses=True)
    yield client
    client.close()


def day_of(store: str, day: str = "2025-06-15", revision: int = 1, views: int = 1) -> DayStats:
    return DayStats(store, day, revision, views, 4, 0, 2, 3, 0, 0, datetime(2025, 6, 15, tzinfo=UTC))


def test_a_tile_shows_the_newest_day_and_who_was_there_in_the_last_five_minutes(tile: LiveTile, store: str) -> None:
    seen = {1: NOW_MS, 2: NOW_MS - LIVE_SECONDS * 1000 + 1, 3: NOW_MS - LIVE_SECONDS * 1000}
    tile.save([day_of(store, views=7), day_of(store, "2025-06-14", views=99)], {store: seen}, NOW_MS)

    expected = {"day": "2025-06-15", "views": 7, "actions": 4, "visitors": 2, "sessions": 3, "live_visitors": 2}
    assert tile.read(store, NOW_MS) == expected


def test_an_older_answer_never_replaces_a_newer_one(tile: LiveTile, store: str) -> None:
    for late in (day_of(store, revision=5, views=5), day_of(store, revision=4), day_of(store, "2025-06-14", 9)):
        tile.save([late], {}, NOW_MS)

    assert tile.read(store, NOW_MS)["views"] == 5


def test_tables_that_were_made_again_begin_the_tile_again_whatever_it_showed(tile: LiveTile, store: str) -> None:
    tile.save([day_of(store, revision=50, views=50)], {}, NOW_MS)
    for remade in (
        day_of(store, "2025-01-01", 1, 3),
        day_of(store, "2025-01-02", 1, 4),
        day_of(store, "2025-01-01", 9),
    ):
        tile.save([replace(remade, lineage="remade")], {}, NOW_MS)

    shown = tile.read(store, NOW_MS)
    assert (shown["day"], shown["views"]) == ("2025-01-02", 4)


def test_a_visitor_who_was_seen_later_is_not_made_older(tile: LiveTile, store: str) -> None:
    tile.save([], {store: {1: NOW_MS}}, NOW_MS)
    tile.save([], {store: {1: NOW_MS - 200_000}}, NOW_MS)

    assert tile.read(store, NOW_MS + 200_000)["live_visitors"] == 1


def test_many_stores_take_few_requests_and_all_are_shown(tile: LiveTile, store: str, requests: redis.Redis) -> None:
    stores = [f"{store}-{number}" for number in range(1_500)]
    days = [replace(day_of(slug), views=number) for number, slug in enumerate(stores)]
    before = int(requests.info("stats")["total_reads_processed"])
    tile.save(days, {slug: {1: NOW_MS} for slug in stores}, NOW_MS)
    after = int(requests.info("stats")["total_reads_processed"])

    assert after - before < 300
    shown = [tile.read(slug, NOW_MS) for slug in (stores[0], stores[777], stores[-1])]
    assert [(found["views"], found["live_visitors"]) for found in shown] == [(0, 1), (777, 1), (1_499, 1)]


def test_a_crowd_in_one_store_is_counted(tile: LiveTile, store: str) -> None:
    tile.save([], {store: dict.fromkeys(range(12_345), NOW_MS)}, NOW_MS)

    assert tile.read(store, NOW_MS)["live_visitors"] == 12_345


def test_a_server_that_lost_its_scripts_is_given_them_again(tile: LiveTile, store: str, requests: redis.Redis) -> None:
    tile.save([day_of(store)], {}, NOW_MS)
    requests.script_flush()
    tile.save([day_of(store, revision=2, views=2)], {}, NOW_MS)

    assert tile.read(store, NOW_MS)["views"] == 2


def test_redis_away_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        LiveTile("redis://127.0.0.1:1/0").save([day_of("shop")], {}, NOW_MS)
