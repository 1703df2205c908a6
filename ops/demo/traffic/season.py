"""How busy shops are: by the shop's own clock and calendar, with growth from day to day, and with campaigns."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import Final
from zoneinfo import ZoneInfo

from ops.demo.traffic.shops import Shop

HISTORY_DAYS: Final = 30
QUARTER_MS: Final = 15 * 60_000

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_OF_HOUR: Final = (
    *(0.34, 0.2, 0.13, 0.1, 0.1, 0.16, 0.34, 0.6, 0.84, 0.98, 1.04, 1.1),
    *(1.24, 1.2, 1.06, 1.0, 1.02, 1.12, 1.3, 1.5, 1.66, 1.6, 1.2, 0.7),
)
"""Traffic by hour of the shop's clock: lowest at four, a small peak at noon, the highest in the evening."""

_OF_WEEKDAY: Final = (1.02, 0.95, 0.93, 0.96, 1.0, 1.12, 1.22)
"""Traffic by day of the week, from Monday: people buy at the weekend."""

_GROWTH: Final = 0.45
"""How much more traffic there is at the end of the history than at its beginning, relative to the mean."""


@dataclass(frozen=True)
class Campaign:
    """A marketing campaign that brings visitors for a while.

    Attributes:
        name, source, medium: As ``utm_campaign``, ``utm_source`` and ``utm_medium``.
        days_ago, hour: When it begins, by the shop's calendar and clock.
        lasts_hours: Its duration.
        boost: What it adds at its peak, relative to the ordinary traffic.
        half_life_hours: The half-life of its effect; 0 if it does not fade.
        shops: Names of the shops that run it; empty for all.
        referrer: The page that visitors come from.
        extra: Further query parameters, such as an ad's click id; ``{n}`` is a random number.
        product: The rank of the product that it advertises; None for none.
    """

    name: str
    source: str
    medium: str
    days_ago: int
    hour: int
    lasts_hours: int
    boost: float
    half_life_hours: float = 0.0
    shops: tuple[str, ...] = ()
    referrer: str = ""
    extra: str = ""
    product: int | None = None

    @property
    def query(self) -> str:
        """The query string of a landing page; ``{n}`` is still to be filled in."""
        utm = f"utm_source={self.source}&utm_medium={self.medium}&utm_campaign={self.name}"
        return f"{self.extra}&{utm}" if self.extra else utm

    def begins_ms(self, shop: Shop, now_ms: int) -> int:
        """When it begins in a shop, epoch ms; ``now_ms`` is the present."""
        return _local_ms(shop.timezone, now_ms, self.days_ago, self.hour)

    def strength(self, shop: Shop, at_ms: int, now_ms: int) -> float:
        """What it adds at a time, relative to the shop's ordinary traffic."""
        age_hours = (at_ms - self.begins_ms(shop, now_ms)) / _HOUR_MS
        if not 0 <= age_hours < self.lasts_hours or (self.shops and shop.name not in self.shops):
            return 0.0
        return self.boost * (0.5 ** (age_hours / self.half_life_hours) if self.half_life_hours else 1.0)


_GOOGLE: Final = "https://www.google.com/"
_INSTAGRAM: Final = "https://www.instagram.com/"
_TIKTOK: Final = "https://www.tiktok.com/"
_FACEBOOK: Final = "https://m.facebook.com/"

FLASH_SALE: Final = Campaign("flash-sale", "shop-app", "push", 3, 18, 2, 5.0, shops=("brooklyn-coffee",), product=4)
"""Two hours in which one shop has six times its usual visitors, for one product."""

CAMPAIGNS: Final[tuple[Campaign, ...]] = (
    FLASH_SALE,
    *(Campaign(f"letter-{29 - ago}", "newsletter", "email", ago, 9, 36, 0.8, 7.0) for ago in (27, 20, 13, 6)),
    Campaign("five-day-deal", "google", "cpc", 17, 0, 120, 0.45, referrer=_GOOGLE, extra="gclid=Cj0KCQdemo{n}"),
    Campaign("reel-masala", "instagram", "social", 9, 18, 30, 2.5, 6.0, ("mumbai-spices",), _INSTAGRAM, product=2),
    Campaign("back-in-stock", "newsletter", "email", 10, 8, 48, 0.9, 10.0, ("kathmandu-wool",), product=0),
    Campaign("unboxing", "tiktok", "paid_social", 15, 12, 168, 0.5, 0.0, ("berlin-bikes",), _TIKTOK, "ttclid=demo{n}"),
    Campaign("weekend-warm-up", "facebook", "paid_social", 5, 7, 960, 0.25, referrer=_FACEBOOK, extra="fbclid=demo{n}"),
)
"""The campaigns of the last month; the last one is still running."""


