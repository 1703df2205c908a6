"""Which forms were sent already: one that is sent twice, as by a double click, counts once."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import redis.asyncio
from redis.exceptions import RedisError

from connectors.errors import Unavailable

KEPT_SECONDS: Final = 86_400
"""How long a form is remembered that was sent."""


class SentForms:
    """Remembers forms by what is in them and in no other one.

    Args:
        client: Connected to Redis; the caller closes it.
        prefix: Of the keys.
    """

    def __init__(self, client: redis.asyncio.Redis, prefix: str = "form") -> None:
        self._client, self._prefix = client, prefix

    async def take(self, form: str) -> bool:
        """Remember a form; False where it was sent before.

        Raises:
            Unavailable: Redis does not answer; it may be remembered.
        """
        try:
            return bool(await self._client.set(self._key(form), b"1", nx=True, ex=KEPT_SECONDS))
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable(f"Redis does not answer: {error}") from error

    async def give_back(self, form: str) -> None:
        """Forget a form that did nothing, so that it can be sent again.

        Raises:
            Unavailable: Redis does not answer; it may be forgotten.
        """
        try:
            await self._client.delete(self._key(form))
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable(f"Redis does not answer: {error}") from error

    def _key(self, form: str) -> str:
        return f"{self._prefix}:{blake2b(form.encode(), digest_size=16).hexdigest()}"
