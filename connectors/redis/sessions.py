"""The sign-ins of users in Redis: a session, its family of refresh tokens, and who ended it.

All keys of a user share a hash tag, so that a script sees them together on a cluster too. Every decision is one
script: a client that goes away, or a process that dies after it, changes nothing about it. Times are Redis' own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import redis.asyncio
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from connectors.errors import Unavailable
from marketplace.identity.refresh import (
    GRACE_SECONDS,
    LIFETIME_SECONDS,
    Presented,
    hash_of,
    successor_of,
)

MAX_SESSIONS: Final = 50
"""Of one user; a further sign-in ends the one that was used longest ago."""

_TIMEOUT_SECONDS: Final = 1.0
MAX_CONNECTIONS: Final = 100
"""Of one process."""
_NOTED_EVERY_MS: Final = 60_000
"""A use that replaces no token is noted at most this often."""

# Epoch milliseconds by the clock of the server.
_NOW: Final = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"

_CREATE: Final = (
    _NOW
    + """
local ids = redis.call('ZRANGE', KEYS[2], 0, -1)
for _, id in ipairs(ids) do
    if redis.call('EXISTS', ARGV[1] .. id) == 0 then redis.call('ZREM', KEYS[2], id) end
end
while redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) do
    local oldest = redis.call('ZPOPMIN', KEYS[2])[1]
    redis.call('HSET', ARGV[1] .. oldest, 'revoked', '1')
    redis.call('HDEL', ARGV[1] .. oldest, 'client', 'network')
