"""Who is asking and what they may do: asked for every request that changes something, and kept a moment for the others.

A request that only reads may be decided by what was known up to half a second before. A request that may change
something is decided by what holds now, and the transaction that changes it checks the role once more. What a process
keeps is void as soon as a request to it may have changed an account, a sign-in or a store's members, so whoever makes
a change sees it with the next request; other processes see it half a second later.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from api.callers import Access, Caller, Identities, StoreAccess

KEPT_SECONDS: Final = 0.5
MAX_ENTRIES: Final = 10_000
"""Callers that are kept, and as many pairs of a caller and a store."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Recent(Generic[_Key, _Value]):
    """Answers that are not older than a moment, by question; for one event loop.

    The age of an answer counts from when its question was asked. None is no answer and is not kept.

    Args:
        kept_seconds: How old an answer may be.
        max_entries: The bound on memory; the oldest answers are dropped.
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
        self._changes = 0

    def __len__(self) -> int:
        return len(self._answers)

    def kept(self, key: _Key) -> _Value | None:
        """The answer to a question, if there is one that is not too old."""
        found = self._answers.get(key)
        return found[1] if found is not None and self._monotonic() < found[0] else None

    async def ask(self, key: _Key, question: Callable[[], Awaitable[_Value | None]]) -> _Value | None:
        """The answer of now, which is kept.

        Raises:
            Exception: What the question raises.
        """
        until, changes = self._monotonic() + self._kept_seconds, self._changes
        answer = await question()
        self._answers.pop(key, None)
        # An answer from before a change may lack it.
        if answer is not None and changes == self._changes:
            self._answers[key] = until, answer
            if len(self._answers) > self._max_entries:
                self._answers.popitem(last=False)
        return answer

    def forget(self) -> None:
        """Something has changed: what is kept, and what is being asked, is kept no longer."""
        self._changes += 1
        self._answers.clear()


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
        return await self._callers.ask(credential, lambda: ask(credential))

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
        return await self._access.ask(key, lambda: self._stores.access(caller, slug))

    def forget(self) -> None:
        """Keep nothing that a change of this process may have made wrong."""
        self._callers.forget()
        self._access.forget()
