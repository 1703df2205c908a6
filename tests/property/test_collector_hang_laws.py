from __future__ import annotations

import asyncio
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kits.hang import World, key_of, world

SHOPS = 3
TWIN_SECONDS = 0.01
WAIT_SECONDS = 2.0
MOODS = st.sampled_from(["answers", "hangs", "refuses", "crawls", "crawls past its deadline"])
PAUSES = st.sampled_from([0.0, 0.5, 1.0, 4.0, 5.0, 9.0, 11.0, 60.0, 3_600.0])


def turn(made: World, mood: str) -> None:
    for twin in (made.stores, made.salts):
        twin.release()
        twin.available, twin.latency_seconds = mood != "refuses", 0.0
        if mood == "hangs":
            twin.hang()
        if mood.startswith("crawls"):
            twin.latency_seconds = TWIN_SECONDS / 5 if mood == "crawls" else 10 * TWIN_SECONDS


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(MOODS, PAUSES), min_size=1, max_size=12))
def test_a_known_store_is_answered_202_and_soon_whatever_mongo_does(steps: list[tuple[str, float]]) -> None:
    async def run(made: World) -> None:
        assert await made.send_all(SHOPS) == {202}
        ends_at = made.clock.now_ms + 11 * 3_600_000
        for mood, pause in steps:
            if made.clock.now_ms + pause * 1_000 > ends_at:
                # A new day needs new salts: that is another law.
                break
            turn(made, mood)
            made.clock.step(pause)
            began = time.monotonic()
            assert await made.send_all(SHOPS) == {202}
            assert time.monotonic() - began < WAIT_SECONDS

    with world(SHOPS, TWIN_SECONDS) as made:
        asyncio.run(run(made))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(MOODS, PAUSES), max_size=8))
def test_after_any_trouble_keys_mean_what_mongo_says(steps: list[tuple[str, float]]) -> None:
    async def run(made: World) -> None:
        assert await made.send(key_of(0)) == 202
        for mood, pause in steps:
            turn(made, mood)
            made.clock.step(pause)
            assert await made.send("nobody's") in (401, 503)
        turn(made, "answers")
        made.stores.edit("shop-0", lambda _: {"write_key_hash": "0" * 64})
        made.clock.step(11)
        deadline = time.monotonic() + 10 * WAIT_SECONDS
        while (status := await made.send(key_of(0))) != 401:
            assert status == 202
            assert time.monotonic() < deadline
            made.clock.step(1)
            await asyncio.sleep(0.001)
        made.clock.step(6)
        assert await made.send("nobody's") == 401

    with world(1, TWIN_SECONDS) as made:
        asyncio.run(run(made))
