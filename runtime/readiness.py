"""A service's health: whether its event loop runs, and which of the parts that it uses answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from typing import Final

import msgspec

from connectors.errors import Unavailable
from runtime.admin import Answer
from runtime.heartbeat import Heartbeat
from runtime.worker_pool import WorkerPool

HUNG_SECONDS: Final = 10.0
"""An event loop that has not run for this long counts as hung."""

QUESTION_SECONDS: Final = 1.5
"""What a question to a part should take at most."""

_ANSWER_SECONDS: Final = 1.8
_ANSWERS: Final = "answers"


def liveness(heartbeat: Heartbeat, hung_seconds: float = HUNG_SECONDS) -> Answer:
    """200 while the event loop makes progress; otherwise 503, with one line that says for how long it has not."""
    silent_seconds = heartbeat.silent_seconds
    if silent_seconds < hung_seconds:
        return Answer(200, b"ok\n")
    return Answer(503, f"the event loop has not run for {silent_seconds:.0f} s\n".encode())


class Readiness:
    """Asks all parts at the same time, with a deadline, and each at most once at a time.

    Args:
        questions: For each part a call that returns when it answers, and raises ``Unavailable`` otherwise.
        required: The parts without which the service can do nothing.
        answer_seconds: The deadline, whatever the calls do.
    """

    def __init__(
        self,
        questions: Mapping[str, Callable[[], object]],
        required: Collection[str],
        answer_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        self._answer_seconds, self._required = answer_seconds, frozenset(required)
        self._questions = {name: _Question(name, ask) for name, ask in questions.items()}

    def answer(self) -> Answer:
        """200 while all required parts answer; the body says of each part what it does."""
        deadline = time.monotonic() + self._answer_seconds
        asked = {name: question.begin() for name, question in self._questions.items()}
        said = {name: _outcome(each, deadline) for name, each in asked.items()}
        ready = all(said[name] == _ANSWERS for name in self._required)
        return Answer(200 if ready else 503, msgspec.json.encode({"ready": ready, **said}), "application/json")

    def close(self) -> None:
        """Let the threads end."""
        for question in self._questions.values():
            question.close()


class _Question:
    """A check that runs at most once at a time; callers meanwhile share its result."""

    def __init__(self, name: str, ask: Callable[[], object]) -> None:
        self._ask = ask
        self._pool = WorkerPool(1, 0, f"readiness-{name}")
        self._lock = threading.Lock()
        self._asked: Future[object] | None = None

    def begin(self) -> Future[object]:
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = self._pool.submit(self._ask)
            return self._asked

    def close(self) -> None:
        self._pool.close()


def _outcome(asked: Future[object], deadline: float) -> str:
    try:
        asked.result(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        return "no answer in time"
    except Unavailable as error:
        return str(error)
    return _ANSWERS