end
redis.call('HSET', KEYS[1], 'current', ARGV[4], 'expires_at', now + ARGV[5], 'created_at', now, 'used_at', now,
           'client', ARGV[6], 'network', ARGV[7], 'security_stamp', ARGV[8], 'revoked', '0')
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('ZADD', KEYS[2], now, ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return now
"""
)

# The rule of marketplace.identity.refresh.present; the contract test compares the two.
_PRESENT: Final = (
    _NOW
    + """
local f = redis.call('HMGET', KEYS[1], 'current', 'previous', 'salt', 'rotated_at', 'expires_at', 'revoked',
                     'security_stamp')
if not f[1] or f[6] == '1' or now >= tonumber(f[5]) then return {'ended', '', '0'} end
if f[1] == ARGV[1] then
    redis.call('HSET', KEYS[1], 'current', ARGV[3], 'previous', ARGV[1], 'salt', ARGV[2], 'rotated_at', now,
               'expires_at', now + ARGV[4], 'used_at', now)
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
    redis.call('ZADD', KEYS[2], now, ARGV[6])
    redis.call('PEXPIRE', KEYS[2], ARGV[4])
    return {'current', ARGV[2], f[7] or '0'}
end
if f[2] == ARGV[1] and now < f[4] + ARGV[5] then return {'previous', f[3], f[7] or '0'} end
redis.call('HSET', KEYS[1], 'revoked', '1')
redis.call('HDEL', KEYS[1], 'client', 'network')
redis.call('ZREM', KEYS[2], ARGV[6])
return {'reused', '', '0'}
"""
)

# For a client that keeps one token, in a cookie which no script can read: the token is compared and not replaced. Only
# the current one counts, so that a cookie and a client that refreshes never share a session.
_USE: Final = (
    _NOW
    + """
local f = redis.call('HMGET', KEYS[1], 'current', 'expires_at', 'revoked', 'security_stamp', 'used_at')
if not f[1] or f[3] == '1' or now >= tonumber(f[2]) or f[1] ~= ARGV[1] then return -1 end
if now - tonumber(f[5]) >= tonumber(ARGV[3]) then
    redis.call('HSET', KEYS[1], 'expires_at', now + ARGV[2], 'used_at', now)
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    redis.call('ZADD', KEYS[2], now, ARGV[4])
    redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return tonumber(f[4] or '0')
"""
)

# A revoked session stays until its tokens would have expired: an older token of it is then known as one. What is
# known of its client goes at once.
_REVOKE: Final = """
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('HGET', KEYS[1], 'revoked') ~= '0' then return 0 end
redis.call('HSET', KEYS[1], 'revoked', '1')
redis.call('HDEL', KEYS[1], 'client', 'network')
return 1
"""

# It may come late, when sessions were begun or kept under its number or a later one: these stay as they are.
_REVOKE_ALL: Final = """
local ended, number = 0, tonumber(ARGV[3])
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    local key = ARGV[1] .. id
    local f = redis.call('HMGET', key, 'revoked', 'security_stamp')
    local live, newer = f[1] == '0', number > 0 and tonumber(f[2] or '0') >= number
    if live and id == ARGV[2] and not newer then
        redis.call('HSET', key, 'security_stamp', ARGV[3])
    elseif not (live and newer) then
        if live then
            redis.call('HSET', key, 'revoked', '1')
            redis.call('HDEL', key, 'client', 'network')
            ended = ended + 1
        end
        redis.call('ZREM', KEYS[1], id)
    end
end
return ended
"""


@dataclass(frozen=True)
class Session:
    """A sign-in, as its user sees it.

    Attributes:
        id: Its id.
        created_at: Epoch milliseconds.
        used_at: Of the last sign-in or refresh, epoch milliseconds.
        client: What signed in, as it names itself.
        network: From where, without the part of the address that is one person's.
        security_stamp: The number of the account under which it was begun or kept: under another one it is worth
            nothing.
    """

    id: str
    created_at: int
    used_at: int
    client: str
    network: str
    security_stamp: int


@dataclass(frozen=True)
class Refreshed:
    """What came of a refresh token.

    Attributes:
        presented: What the token was.
        successor: The token that replaces it; empty where none does.
        security_stamp: Of the session; 0 where it has ended.
    """

    presented: Presented
    successor: str = ""
    security_stamp: int = 0


class Sessions:
    """Begins, refreshes, lists and ends sessions.

    Args:
        client: Connected to Redis; the caller closes it. It answers bytes.
        lifetime_seconds: How long a session lives without a refresh.
        grace_seconds: How long a token that was just replaced is answered with the same successor.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        lifetime_seconds: float = LIFETIME_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._redis = client
        self._lifetime_ms, self._grace_ms = int(lifetime_seconds * 1000), int(grace_seconds * 1000)
        self._create = client.register_script(_CREATE)
        self._present = client.register_script(_PRESENT)
        self._use = client.register_script(_USE)
        self._revoke = client.register_script(_REVOKE)
        self._revoke_all = client.register_script(_REVOKE_ALL)

    async def create(
        self, user: str, session: str, token: str, client: str = "", network: str = "", security_stamp: int = 1
    ) -> None:
        """Begin a session with its first refresh token.

        Args:
            user: Whose it is.
            session: Its id.
            token: The token.
            client: What signed in, as it names itself.
            network: From where.
            security_stamp: The account's, as it was when the password was checked: what ends the account's sessions
                meanwhile ends this one too.

        Raises:
            Unavailable: Redis does not answer; the session may have begun, and nobody has its token.
        """
        arguments = (
            *(_prefix(user), session, MAX_SESSIONS, hash_of(token)),
            *(self._lifetime_ms, client, network, security_stamp),
        )
        await _answer(self._create(keys=[_key(user, session), _index(user)], args=arguments))

    async def refresh(self, user: str, session: str, token: str, fresh_salt: str) -> Refreshed:
        """Present a refresh token.

        Args:
            user: Whose it says it is.
            session: Of which sign-in.
            token: The token.
            fresh_salt: At least 128 random bits, used where the token is replaced.

        Raises:
            Unavailable: Redis does not answer; the token may have been replaced, and presenting it again gives the
                same successor.
        """
        arguments = (
            hash_of(token),
            fresh_salt,
            hash_of(successor_of(token, fresh_salt)),
            self._lifetime_ms,
            self._grace_ms,
            session,
        )
        found = await _answer(self._present(keys=[_key(user, session), _index(user)], args=arguments))
        presented, salt, security_stamp = (text.decode() for text in cast("Sequence[bytes]", found))
        return Refreshed(Presented(presented), successor_of(token, salt) if salt else "", int(security_stamp))

    async def security_stamp_of(self, user: str, session: str) -> int | None:
        """The number of the account under which a session was begun or kept; None where the session has ended.

        Raises:
            Unavailable: Redis does not answer.
        """
        return (await self.security_stamps_of([(user, session)]))[user, session]

    async def security_stamps_of(self, sessions: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int | None]:
        """The same of several sessions, each by its user and itself.

        Raises:
            Unavailable: Redis does not answer.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for user, session in sessions:
            pipeline.hmget(_key(user, session), ["revoked", "security_stamp"])
        found = await _answer(pipeline.execute())
        return {
            each: int(security_stamp or 0) if revoked == b"0" else None
            for each, (revoked, security_stamp) in zip(sessions, found, strict=True)
        }

    async def use(self, user: str, session: str, token: str) -> int | None:
        """Present a token that stays: the session lives on as after a refresh, and the token is not replaced.

        Args:
            user: Whose it says it is.
            session: Of which sign-in.
            token: The token.

        Returns:
            The number of the account under which the session was begun or kept; None where the token is not the
            session's current one, or the session has ended.

        Raises:
            Unavailable: Redis does not answer.
        """
        arguments = (hash_of(token), self._lifetime_ms, _NOTED_EVERY_MS, session)
        found = int(await _answer(self._use(keys=[_key(user, session), _index(user)], args=arguments)))
        return None if found < 0 else found

    async def list_sessions(self, user: str) -> list[Session]:
        """The sessions of a user, the one that was used last comes first.

        Raises:
            Unavailable: Redis does not answer.
        """
        ids = [name.decode() for name in await _answer(self._redis.zrevrange(_index(user), 0, -1))]
        async with self._redis.pipeline(transaction=False) as pipe:
            for session in ids:
                pipe.hgetall(_key(user, session))
            rows = await _answer(pipe.execute())
        found = []
        for session, row in zip(ids, rows, strict=True):
            fields = {name.decode(): value.decode() for name, value in row.items()}
            if fields.get("revoked") == "0":
                times = int(fields["created_at"]), int(fields["used_at"])
                whence = fields["client"], fields["network"]
                found.append(Session(session, *times, *whence, int(fields.get("security_stamp", 0))))
        return found

    async def end(self, user: str, session: str) -> bool:
        """End a session for good; returns whether it was live.

        Raises:
            Unavailable: Redis does not answer; it may have ended.
        """
        return bool(await _answer(self._revoke(keys=[_key(user, session), _index(user)], args=[session])))

    async def end_all(self, user: str, but: str = "", security_stamp: int = 0) -> int:
        """End all sessions of a user for good, except one.

        Args:
            user: Whose.
            but: The session that is kept; empty for none.
            security_stamp: Of the account from now on, which the one that is kept gets. Sessions that have it or a
                higher one are newer than what ends the others, and stay. 0 for an account that is gone: none stays.

        Returns:
            How many were live and have ended.

        Raises:
            Unavailable: Redis does not answer; some may have ended.
        """
        return int(await _answer(self._revoke_all(keys=[_index(user)], args=[_prefix(user), but, security_stamp])))


def _prefix(user: str) -> str:
    return f"session:{{{user}}}:"


def _key(user: str, session: str) -> str:
    return _prefix(user) + session


def _index(user: str) -> str:
    return f"sessions:{{{user}}}"


async def _answer(call: Awaitable[Any] | Any) -> Any:
    try:
        return await call
    except (RedisError, OSError, TimeoutError) as error:
        raise Unavailable(f"Redis does not answer: {error}") from error


def connect_async(url: str, max_connections: int = MAX_CONNECTIONS) -> redis.asyncio.Redis:
    """A client of the event loop that runs, with short timeouts and no repetition: who asks decides.

    Where all connections are in use a call waits for one, as long as for an answer.

    Args:
        url: ``redis://host:port/db``.
        max_connections: At one time.
    """
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=_TIMEOUT_SECONDS,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        retry=None,
        # With notifications of maintenance the pool does not look whether the server has closed a connection, and
        # each one that was idle at a restart fails once afterwards; and they may raise the timeouts.
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    return redis.asyncio.Redis.from_pool(pool)


async def ping(client: redis.asyncio.Redis) -> None:
    """Return when Redis answers.

    Raises:
        Unavailable: It does not.
    """
    await _answer(client.ping())
