"""Numbers for Prometheus are asked for seldom enough to cost nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from connectors.errors import Refused, Unavailable
from runtime.shared_answer import SharedAnswer


@dataclass
class Part:
    """Something that answers with how often it was asked, takes its time, or is away."""

    seconds: float = 0.0
    error: Exception | None = None
    now: float = 0.0
    asked_at: list[float] = field(default_factory=list)

    def ask(self) -> int:
        self.asked_at.append(self.now)
        self.now += self.seconds
        if self.error is not None:
            raise self.error
        return len(self.asked_at)


def test_an_answer_is_used_until_it_is_old() -> None:
    part = Part()
    remembered = SharedAnswer(part.ask, 5.0, lambda: part.now)
    answers = []
    for part.now in (0.0, 1.0, 4.9, 5.0, 6.0):
        answers.append(remembered.get())
    assert answers == [1, 1, 1, 2, 2]


def test_a_slow_answer_is_used_twenty_times_as_long_as_it_took() -> None:
    part = Part(seconds=2.0)
    remembered = SharedAnswer(part.ask, 5.0, lambda: part.now)
    for second in range(100):
        part.now = max(part.now, float(second))
        remembered.get()
    assert part.asked_at == [0.0, 42.0, 84.0]


@pytest.mark.parametrize("error", [Unavailable("away"), Refused("no such table")])
def test_while_there_is_no_answer_there_is_none_and_nobody_asks_at_every_scrape(error: Exception) -> None:
    part = Part(error=error)
    remembered = SharedAnswer(part.ask, 5.0, lambda: part.now)
    answers = [remembered.get(), remembered.get()]
    part.now, part.error = 5.0, None
    assert (answers, remembered.get(), part.asked_at) == ([None, None], 2, [0.0, 5.0])
