"""The door for history: who may use it, whose events they are, and when they happened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from marketplace.stores import hash_write_key, import_key, store_of_import_key
from tests.kits.collector import SHOP, WRITE_KEY, Collector, eventually, running_collector

KEY = import_key("shop", "6b" * 16)
IMPORTING = replace(SHOP, import_key_hash=hash_write_key(KEY))
DAY_MS = 86_400_000
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector(store=IMPORTING) as running:
        yield running


def send(collector: Collector, body: Any, key: str = KEY, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return collector.http.post("/v1/import", content=content, headers={"authorization": f"Bearer {key}", **headers})


def past(collector: Collector, days: float = 40, **fields: Any) -> dict[str, Any]:
    return {"event_id": "a", "occurred_at": round(collector.clock.now_ms - days * DAY_MS), **fields}


def test_an_event_of_40_days_ago_is_taken_as_imported_at_its_own_time(collector: Collector) -> None:
    event = past(collector)
    response = send(collector, {**event, "sent_at": collector.clock.now_ms - 9_000})
    assert response.status_code == 202
    (click,) = collector.clicks()
    assert (click.origin, click.occurred_at_ms, click.sent_at_ms) == ("import", event["occurred_at"], None)


@pytest.mark.parametrize(
    "key", ["x", WRITE_KEY, import_key("shop", "00" * 16), import_key("nobody", "6b" * 16), "import.shop.", "import..x"]
)
def test_no_other_key_may_import_history(collector: Collector, key: str) -> None:
    response = send(collector, past(collector), key)
    assert (response.status_code, response.json()["error"]["code"]) == (401, "import_key")
    assert collector.clicks() == []


def test_the_key_is_not_taken_from_a_url_or_another_header(collector: Collector) -> None:
    response = collector.http.post(f"/v1/import?key={KEY}", json=past(collector), headers={"x-write-key": KEY})
    assert response.status_code == 401


def test_the_import_key_may_not_send_live_events(collector: Collector) -> None:
    assert collector.post({"event_id": "a"}, **{"x-write-key": KEY}).status_code == 401


def test_a_store_without_an_import_key_takes_no_history() -> None:
    with running_collector() as plain:
        assert send(plain, past(plain)).status_code == 401


def test_a_rotated_key_stops_working_within_seconds(collector: Collector) -> None:
    assert send(collector, past(collector)).status_code == 202
    collector.stores.upsert_store(replace(IMPORTING, import_key_hash=hash_write_key(import_key("shop", "7c" * 16))))
    collector.clock.step(31)
    assert send(collector, past(collector)).status_code == 401


def test_a_page_cannot_ask_for_it_from_a_browser(collector: Collector) -> None:
    assert collector.http.options("/v1/import").status_code == 405


@pytest.mark.parametrize(
    ("fields", "path", "code"),
    [
        ({"occurred_at": 1_760_000_000_000}, "events[1].occurred_at", "timestamp"),
        ({"occurred_at": "last week"}, "events[1].occurred_at", "timestamp"),
        ({"ip": "198.51.100.300"}, "events[1].ip", "field_value"),
        ({"ip": 7}, "events[1].ip", "field_type"),
        ({"url": "x" * 3_000}, "events[1].url", "field_length"),
    ],
)
def test_a_bad_event_is_named_and_its_neighbours_are_taken(
    collector: Collector, fields: dict[str, Any], path: str, code: str
) -> None:
    bad = {**past(collector), "event_id": "bad", **fields}
    response = send(collector, {"events": [past(collector), bad]})
    assert (response.status_code, response.json()["accepted"], response.json()["rejected"]) == (202, 1, 1)
    assert response.json()["results"][1]["path"] == path
    assert dict(collector.dead_letters()[0].headers)["dlq_reason"] == code.encode()


def test_history_without_a_time_is_refused(collector: Collector) -> None:
    response = send(collector, {"event_id": "a"})
    assert (response.status_code, response.json()["error"]["path"]) == (400, "occurred_at")


def test_the_visitors_own_address_and_browser_are_taken_and_the_address_is_cut(collector: Collector) -> None:
    send(collector, past(collector, ip="203.0.113.77", user_agent=AGENT))
    (click,) = collector.clicks()
    assert (click.ip, click.user_agent) == ("203.0.113.0", AGENT)


def test_an_unknown_address_stays_unknown(collector: Collector) -> None:
    send(collector, past(collector, ip=""))
    assert collector.clicks()[0].ip == ""


def test_a_full_address_is_in_no_record(collector: Collector) -> None:
    good = past(collector, ip="203.0.113.77", user_agent=AGENT)
    send(collector, {"events": [good, {**good, "event_id": ""}]})
    send(collector, b'{"ip": "203.0.113.77"')
    records = [*collector.producer.records("clicks.collected.v1"), *collector.dead_letters()]
    assert len(records) == 3
    assert not any(b"203.0.113.77" in record.value for record in records)


@pytest.mark.parametrize(
    "event",
    ['203.0.113.77 - - "GET /"', {"ip_address": "203.0.113.77"}, {"event": {"ip": "203.0.113.77"}}, ["203.0.113.77"]],
)
def test_an_address_in_an_event_that_does_not_hold_is_cut_wherever_it_stands(collector: Collector, event: Any) -> None:
    send(collector, {"events": [past(collector), event]})
    (dead,) = collector.dead_letters()
    assert b"203.0.113.0" in dead.value
    assert b"203.0.113.77" not in dead.value


def test_visitors_of_one_request_are_distinguished_by_address_browser_and_day(collector: Collector) -> None:
    here = past(collector, ip="203.0.113.77", user_agent=AGENT)
    others = [
        {**here, "ip": "203.0.113.78"},
        {**here, "user_agent": "Another/1"},
        {**here, "occurred_at": here["occurred_at"] - DAY_MS},
    ]
    send(collector, [here, {**here, "event_id": "b"}, *others])
    visitors = [click.visitor for click in collector.clicks()]
    assert sorted(visitors.count(visitor) for visitor in set(visitors)) == [1, 1, 1, 2]


def test_a_cookieless_visitor_of_a_past_day_is_the_same_in_the_next_request(collector: Collector) -> None:
    event = past(collector, ip="203.0.113.77", user_agent=AGENT)
    send(collector, event)
    send(collector, {**event, "event_id": "b", "occurred_at": event["occurred_at"] + 1_000})
    assert len({click.visitor for click in collector.clicks()}) == 1


def test_an_event_sent_again_has_the_same_key_and_partition(collector: Collector) -> None:
    event = past(collector, ip="203.0.113.77", user_agent=AGENT)
    send(collector, event)
    send(collector, {**event, "ip": "203.0.113.99"})
    first, again = collector.producer.records("clicks.collected.v1")
    assert (dict(first.headers)["ce_id"], first.partition) == (dict(again.headers)["ce_id"], again.partition)


def test_what_a_page_sent_and_an_import_repeats_has_the_same_key(collector: Collector) -> None:
    event = past(collector, days=1, visitor_id="me", url="https://shop.example/p")
    collector.post(event)
    send(collector, {**event, "ip": "203.0.113.77", "user_agent": AGENT})
    live, imported = collector.clicks()
    assert (live.key, live.visitor) == (imported.key, imported.visitor)


def test_a_request_while_kafka_is_unavailable_may_be_sent_again(collector: Collector) -> None:
    collector.producer.available = False
    response = send(collector, past(collector))
    assert (response.status_code, "retry-after" in response.headers) == (503, True)


@pytest.mark.parametrize("key", ["", "import", "import.shop", "import.shop.", "key.shop.x", "import.Not A Slug.x"])
def test_what_is_no_import_key_names_no_store(key: str) -> None:
    assert store_of_import_key(key) is None


def test_an_import_key_names_its_store() -> None:
    assert store_of_import_key(KEY) == "shop"


def test_history_of_a_store_that_is_deleted_meanwhile_is_refused_within_some_seconds(collector: Collector) -> None:
    assert send(collector, past(collector)).status_code == 202
    collector.stores.documents["shop"] = {**collector.stores.documents["shop"], "deleted_at": datetime.now(UTC)}
    collector.clock.step(5)
    eventually(lambda: send(collector, past(collector)).status_code == 401, "the key is worth nothing")
    taken = len(collector.clicks())
    assert send(collector, past(collector)).json()["error"]["code"] == "import_key"
    assert len(collector.clicks()) == taken
