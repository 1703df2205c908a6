"""Tokens that a process has taken from shared buckets before it needs them, as a state machine: the time is passed in.

Asking the shared bucket for every request costs more than the request. A process whose caller comes again soon takes
some tokens more at once, spends them without asking, and gives back what is left with its next question, so nobody is
granted more than the bucket holds. A caller who asks once takes one token and no more.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from marketplace.token_bucket import BucketPolicy

LEASE_SECONDS: Final = 0.5
"""How long tokens that were taken before may be spent: so long a process does not see what others take."""

MAX_SHARE: Final = 1 / 8
"""Of a full bucket, which a process takes before it needs it."""

MAX_AHEAD: Final = 100.0
"""Tokens at once, however large the bucket is."""


@dataclass
class _Lease:
    policy: BucketPolicy
    until: float
    left: float = 0.0
    spent: float = 0.0
    shared: float = 0.0


class TokenLeases:
    """What a process holds of buckets, by the bucket's name; that of the bucket used longest ago is dropped.

    Args:
        max_leases: The bound on memory.
    """

    def __init__(self, *, max_leases: int = 20_000) -> None:
        self._max_leases = max_leases
        self._leases: OrderedDict[str, _Lease] = OrderedDict()

    def __len__(self) -> int:
        return len(self._leases)

    def spend(self, name: str, policy: BucketPolicy, cost: float, now: float) -> float | None:
        """Spend tokens that are held.

        Args:
            name: The bucket's.
            policy: Of the bucket; tokens of another one are not spent.
            cost: How many.
            now: Seconds of a monotonic clock.

        Returns:
            What the bucket has left, with what is held; None if too few are held, and the bucket has to be asked.
        """
        lease = self._leases.get(name)
        if lease is None or lease.policy != policy or now >= lease.until or lease.left < cost:
            return None
        lease.left -= cost
        lease.spent += cost
        return lease.shared + lease.left

    def question(self, name: str, policy: BucketPolicy) -> tuple[float, float]:
        """What to ask the bucket for beside the cost of a request.

        Returns:
            Tokens to take before they are needed, twice what was spent since the last question; and tokens to give
            back, which are held no longer from now on.
        """
        lease = self._leases.get(name)
        if lease is None or lease.policy != policy:
            return 0.0, 0.0
        ahead = min(2 * lease.spent, policy.burst * MAX_SHARE, MAX_AHEAD)
        back, lease.left, lease.spent = lease.left, 0.0, 0.0
        return float(int(ahead)), back

    def answered(self, name: str, policy: BucketPolicy, cost: float, ahead: float, shared: float, now: float) -> None:
        """Note what the bucket granted.

        Args:
            name: The bucket's.
            policy: Of the bucket.
            cost: Tokens that were spent.
            ahead: Tokens that were taken before they are needed.
            shared: What the bucket has left.
            now: Seconds of a monotonic clock, from before the question.
        """
        lease = self._leases.get(name)
        if lease is None or lease.policy != policy:
            lease = self._leases[name] = _Lease(policy, 0.0)
        # Two questions at one time both add what they were granted.
        lease.left += ahead
        lease.spent += cost
        lease.shared, lease.until = shared, now + LEASE_SECONDS
        self._leases.move_to_end(name)
        if len(self._leases) > self._max_leases:
            self._leases.popitem(last=False)
