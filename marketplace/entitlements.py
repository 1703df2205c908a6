"""What the tiers give, and which tier somebody has at a moment.

An entitlement bounds what can be added, never what is there: after a downgrade whatever is beyond a limit is frozen,
and nothing is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from marketplace.token_bucket import BucketPolicy


class BeyondHistory(Exception):
    """A range of numbers begins or ends before the tier's history does; the message says where that is."""


class Tier(StrEnum):
    """What a store's owner pays for."""

    FREE = "free"
    PREMIUM = "premium"


@dataclass(frozen=True)
class Entitlements:
    """What a tier gives.

    Attributes:
        stores: How many a user may own.
        members: Of each store, its owners among them, invitations that wait among them.
        products: Of each store.
        history_days: How far back numbers can be asked for.
        csv_export: Whether numbers can be had as CSV.
        custom_domain: Whether a store may have hosts of its own beside the one that it begins with.
        requests: Of each user or API key to the API; a request costs what its route says.
    """

    stores: int
    members: int
    products: int
    history_days: int
    csv_export: bool
    custom_domain: bool
    requests: BucketPolicy


ENTITLEMENTS: Final[Mapping[Tier, Entitlements]] = {
    Tier.FREE: Entitlements(
        stores=1,
        members=3,
        products=100,
        history_days=90,
        csv_export=False,
        custom_domain=False,
        requests=BucketPolicy(rate_per_second=5, burst=60),
    ),
    Tier.PREMIUM: Entitlements(
        stores=10,
        members=50,
        products=10_000,
        history_days=1_100,
        csv_export=True,
        custom_domain=True,
        requests=BucketPolicy(rate_per_second=50, burst=600),
    ),
}


@dataclass(frozen=True)
class Grant:
    """A tier for a time.

    Attributes:
        tier: Which one.
        since: Epoch milliseconds, included.
        until: Epoch milliseconds, excluded; None for one that does not end by itself.
    """

    tier: Tier
    since: int
    until: int | None = None

    def holds(self, now_ms: int) -> bool:
        """Whether it is in effect."""
        return self.since <= now_ms and (self.until is None or now_ms < self.until)


def tier_of(grants: Iterable[Grant], now_ms: int) -> Tier:
    """The highest tier of those in effect; free where none is."""
    order = list(Tier)
    return max((grant.tier for grant in grants if grant.holds(now_ms)), key=order.index, default=Tier.FREE)


def with_grant_ended(grants: Iterable[Grant], tier: Tier, now_ms: int) -> tuple[Grant, ...]:
    """The grants after those of a tier have ended: one in effect ends now, one to come never begins, past ones stay."""
    kept = (grant for grant in grants if grant.tier is not tier or grant.since < now_ms)
    return tuple(
        replace(grant, until=now_ms) if grant.tier is tier and grant.holds(now_ms) else grant for grant in kept
    )


def next_change(grants: Iterable[Grant], now_ms: int) -> int | None:
    """When the tier may change by itself, in epoch milliseconds: what depends on it can be kept until then."""
    times = (at for grant in grants for at in (grant.since, grant.until) if at is not None and at > now_ms)
    return min(times, default=None)


def earliest_day(tier: Tier, zone: ZoneInfo, now: datetime) -> datetime:
    """The first midnight of the store's clock that a tier's history reaches back to."""
    first = now.astimezone(zone).date() - timedelta(days=ENTITLEMENTS[tier].history_days)
    return datetime.combine(first, time(0), zone)


def begin_of_range(
    tier: Tier, zone: ZoneInfo, now: datetime, since: datetime | None, until: datetime | None
) -> datetime:
    """Where a range of a store's numbers begins: where it says, or else where the tier's history does.

    Args:
        tier: The store's.
        zone: The store's time zone.
        now: The time, with its zone.
        since: The first moment of the range, with its zone; None where it names none.
        until: The first moment after the range, with its zone; None where it names none.

    Raises:
        BeyondHistory: The range names a moment that the tier's history does not reach back to.
    """
    earliest = earliest_day(tier, zone, now)
    for moment in (since, until):
        if moment is not None and moment < earliest:
            days = ENTITLEMENTS[tier].history_days
            raise BeyondHistory(f"the plan includes {days} days of history: from {earliest.date().isoformat()} on")
    return since or earliest
