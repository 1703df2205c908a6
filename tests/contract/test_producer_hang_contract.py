"""The contract of a Kafka that hangs or crawls, kept by the real producer on a stopped broker and by its twin."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from connectors.kafka.memory import MemoryProducer
from connectors.kafka.producer import Producer
from connectors.kafka.records import Record, RecordProducer, Unavailable
from connectors.kafka.topics import TopicAdmin
from ops.stack import Stack

STUCK_SECONDS = 1.5
PROBE_SECONDS = 2.0
SLACK_SECONDS = 1.5
TIMEOUT_SECONDS = 20.0


@dataclass
class Moody:
    producer: RecordProducer
    topic: str
    hang: Callable[[], object]
    release: Callable[[], object]

    async def send(self) -> float:
        """Seconds until it was acknowledged."""
        began = time.monotonic()
        await self.producer.send_all_async([Record(self.topic, b"x", b"key")], TIMEOUT_SECONDS)
        return time.monotonic() - began

    async def settle(self) -> None:
        """Send until it is acknowledged."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            try:
                await self.send()
            except Unavailable:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            else:
                return

    async def seconds_until_unavailable(self) -> float:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await self.send()
        return time.monotonic() - began

    @contextmanager
    def crawling(self, pause_seconds: float) -> Iterator[None]:
        """It answers now and then only."""
        done = threading.Event()

        def alternate() -> None:
            while not done.is_set():
                self.hang()
                done.wait(pause_seconds)
                self.release()
                done.wait(pause_seconds)

        thread = threading.Thread(target=alternate)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(TIMEOUT_SECONDS)


@pytest.fixture(params=["memory", "kafka"])
def moody(request: pytest.FixtureRequest) -> Iterator[Moody]:
    topic = f"contract.{uuid.uuid4().hex}"
    if request.param == "memory":
        twin = MemoryProducer({topic: 1}, stuck_seconds=STUCK_SECONDS)
        yield Moody(twin, topic, twin.hang, twin.release)
        return
    stack: Stack = request.getfixturevalue("stack")
    TopicAdmin(stack.urls.kafka).create(topic, 1, 1, {})
    broker = stack.pid("kafka")
    producer = Producer(stack.urls.kafka, client_id="contract", stuck_seconds=STUCK_SECONDS)
    try:
        yield Moody(producer, topic, lambda: os.kill(broker, signal.SIGSTOP), lambda: os.kill(broker, signal.SIGCONT))
    finally:
        os.kill(broker, signal.SIGCONT)
        producer.close(TIMEOUT_SECONDS)


def test_all_that_wait_for_a_kafka_that_hangs_fail_together_and_later_ones_at_once(moody: Moody) -> None:
    async def run() -> None:
        await moody.settle()
        moody.hang()
        waited = await asyncio.gather(*(moody.seconds_until_unavailable() for _ in range(20)))
        assert STUCK_SECONDS / 2 < min(waited) <= max(waited) < STUCK_SECONDS + SLACK_SECONDS
        later = await asyncio.gather(*(moody.seconds_until_unavailable() for _ in range(20)))
        assert sorted(later)[-2] < SLACK_SECONDS
        assert max(later) < PROBE_SECONDS + SLACK_SECONDS

    asyncio.run(run())


def test_a_kafka_that_hung_takes_records_again_by_itself(moody: Moody) -> None:
    async def run() -> None:
        await moody.settle()
        moody.hang()
        await moody.seconds_until_unavailable()
        moody.release()
        await moody.settle()
        await asyncio.gather(*(moody.send() for _ in range(20)))

    asyncio.run(run())


def test_a_kafka_that_crawls_is_not_stuck(moody: Moody) -> None:
    async def run() -> None:
        await moody.settle()
        with moody.crawling(0.2 * STUCK_SECONDS):
            deadline = time.monotonic() + 2 * STUCK_SECONDS
            while time.monotonic() < deadline:
                await asyncio.gather(*(moody.send() for _ in range(5)))

    asyncio.run(run())


def test_a_thread_that_waits_for_a_kafka_that_hangs_is_not_kept_either(moody: Moody) -> None:
    record = Record(moody.topic, b"x", b"key")
    asyncio.run(moody.settle())
    moody.hang()
    waited = []
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(Unavailable):
            moody.producer.send_all([record], TIMEOUT_SECONDS)
        waited.append(time.monotonic() - began)
    assert waited[0] < STUCK_SECONDS + SLACK_SECONDS
    assert waited[1] < PROBE_SECONDS + SLACK_SECONDS


def test_a_question_to_a_kafka_that_hangs_fails_at_its_deadline(moody: Moody) -> None:
    moody.producer.partition_count(moody.topic, TIMEOUT_SECONDS)
    moody.hang()
    began = time.monotonic()
    with pytest.raises(Unavailable):
        moody.producer.partition_count(moody.topic, 0.5)
    assert time.monotonic() - began < 0.5 + SLACK_SECONDS


def test_closing_does_not_wait_for_a_kafka_that_hangs_and_what_waits_fails(moody: Moody) -> None:
    async def run() -> None:
        await moody.settle()
        moody.hang()
        sent = asyncio.create_task(moody.seconds_until_unavailable())
        await moody.seconds_until_unavailable()
        began = time.monotonic()
        await asyncio.to_thread(moody.producer.close, TIMEOUT_SECONDS)
        assert time.monotonic() - began < 1.0 + SLACK_SECONDS
        await sent

    asyncio.run(run())
