"""The live tile in Redis: who is on a store now, and its day so far. A view that is rebuilt, never a source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import redis

from connectors.errors import Unavailable
from connectors.mongo.store_stats import DayStats

LIVE_SECONDS: Final = 300
"""A visitor counts as present for five minutes after the last event."""

_TILE_SECONDS: Final = 2 * 86_400
_COMMANDS_AT_ONCE: Final = 2_000
_VISITORS_AT_ONCE: Final = 5_000
"""Bounds on the size of one request."""

# The day advances by date, and within a date by revision, so a late writer never sets the tile back. Recreated tables
# begin a new lineage, whose days and revisions may be lower.
_SAVE: Final = """
local day, revision, lineage = unpack(redis.call('HMGET', KEYS[1], 'day', 'revision', 'lineage'))
revision = tonumber(revision or '-1')
if day and (lineage or '') == ARGV[7] and (day > ARGV[1] or (day == ARGV[1] and revision >= tonumber(ARGV[2]))) then
    return 0
end
redis.call('HSET', KEYS[1], 'day', ARGV[1], 'revision', ARGV[2],
           'views', ARGV[3], 'actions', ARGV[8], 'visitors', ARGV[4], 'sessions', ARGV[5], 'lineage', ARGV[7])
redis.call('EXPIRE', KEYS[1], ARGV[6])
return 1
"""


class LiveTile:
    """Writes and reads tiles.

    Args:
        url: ``redis://host:port/db``.
    """

    def __init__(self, url: str) -> None:
        self._redis: redis.Redis = redis.Redis.from_url(
            url, socket_timeout=2, socket_connect_timeout=2, decode_responses=True
        )
        self._save = self._redis.register_script(_SAVE)

    def save(self, days: Iterable[DayStats], live: Mapping[str, Mapping[int, int]], now_ms: int) -> None:
        """Show each store's newest day and its visitors' last moments (epoch ms).

        However many stores there are, it takes a round trip for some thousand commands.

        Raises:
            Unavailable: Redis does not answer. Only the tile is behind, until the next batch.
        """
        newest: dict[str, DayStats] = {}
        for day in days:
            if day.store not in newest or newest[day.store].day < day.day:
                newest[day.store] = day
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                for store, seen in live.items():
                    self._show_visitors(pipe, store, seen, now_ms - LIVE_SECONDS * 1000)
                    self._send(pipe, _COMMANDS_AT_ONCE)
                for store, day in newest.items():
                    values: list[str | int] = [day.day, day.revision, day.views, day.visitors, day.sessions]
                    values += [_TILE_SECONDS, day.lineage, day.actions]
                    self._save(keys=[f"tile:{{{store}}}"], args=values, client=pipe)
                    self._send(pipe, _COMMANDS_AT_ONCE)
                self._send(pipe, 1)
        except redis.RedisError as error:
            raise Unavailable(f"Redis does not answer: {error}") from error

    @staticmethod
    def _show_visitors(pipe: redis.client.Pipeline, store: str, seen: Mapping[int, int], since_ms: int) -> None:
        key = f"live:{{{store}}}"
        recent = [(f"{visitor:016x}", when) for visitor, when in seen.items() if when > since_ms]
        for first in range(0, len(recent), _VISITORS_AT_ONCE):
            pipe.zadd(key, dict(recent[first : first + _VISITORS_AT_ONCE]), gt=True)
        pipe.zremrangebyscore(key, "-inf", since_ms)
        pipe.expire(key, LIVE_SECONDS)

    @staticmethod
    def _send(pipe: redis.client.Pipeline, at_least: int) -> None:
        if len(pipe) >= at_least:
            pipe.execute()

    def read(self, store: str, now_ms: int) -> dict[str, Any]:
        """A store's tile: ``day``, ``views``, ``actions``, ``visitors``, ``sessions``, ``live_visitors``.

        The day is empty if there is none.

        Raises:
            Unavailable: Redis does not answer.
        """
        try:
            fields: dict[str, str] = self._redis.hgetall(f"tile:{{{store}}}")  # type: ignore[assignment]  # typed for async clients too
            live = self._redis.zcount(f"live:{{{store}}}", now_ms - LIVE_SECONDS * 1000, "+inf")
        except redis.RedisError as error:
            raise Unavailable(f"Redis does not answer: {error}") from error
        numbers = {name: int(fields.get(name, 0)) for name in ("views", "actions", "visitors", "sessions")}
        return {"day": fields.get("day", ""), **numbers, "live_visitors": int(live)}

    def close(self) -> None:
        """Disconnect."""
        self._redis.close()
