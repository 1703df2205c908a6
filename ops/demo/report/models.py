"""The hot read models against the oracle: each day in Mongo, and the live tile in Redis."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from connectors.mongo.client import connect
from connectors.mongo.store_stats import StoreStats
from connectors.redis.live_tile import LiveTile
from flows.clicks.read_models.projector import LONGEST_REST_SECONDS
from marketplace.stores import Store
from marketplace.tables import VISITORS_EXACT_UP_TO, VISITORS_RELATIVE_ERROR
from ops.demo.report.verify import Agreement
from ops.oracle import Expected, Numbers, RollupKey
from runtime.sections import Settings

_SETTLE_SECONDS: Final = LONGEST_REST_SECONDS + 30.0
_SUMS: Final = ("views", "actions", "refires", "sessions", "bounces")


class ReadModels:
    """Reads the read models in Mongo and Redis.

    Args:
        settings: The URLs.
    """

    def __init__(self, settings: Settings) -> None:
        self._client = connect(settings.urls.mongo)
        self._stats = StoreStats(self._client, settings.database)
        self._tile = LiveTile(settings.urls.redis)

    def days(self, store: str) -> list[dict[str, Any]]:
        """A store's days in Mongo, newest first."""
        return self._stats.of(store)

    def tile(self, store: str) -> dict[str, Any]:
        """A store's tile in Redis."""
        return self._tile.read(store, int(time.time() * 1000))

    def close(self) -> None:
        """Disconnect."""
        self._client.close()
        self._tile.close()


def compare_read_models(expected: Expected, models: ReadModels, stores: Iterable[Store]) -> Agreement:
    """Compare. The models are refreshed after the tables, so while there are differences it tries again for a while."""
    chosen = list(stores)
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        agreement = Agreement()
        for store in chosen:
            _compare_store(agreement, expected, models, store.slug)
        if not agreement.differences or time.monotonic() > deadline:
            return agreement
        time.sleep(0.2)


def _compare_store(agreement: Agreement, expected: Expected, models: ReadModels, slug: str) -> None:
    found = {str(document["day"]): document for document in models.days(slug)}
    wanted = _expected_days(expected, slug)
    for day in sorted(set(found) | set(wanted)):
        people, machines = wanted.get(day, (Numbers(), Numbers()))
        document = found.get(day, {})
        where = f"store_stats {slug} {day}"
        for name in _SUMS:
            agreement.check(f"{where} {name}", getattr(people, name), document.get(name, 0))
        agreement.check(f"{where} bot_events", machines.views + machines.actions, document.get("bot_events", 0))
        _check_visitors(agreement, where, people.visitors, document.get("visitors", 0))
    if wanted:
        newest = max(wanted)
        people, tile = wanted[newest][0], models.tile(slug)
        agreement.check(f"tile {slug} day", newest, tile["day"])
        agreement.check(f"tile {slug} views", people.views, tile["views"])
        agreement.check(f"tile {slug} actions", people.actions, tile["actions"])
        agreement.check(f"tile {slug} sessions", people.sessions, tile["sessions"])
        _check_visitors(agreement, f"tile {slug}", people.visitors, tile["visitors"])


def _check_visitors(agreement: Agreement, where: str, wanted: int, found: int) -> None:
    within = 0.0 if found <= VISITORS_EXACT_UP_TO else 4 * VISITORS_RELATIVE_ERROR * found
    agreement.check(f"{where} visitors", wanted, found, within=within)


def _expected_days(expected: Expected, slug: str) -> dict[str, tuple[Numbers, Numbers]]:
    buckets: set[datetime] = {
        key.bucket for key in expected.rollups if key.store == slug and key.grain == "day" and key.dimension == "all"
    }

    def numbers(bucket: datetime, bots: str) -> Numbers:
        return expected.rollups.get(RollupKey(slug, "day", bucket, "all", "", bots), Numbers())

    return {f"{bucket:%Y-%m-%d}": (numbers(bucket, "exclude"), numbers(bucket, "only")) for bucket in buckets}
