"""Who is asking and what they may do: asked for every request that changes something, and kept a moment for the others.

A request that only reads may be decided by what was known up to half a second before. A request that may change
something is decided by what holds now, and the transaction that changes it checks the role once more. What a process
keeps is void as soon as a request to it may have changed an account, a sign-in or a store's members, so whoever makes
a change sees it with the next request; other processes see it half a second later.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Generic, TypeVar

from api.callers import Access, Caller, Identities, StoreAccess

KEPT_SECONDS: Final = 0.5
MAX_ENTRIES: Final = 10_000
"""Callers that are kept, and as many pairs of a caller and a store."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Recent(Generic[_Key, _Value]):
    """Answers that are not older than a moment, by question; for one event loop.

    The age of an answer counts from when its question was asked. Who has a question that was asked a moment ago and is
    not answered yet waits for that answer. None is no answer and is not kept.

    Args:
        kept_seconds: How old an answer may be.
        max_entries: The bound on memory; the oldest answers are dropped, and those that are too old in any case.
        monotonic: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        kept_seconds: float = KEPT_SECONDS,
        max_entries: int = MAX_ENTRIES,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kept_seconds, self._max_entries, self._monotonic = kept_seconds, max_entries, monotonic
        self._answers: OrderedDict[_Key, tuple[float, _Value]] = OrderedDict()
        self._asked: dict[_Key, tuple[float, asyncio.Task[_Value | None]]] = {}

    def __len__(self) -> int:
        """Answers that are kept, and questions that are being asked."""
        return len(self._answers) + len(self._asked)

    def kept(self, key: _Key) -> _Value | None:
        """The answer to a question, if there is one that is not too old."""
        found = self._answers.get(key)
        return found[1] if found is not None and self._monotonic() < found[0] else None

    async def ask(
        self, key: _Key, question: Callable[[], Coroutine[Any, Any, _Value | None]], *, now: bool
    ) -> _Value | None:
        """An answer, which is kept.

        Args:
            key: Names the question.
            question: Asks it; not called where one that was asked a moment ago will do.
            now: Whether the answer must not be from before.

        Raises:
            Exception: What the question raises.
        """
        began = self._monotonic()
        asked = None if now else self._asked.get(key)
        if asked is None or began >= asked[0]:
            # A task of its own, so that a caller who goes away takes the answer from nobody.
            asked = began + self._kept_seconds, asyncio.create_task(question())
            self._asked[key] = asked
            asked[1].add_done_callback(partial(self._answered, key, asked))
        return await asyncio.shield(asked[1])

    def forget(self) -> None:
        """Something has changed: neither what is kept, nor what is being asked, is an answer from now on."""
        self._answers.clear()
        self._asked.clear()

    def _answered(
        self, key: _Key, asked: tuple[float, asyncio.Task[_Value | None]], done: asyncio.Task[_Value | None]
    ) -> None:
        failed = done.cancelled() or done.exception() is not None
        if self._asked.get(key) is not asked:
            return  # asked before something changed, or before the newest question
        del self._asked[key]
        self._answers.pop(key, None)
        answer = None if failed else done.result()
        if answer is not None:
            self._answers[key] = asked[0], answer
            self._drop_old()

    def _drop_old(self) -> None:
        # They lie in the order in which they came, which is nearly that of their age.
        now = self._monotonic()
        while self._answers:
            oldest = next(iter(self._answers))
            if len(self._answers) <= self._max_entries and now < self._answers[oldest][0]:
                return
            del self._answers[oldest]


class Known:
    """Callers and their access, as they are now or were a moment before.

    Args:
        identities: Knows accounts and sign-ins.
        stores: Knows API keys and who may do what in which store.
        monotonic: Seconds of a monotonic clock.
    """

    def __init__(
        self, identities: Identities, stores: StoreAccess, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._identities, self._stores = identities, stores
        self._callers: Recent[str, Caller] = Recent(monotonic=monotonic)
        self._access: Recent[tuple[str, str, str], Access] = Recent(monotonic=monotonic)

    @property
    def size(self) -> int:
        """What is kept or being asked."""
        return len(self._callers) + len(self._access)

    async def caller(self, credential: str, *, is_key: bool, now: bool) -> Caller | None:
        """Who a credential stands for; None where it stands for nobody any more.

        Args:
            credential: An access token or an API key.
            is_key: Whether it is an API key.
            now: Whether it has to be as it is now.

        Raises:
            InvalidClaims: It is no access token of ours that is valid now.
            Unavailable: Nobody can say now.
        """
        kept = None if now else self._callers.kept(credential)
        if kept is not None:
            return kept
        ask = self._stores.caller_of_key if is_key else self._identities.caller_of
        return await self._callers.ask(credential, lambda: ask(credential), now=now)

    async def access(self, caller: Caller, slug: str, *, now: bool) -> Access | None:
        """What a caller may do in a store; None where there is no such store, or the caller has no part in it.

        Args:
            caller: Who is asking.
            slug: The store's.
            now: Whether it has to be as it is now.

        Raises:
            Unavailable: Nobody can say now.
        """
        key = caller.user.id, caller.key.id if caller.key else "", slug
        kept = None if now else self._access.kept(key)
        if kept is not None:
            return kept
        return await self._access.ask(key, lambda: self._stores.access(caller, slug), now=now)

    def forget(self) -> None:
        """Keep nothing that a change of this process may have made wrong."""
        self._callers.forget()
        self._access.forget()
