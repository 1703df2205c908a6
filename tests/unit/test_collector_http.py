from __future__ import annotations

import gzip
import logging
from collections.abc import Iterator
from dataclasses import replace

import httpx
import msgspec
import pytest
from backports import zstd

from ingest.doors import GIF
from marketplace.collect_limits import BucketPolicy
from marketplace.topics import CLICKS_COLLECTED
from tests.collector_kit import SHOP, WRITE_KEY, Collector, running_collector, with_limits

EVENT = {"event_id": "a", "url": "https://shop.example/p"}
FULL_ADDRESS = "203.0.113.77"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


def error_of(response: httpx.Response) -> dict[str, str]:
    document = response.json()["error"]
    assert isinstance(document, dict)
    return document


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
    assert (letter.value, headers["store"], headers["dlq_reason"]) == (b'{"event_id":3}', b"shop", b"field_type")
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


@pytest.mark.parametrize(("name", "compress"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_compressed_bodies_are_read(collector: Collector, name: str, compress: type[bytes]) -> None:
    response = collector.post(bytes(compress(msgspec.json.encode(EVENT))), **{"content-encoding": name})

    assert response.status_code == 202


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_body_that_is_not_what_its_encoding_says_is_400(collector: Collector, name: str) -> None:
    response = collector.post(b"not compressed", **{"content-encoding": name})

    assert (response.status_code, error_of(response)["code"]) == (400, "bad_compression")


@pytest.mark.parametrize(("name", "compress"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_a_compressed_body_cut_short_is_400(collector: Collector, name: str, compress: type[bytes]) -> None:
    cut = bytes(compress(msgspec.json.encode(EVENT)))[:-4]

    assert collector.post(cut, **{"content-encoding": name}).status_code == 400


@pytest.mark.parametrize(("name", "compress"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_a_decompression_bomb_is_413(collector: Collector, name: str, compress: type[bytes]) -> None:
    bomb = bytes(compress(b" " * 100_000_000))
    assert len(bomb) < 1024 * 1024

    response = collector.post(bomb, **{"content-encoding": name})

    assert (response.status_code, error_of(response)["code"]) == (413, "body_too_large")


def test_a_10_mb_body_is_413_with_a_declared_length(collector: Collector) -> None:
    response = collector.post(b"x" * 10_000_000)

    assert (response.status_code, error_of(response)["code"]) == (413, "body_too_large")


def test_a_10_mb_body_is_413_when_it_comes_in_chunks(collector: Collector) -> None:
    chunks = (b"x" * 10_000 for _ in range(1_000))

    response = collector.http.post("/v1/collect", content=chunks, headers={"x-write-key": WRITE_KEY})

    assert (response.status_code, error_of(response)["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "headers", [{"content-type": "application/xml"}, {"content-encoding": "br"}, {"content-encoding": "gzip, gzip"}]
)
def test_a_type_or_encoding_that_is_not_known_is_415(collector: Collector, headers: dict[str, str]) -> None:
    assert collector.post(EVENT, **headers).status_code == 415


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
    with running_collector(with_limits(store_limit=BucketPolicy(10, 20))) as collector:
        first = collector.post([{"event_id": str(number)} for number in range(20)])
        second = collector.post([{"event_id": "x"}] * 10)
        taken = len(collector.clicks())

    assert (first.status_code, second.status_code, second.headers["retry-after"], taken) == (202, 429, "1", 20)


def test_when_kafka_is_away_the_answer_is_503_and_a_retry_later_is_taken(collector: Collector) -> None:
    collector.post(EVENT)
    collector.producer.available = False
    away = collector.post(EVENT)
    not_ready = collector.http.get("/readyz")
    collector.producer.available = True

    assert (away.status_code, error_of(away)["code"]) == (503, "unavailable")
    assert int(away.headers["retry-after"]) >= 1
    assert not_ready.status_code == 503
    assert collector.post(EVENT).status_code == 202
    assert collector.http.get("/readyz").status_code == 200


def test_a_rejection_is_not_said_before_its_dead_letter_is_kept(collector: Collector) -> None:
    collector.producer.available = False

    assert collector.post(b"{").status_code == 503


def test_while_mongo_is_away_known_stores_and_known_salts_go_on(collector: Collector) -> None:
    collector.post(EVENT)
    collector.stores.available = collector.salts.available = False
    collector.clock.step(60)

    assert collector.post(EVENT).status_code == 202
    assert collector.http.post("/v1/collect", json=EVENT, headers={"x-write-key": "unseen"}).status_code == 503


def test_a_visitor_that_cannot_be_stamped_is_503_and_one_with_its_own_id_is_not(collector: Collector) -> None:
    collector.salts.available = False

    assert collector.post(EVENT).status_code == 503
    assert collector.post({**EVENT, "visitor_id": "me"}).status_code == 202


def test_cookieless_visitors_are_told_apart_by_address_and_agent(collector: Collector) -> None:
    for address, agent in (("198.51.100.1", "A"), ("198.51.100.1", "A"), ("198.51.100.2", "A"), ("198.51.100.1", "B")):
        collector.post(EVENT, **{"x-forwarded-for": address, "user-agent": agent})

    visitors = [click.visitor for click in collector.clicks()]
    assert len(visitors) == 4
    assert len(set(visitors)) == 3


def test_the_full_address_is_in_no_record_dead_letter_metric_or_log(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"x-forwarded-for": FULL_ADDRESS}
    answers = [collector.post([EVENT, {}], **headers), collector.post(b"{", **headers)]
    collector.producer.available = False
    answers.append(collector.post(EVENT, **headers))
    answers.append(collector.http.get("/metrics"))

    records = collector.producer.records(CLICKS_COLLECTED.name) + collector.dead_letters()
    seen = [repr(record) for record in records] + [answer.text for answer in answers] + [caplog.text]
    assert collector.clicks()[0].ip == "203.0.113.0"
    assert [text for text in seen if FULL_ADDRESS in text] == []


@pytest.mark.parametrize("header", ["dnt", "sec-gpc"])
def test_an_opt_out_header_is_written_down(collector: Collector, header: str) -> None:
    collector.post(EVENT, **{header: "1"})

    assert collector.clicks()[0].opted_out


@pytest.mark.parametrize(
    "headers", [{"sec-purpose": "prefetch;prerender"}, {"purpose": "prefetch"}, {"x-moz": "prefetch"}]
)
def test_a_prefetch_is_automated(collector: Collector, headers: dict[str, str]) -> None:
    collector.post(EVENT, **headers)

    assert collector.clicks()[0].automated


def test_an_absurd_user_agent_is_cut_and_taken(collector: Collector) -> None:
    response = collector.post(EVENT, **{"user-agent": "x" * 9_000})

    assert response.status_code == 202
    assert len(collector.clicks()[0].user_agent) == 1_024


@pytest.mark.parametrize("occurred_at", ["1970-01-01T00:00:00Z", "2099-12-31T23:59:59Z"])
def test_times_far_away_are_taken_for_the_flow_to_judge(collector: Collector, occurred_at: str) -> None:
    assert collector.post({**EVENT, "occurred_at": occurred_at}).status_code == 202


def test_any_page_may_send_events_from_another_origin(collector: Collector) -> None:
    preflight = collector.http.options("/v1/collect", headers={"origin": "https://shop.example"})
    answer = collector.post(EVENT, origin="https://shop.example")

    assert preflight.status_code == 204
    assert "x-write-key" in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["access-control-allow-origin"] == answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


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


def test_the_pixel_says_when_kafka_is_away(collector: Collector) -> None:
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
