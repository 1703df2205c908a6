"""Token buckets in Redis: one limit for all processes, decided by one script on the server's clock."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import redis.asyncio
from redis.exceptions import RedisError

from connectors.errors import Unavailable
from marketplace.token_bucket import BucketPolicy

# A bucket is its level and the moment of it, in microseconds. A clock that was set back grants nothing and takes
# nothing: the moment never goes back. It is forgotten when it is full again, which changes nothing. Of tokens that are
# not needed yet it gives no more than a half of what is left, so that the last ones are for who needs them.
_TAKE: Final = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local rate, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local ahead, back = tonumber(ARGV[4]), tonumber(ARGV[5])
local b = redis.call('HMGET', KEYS[1], 'level', 'at')
local level, at = tonumber(b[1] or burst), tonumber(b[2] or now)
if now > at then
    level = math.min(burst, level + (now - at) * rate / 1000000)
    at = now
end
level = math.min(burst, level + back)
local granted = 0
if level >= cost then
    ahead = math.floor(math.min(ahead, (level - cost) / 2))
    level = level - cost - ahead
    granted = 1
else
    ahead = 0
end
redis.call('HSET', KEYS[1], 'level', string.format('%.6f', level), 'at', string.format('%.0f', at))
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - level) / rate * 1000) + 1000)
return {granted, string.format('%.6f', level), ahead}
"""


@dataclass(frozen=True)
class Taken:
    """What a bucket answered.

    Attributes:
        granted: Whether there were enough tokens; if not, none was taken.
        left: Tokens that are left.
        retry_seconds: When there will be enough, if nobody else takes any, as whole seconds from 1; 0 where granted.
        full_seconds: When the bucket will be full again, as whole seconds.
        ahead: Tokens that were taken beside the cost, for later.
    """

    granted: bool
    left: float
    retry_seconds: int
    full_seconds: int
    ahead: float = 0.0


class RedisTokenBuckets:
    """Takes tokens from buckets that all processes share.

    Args:
        client: Connected to Redis; the caller closes it. It answers bytes.
        prefix: Of the keys.
    """

    def __init__(self, client: redis.asyncio.Redis, prefix: str = "limit") -> None:
        self._take = client.register_script(_TAKE)
        self._prefix = prefix

    async def take(
        self, name: str, policy: BucketPolicy, cost: float = 1.0, ahead: float = 0.0, back: float = 0.0
    ) -> Taken:
        """Take tokens, all or none.

        Args:
            name: Of the bucket; another one for each identity and limit.
            policy: Of this bucket; a bucket whose policy has changed has at most the new burst.
            cost: How many tokens.
            ahead: How many whole ones more, for later; as many as there are to spare are given.
            back: Tokens of this bucket that were taken for later and not needed.

        Raises:
            ValueError: The cost is not positive or more than the bucket can ever hold, or the policy has no rate.
            Unavailable: Redis does not answer; the tokens may have been taken, and given back.
        """
        if not 0 < cost <= policy.burst or policy.rate_per_second <= 0:
            raise ValueError(f"{cost:g} tokens can never be taken from {policy}")
        return await self._ask(name, policy, cost, ahead, back)

    async def give_back(self, name: str, policy: BucketPolicy, tokens: float) -> None:
        """Put tokens back that were taken for nothing; a bucket never holds more than its burst.

        Raises:
            Unavailable: Redis does not answer; they may be back.
        """
        await self._ask(name, policy, 0.0, 0.0, tokens)

    async def _ask(self, name: str, policy: BucketPolicy, cost: float, ahead: float, back: float) -> Taken:
        call: Awaitable[Any] = self._take(
            keys=[f"{self._prefix}:{name}"], args=[policy.rate_per_second, policy.burst, cost, ahead, back]
        )
        try:
            granted, text, later = cast("Sequence[Any]", await call)
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable(f"Redis does not answer: {error}") from error
        left = float(text)
        missing = 0.0 if granted else cost - left
        return Taken(
            bool(granted),
            left,
            0 if granted else max(1, math.ceil(missing / policy.rate_per_second)),
            math.ceil((policy.burst - left) / policy.rate_per_second),
            float(later),
        )
