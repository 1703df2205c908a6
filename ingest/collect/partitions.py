"""The number of partitions of a topic, fetched on a thread and cached."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from connectors.errors import Unavailable
from connectors.kafka.records import RecordProducer
from runtime.backoff import Backoff
from runtime.breaker import CircuitBreaker
from runtime.worker_pool import PoolFull, WorkerPool

METADATA_TIMEOUT_SECONDS: Final = 1.5
_DEADLINE_SECONDS: Final = 2.0
_FRESH_SECONDS: Final = 60.0
_BACKOFF: Final = Backoff(0.5, 1.0, 2.0)


class PartitionCount:
    """A cached number of partitions; at most one request to Kafka is under way.

    Args:
        producer: Fetches the metadata.
        topic: The topic's name.
        monotonic: Seconds of a monotonic clock.
    """

    def __init__(self, producer: RecordProducer, topic: str, monotonic: Callable[[], float]) -> None:
        self._producer, self._topic, self._monotonic = producer, topic, monotonic
        self._known: tuple[float, int] | None = None
        self._asking: asyncio.Task[int] | None = None
        self._breaker = CircuitBreaker(_BACKOFF)
        self._pool = WorkerPool(1, 0, "partitions")

    async def get(self) -> int:
        """The last known number, refreshed in the background once a minute; waits only for the first one.

        Raises:
            Unavailable: No number is known yet, and Kafka did not answer in time or failed a moment ago.
        """
        if self._known is None:
            return await asyncio.shield(self._ask())
        since, count = self._known
        now = self._monotonic()
        if now - since >= _FRESH_SECONDS and not self._breaker.retry_after(now):
            self._ask()
        return count

    def close(self) -> None:
        """Let the thread end."""
        self._pool.close()

    def _ask(self) -> asyncio.Task[int]:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._count())
            # A background task may have nobody who awaits it: retrieve its exception.
            self._asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._asking

    async def _count(self) -> int:
        ticket = self._breaker.admit(self._monotonic())
        if not ticket:
            raise Unavailable("Kafka did not answer just now")
        try:
            future = self._pool.submit(lambda: self._producer.partition_count(self._topic, METADATA_TIMEOUT_SECONDS))
            count = await asyncio.wait_for(asyncio.wrap_future(future), _DEADLINE_SECONDS)
        except (Unavailable, PoolFull, TimeoutError) as error:
            self._breaker.failed(self._monotonic(), ticket)
            raise Unavailable(str(error) or "Kafka did not answer in time") from None
        except BaseException:
            # A probe must always report, or the breaker would stay closed to further probes.
            self._breaker.failed(self._monotonic(), ticket)
            raise
        self._breaker.succeeded()
        self._known = (self._monotonic(), count)
        return count
