"""What a collector does while a part is away, and what it writes down of a client."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest

from ingest.collect.partitions import METADATA_TIMEOUT_SECONDS
from marketplace.topics import CLICKS_COLLECTED
from tests.kits.collector import Collector, error_of, running_collector

EVENT = {"event_id": "a", "url": "https://shop.example/p"}
FULL_ADDRESS = "203.0.113.77"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


def test_when_kafka_is_unavailable_the_answer_is_503_and_a_retry_later_is_taken(collector: Collector) -> None:
    collector.post(EVENT)
    collector.producer.available = False
    away = collector.post(EVENT)
    not_ready = collector.admin("/readyz")
    collector.producer.available = True

    assert (away.status_code, error_of(away)["code"]) == (503, "unavailable")
    assert int(away.headers["retry-after"]) >= 1
    assert not_ready.status_code == 503
    assert collector.post(EVENT).status_code == 202
    assert collector.admin("/readyz").status_code == 200


def test_a_rejection_is_not_said_before_its_dead_letter_is_kept(collector: Collector) -> None:
    collector.producer.available = False

    assert collector.post(b"{").status_code == 503


def test_while_mongo_is_unavailable_known_stores_and_known_salts_go_on(collector: Collector) -> None:
    collector.post(EVENT)
    collector.stores.available = collector.salts.available = False
    collector.clock.step(60)

    assert collector.post(EVENT).status_code == 202
    assert collector.http.post("/v1/collect", json=EVENT, headers={"x-write-key": "unseen"}).status_code == 503


def test_a_visitor_that_cannot_be_stamped_is_503_and_one_with_its_own_id_is_not(collector: Collector) -> None:
    collector.salts.available = False

    assert collector.post(EVENT).status_code == 503
    assert collector.post({**EVENT, "visitor_id": "me"}).status_code == 202


def test_cookieless_visitors_are_distinguished_by_address_and_agent(collector: Collector) -> None:
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
    answers.append(collector.admin("/metrics"))

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


def test_a_question_about_partitions_that_is_not_answered_holds_no_event(collector: Collector) -> None:
    collector.post(EVENT)
    collector.producer.answers.clear()
    collector.clock.step(61)

    began = time.monotonic()
    assert [collector.post(EVENT).status_code for _ in range(2)] == [202, 202]
    assert time.monotonic() - began < METADATA_TIMEOUT_SECONDS
    collector.producer.answers.set()
