"""What a collector does while Kafka hangs: over HTTP, on a twin that hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from connectors.kafka.ack_watch import PROBE_SECONDS
from ingest.collect.partitions import METADATA_TIMEOUT_SECONDS
from tests.kits.collector import WRITE_KEY, Collector, eventually, memory_producer, running_collector

EVENT = {"event_id": "a", "url": "https://shop.example/p"}
STUCK_SECONDS = 0.5
SLACK_SECONDS = 1.4


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector(producer=memory_producer(stuck_seconds=STUCK_SECONDS)) as running:
        yield running
        running.producer.release()


def post_at_once(collector: Collector, count: int) -> list[tuple[int, float]]:
    """Statuses and seconds of requests that are sent side by side."""
    answers: list[tuple[int, float]] = []

    def post() -> None:
        began = time.monotonic()
        with httpx.Client(timeout=20) as http:
            answer = http.post(f"{collector.url}/v1/collect", json=EVENT, headers={"x-write-key": WRITE_KEY})
        assert answer.status_code == 202 or int(answer.headers["retry-after"]) >= 1
        answers.append((answer.status_code, time.monotonic() - began))

    threads = [threading.Thread(target=post) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return answers


def test_while_kafka_hangs_nobody_waits_longer_than_until_that_is_known(collector: Collector) -> None:
    assert collector.post(EVENT).status_code == 202
    collector.producer.hang()

    first, later = post_at_once(collector, 10), post_at_once(collector, 10)

    assert {status for status, _ in first + later} == {503}
    # One of them at a time may be the probe.
    for answers in (first, later):
        slowest, *others = sorted((seconds for _, seconds in answers), reverse=True)
        assert slowest < PROBE_SECONDS + SLACK_SECONDS
        assert max(others) < STUCK_SECONDS + SLACK_SECONDS
    collector.producer.release()
    eventually(lambda: collector.post(EVENT).status_code == 202, "it takes events again")


def test_a_start_while_kafka_hangs_makes_nobody_wait_for_others(collector: Collector) -> None:
    collector.producer.hang()

    first = post_at_once(collector, 10)
    began = time.monotonic()
    assert collector.post(EVENT).status_code == 503

    assert {status for status, _ in first} == {503}
    assert max(seconds for _, seconds in first) < METADATA_TIMEOUT_SECONDS + SLACK_SECONDS
    assert time.monotonic() - began < SLACK_SECONDS
    collector.producer.release()
    collector.clock.step(60)
    eventually(lambda: collector.post(EVENT).status_code == 202, "it takes events again")
