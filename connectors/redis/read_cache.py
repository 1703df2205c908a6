"""Answers in Redis, each made by one process at a time, and never one from before a change that was finished.

Keys of one store share a hash tag, so that a script sees them together on a cluster too. Who makes an answer has a
*lease* of its key: nobody else makes it then. The lease says when the making began, by a clock of the store that only
goes forward. Forgetting a *tag* (a product, or the whole store) deletes all answers that were kept with it and leaves a
mark of the time: an answer whose making began before the mark is not kept. So a slow reader never puts back what a
writer has made wrong. Everything here expires, and losing all of it costs reads of the origin.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio
from redis.exceptions import RedisError

from connectors.errors import Unavailable

KEPT_SECONDS: Final = 30.0
"""How long an answer is kept: the bound on how wrong it can be after writes whose process could not reach Redis."""

LEASE_SECONDS: Final = 5.0
"""How long making an answer may take: longer than a read of Mongo does before it fails."""

_MARK_LEASES: Final = 3
"""A mark lives as long as so many leases, so that it outlives all that were given before it."""

# Microseconds, later with every call, also where the server's clock was set back. It outlives all leases and marks, and
# not much more: everybody can ask for stores that there are not, and each name leaves one.
_CLOCK: Final = """
local function tick(key)
    local t = redis.call('TIME')
    local now = math.max(t[1] * 1000000 + t[2], tonumber(redis.call('GET', key) or '0') + 1)
    redis.call('SET', key, string.format('%.0f', now), 'PX', 60000)
    return now
end
"""

_BEGIN: Final = (
    _CLOCK
    + """
local found = redis.call('GET', KEYS[1])
if found then return {'kept', found} end
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {'wait', ''} end
return {'make', string.format('%.0f', tick(KEYS[3]))}
"""
)

_FILL: Final = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
local tags = (#KEYS - 2) / 2
for i = 1, tags do
    local mark = redis.call('GET', KEYS[2 + i])
    if mark and tonumber(mark) >= tonumber(ARGV[2]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[3])
for i = 1, tags do
    redis.call('SADD', KEYS[2 + tags + i], KEYS[1])
    redis.call('PEXPIRE', KEYS[2 + tags + i], 2 * ARGV[3])
end
return 1
"""

_RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1"

_FORGET: Final = (
    _CLOCK
    + """
local now = string.format('%.0f', tick(KEYS[1]))
local forgotten = 0
for i = 2, #KEYS, 2 do
    redis.call('SET', KEYS[i], now, 'PX', ARGV[1])
    for _, name in ipairs(redis.call('SMEMBERS', KEYS[i + 1])) do
        forgotten = forgotten + redis.call('DEL', name)
    end
    redis.call('DEL', KEYS[i + 1])
end
return forgotten
"""
)


@dataclass(frozen=True)
class Key:
    """Names an answer.

    Attributes:
        store: The slug of the store that it is of.
        name: What it is of the store.
    """

    store: str
    name: str

    @property
    def text(self) -> str:
        """The key in Redis."""
        return f"{_prefix(self.store)}answer:{self.name}"

    @property
    def lease(self) -> str:
        """The key of the lease of who makes the answer."""
        return f"{_prefix(self.store)}lease:{self.name}"


@dataclass(frozen=True)
class Lease:
    """The right to make an answer.

    Attributes:
        key: Of which one.
        token: Random.
        since: By the store's clock.
    """

    key: Key
    token: str
    since: str


class ReadCache:
    """Keeps answers, and forgets those that a change has made wrong.

    Args:
        client: Connected to Redis; the caller closes it. It answers bytes.
        kept_seconds: How long an answer is kept.
        lease_seconds: How long making one may take.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        kept_seconds: float = KEPT_SECONDS,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._redis = client
        self._kept_ms, self._lease_ms = int(kept_seconds * 1000), int(lease_seconds * 1000)
        self._begin, self._fill = client.register_script(_BEGIN), client.register_script(_FILL)
        self._release, self._forget = client.register_script(_RELEASE), client.register_script(_FORGET)

    async def read(self, keys: Sequence[Key]) -> list[bytes | None]:
        """The answers that are kept, in the order of their keys; None where none is.

        Raises:
            Unavailable: Redis does not answer.
        """
        found: list[bytes | None] = await _answer(self._redis.mget([key.text for key in keys]))
        return found

    async def begin(self, key: Key) -> bytes | Lease | None:
        """Begin to make an answer.

        Returns:
            The answer, where it is there by now; a lease, which has to be filled or released; or None where another
            one has it.

        Raises:
            Unavailable: Redis does not answer; there may be a lease that nobody has, which expires.
        """
        token = secrets.token_hex(8)
        keys = [key.text, key.lease, f"{_prefix(key.store)}clock"]
        what, value = await _answer(self._begin(keys=keys, args=[token, self._lease_ms]))
        if what == b"kept":
            return bytes(value)
        return Lease(key, token, value.decode()) if what == b"make" else None

    async def fill(self, lease: Lease, tags: Iterable[str], value: bytes) -> bool:
        """Keep an answer and end its lease.

        Args:
            lease: Its own.
            tags: What makes the answer wrong when it is forgotten.
            value: The answer.

        Returns:
            Whether it was kept. It is not where a tag was forgotten since the lease began, or the lease has expired:
            the answer may be wrong, and has to be made again.

        Raises:
            Unavailable: Redis does not answer; it may be kept.
        """
        prefix, every = _prefix(lease.key.store), list(tags)
        keys = [
            lease.key.text,
            lease.key.lease,
            *(f"{prefix}mark:{tag}" for tag in every),
            *(f"{prefix}tagged:{tag}" for tag in every),
        ]
        arguments: list[str | int | bytes] = [lease.token, lease.since, self._kept_ms, value]
        return bool(await _answer(self._fill(keys=keys, args=arguments)))

    async def release(self, lease: Lease) -> None:
        """End a lease without an answer.

        Raises:
            Unavailable: Redis does not answer; the lease ends by itself.
        """
        await _answer(self._release(keys=[lease.key.lease], args=[lease.token]))

    async def forget(self, store: str, tags: Iterable[str]) -> int:
        """Forget all answers of a store that were kept with any of these tags, and those that are being made.

        Returns:
            How many were kept.

        Raises:
            Unavailable: Redis does not answer; they may be forgotten.
        """
        prefix = _prefix(store)
        keys = [f"{prefix}clock"]
        for tag in tags:
            keys += [f"{prefix}mark:{tag}", f"{prefix}tagged:{tag}"]
        return int(await _answer(self._forget(keys=keys, args=[_MARK_LEASES * self._lease_ms])))


def _prefix(store: str) -> str:
    return f"catalog:{{{store}}}:"


async def _answer(call: Awaitable[Any] | Any) -> Any:
    try:
        return await call
    except (RedisError, OSError, TimeoutError) as error:
        raise Unavailable(f"Redis does not answer: {error}") from error
