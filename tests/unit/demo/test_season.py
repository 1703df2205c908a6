"""When people come: the shops' own clocks, the week, growth, and campaigns with a beginning and an end."""

from __future__ import annotations

import random
import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connectors.lookups.geoip import GeoIP
from connectors.lookups.user_agents import UserAgents
from marketplace.enrichments import ENRICHMENTS, Lookups
from ops.demo.traffic.requests import LIVE_DAYS, MAX_BATCH, HistoryBatcher, Post, Traffic
from ops.demo.traffic.season import CAMPAIGNS, FLASH_SALE, HISTORY_DAYS, Campaign, Season, Timeline
from ops.demo.traffic.shops import SHOPS, Shop

NOW_MS = int(datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC).timestamp() * 1000)
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
COFFEE, BIKES = SHOPS[0], SHOPS[1]
EVENTS = 40_000
PLACES = GeoIP().snapshot()


@lru_cache(maxsize=1)
def backlog() -> list[Post]:
    return list(Traffic(1, NOW_MS).backlog(EVENTS))


def told(posts: list[Post], shop: Shop | None = None) -> list[tuple[int, dict[str, Any]]]:
    """Events that tell a time within the history, with it."""
    return [
        (event["occurred_at"], event)
        for post in posts
        for event in post.events
        if (shop is None or post.shop == shop) and NOW_MS - 31 * DAY_MS < event.get("occurred_at", 0) <= NOW_MS
    ]


def landings(name: str, shop: Shop | None = None) -> list[int]:
    return [at for at, event in told(backlog(), shop) if str(event.get("url")).endswith(f"utm_campaign={name}")]


