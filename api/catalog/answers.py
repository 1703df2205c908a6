"""Public answers of catalogs, read from Redis, and made once for all who wait for one.

A request reads what is kept by the time it asks, so whatever was changed before, by any process, is in its answer.
Questions that come while one is under way share the next one: Redis is asked once for many requests.

An answer that is not kept is made once: requests of one process share a task, and processes a lease in Redis. It is
not kept where a change came in between, and made again.

Without Redis an answer is made from Mongo, once for those who wait in this process. What could not be forgotten in
Redis is forgotten as soon as it answers, and until then this process reads nothing of that store from it; another
process that does reach Redis may give an answer that is as old as answers are kept at most.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any, Final, TypeVar

import msgspec

from connectors.errors import Unavailable
from connectors.redis.read_cache import KEPT_SECONDS, Key, Lease, ReadCache
from runtime.breaker import CircuitBreaker

REDIS_SECONDS: Final = 0.08
"""How long a request waits for Redis; after one that waited in vain no request does until a probe is answered."""

_POLL_SECONDS: Final = 0.01
_WAIT_SECONDS: Final = 1.0
"""How long an answer that another process makes is waited for; then it is made here as well."""

_ATTEMPTS: Final = 4
_RETRY_SECONDS: Final = 0.25

_T = TypeVar("_T")


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """An answer as it is sent.

    Attributes:
        body: Its bytes; empty where it leads elsewhere.
        etag: Names them.
        location: Where the thing is now; empty where it is here.
    """

    body: bytes
    etag: str
    location: str = ""

    @staticmethod
    def of(content: Any) -> Answer:
        """The answer of a JSON document."""
        body = msgspec.json.encode(content)
        return Answer(body, f'"{blake2b(body, digest_size=12).hexdigest()}"')

    @staticmethod
    def elsewhere(location: str) -> Answer:
        """An answer that leads elsewhere."""
        return Answer(b"", "", location)


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """An answer with its own key, by which it is known to be no other one's."""

    key: str
    answer: Answer


@dataclass(frozen=True)
class Made:
    """An answer that was made now.

    Attributes:
        answer: The answer.
        tags: What makes it wrong when it is forgotten.
    """

    answer: Answer
    tags: tuple[str, ...]


STORE_TAG: Final = "store"
"""Of all answers of a store."""


def product_tag(product_id: str) -> str:
    """Of all answers that show a product."""
    return f"product:{product_id}"


Make = Callable[[], Awaitable[Made | None]]


