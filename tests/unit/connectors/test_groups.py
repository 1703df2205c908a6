"""Questions about consumer groups, as brokers answer them that do not know yet who answers."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.groups import RETRIABLE, answered

SECONDS = 2.0
CODES = [code for name, code in vars(KafkaError).items() if name.isupper() and isinstance(code, int)]


class Broker:
    """Answers with errors first; each answer takes a while, by a clock that moves with answers and pauses alone."""

    def __init__(self, errors: Iterable[int], seconds: float = 0.0) -> None:
        self.left = list(errors)
        self.now = 100.0
        self.asked: list[float] = []
        self._seconds = seconds

    def ask(self, seconds: float) -> str:
        self.asked.append(seconds)
        self.now += self._seconds
        if self.left:
            raise KafkaException(KafkaError(self.left.pop(0)))
        return "the answer"

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def answer(self) -> str:
        return answered(self.ask, SECONDS, lambda: self.now, self.wait)


@given(st.lists(st.sampled_from(sorted(RETRIABLE)), max_size=10), st.floats(0.0, 0.05))
def test_whatever_is_to_be_asked_again_is_asked_until_it_is_answered(errors: list[int], seconds: float) -> None:
    broker = Broker(errors, seconds)
    assert broker.answer() == "the answer"
    assert len(broker.asked) == len(errors) + 1


@given(st.sampled_from(sorted(RETRIABLE)), st.floats(0.0, 5.0))
def test_it_is_asked_no_longer_than_it_may_take_and_the_last_answer_is_the_error(code: int, seconds: float) -> None:
    broker = Broker([code] * 100, seconds)
    with pytest.raises(KafkaException) as raised:
        broker.answer()
    assert raised.value.args[0].code() == code
    assert all(0 < left <= SECONDS for left in broker.asked)
    assert broker.now <= 100.0 + SECONDS + seconds


@given(st.sampled_from(sorted(set(CODES) - RETRIABLE - {KafkaError.NO_ERROR})))
def test_what_will_not_change_is_asked_once(code: int) -> None:
    broker = Broker([code] * 2)
    with pytest.raises(KafkaException):
        broker.answer()
    assert len(broker.asked) == 1
