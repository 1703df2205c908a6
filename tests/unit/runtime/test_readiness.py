from __future__ import annotations

import threading
import time

import msgspec
import pytest

from connectors.errors import Unavailable
from runtime.admin import Answer
from runtime.heartbeat import Heartbeat
from runtime.readiness import Readiness, liveness


class Clock:
    """A time that stands until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def unavailable() -> None:
    raise Unavailable("nobody listens")


def test_a_service_is_ready_while_the_parts_answer_that_it_cannot_do_without() -> None:
    for required, status in ((("a",), 200), (("a", "b"), 503), ((), 200)):
        readiness = Readiness({"a": lambda: None, "b": unavailable}, required)
        answer = readiness.answer()
        assert answer.status == status
        assert msgspec.json.decode(answer.body) == {"ready": status == 200, "a": "answers", "b": "nobody listens"}
        readiness.close()


def test_a_part_that_never_answers_is_not_waited_for_and_asked_once() -> None:
    go_on, asked = threading.Event(), list[str]()

    def hang() -> None:
        asked.append("question")
        go_on.wait(20)

    readiness = Readiness({"a": lambda: None, "b": hang}, ("a",), answer_seconds=0.1)
    began = time.monotonic()
    answers = [msgspec.json.decode(readiness.answer().body) for _ in range(3)]
    assert time.monotonic() - began < 1.0
    assert answers == [{"ready": True, "a": "answers", "b": "no answer in time"}] * 3
    assert len(asked) == 1
    go_on.set()
    readiness.close()


@pytest.mark.parametrize(("seconds", "status"), [(0.0, 200), (9.9, 200), (10.0, 503), (1_000.0, 503)])
def test_the_process_lives_while_its_event_loop_runs_and_not_when_it_has_not_for_long(
    seconds: float, status: int
) -> None:
    clock = Clock()
    heartbeat = Heartbeat(clock)
    clock.now = seconds
    answer = liveness(heartbeat)
    assert answer.status == status
    if status == 503:
        assert answer.body == f"the event loop has not run for {seconds:.0f} s\n".encode()
    heartbeat.beat()
    assert liveness(heartbeat) == Answer(200, b"ok\n")
