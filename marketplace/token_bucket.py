"""A token bucket per store and per client, as a state machine: the time is passed in.

It lives in one process and starts full. With several collectors each grants its own share, and a restart forgets what
was used: it fails open, because losing a click is worse than taking one too many.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True)
class BucketPolicy:
    """The rate and the size of a bucket.

    Attributes:
        rate_per_second: Tokens that are added each second; 0 switches the limit off.
        burst: Tokens in a full bucket.
    """

    rate_per_second: float
    burst: float


class TokenBuckets:
    """Buckets by name, at most ``max_buckets`` of them; the least recently used one is dropped, and full again.

    Args:
        policy: The same for every bucket.
        max_buckets: The bound on memory.
    """

    def __init__(self, policy: BucketPolicy, *, max_buckets: int = 50_000) -> None:
        self._policy = policy
        self._max_buckets = max_buckets
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, name: str, cost: float, now: float) -> float:
        """Take tokens if there are enough.

        A cost above the burst is granted by a full bucket, which then has a debt; otherwise it could never pass.

        Args:
            name: The bucket's name.
            cost: The number of tokens, at least 0.
            now: Seconds of a monotonic clock; going back counts as standing still.

        Returns:
            0.0 if granted; otherwise the seconds until it would be, with nothing taken.
        """
        policy = self._policy
        if policy.rate_per_second <= 0:
            return 0.0
        tokens, since = self._buckets.get(name, (policy.burst, now))
        if now > since:
            tokens = min(policy.burst, tokens + (now - since) * policy.rate_per_second)
            since = now
        needed = min(cost, policy.burst)
        granted = tokens >= needed
        self._buckets[name] = (tokens - cost if granted else tokens, since)
        self._buckets.move_to_end(name)
        while len(self._buckets) > self._max_buckets:
            self._buckets.popitem(last=False)
        return 0.0 if granted else (needed - tokens) / policy.rate_per_second

    def give_back(self, name: str, tokens: float, now: float) -> None:
        """Put tokens back that were taken for nothing; a bucket never holds more than its burst.

        Args:
            name: The bucket's name.
            tokens: At most as many as were taken.
            now: Seconds of a monotonic clock.
        """
        if name in self._buckets:
            level, since = self._buckets[name]
            level = min(self._policy.burst, level + max(0.0, now - since) * self._policy.rate_per_second)
            self._buckets[name] = min(self._policy.burst, level + tokens), max(now, since)

    def wait(self, name: str, cost: float, now: float) -> float:
        """What :meth:`take` would return, with nothing taken."""
        policy = self._policy
        if policy.rate_per_second <= 0:
            return 0.0
        tokens, since = self._buckets.get(name, (policy.burst, now))
        tokens = min(policy.burst, tokens + max(0.0, now - since) * policy.rate_per_second)
        return max(0.0, min(cost, policy.burst) - tokens) / policy.rate_per_second
