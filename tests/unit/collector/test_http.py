"""Events over HTTP: what is taken, what is refused, whose it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest

from ingest.http.endpoints import GIF
from marketplace.token_bucket import BucketPolicy
from marketplace.topics import CLICKS_COLLECTED
from tests.kits.collector import SHOP, WRITE_KEY, Collector, error_of, running_collector, with_limits

EVENT = {"event_id": "a", "url": "https://shop.example/p"}
FULL_ADDRESS = "203.0.113.77"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


def test_an_accepted_event_is_on_the_topic_when_the_answer_comes(collector: Collector) -> None:
    response = collector.post(EVENT)

    assert response.status_code == 202
    assert response.json() == {"accepted": 1, "rejected": 0, "results": [{"event_id": "a", "status": "accepted"}]}
    assert [(click.event_id, click.store, click.url) for click in collector.clicks()] == [("a", "shop", EVENT["url"])]


def test_a_record_carries_key_partition_and_headers(collector: Collector) -> None:
    collector.post({**EVENT, "visitor_id": "me"})

    record = collector.producer.records(CLICKS_COLLECTED.name)[0]
    click = collector.clicks()[0]
    assert record.key == click.visitor.encode()
    assert record.partition == int(click.visitor, 16) % CLICKS_COLLECTED.partitions
    assert dict(record.headers)["ce_id"] == click.key.encode()


def test_a_batch_with_some_bad_events_keeps_the_good_ones_and_names_the_bad(collector: Collector) -> None:
    response = collector.post({"events": [EVENT, {"event_id": "b", "url": 3}, {"event_id": "c"}]})

    assert response.status_code == 202
    assert response.json() == {
        "accepted": 2,
        "rejected": 1,
        "results": [
            {"event_id": "a", "status": "accepted"},
            {
                "index": 1,
                "status": "rejected",
                "path": "events[1].url",
                "reason": "expected text, got a whole number",
            },
            {"event_id": "c", "status": "accepted"},
        ],
    }
    assert sorted(click.event_id for click in collector.clicks()) == ["a", "c"]


def test_a_rejected_event_is_a_dead_letter_with_its_reason_and_counted(collector: Collector) -> None:
    collector.post([EVENT, {"event_id": 3}])

    (letter,) = collector.dead_letters()
    headers = dict(letter.headers)
    assert (letter.value, headers["dlq_store"], headers["dlq_reason"]) == (b'{"event_id":3}', b"shop", b"field_type")
    assert collector.metric('marketplace_collector_events_rejected_total{reason="field_type"}') == 1
    assert collector.metric('marketplace_collector_events_accepted_total{origin="server"}') == 1


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        (b'{"event_id": 3}', "field_type", "event_id"),
        (b'[{"event_id": 3}]', "field_type", "[0].event_id"),
        (b"{", "not_json", ""),
        (b'{"event_id": "\xff"}', "not_utf8", ""),
        (b"[" * 20_000, "too_deep", ""),
        (b"[]", "empty_batch", ""),
    ],
)
def test_when_nothing_is_valid_the_answer_is_400_and_the_bytes_are_kept(
    collector: Collector, body: bytes, code: str, path: str
) -> None:
    response = collector.post(body)

    assert response.status_code == 400
    assert (error_of(response)["code"], error_of(response)["path"]) == (code, path)
    assert len(collector.dead_letters()) == 1
    assert collector.clicks() == []


def test_a_dead_letter_is_bounded_and_says_how_long_the_body_was(collector: Collector) -> None:
    collector.post(b'{"event_id": "' + b"x" * 200_000)

    (letter,) = collector.dead_letters()
    assert len(letter.value) == 64 * 1024
    assert dict(letter.headers)["dlq_full_bytes"] == b"200014"


@pytest.mark.parametrize(
    "headers",
    [{"x-write-key": WRITE_KEY}, {"authorization": f"Bearer {WRITE_KEY}"}, {"authorization": f"bearer {WRITE_KEY}"}],
)
def test_the_write_key_may_stand_in_either_header(collector: Collector, headers: dict[str, str]) -> None:
    assert collector.http.post("/v1/collect", json=EVENT, headers=headers).status_code == 202


def test_a_beacon_may_send_plain_text_with_its_key_in_the_query(collector: Collector) -> None:
    response = collector.http.post(
        f"/v1/collect?key={WRITE_KEY}", content=msgspec.json.encode(EVENT), headers={"content-type": "text/plain"}
    )

    assert response.status_code == 202
    assert collector.clicks()[0].origin == "web"


@pytest.mark.parametrize("key", ["", "unknown", "x" * 300])
def test_without_a_known_write_key_the_answer_is_401(collector: Collector, key: str) -> None:
    response = collector.http.post("/v1/collect", json=EVENT, headers={"x-write-key": key})

    assert response.status_code == 401
    assert error_of(response)["code"] == "write_key"
    assert collector.clicks() == []


def test_the_store_is_that_of_the_key_whatever_the_body_says(collector: Collector) -> None:
    collector.post({**EVENT, "store": "another"})

    assert collector.clicks()[0].store == "shop"


def test_a_client_over_its_rate_gets_429_and_when_to_come_back() -> None:
    with running_collector(with_limits(client_limit=BucketPolicy(1, 2))) as collector:
        statuses = [collector.post(EVENT).status_code for _ in range(3)]
        limited = collector.post(EVENT)
        elsewhere = collector.post(EVENT, **{"x-forwarded-for": "198.51.100.9"})
        collector.clock.step(1.0)
        again = collector.post(EVENT)

    assert statuses == [202, 202, 429]
    assert (limited.headers["retry-after"], error_of(limited)["code"]) == ("1", "rate_limited")
    assert (elsewhere.status_code, again.status_code) == (202, 202)


def test_a_store_over_its_rate_of_events_gets_429_and_nothing_of_the_batch_is_taken() -> None:
    with running_collector(with_limits(store_limit=BucketPolicy(10, 40))) as collector:
        first = collector.post([{"event_id": str(number)} for number in range(20)])
        second = collector.post([{"event_id": "x"}] * 10)
        taken = len(collector.clicks())

    assert (first.status_code, second.status_code, second.headers["retry-after"], taken) == (202, 429, "1", 20)


def test_the_pixel_records_a_view_and_is_never_cached(collector: Collector) -> None:
    response = collector.http.get(
        "/v1/pixel.gif",
        params={"key": WRITE_KEY, "id": "p1", "occurred_at": "1750000000000", "url": "https://shop.example/mail"},
    )

    assert (response.status_code, response.content, response.headers["content-type"]) == (200, GIF, "image/gif")
    assert "no-store" in response.headers["cache-control"]
    (click,) = collector.clicks()
    assert (click.event_id, click.origin, click.occurred_at_ms) == ("p1", "pixel", 1_750_000_000_000)
    assert click.url == "https://shop.example/mail"


@pytest.mark.parametrize(
    ("digits", "status"),
    [("9" * 4_301, 400), ("9" * 21, 400), ("0" * 5_000, 200), ("0" * 5_000 + "1750000000000", 200), ("٣", 400)],
)
def test_a_pixels_time_may_have_any_number_of_digits(collector: Collector, digits: str, status: int) -> None:
    response = collector.http.get("/v1/pixel.gif", params={"key": WRITE_KEY, "occurred_at": digits})

    assert response.status_code == status


def test_a_refused_body_of_a_page_is_kept_without_its_visitors_address(collector: Collector) -> None:
    collector.post([{"event_id": "", "note": f"from {FULL_ADDRESS}"}])
    collector.post(f'{{"ip": "{FULL_ADDRESS}"'.encode())

    letters = collector.dead_letters()
    assert [dict(letter.headers)["dlq_masked"] for letter in letters] == [b"addresses"] * 2
    assert [FULL_ADDRESS.encode() in (letter.value or b"") for letter in letters] == [False, False]


def test_a_pixel_without_an_id_is_a_new_event_each_time_on_the_page_that_shows_it(collector: Collector) -> None:
    for _ in range(2):
        collector.http.get(f"/v1/pixel.gif?key={WRITE_KEY}", headers={"referer": "https://shop.example/page"})

    clicks = collector.clicks()
    assert len({click.event_id for click in clicks}) == 2
    assert {click.url for click in clicks} == {"https://shop.example/page"}


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 401), ("key=unknown", 401), (f"key={WRITE_KEY}&type=buy", 400), (f"key={WRITE_KEY}&id=", 400)],
)
def test_the_pixel_is_an_image_whatever_the_outcome(collector: Collector, query: str, status: int) -> None:
    response = collector.http.get(f"/v1/pixel.gif?{query}")

    assert (response.status_code, response.content) == (status, GIF)


def test_the_pixel_says_when_kafka_is_unavailable(collector: Collector) -> None:
    collector.producer.available = False

    response = collector.http.get(f"/v1/pixel.gif?key={WRITE_KEY}")

    assert (response.status_code, response.content) == (503, GIF)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nope", 404), ("GET", "/v1/collect", 405), ("PUT", "/m.js", 405)]
)
def test_what_is_not_there_is_said_in_json(collector: Collector, method: str, path: str, status: int) -> None:
    response = collector.http.request(method, path)

    assert response.status_code == status
    assert set(error_of(response)) == {"code", "message", "path"}


def test_a_fault_of_ours_is_logged_and_answered_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with running_collector() as collector:
        # A salt that is no key for the hash: nothing a client could send, and nothing the code expects.
        collector.stores.upsert_store(replace(SHOP, visitor_secret="not hex"))
        response = collector.post({**EVENT, "visitor_id": "me"})

    assert (response.status_code, error_of(response)["code"]) == (500, "internal")
    assert "Traceback" not in response.text
    assert "collect failed" in caplog.text


def test_the_process_says_that_it_is_alive(collector: Collector) -> None:
    assert collector.http.get("/healthz").text == "ok\n"