def test_the_history_has_thirty_days_and_every_one_has_visitors() -> None:
    days = Counter((NOW_MS - at) // DAY_MS for at, _ in told(backlog()))
    assert all(days[ago] > EVENTS / HISTORY_DAYS / 4 for ago in range(HISTORY_DAYS)), days


@pytest.mark.parametrize("shop", SHOPS, ids=lambda shop: shop.name)
def test_a_shop_sleeps_at_night_by_its_own_clock(shop: Shop) -> None:
    zone = ZoneInfo(shop.timezone)
    hours = Counter(datetime.fromtimestamp(at / 1000, UTC).astimezone(zone).hour for at, _ in told(backlog(), shop))
    assert 3 * sum(hours[hour] for hour in (2, 3, 4)) < sum(hours[hour] for hour in (19, 20, 21))


def test_weekends_are_busier_and_later_weeks_too() -> None:
    season = Season((BIKES,), NOW_MS)
    noon = datetime(2026, 2, 16, 11, tzinfo=UTC)
    week = [season.weights(round((noon + timedelta(days=day)).timestamp() * 1000))[0] for day in range(7)]
    assert min(week[5:]) > max(week[:5])
    # Two Tuesdays without a campaign.
    first, later = (round(datetime(2026, *day, 11, tzinfo=UTC).timestamp() * 1000) for day in ((2, 17), (3, 3)))
    ordinary = Season((SHOPS[4],), NOW_MS)
    assert ordinary.weights(later)[0] > ordinary.weights(first)[0]


def test_the_flash_sale_has_six_times_the_usual_traffic_for_two_hours_and_in_one_shop() -> None:
    begins = FLASH_SALE.begins_ms(COFFEE, NOW_MS)
    local = datetime.fromtimestamp(begins / 1000, ZoneInfo(COFFEE.timezone))
    assert (local.date(), local.hour, local.minute) == (date(2026, 3, 11), 18, 0)
    hours = Counter((at - begins) // HOUR_MS for at, _ in told(backlog(), COFFEE))
    usual = sum(hours[hour + day * 24] for hour in (0, 1) for day in (-5, -4, -2, -1)) / 8
    assert 4 * usual < (hours[0] + hours[1]) / 2 < 9 * usual
    others = Counter((at - begins) // HOUR_MS for at, _ in told(backlog(), BIKES))
    assert others[0] + others[1] < 3 * (others[24] + others[25] + 10)


def test_the_flash_sale_sells_its_product() -> None:
    begins = FLASH_SALE.begins_ms(COFFEE, NOW_MS)
    products = Counter(
        event["product"]
        for at, event in told(backlog(), COFFEE)
        if 0 <= at - begins < 2 * HOUR_MS and "product" in event
    )
    assert FLASH_SALE.product is not None
    assert products.most_common(1)[0][0] == COFFEE.products()[FLASH_SALE.product][0]


@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=lambda campaign: campaign.name)
def test_a_campaign_brings_people_from_its_beginning_to_its_end(campaign: Campaign) -> None:
    shops = [shop for shop in SHOPS if not campaign.shops or shop.name in campaign.shops]
    begins = min(campaign.begins_ms(shop, NOW_MS) for shop in shops)
    ends = max(campaign.begins_ms(shop, NOW_MS) for shop in shops) + campaign.lasts_hours * HOUR_MS
    found = landings(campaign.name)
    assert len(found) >= 5
    # A visit that began at the end goes on; one that would end in the future was moved back.
    assert begins - HOUR_MS <= min(found)
    assert max(found) < ends + HOUR_MS


def test_a_newsletter_fades() -> None:
    found = landings("letter-9", COFFEE)
    begins = min(found)
    assert sum(at - begins < 12 * HOUR_MS for at in found) > 1.5 * sum(at - begins >= 12 * HOUR_MS for at in found)


def test_campaigns_come_through_several_channels() -> None:
    enrichment = next(enrichment for enrichment in ENRICHMENTS if "channel" in enrichment.columns)
    lookups = Lookups(PLACES, UserAgents())
    channels = set()
    for campaign in CAMPAIGNS:
        given = {"url": f"https://www.x.example/?{campaign.query.format(n=1)}", "referrer": campaign.referrer}
        answer = enrichment.enrich(lookups, tuple(given.get(name, "x.example") for name in enrichment.reads))
        channels.add(dict(zip(enrichment.columns, answer, strict=True))["channel"])
    assert len(channels) >= 5, channels


def test_no_campaign_is_all_chance_and_without_strength_there_is_none() -> None:
    season = Season((COFFEE,), NOW_MS)
    quiet = NOW_MS - 22 * DAY_MS
    assert {season.campaign(COFFEE, quiet, part / 100) for part in range(100)} == {None}
    begins = FLASH_SALE.begins_ms(COFFEE, NOW_MS) + HOUR_MS
    drawn = Counter(season.campaign(COFFEE, begins, part / 1000) for part in range(1000))
    assert drawn[FLASH_SALE] > 700


def test_a_timeline_goes_forward_and_through_everything() -> None:
    timeline, rng = Timeline(Season(SHOPS, NOW_MS)), random.Random(1)
    times = [timeline.after(step / 5_000, rng)[0] for step in range(5_000)]
    quarters = [at // (15 * 60_000) for at in times]
    assert times[0] < NOW_MS - 29 * DAY_MS
    assert times[-1] > NOW_MS - HOUR_MS
    assert all(after >= before - 1 for before, after in pairwise(quarters))


def test_the_pulse_is_about_one_and_higher_in_the_evening() -> None:
    season = Season(SHOPS, NOW_MS)
    pulses = [season.activity(NOW_MS - 21 * DAY_MS + hour * HOUR_MS) for hour in range(24)]
    assert 0.6 < sum(pulses) / 24 < 1.5
    assert max(pulses) > 1.5 * min(pulses)


def test_what_is_old_goes_through_the_import_endpoint_with_its_own_address_and_browser() -> None:
    limit = NOW_MS - LIVE_DAYS * DAY_MS
    history = [post for post in backlog() if post.history]
    assert all(event.get("occurred_at", 0) < limit + DAY_MS for post in history for event in post.events)
    assert all({"ip", "user_agent"} <= event.keys() for post in history for event in post.events)
    assert len({event["ip"] for post in history for event in post.events}) > 1_000
    assert not any("ip" in event for post in backlog() if not post.history for event in post.events)


def test_history_is_sent_in_large_requests_and_nothing_of_it_waits_for_the_end() -> None:
    sizes = [post.size for post in backlog() if post.history and not post.opted_out and post.raw is None]
    assert sum(sizes) / len(sizes) > MAX_BATCH / 2
    last = next(at for at, post in enumerate(reversed(backlog())) if post.history)
    assert last > 100


def test_parcels_keep_every_event_and_its_order() -> None:
    batcher = HistoryBatcher()
    posts = [post for post in backlog()[:50] if post.history]
    out = [joined for post in posts for joined in batcher.add(post)] + list(batcher.flush())
    for shop in SHOPS:
        before = [e["event_id"] for p in posts if p.shop == shop for e in p.events if not p.opted_out and p.raw is None]
        after = [e["event_id"] for p in out if p.shop == shop for e in p.events if not p.opted_out and p.raw is None]
        assert before == after
    assert list(batcher.flush()) == []


def test_names_of_campaigns_are_fit_for_a_url_and_differ() -> None:
    names = [campaign.name for campaign in CAMPAIGNS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z0-9-]+", name) for name in names)
