"""API keys of servers: what the routes do, without HTTP.

A key may do what its scopes and the present role of its maker have in common. When its maker is no member of the store
any more, or is banned, the key is worth nothing; it works again if the maker comes back, unless it was revoked.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from connectors.errors import Unavailable
from connectors.mongo.api_keys import ApiKeys
from marketplace.identity.roles import Permission
from marketplace.identity.tenancy import ApiKey, api_key, hash_of_secret

_log = logging.getLogger(__name__)


class ApiKeyService:
    """Makes, lists, checks and revokes keys.

    Args:
        keys: Where they are.
        clock: The time.
    """

    def __init__(self, keys: ApiKeys, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._keys, self._clock = keys, clock

    async def create(self, slug: str, maker: str, name: str, scopes: frozenset[Permission]) -> tuple[ApiKey, str]:
        """Make a key; returns it with its text, which nobody can read again.

        See :meth:`ApiKeys.create` for the errors.
        """
        secret = secrets.token_urlsafe(32)
        made = ApiKey(
            id=secrets.token_hex(8),
            store=slug,
            maker=maker,
            name=name,
            scopes=scopes,
            secret_hash=hash_of_secret(secret),
            created_at=int(self._clock().timestamp() * 1000),
        )
        await self._keys.create(made)
        return made, api_key(made.id, secret)

    async def of_store(self, slug: str) -> list[ApiKey]:
        """The keys of a store, the oldest first.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return await self._keys.of_store(slug)

    async def revoke(self, slug: str, actor: str, key_id: str) -> None:
        """Delete a key; see :meth:`ApiKeys.revoke` for the errors."""
        await self._keys.revoke(slug, actor, key_id)

    async def authenticate(self, key_id: str, secret: str) -> ApiKey | None:
        """The key of an id, if the secret is its.

        Raises:
            Unavailable: Mongo does not answer.
        """
        found = await self._keys.get(key_id)
        return found if found is not None and found.matches(secret) else None

    async def note_use(self, key: ApiKey) -> None:
        """Write down that a key is used, once a minute at most; no request fails for it."""
        try:
            await self._keys.note_use(key, self._clock())
        except Unavailable as error:
            _log.warning("the last use of an API key is not written down: %s", error)
