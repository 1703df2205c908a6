"""What a store that sends too much is answered, and that others do not pay for it."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connectors.mongo.turned_away import MemoryTurnedAway, TurnedAway
from ingest.collect.turned_away import TurnedAwayCounts
from marketplace.stores import hash_write_key, import_key
from marketplace.token_bucket import BucketPolicy
from tests.kits.collector import SHOP, Collector, SteppingClock, error_of, running_collector, with_limits

OTHER = replace(SHOP, slug="other", write_key_hash=hash_write_key("key-of-the-other"))
IMPORT_KEY = import_key("shop", "6b" * 16)


def events(count: int, **fields: str) -> list[dict[str, Any]]:
    return [
        {"event_id": str(number), **{name: text.format(number) for name, text in fields.items()}}
        for number in range(count)
    ]


def test_a_store_that_sends_only_new_values_is_cut_to_few_events_and_said_why() -> None:
    with running_collector(with_limits(store_limit=BucketPolicy(100, 1_000))) as collector:
        collector.stores.upsert_store(OTHER)
        new = collector.post(events(100, url="https://shop.example/{}", product="p{}"))
        refused = collector.post(events(1))
        other = collector.post(events(100), **{"x-write-key": "key-of-the-other"})
        collector.clock.step(float(refused.headers["retry-after"]))
        later = collector.post(events(1))

    assert (new.status_code, refused.status_code, other.status_code, later.status_code) == (202, 429, 202, 202)
    assert (error_of(refused)["code"], len(collector.clicks())) == ("too_many_new_values", 201)
    assert int(refused.headers["retry-after"]) >= 5


def test_a_store_that_sends_known_values_is_cut_by_events_alone() -> None:
    with running_collector(with_limits(store_limit=BucketPolicy(100, 1_000))) as collector:
        statuses = [collector.post(events(100, url="https://shop.example/")) for _ in range(11)]

    assert [answer.status_code for answer in statuses] == [202] * 10 + [429]
    assert error_of(statuses[-1])["code"] == "rate_limited"


def test_a_body_costs_by_its_length_though_it_is_refused() -> None:
    with running_collector(with_limits(store_limit=BucketPolicy(100, 1_000))) as collector:
        hostile = gzip.compress(b"[" + b"[]," * 500_000 + b"[]]")
        first = collector.post(hostile, **{"content-encoding": "gzip"})
        second = collector.post(hostile, **{"content-encoding": "gzip"})

    assert (first.status_code, second.status_code, len(collector.dead_letters())) == (400, 429, 1)


def test_history_has_a_budget_of_its_own() -> None:
    importing = replace(SHOP, import_key_hash=hash_write_key(IMPORT_KEY))
    limits = with_limits(store_limit=BucketPolicy(1, 100), import_limit=BucketPolicy(1, 100))
    with running_collector(limits, importing) as collector:
        past = [{**event, "occurred_at": collector.clock.now_ms - 1_000} for event in events(200)]
        taken, refused = history(collector, past), history(collector, past)
        live = collector.post(events(1))

    assert (taken, refused, live.status_code) == (202, 429, 202)


def test_what_is_turned_away_is_counted_for_its_owner_by_the_stores_own_hour() -> None:
    with running_collector(with_limits(store_limit=BucketPolicy(1, 100))) as collector:
        collector.post(events(100))
        too_fast = [collector.post(events(30)).status_code for _ in range(3)]
        collector.clock.step(200)
        collector.post(events(100, url="https://shop.example/{}"))
        too_new = collector.post(gzip.compress(b'{"event_id":"a"}'), **{"content-encoding": "gzip"})

    assert (too_fast, too_new.status_code) == ([429] * 3, 429)
    # The clock stands at 15:06 by UTC, which is 17:06 in Berlin.
    assert collector.turned_away.of("shop", "2025-06-15", "2025-06-15") == [
        TurnedAway("shop", "2025-06-15T17", "new_values", 1, 1),
        TurnedAway("shop", "2025-06-15T17", "rate", 3, 90),
    ]


def test_counts_wait_while_mongo_hangs_and_nothing_else_does() -> None:
    book, clock = MemoryTurnedAway(), SteppingClock(1_750_000_000_000)
    counts = TurnedAwayCounts(book, clock.epoch_ms, clock.monotonic)
    book.answers.clear()
    for _ in range(5):
        counts.add(SHOP, "rate", 2)

    async def scenario() -> tuple[list[bool], int]:
        saving = asyncio.create_task(counts.save())
        turns = 0
        while not saving.done():
            await asyncio.sleep(0.01)
            turns += 1
        fails_fast = await counts.save()
        book.answers.set()
        clock.step(60)
        return [await saving, fails_fast, await counts.save()], turns

    saved, turns = asyncio.run(scenario())

    assert saved == [False, False, True]
    assert turns > 20
    assert [(count.requests, count.events) for count in book.of("shop", "2025-01-01", "2026-01-01")] == [(5, 10)]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans(), st.booleans()), max_size=30))
def test_every_count_is_saved_once_or_waits_within_the_bound(steps: list[tuple[str, bool, bool]]) -> None:
    book, clock = MemoryTurnedAway(), SteppingClock(1_750_000_000_000)
    counts = TurnedAwayCounts(book, clock.epoch_ms, clock.monotonic, most=3)
    added: Counter[str] = Counter()
    for slug, available, save in steps:
        if len(counts) < 3:
            counts.add(replace(SHOP, slug=slug), "rate", 1)
            added[slug] += 1
        book.available = available
        clock.step(60)
        if save:
            asyncio.run(counts.save())
        assert len(counts) <= 3
    book.available = True
    clock.step(60)
    asyncio.run(counts.save())

    assert {slug: sum(c.requests for c in book.of(slug, "2025-01-01", "2026-01-01")) for slug in added} == added


def history(collector: Collector, document: Any) -> int:
    headers = {"authorization": f"Bearer {IMPORT_KEY}"}
    return collector.http.post("/v1/import", json=document, headers=headers).status_code
