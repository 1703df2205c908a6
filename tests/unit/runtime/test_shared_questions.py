from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import pytest

from connectors.errors import Unavailable
from runtime.shared_questions import SharedQuestions


class Part:
    """Answers with a key's version, which can change, and can be made to wait or to fail."""

    def __init__(self) -> None:
        self.version, self.asked = 1, list[list[str]]()
        self.error: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def ask(self, keys: Sequence[str]) -> Mapping[str, str | Exception]:
        self.asked.append(list(keys))
        answers: dict[str, str | Exception] = {key: f"{key}{self.version}" for key in keys if key != "nobody"}
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        if "broken" in answers:
            answers["broken"] = KeyError("email")
        return answers


async def every_task_waits() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_who_asks_at_one_time_shares_a_question_and_each_gets_the_own_answer() -> None:
    async def work() -> None:
        part = Part()
        questions = SharedQuestions(part.ask)
        assert await asyncio.gather(*map(questions.get, ["a", "b", "nobody", "a"])) == ["a1", "b1", None, "a1"]
        assert part.asked == [["a", "b", "nobody"]]

    asyncio.run(work())


def test_no_answer_is_older_than_its_asking() -> None:
    async def work() -> None:
        part = Part()
        questions = SharedQuestions(part.ask, at_once=1)
        part.may_answer.clear()
        before = asyncio.create_task(questions.get("a"))
        await every_task_waits()
        part.version = 2
        after = asyncio.create_task(questions.get("a"))
        await every_task_waits()
        part.may_answer.set()
        assert [await before, await after] == ["a1", "a2"]

    asyncio.run(work())


def test_questions_under_way_and_keys_of_each_are_bounded_and_none_is_forgotten() -> None:
    async def work() -> None:
        part = Part()
        questions = SharedQuestions(part.ask, at_once=2, most_keys=3)
        part.may_answer.clear()
        asking = [asyncio.create_task(questions.get(str(number))) for number in range(20)]
        await every_task_waits()
        assert len(part.asked) == 2
        part.may_answer.set()
        assert await asyncio.gather(*asking) == [f"{number}1" for number in range(20)]
        assert max(map(len, part.asked)) == 3

    asyncio.run(work())


def test_who_comes_at_the_moment_at_which_the_last_question_ends_is_asked_for_too() -> None:
    async def work() -> None:
        late: list[Coroutine[Any, Any, str | None]] = []

        def come() -> None:
            # Up to where it waits, in this very step of the loop.
            late.append(questions.get("late"))
            late[0].send(None)

        async def ask(keys: Sequence[str]) -> Mapping[str, str | Exception]:
            asked.append(list(keys))
            if not late:
                asyncio.get_running_loop().call_soon(come)
            return dict.fromkeys(keys, "x")

        asked = list[list[str]]()
        questions = SharedQuestions(ask, at_once=1)
        assert await questions.get("first") == "x"
        await every_task_waits()
        assert asked == [["first"], ["late"]]
        late[0].close()

    asyncio.run(work())


def test_what_is_wrong_with_one_key_is_raised_to_who_asked_for_it() -> None:
    async def work() -> None:
        questions = SharedQuestions(Part().ask)
        good, broken = await asyncio.gather(questions.get("a"), questions.get("broken"), return_exceptions=True)
        assert good == "a1"
        assert isinstance(broken, KeyError)

    asyncio.run(work())


def test_an_outage_is_raised_to_all_and_the_next_question_is_asked_again() -> None:
    async def work() -> None:
        part = Part()
        questions = SharedQuestions(part.ask)
        part.error = Unavailable("it does not answer")
        for found in await asyncio.gather(*map(questions.get, "ab"), return_exceptions=True):
            assert isinstance(found, Unavailable)
        part.error = None
        assert await questions.get("a") == "a1"

    asyncio.run(work())


def test_one_who_goes_away_takes_the_answer_from_nobody() -> None:
    async def work() -> None:
        part = Part()
        questions = SharedQuestions(part.ask)
        part.may_answer.clear()
        asking = [asyncio.create_task(questions.get("a")) for _ in range(2)]
        await every_task_waits()
        asking[0].cancel()
        part.may_answer.set()
        assert await asking[1] == "a1"
        with pytest.raises(asyncio.CancelledError):
            await asking[0]

    asyncio.run(work())
