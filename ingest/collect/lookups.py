"""Queries to Mongo off the event loop: worker threads, a deadline, a bounded queue and one circuit breaker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from functools import partial
from typing import Final, Generic, Literal, TypeVar, cast

from connectors.errors import Unavailable
from ingest.metrics import CollectorMetrics
from runtime.backoff import Backoff
from runtime.breaker import CircuitBreaker
from runtime.worker_pool import PoolFull, WorkerPool

MONGO_SECONDS: Final = 1.5
"""The deadline of the Mongo client itself."""

_DEADLINE_SECONDS: Final = 2.0
_BACKOFF: Final = Backoff(0.5, 1.0, 2.0)
_THREADS: Final = 2
_log = logging.getLogger(__name__)

Lane = Literal["known", "unknown", "salt"]
_LANES: Final[tuple[Lane, ...]] = ("known", "unknown", "salt")
"""Each has its own threads, so that a flood of unknown keys cannot delay the refresh of known stores."""

_MAX_WAITING: Final = 1_000
"""The queue of a lane: as many as a healthy Mongo answers before the deadline; a start with many stores fits."""

_Answer = TypeVar("_Answer")


class LookupFailed(Unavailable):
    """Mongo was not queried, or did not answer in time.

    Attributes:
        retry_after_seconds: When a retry may succeed.
    """

    def __init__(self, message: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Lookups:
    """Queries to Mongo from one event loop; equal queries that are under way at the same time are run once.

    While the breaker is open, calls fail at once, except for the one query that probes whether Mongo is back.

    Args:
        monotonic: Seconds of a monotonic clock, for the breaker.
        metrics: Counts the results.
        deadline_seconds: The longest wait for an answer, whatever the Mongo client does.
        max_waiting: Queued queries of a lane; more fail at once.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        metrics: CollectorMetrics,
        deadline_seconds: float = _DEADLINE_SECONDS,
        max_waiting: int = _MAX_WAITING,
    ) -> None:
        self._monotonic, self._deadline_seconds = monotonic, deadline_seconds
        self._breaker = CircuitBreaker(_BACKOFF, probe_seconds=2 * deadline_seconds)
        self._pools = {lane: WorkerPool(_THREADS, max_waiting, f"mongo-{lane}") for lane in _LANES}
        self._asking: dict[tuple[Lane, Hashable], asyncio.Task[object]] = {}
        self._counts = {
            (lane, result): metrics.lookups.labels(lane, result)
            for lane in _LANES
            for result in ("answered", "failed", "late", "not_asked")
        }
        metrics.mongo_breaker_open.set_function(lambda: float(self._breaker.open))

    async def ask(
        self, lane: Lane, key: Hashable, call: Callable[[], _Answer], learn: Callable[[_Answer], object]
    ) -> _Answer:
        """Run a query, or wait for the same query that is already under way.

        Args:
            lane: Which threads run it.
            key: Equal for equal queries of a lane.
            call: The query; it blocks and raises :class:`Unavailable` where Mongo does not answer.
            learn: Called with an answer that comes in time.

        Raises:
            LookupFailed: At once while the breaker is open or the queue is full, otherwise after the deadline.
            Exception: Any other error of the call.
        """
        task = self._task(lane, key, call, learn)
        # A client that disconnects must not cancel the query for the others that wait for it.
        return await asyncio.shield(task)

    def start(self, lane: Lane, key: Hashable, call: Callable[[], _Answer], learn: Callable[[_Answer], object]) -> None:
        """Run a query in the background unless it is under way or would fail at once; see :meth:`ask`."""
        if (lane, key) in self._asking or self._breaker.retry_after(self._monotonic()):
            return
        self._task(lane, key, call, learn)

    def close(self) -> None:
        """Let the threads end, without waiting for running queries."""
        for pool in self._pools.values():
            pool.close()
        for task in self._asking.values():
            task.cancel()

    def _task(
        self, lane: Lane, key: Hashable, call: Callable[[], _Answer], learn: Callable[[_Answer], object]
    ) -> asyncio.Task[_Answer]:
        name = (lane, key)
        asked = self._asking.get(name)
        if asked is not None:
            return cast("asyncio.Task[_Answer]", asked)  # equal queries have answers of one type
        task = asyncio.create_task(self._ask(lane, call, learn))
        self._asking[name] = cast("asyncio.Task[object]", task)
        task.add_done_callback(partial(self._done, name))
        return task

    def _done(self, name: tuple[Lane, Hashable], task: asyncio.Task[object]) -> None:
        del self._asking[name]
        # A failure is logged here: nobody may be waiting for a task that was started in the background.
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, LookupFailed):
            _log.warning("mongo: %s", error)

    async def _ask(self, lane: Lane, call: Callable[[], _Answer], learn: Callable[[_Answer], object]) -> _Answer:
        wait_seconds = self._breaker.retry_after(self._monotonic())
        if wait_seconds:
            self._count(lane, "not_asked")
            raise LookupFailed("Mongo does not answer", wait_seconds)
        question = _Question(call, self._breaker, self._monotonic)
        try:
            future = self._pools[lane].submit(question)
        except PoolFull as error:
            self._count(lane, "not_asked")
            raise LookupFailed(str(error)) from None
        try:
            answer = await asyncio.wait_for(asyncio.wrap_future(future), self._deadline_seconds)
        except TimeoutError:
            if question.ticket:
                self._breaker.failed(self._monotonic(), question.ticket)
            self._count(lane, "late")
            raise LookupFailed("Mongo did not answer in time") from None
        except LookupFailed:
            self._count(lane, "not_asked")
            raise
        except Exception:
            self._count(lane, "failed")
            raise
        self._count(lane, "answered")
        learn(answer)
        return answer

    def _count(self, lane: Lane, result: str) -> None:
        self._counts[lane, result].inc()


class _Question(Generic[_Answer]):
    """A call on a thread that reports to the breaker."""

    def __init__(self, call: Callable[[], _Answer], breaker: CircuitBreaker, monotonic: Callable[[], float]) -> None:
        self._call, self._breaker, self._monotonic = call, breaker, monotonic
        self.ticket = 0

    def __call__(self) -> _Answer:
        # The breaker may have opened while the query was queued.
        self.ticket = self._breaker.admit(self._monotonic())
        if not self.ticket:
            raise LookupFailed("Mongo does not answer", self._breaker.retry_after(self._monotonic()))
        try:
            answer = self._call()
        except Unavailable:
            self._breaker.failed(self._monotonic(), self.ticket)
            raise
        except BaseException:
            # Mongo did answer, even if the answer is invalid.
            self._breaker.succeeded()
            raise
        self._breaker.succeeded()
        return answer
