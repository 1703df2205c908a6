"""What a collector says of itself: whether its event loop runs, and which parts answer it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

import msgspec

from connectors.errors import Unavailable
from ingest.parts import Parts
from marketplace.topics import CLICKS_COLLECTED
from runtime.admin import Answer
from runtime.heartbeat import Heartbeat
from runtime.worker_pool import WorkerPool

HUNG_SECONDS: Final = 10.0
"""An event loop that has not run for so long hangs."""

_QUESTION_SECONDS: Final = 1.5
_ANSWER_SECONDS: Final = 1.8
_ANSWERS: Final = "answers"


def liveness(heartbeat: Heartbeat, hung_seconds: float = HUNG_SECONDS) -> Answer:
    """200 while the event loop makes progress; 503, with one line that says for how long it has not."""
    silent_seconds = heartbeat.silent_seconds
    if silent_seconds < hung_seconds:
        return Answer(200, b"ok\n")
    return Answer(503, f"the event loop has not run for {silent_seconds:.0f} s\n".encode())


class Readiness:
    """Asks Kafka and Mongo side by side, with a deadline, and each once at a time.

    Args:
        parts: Whom to ask.
        answer_seconds: An answer takes no longer, whatever the clients do.
    """

    def __init__(self, parts: Parts, answer_seconds: float = _ANSWER_SECONDS) -> None:
        self._answer_seconds = answer_seconds
        self._kafka = _Question(
            "kafka", lambda: parts.producer.partition_count(CLICKS_COLLECTED.name, _QUESTION_SECONDS)
        )
        self._mongo = _Question("mongo", lambda: parts.stores.read(()))

    def answer(self) -> Answer:
        """200 while Kafka answers and has the topic: without Mongo the stores that were seen before go on."""
        deadline = time.monotonic() + self._answer_seconds
        kafka, mongo = self._kafka.begin(), self._mongo.begin()
        said = {"kafka": _outcome(kafka, deadline), "mongo": _outcome(mongo, deadline)}
        ready = said["kafka"] == _ANSWERS
        return Answer(200 if ready else 503, msgspec.json.encode({"ready": ready, **said}), "application/json")

    def close(self) -> None:
        """Let its threads end."""
        self._kafka.close()
        self._mongo.close()


class _Question:
    """A question that is under way once at most: whoever asks meanwhile gets the same answer."""

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
