"""What a collector does while Mongo hangs or crawls: the rules, on twins that do so."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from connectors.errors import Unavailable
from connectors.mongo.stores import MemoryStores, StoresUnavailable
from ingest.collect.known_salts import AHEAD
from ingest.collect.lookups import LookupFailed, Lookups
from ingest.faults import HttpFault
from ingest.metrics import CollectorMetrics
from marketplace.clicks.collect import read_body
from marketplace.stores import hash_write_key
from tests.kits.hang import NOON_MS, SENDER, World, key_of, world

DEADLINE_SECONDS = 10.0
MINUTE = 60.0


async def eventually(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not in time: {what}"
        await asyncio.sleep(0.005)


def test_a_hundred_stores_are_answered_202_through_two_minutes_without_mongo() -> None:
    async def run(made: World) -> None:
        assert await made.send_all(100) == {202}
        made.hang()
        for _ in range(240):
            made.clock.step(0.5)
            assert await made.send_all(100) == {202}
        assert made.value("mongo_breaker_open") == 1.0
        made.release()
        for _ in range(240):
            made.clock.step(0.5)
            assert await made.send_all(100) == {202}
            if not made.value("mongo_breaker_open"):
                return
            await asyncio.sleep(0.01)
        pytest.fail("Mongo is back and nobody noticed")

    with world(100) as made:
        asyncio.run(run(made))


@pytest.mark.parametrize("latency_seconds", [0.03, 10.0])
def test_a_mongo_that_crawls_keeps_no_store_in_use_waiting(latency_seconds: float) -> None:
    async def run(made: World) -> None:
        assert await made.send_all(50) == {202}
        made.stores.latency_seconds = made.salts.latency_seconds = latency_seconds
        began = time.monotonic()
        for _ in range(60):
            made.clock.step(1.0)
            assert await made.send_all(50) == {202}
        assert time.monotonic() - began < DEADLINE_SECONDS

    with world(50) as made:
        asyncio.run(run(made))


def test_an_unknown_key_is_turned_away_at_once_once_mongo_is_known_to_hang() -> None:
    async def run(made: World) -> None:
        made.hang()
        assert await made.send("nobody's") == 503
        began = time.monotonic()
        with pytest.raises(HttpFault) as fault:
            await made.service.authenticate("nobody's either", "192.0.2.1")
        assert time.monotonic() - began < 1.0
        assert (fault.value.status, fault.value.headers()["retry-after"]) == (503, "1")
        assert made.value("lookups_total", lane="unknown", result="not_asked") == 1.0

    with world(twin_seconds=1.5) as made:
        asyncio.run(run(made))


def test_one_key_at_a_time_finds_out_whether_mongo_is_back() -> None:
    async def run(made: World) -> None:
        made.hang()
        assert await made.send("first") == 503
        made.clock.step(3.0)
        statuses = await asyncio.gather(*(made.send(f"key {number}") for number in range(20)))
        assert set(statuses) == {503}
        assert made.value("lookups_total", lane="unknown", result="failed") == 2.0
        made.release()
        made.clock.step(3.0)
        assert await made.send("nobody's") == 401
        assert await made.send(key_of(0)) == 202

    with world() as made:
        asyncio.run(run(made))


def test_nobody_waits_longer_than_the_deadline_whatever_the_client_does() -> None:
    released = threading.Event()

    async def run() -> None:
        metrics = CollectorMetrics()
        lookups = Lookups(time.monotonic, metrics, deadline_seconds=0.1)
        began = time.monotonic()
        for _ in range(3):
            with pytest.raises(LookupFailed):
                await lookups.ask("known", "key", lambda: released.wait(DEADLINE_SECONDS), lambda _: None)
        assert time.monotonic() - began < DEADLINE_SECONDS / 2
        lookups.close()

    asyncio.run(run())
    released.set()


def test_equal_questions_are_asked_once_and_different_ones_of_a_full_lane_fail_at_once() -> None:
    released = threading.Event()

    async def run() -> None:
        lookups = Lookups(time.monotonic, CollectorMetrics(), max_waiting=10)
        asked: list[int] = []
        learned: list[int] = []

        def ask() -> int:
            asked.append(1)
            released.wait(DEADLINE_SECONDS)
            return 7

        same = [asyncio.create_task(lookups.ask("unknown", "same", ask, learned.append)) for _ in range(50)]
        others = [asyncio.create_task(lookups.ask("unknown", number, ask, learned.append)) for number in range(30)]
        done, _ = await asyncio.wait(others, timeout=0.2)
        assert len(done) == 30 - 11
        assert all(isinstance(task.exception(), LookupFailed) for task in done)
        assert await lookups.ask("known", "refresh", lambda: 8, learned.append) == 8
        released.set()
        assert await asyncio.gather(*same) == [7] * 50
        await asyncio.gather(*others, return_exceptions=True)
        assert learned == [8] + [7] * 12
        lookups.close()

    asyncio.run(run())


def test_a_client_that_goes_away_takes_the_answer_from_nobody() -> None:
    released = threading.Event()

    async def run() -> None:
        lookups = Lookups(time.monotonic, CollectorMetrics())
        both = [
            asyncio.create_task(lookups.ask("known", "key", lambda: released.wait(DEADLINE_SECONDS), lambda _: None))
            for _ in range(2)
        ]
        await asyncio.sleep(0)
        both[0].cancel()
        await asyncio.sleep(0)
        released.set()
        assert await both[1] is True
        lookups.close()

    asyncio.run(run())


def test_answers_that_make_no_sense_keep_nobody_from_asking() -> None:
    async def run(made: World) -> None:
        made.stores.documents["broken"] = {"_id": "broken", "write_key_hash": hash_write_key("broken")}
        assert await made.send("broken") == 503
        assert made.value("mongo_breaker_open") == 0.0
        assert await made.send(key_of(0)) == 202

    with world() as made:
        asyncio.run(run(made))


def test_a_key_that_was_changed_bites_within_ten_seconds_of_use() -> None:
    async def run(made: World) -> None:
        assert await made.send(key_of(0)) == 202
        made.stores.edit("shop-0", lambda _: {"write_key_hash": hash_write_key("new")})
        statuses = []
        for _ in range(10):
            made.clock.step(1.0)
            statuses.append(await made.send(key_of(0)))
            if made.clock.now_ms >= NOON_MS + 5_000:
                await eventually(lambda: made.value("lookups_total", lane="known", result="answered") == 1, "asked")
        assert statuses[-1] == 401
        assert await made.send("new") == 202

    with world() as made:
        asyncio.run(run(made))


def test_a_store_that_was_idle_is_looked_up_first_and_believed_if_mongo_does_not_answer() -> None:
    async def run(made: World) -> None:
        assert await made.send(key_of(0)) == 202
        made.clock.step(3_600)
        made.hang()
        assert await made.send(key_of(0)) == 202
        made.release()
        made.stores.edit("shop-0", lambda _: {"write_key_hash": hash_write_key("new")})
        made.clock.step(3_600)
        assert await made.send(key_of(0)) == 401

    with world() as made:
        asyncio.run(run(made))


def test_a_document_that_somebody_breaks_does_not_close_a_store_that_is_known() -> None:
    async def run(made: World) -> None:
        assert await made.send(key_of(0)) == 202
        made.stores.documents["shop-0"] = {**made.stores.documents["shop-0"], "timezone": "Mars/Olympus"}
        for _ in range(5):
            made.clock.step(3_600)
            assert await made.send(key_of(0)) == 202

    with world() as made:
        asyncio.run(run(made))


def test_a_hang_over_midnight_turns_no_visitor_away_from_a_store_in_use() -> None:
    async def run(made: World) -> None:
        made.clock.step(12 * 60 * MINUTE - AHEAD.total_seconds() - 1)
        assert await made.send_all(3) == {202}
        assert await made.service.fetch_salts_ahead() == 0
        made.clock.step(2)
        assert await made.service.fetch_salts_ahead() == 3
        assert await made.service.fetch_salts_ahead() == 0
        made.hang()
        for _ in range(20):
            made.clock.step(MINUTE)
            assert await made.send_all(3) == {202}

    with world(3) as made:
        asyncio.run(run(made))


def test_salts_of_stores_that_nobody_visits_are_not_fetched_ahead() -> None:
    async def run(made: World) -> None:
        assert await made.send(key_of(0)) == 202
        assert await made.send(key_of(1), own_id=True) == 202
        made.clock.step(timedelta(hours=12).total_seconds() - MINUTE)
        assert await made.service.fetch_salts_ahead() == 0

    with world(2) as made:
        asyncio.run(run(made))


def test_salts_that_came_before_the_deadline_are_kept_for_the_next_request() -> None:
    async def run(made: World) -> None:
        made.salts.latency_seconds = 0.02
        days = [f'{{"event_id":"{n}","occurred_at":{NOON_MS - n * 86_400_000}}}' for n in range(7)]
        store = await made.service.authenticate(key_of(0), "192.0.2.1")
        batch = read_body(f"[{','.join(days)}]".encode())
        assert (await made.service.collect(store, batch, SENDER)).status == 202
        made.hang()
        assert (await made.service.collect(store, batch, SENDER)).status == 202

    with world() as made:
        asyncio.run(run(made))


def test_a_hanging_twin_fails_after_its_deadline_and_answers_once_released() -> None:
    stores = MemoryStores(0.02)
    stores.hang()
    with pytest.raises(Unavailable):
        stores.get("shop")
    stores.release()
    stores.latency_seconds = 10.0
    with pytest.raises(StoresUnavailable):
        stores.get("shop")
    stores.latency_seconds = 0.001
    assert stores.get("shop") is None
