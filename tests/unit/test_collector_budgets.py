"""What a store that sends too much is answered, and that others do not pay for it."""

from __future__ import annotations

import gzip
from dataclasses import replace
from typing import Any

from marketplace.collect_limits import BucketPolicy
from marketplace.stores import hash_write_key, import_key
from tests.collector_kit import SHOP, Collector, error_of, running_collector, with_limits

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


def history(collector: Collector, document: Any) -> int:
    headers = {"authorization": f"Bearer {IMPORT_KEY}"}
    return collector.http.post("/v1/import", json=document, headers=headers).status_code