class Season:
    """How busy each shop is at any time around a present.

    Args:
        shops: The shops.
        now_ms: The present, epoch ms; the starts of campaigns are relative to it.
    """

    def __init__(self, shops: Sequence[Shop], now_ms: int) -> None:
        self._shops, self._now_ms = tuple(shops), now_ms
        self._mean = sum(shop.share for shop in self._shops) * sum(_OF_HOUR) / len(_OF_HOUR)

    def weights(self, at_ms: int) -> list[float]:
        """How busy each shop is at a time, in the order of the shops; 1 for the first one on an ordinary day."""
        return [self._usual(shop, at_ms) * (1 + sum(self._strengths(shop, at_ms))) for shop in self._shops]

    def activity(self, at_ms: int) -> float:
        """How busy all shops together are at a time; about 1 on average."""
        return sum(self.weights(at_ms)) / self._mean

    def campaign(self, shop: Shop, at_ms: int, chance: float) -> Campaign | None:
        """The campaign that brings a visitor, chosen by a random number from 0 to 1; None for the usual referrers."""
        left = chance * (1 + sum(self._strengths(shop, at_ms)))
        for campaign, strength in zip(CAMPAIGNS, self._strengths(shop, at_ms), strict=True):
            if left < strength:
                return campaign
            left -= strength
        return None

    def quarters(self) -> list[tuple[int, list[float]]]:
        """The history's quarters of an hour, oldest first: their start (epoch ms) and :meth:`weights`."""
        first_ms = self._now_ms - HISTORY_DAYS * _DAY_MS
        starts = range(first_ms, self._now_ms, QUARTER_MS)
        return [(start, self.weights(start + QUARTER_MS // 2)) for start in starts]

    def _strengths(self, shop: Shop, at_ms: int) -> list[float]:
        return [campaign.strength(shop, at_ms, self._now_ms) for campaign in CAMPAIGNS]

    def _usual(self, shop: Shop, at_ms: int) -> float:
        local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(_zone(shop.timezone))
        part, this, following = local.minute / 60, _OF_HOUR[local.hour], _OF_HOUR[(local.hour + 1) % 24]
        of_day = this + (following - this) * (1 - math.cos(math.pi * part)) / 2
        age = max(-0.5, min(0.5, 0.5 - (self._now_ms - at_ms) / (HISTORY_DAYS * _DAY_MS)))
        return shop.share * of_day * _OF_WEEKDAY[local.weekday()] * (1 + _GROWTH * age)


class Timeline:
    """Maps progress through the traffic to times of the history, so that busy quarters of an hour get more events.

    Args:
        season: How busy the shops are.
    """

    def __init__(self, season: Season) -> None:
        self._quarters = season.quarters()
        self._ends = list(accumulate(sum(weights) for _, weights in self._quarters))
        self._at = 0

    def after(self, part: float, rng: random.Random) -> tuple[int, list[float]]:
        """The time (epoch ms) before which this part of all traffic happened, and how busy each shop is then.

        Args:
            part: From 0 to 1, never less than in the call before.
            rng: Chooses the moment within the quarter.
        """
        while self._at < len(self._ends) - 1 and self._ends[self._at] <= self._ends[-1] * part:
            self._at += 1
        start_ms, weights = self._quarters[self._at]
        return start_ms + int(QUARTER_MS * rng.random()), weights


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=1_024)
def _local_ms(timezone: str, now_ms: int, days_ago: int, hour: int) -> int:
    today = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(_zone(timezone)).date()
    begins = datetime.combine(today - timedelta(days=days_ago), time(hour), _zone(timezone))
    return round(begins.timestamp() * 1000)
