"""The demo's traffic: deterministic, complete, and each kind of trouble what it says it is."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from connectors.lookups.user_agents import UserAgents
from marketplace.clicks.bots import user_agent_reasons
from marketplace.goals import is_reached
from ops.demo.traffic import trouble
from ops.demo.traffic.people import Visitors
from ops.demo.traffic.places import BROWSERS, CRAWLERS, NETWORKS, NETWORKS_V6
from ops.demo.traffic.requests import MAX_BATCH, Post, Traffic, until
from ops.demo.traffic.shops import LETTER, SHOPS, Shop, store_of, write_key
from ops.demo.traffic.trouble import KINDS, SceneMaker
from ops.oracle import Expected
from tests.kits.demo_posts import AGENTS, NOW_MS, PLACES, collect

SPICES = next(shop for shop in SHOPS if shop.blocks_office)
SURF = next(shop for shop in SHOPS if not shop.honours_opt_out)


def play(make: SceneMaker, shop: Shop = SHOPS[0], times: int = 20) -> tuple[Expected, int, int]:
    """So many scenes of one kind: what is expected of them, events refused by the collector, and events in all."""
    traffic = Traffic(3, NOW_MS, (shop,))
    visitors, rng = Visitors(shop, random.Random(5)), random.Random(7)
    posts: list[Post] = []
    for at in range(times):
        made = list(traffic.requests(make(visitors, rng, NOW_MS - (times - at) * 3 * trouble.HOUR_MS)))
        posts += [post for _, post in sorted(made, key=lambda pair: pair[0])]
    expected, refused = collect(posts)
    return expected, refused, sum(post.size for post in posts)


def test_equal_seeds_make_equal_traffic() -> None:
    assert list(Traffic(5, NOW_MS).backlog(3_000)) == list(Traffic(5, NOW_MS).backlog(3_000))


def test_another_seed_makes_other_traffic() -> None:
    assert list(Traffic(5, NOW_MS).backlog(500)) != list(Traffic(6, NOW_MS).backlog(500))


@pytest.mark.parametrize("events", [1, 7, 2_000, 5_003])
def test_a_backlog_has_exactly_as_many_events_as_asked_for(events: int) -> None:
    assert sum(post.size for post in Traffic(1, NOW_MS).backlog(events)) == events


def test_no_request_is_larger_than_the_collector_takes() -> None:
    assert max(post.size for post in Traffic(1, NOW_MS).backlog(20_000)) <= MAX_BATCH


def test_a_backlog_can_be_sent_in_two_parts_without_losing_a_request() -> None:
    whole = list(Traffic(4, NOW_MS).backlog(1_000))
    posts = Traffic(4, NOW_MS).backlog(1_000)
    assert [*until(posts, 600), *posts] == whole


def test_a_small_backlog_has_every_outcome_and_every_store() -> None:
    expected, refused = collect(Traffic(1, NOW_MS).backlog(2_000))
    outcomes = expected.by_outcome()
    assert all(outcomes[name] > 0 for name in ("late", "blocked", "duplicate", "refire", "bot", "counted")), outcomes
    assert {key[0] for key in expected.received} == {shop.name for shop in SHOPS}
    assert refused > 0
    assert outcomes["counted"] > 1_200


def test_a_small_share_of_the_traffic_are_named_events_that_reach_goals() -> None:
    expected, _ = collect(Traffic(1, NOW_MS).backlog(6_000))
    people = [fact for fact in expected.facts if fact.outcome == "counted"]
    named = [fact for fact in people if fact.type == "event"]
    assert 0.01 < len(named) / len(people) < 0.08
    assert {fact.columns["name"] for fact in named} == {
        "add_to_cart", "begin_checkout", "newsletter", "search", "share",
    }  # fmt: skip
    assert all(fact.properties for fact in named)
    goals = store_of(SHOPS[0], SHOPS[0].name, 1).goals
    events = [({**fact.columns, "type": fact.type}, fact.properties) for fact in named if fact.store == SHOPS[0].name]
    reached = {goal.name for goal in goals if any(is_reached(goal, *event) for event in events)}
    assert reached == {"Put into the cart", "Began a checkout", LETTER.name}


def test_ordinary_visits_never_lie_in_the_future() -> None:
    posts = [post for post in Traffic(2, NOW_MS).backlog(5_000) if post.tracked]
    assert posts
    assert max(event["occurred_at"] for post in posts for event in post.events) <= NOW_MS


def test_the_first_shop_gets_most_and_the_last_one_least() -> None:
    events = Counter[str]()
    for post in Traffic(1, NOW_MS).backlog(20_000):
        events[post.shop.name] += post.size
    assert [name for name, _ in events.most_common()] == [shop.name for shop in SHOPS]


def test_a_live_visit_is_due_from_now_on_and_in_order() -> None:
    traffic = Traffic(1, NOW_MS)
    for step in range(300):
        due = [post.due_ms for post in traffic.live(NOW_MS + step)]
        assert min(due) >= NOW_MS + step


def test_an_ordinary_visit_is_counted_as_people() -> None:
    expected, refused, sent = play(trouble.plain)
    assert refused == 0
    assert set(expected.by_outcome()) == {"counted"}
    assert expected.by_outcome()["counted"] == sent


@pytest.mark.parametrize(
    ("make", "outcome"),
    [
        (trouble.double_click, "refire"),
        (trouble.resent, "duplicate"),
        (trouble.timeless, "duplicate"),
        (trouble.crawler, "bot"),
        (trouble.declared, "bot"),
        (trouble.hasty, "bot"),
        (trouble.prober, "bot"),
        (trouble.too_late, "late"),
        (trouble.year_1970, "late"),
        (trouble.opted_out, "blocked"),
    ],
)
def test_a_kind_of_trouble_has_the_outcome_it_is_made_for(make: SceneMaker, outcome: str) -> None:
    expected, _, _ = play(make)
    assert expected.by_outcome()[outcome] >= 20


@pytest.mark.parametrize("make", [trouble.crawler, trouble.declared])
def test_no_event_of_a_declared_machine_is_taken_for_a_person(make: SceneMaker) -> None:
    expected, _, _ = play(make)
    assert expected.by_outcome()["counted"] == 0


@pytest.mark.parametrize("make", [trouble.late_by_hours, trouble.late_by_days, trouble.bridged])
def test_events_late_within_a_week_are_counted(make: SceneMaker) -> None:
    expected, _, sent = play(make)
    assert expected.by_outcome() == {"counted": sent}


def test_a_reused_id_with_another_payload_is_no_duplicate() -> None:
    expected, _, sent = play(trouble.reused_id)
    assert expected.by_outcome() == {"counted": sent}


def test_the_bridging_event_makes_one_visit_of_two() -> None:
    expected, _, _ = play(trouble.bridged, times=1)
    assert {numbers.sessions for key, numbers in expected.rollups.items() if key.dimension == "all"} <= {0, 1}


@pytest.mark.parametrize("make", [trouble.year_2099, trouble.from_the_future])
def test_the_future_is_clamped_and_counted(make: SceneMaker) -> None:
    expected, _, sent = play(make)
    assert sum(count for key, count in expected.notes.items() if key[2] == "future_clamped") == sent
    assert expected.by_outcome()["late"] == 0


def test_a_wrong_clock_that_tells_its_time_is_put_right() -> None:
    expected, _, sent = play(trouble.wrong_clock)
    assert expected.by_outcome()["counted"] + expected.by_outcome()["refire"] == sent
    assert all(abs(fact.occurred_ms - NOW_MS) < 4 * trouble.DAY_MS for fact in expected.facts)


def test_the_office_is_blocked_in_the_shop_that_blocks_it_and_only_there() -> None:
    assert set(play(trouble.from_the_office, SPICES)[0].by_outcome()) == {"blocked"}
    assert "blocked" not in play(trouble.from_the_office, SHOPS[0])[0].by_outcome()


def test_a_shop_that_does_not_honour_opt_outs_counts_them() -> None:
    assert set(play(trouble.opted_out, SURF)[0].by_outcome()) == {"counted"}


def test_broken_events_are_refused_and_their_neighbours_taken() -> None:
    expected, refused, sent = play(trouble.broken)
    assert refused >= 20
    assert expected.by_outcome()["counted"] + refused == sent


def test_an_unreadable_body_is_refused_whole() -> None:
    expected, refused, sent = play(trouble.unreadable)
    assert (refused, expected.by_outcome()) == (sent, {})


def test_every_kind_has_a_name_and_a_share() -> None:
    names = [make.__name__ for _, make in KINDS]
    assert len(set(names)) == len(names)
    assert all(share > 0 for share, _ in KINDS)


@pytest.mark.parametrize("country", sorted(NETWORKS))
def test_a_network_is_in_its_country(country: str) -> None:
    rng = random.Random(country)
    addresses = [f"{network}.{rng.randrange(256)}.0" for network in NETWORKS[country] for _ in range(20)]
    placed = Counter(PLACES.find(address).country for address in addresses)
    assert placed[country] >= 0.9 * len(addresses), placed


@pytest.mark.parametrize("country", sorted(NETWORKS_V6))
def test_an_ipv6_network_is_in_its_country(country: str) -> None:
    assert PLACES.find(f"{NETWORKS_V6[country]}::").country == country


@pytest.mark.parametrize("user_agent", BROWSERS)
def test_a_browser_is_not_taken_for_a_machine(user_agent: str) -> None:
    assert user_agent_reasons(user_agent, AGENTS) == ()
    assert UserAgents().find(user_agent).browser != ""


@pytest.mark.parametrize("user_agent", CRAWLERS)
def test_a_crawler_is_found_out(user_agent: str) -> None:
    assert user_agent_reasons(user_agent, AGENTS) != ()


def test_products_of_a_shop_are_many_and_different() -> None:
    for shop in SHOPS:
        products = shop.products()
        assert len({identity for identity, _ in products}) == len({slug for _, slug in products}) == len(products) >= 20


def test_a_write_key_belongs_to_one_store_and_seed() -> None:
    keys = {write_key(shop.name, seed) for shop in SHOPS for seed in (1, 2)}
    assert len(keys) == 2 * len(SHOPS)
