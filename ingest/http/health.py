"""A collector's health: whether its event loop runs, and which of its dependencies answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

import msgspec

from connectors.errors import Unavailable
from ingest.dependencies import CollectorDependencies
from marketplace.topics import CLICKS_COLLECTED
from runtime.admin import Answer
from runtime.heartbeat import Heartbeat
from runtime.worker_pool import WorkerPool

HUNG_SECONDS: Final = 10.0
"""An event loop that has not run for this long counts as hung."""

_QUESTION_SECONDS: Final = 1.5
_ANSWER_SECONDS: Final = 1.8
_ANSWERS: Final = "answers"


def liveness(heartbeat: Heartbeat, hung_seconds: float = HUNG_SECONDS) -> Answer:
    """200 while the event loop makes progress; otherwise 503, with one line that says for how long it has not."""
    silent_seconds = heartbeat.silent_seconds
    if silent_seconds < hung_seconds:
        return Answer(200, b"ok\n")
    return Answer(503, f"the event loop has not run for {silent_seconds:.0f} s\n".encode())


class Readiness:
    """Checks Kafka and Mongo in parallel, with a deadline, and at most one check of each at a time.

    Args:
        dependencies: The clients to check.
        answer_seconds: The deadline, whatever the clients do.
    """

    def __init__(self, dependencies: CollectorDependencies, answer_seconds: float = _ANSWER_SECONDS) -> None:
        self._answer_seconds = answer_seconds
        self._kafka = _Question(
            "kafka", lambda: dependencies.producer.partition_count(CLICKS_COLLECTED.name, _QUESTION_SECONDS)
        )
        self._mongo = _Question("mongo", lambda: dependencies.stores.read(()))

    def answer(self) -> Answer:
        """200 while Kafka answers and has the topic: without Mongo, stores that were seen before are still served."""
        deadline = time.monotonic() + self._answer_seconds
        kafka, mongo = self._kafka.begin(), self._mongo.begin()
        said = {"kafka": _outcome(kafka, deadline), "mongo": _outcome(mongo, deadline)}
        ready = said["kafka"] == _ANSWERS
        return Answer(200 if ready else 503, msgspec.json.encode({"ready": ready, **said}), "application/json")

    def close(self) -> None:
        """Let the threads end."""
        self._kafka.close()
        self._mongo.close()


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
