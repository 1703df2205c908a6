"""Token buckets of all processes, in memory: the rule of the script in Redis, compared with it by a contract test."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from connectors.errors import Unavailable
from connectors.redis.token_buckets import Taken
from marketplace.token_bucket import BucketPolicy


class SharedBuckets:
    """Buckets that can refuse and hang, and count how often they were asked."""

    def __init__(self, clock: Callable[[], float] = lambda: 0.0) -> None:
        self._clock, self._levels = clock, dict[str, tuple[float, float]]()
        self.available, self.hangs = True, False
        self.asked = 0

    async def give_back(self, name: str, policy: BucketPolicy, tokens: float) -> None:
        await self.take(name, policy, 0.0, back=tokens)

    async def take(
        self, name: str, policy: BucketPolicy, cost: float = 1.0, ahead: float = 0.0, back: float = 0.0
    ) -> Taken:
        self.asked += 1
        await asyncio.sleep(0)  # others come meanwhile, as they do while Redis is asked
        if self.hangs:
            await asyncio.sleep(60)
        if not self.available:
            raise Unavailable("Redis does not answer")
        now = self._clock()
        level, since = self._levels.get(name, (policy.burst, now))
        level = min(policy.burst, level + max(0.0, now - since) * policy.rate_per_second)
        level = min(policy.burst, level + back)
        granted = level >= cost
        later = float(math.floor(min(ahead, (level - cost) / 2))) if granted else 0.0
        level -= cost + later if granted else 0.0
        self._levels[name] = level, max(now, since)
        wait = 0 if granted else max(1, math.ceil((cost - level) / policy.rate_per_second))
        return Taken(granted, level, wait, math.ceil((policy.burst - level) / policy.rate_per_second), later)