class CatalogAnswers:
    """Gives answers and forgets them, for one event loop.

    Args:
        cache: Where they are kept; None where nothing is.
        monotonic: Seconds of a monotonic clock.
    """

    def __init__(self, cache: ReadCache | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._cache, self._monotonic = cache, monotonic
        self._breaker = CircuitBreaker()
        self._asked: defaultdict[Key, list[asyncio.Future[Answer | None]]] = defaultdict(list)
        self._asking: asyncio.Task[None] | None = None
        self._making: dict[Key, asyncio.Task[Answer | None]] = {}
        self._forgetting: set[asyncio.Task[None]] = set()
        self._owed: dict[tuple[str, str], float] = {}
        self._paying: asyncio.Task[None] | None = None

    @property
    def degraded(self) -> bool:
        """Whether Redis did not answer when it was asked last."""
        return self._breaker.open

    async def close(self) -> None:
        """End what goes on beside requests."""
        running = [
            task for task in (self._asking, self._paying, *self._making.values(), *self._forgetting) if task is not None
        ]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def get(self, key: Key, make: Make) -> Answer | None:
        """The answer of a key, as it is now.

        Args:
            key: Names it.
            make: Makes it from its origin; None where there is nothing, which is not kept.

        Raises:
            Unavailable: The origin does not answer.
        """
        found = await self._kept(key)
        if found is not None:
            return found
        making = self._making.get(key)
        if making is None:
            # A task of its own, so that a caller who leaves takes the answer from nobody.
            making = self._making[key] = asyncio.create_task(self._make(key, make))
            making.add_done_callback(partial(self._made, key))
        return await asyncio.shield(making)

    async def forget(self, store: str, tags: Iterable[str]) -> None:
        """Forget answers that a change has made wrong; returns when nobody gets them any more.

        It never fails: where Redis does not answer it is asked again until what it keeps has expired.

        Args:
            store: The slug of the store.
            tags: Those of the answers.
        """
        every = sorted(set(tags))
        for key in [key for key in self._making if key.store == store]:
            # Whoever comes from now on waits for an answer that is made from now on.
            del self._making[key]
        if self._cache is None or not every:
            return
        # Who made the change may be gone, and what it changed stays changed.
        forgetting = asyncio.create_task(self._forget(self._cache, store, every))
        self._forgetting.add(forgetting)
        forgetting.add_done_callback(self._forgetting.discard)
        await asyncio.shield(forgetting)

    @asynccontextmanager
    async def changing(self, store: str, tags: Iterable[str]) -> AsyncIterator[None]:
        """Forget answers when a change has ended, however it did: one that failed may have happened."""
        try:
            yield
        finally:
            await self.forget(store, tags)

    async def _forget(self, cache: ReadCache, store: str, tags: Sequence[str]) -> None:
        if await self._in_time(partial(cache.forget, store, tags)) is None:
            until = self._monotonic() + KEPT_SECONDS
            self._owed |= {(store, tag): until for tag in tags}
            if self._paying is None or self._paying.done():
                self._paying = asyncio.create_task(self._pay(cache))

    async def _kept(self, key: Key) -> Answer | None:
        if self._cache is None or self._owes(key.store):
            return None
        mine: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._asked[key].append(mine)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        return await mine

    async def _ask(self) -> None:
        """Ask for all keys that are waited for, as long as there are any."""
        assert self._cache is not None
        asked: dict[Key, list[asyncio.Future[Answer | None]]] = {}
        try:
            while self._asked:
                asked, self._asked = self._asked, defaultdict(list)
                keys = list(asked)
                values = await self._in_time(partial(self._cache.read, keys)) or [None] * len(keys)
                for key, value in zip(keys, values, strict=True):
                    _answer(asked[key], None if value is None else _decoded(key, value))
        finally:
            # Whatever has ended this early: nobody waits for it any more.
            for several in (*asked.values(), *self._asked.values()):
                _answer(several, None)
            self._asked.clear()
            self._asking = None

    def _owes(self, store: str) -> bool:
        """Whether Redis may have answers of a store that this process knows to be wrong."""
        return any(owing == store for owing, _ in self._owed)

    async def _make(self, key: Key, make: Make) -> Answer | None:
        made: Made | None = None
        for _ in range(_ATTEMPTS):
            begun = await self._begin(key)
            if isinstance(begun, bytes) and (kept := _decoded(key, begun)) is not None:
                return kept
            if not isinstance(begun, Lease):
                made = await make()
                return None if made is None else made.answer
            try:
                made = await make()
            except BaseException:
                await self._release(begun)
                raise
            if made is None:
                await self._release(begun)
                return None
            if await self._fill(begun, made) is not False:
                return made.answer
        return None if made is None else made.answer

    async def _begin(self, key: Key) -> bytes | Lease | None:
        """A lease; or the answer, if another process has made it meanwhile; None where neither can be had."""
        if self._cache is None or self._owes(key.store):
            return None
        until = self._monotonic() + _WAIT_SECONDS
        while True:
            # A tuple, because None is an answer of its own.
            asked = await self._in_time(partial(_in_tuple, self._cache.begin, key))
            if asked is None:
                return None
            if asked[0] is not None or self._monotonic() >= until:
                return asked[0]
            await asyncio.sleep(_POLL_SECONDS)

    async def _fill(self, lease: Lease, made: Made) -> bool | None:
        assert self._cache is not None
        value = msgspec.msgpack.encode(_Kept(lease.key.text, made.answer))
        return await self._in_time(partial(self._cache.fill, lease, made.tags, value))

    async def _release(self, lease: Lease) -> None:
        assert self._cache is not None
        await self._in_time(partial(self._cache.release, lease))

    def _made(self, key: Key, task: asyncio.Task[Answer | None]) -> None:
        if self._making.get(key) is task:
            del self._making[key]
        # An error that nobody waits for any more has been raised to nobody.
        if not task.cancelled():
            task.exception()

    async def _in_time(self, call: Callable[[], Awaitable[_T]]) -> _T | None:
        """What Redis answers; None where it does not in time, or is not asked because it did not before."""
        ticket = self._breaker.admit(self._monotonic())
        if not ticket:
            return None
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                found = await call()
        except (Unavailable, TimeoutError):
            self._breaker.failed(self._monotonic(), ticket)
            return None
        self._breaker.succeeded()
        return found

    async def _pay(self, cache: ReadCache) -> None:
        """Forget what could not be forgotten, until Redis answers or has nothing of it any more."""
        while self._owed:
            await asyncio.sleep(_RETRY_SECONDS)
            now = self._monotonic()
            self._owed = {each: until for each, until in self._owed.items() if now < until}
            for store in {store for store, _ in self._owed}:
                owed = {each: until for each, until in self._owed.items() if each[0] == store}
                if await self._in_time(partial(cache.forget, store, [tag for _, tag in owed])) is None:
                    break
                # What has come to be owed meanwhile stays so.
                self._owed = {each: until for each, until in self._owed.items() if owed.get(each) != until}


async def _in_tuple(call: Callable[[Key], Awaitable[_T]], key: Key) -> tuple[_T]:
    return (await call(key),)


def _answer(waiting: Iterable[asyncio.Future[Answer | None]], answer: Answer | None) -> None:
    for each in waiting:
        if not each.done():
            each.set_result(answer)


def _decoded(key: Key, value: bytes) -> Answer | None:
    """The answer of a value; None for one of another key, or of another version of this code."""
    try:
        kept = msgspec.msgpack.decode(value, type=_Kept)
    except msgspec.MsgspecError:
        return None
    return kept.answer if kept.key == key.text else None
