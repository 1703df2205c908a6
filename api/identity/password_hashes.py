"""Argon2id hashes of passwords: off the event loop, a bounded number at one time.

A hash carries its own parameters, so that they can be raised here at any time: old ones are still verified, and made
again at the next login.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from connectors.errors import Unavailable
from marketplace.identity.passwords import MAX_CHARS, normalized
from runtime.worker_pool import PoolFull, WorkerPool

_T = TypeVar("_T")


@dataclass(frozen=True)
class HashCost:
    """What a hash costs; the default is one that OWASP's Password Storage Cheat Sheet recommends.

    Attributes:
        memory_kib: Memory of one hash.
        passes: Over that memory.
        lanes: Threads of one hash.
    """

    memory_kib: int = 19_456
    passes: int = 2
    lanes: int = 1


@dataclass(frozen=True)
class Verified:
    """What came of a password.

    Attributes:
        matches: Whether it is the right one.
        outdated: Whether its hash was made with other parameters than today's.
    """

    matches: bool
    outdated: bool = False


class TooManyLogins(Unavailable):
    """So many passwords wait to be hashed that a further one would wait too long: try again in a second."""


class PasswordHashes:
    """Hashes and verifies.

    Args:
        cost: Of new hashes.
        threads: How many are hashed at one time.
        most_waiting: How many more may wait; their memory is not taken yet.
    """

    def __init__(self, cost: HashCost | None = None, *, threads: int = 2, most_waiting: int = 64) -> None:
        cost = cost or HashCost()
        self._hasher = PasswordHasher(cost.passes, cost.memory_kib, cost.lanes, type=Type.ID)
        self._pool = WorkerPool(threads, most_waiting, "argon2")
        self._of_nobody = self._hasher.hash("the password of nobody")

    async def hash(self, password: str) -> str:
        """The hash of a new password, with a salt of its own and its parameters.

        Raises:
            TooManyLogins: Too many wait.
        """
        return await self._run(lambda: self._hasher.hash(normalized(password)))

    async def verify(self, stored: str | None, password: str) -> Verified:
        """Compare a password with a stored hash; with None, the account's that does not exist, it takes as long.

        Raises:
            TooManyLogins: Too many wait.
        """
        # No accepted password is longer, and hashing this one would let a request take what time it likes. It is cut
        # when it is normalised, as the rule counts it: letters that are typed with marks of their own are more before.
        text = normalized(password)[: MAX_CHARS + 1]
        return await self._run(lambda: self._verify(stored, text))

    def close(self) -> None:
        """Let the threads end."""
        self._pool.close()

    def _verify(self, stored: str | None, text: str) -> Verified:
        try:
            self._hasher.verify(stored or self._of_nobody, text)
        except (VerificationError, InvalidHashError):
            return Verified(False)
        if stored is None:
            return Verified(False)
        return Verified(True, self._hasher.check_needs_rehash(stored))

    async def _run(self, work: Callable[[], _T]) -> _T:
        try:
            future = self._pool.submit(work)
        except PoolFull as error:
            raise TooManyLogins("too many passwords are being checked") from error
        return await asyncio.wrap_future(future)
