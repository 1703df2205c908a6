"""The signing keys as they are now: their file is read again when it has changed."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

from api.identity.access_tokens import AccessTokens
from api.identity.key_file import BadKeyFile, read_keys
from marketplace.identity.claims import AccessClaims

_LOOK_SECONDS: Final = 5.0
_log = logging.getLogger(__name__)


class KeyRing:
    """Signs and reads by the keys of a file.

    Args:
        path: The file.
        issuer: Whose tokens they are.
        audience: For whom.

    Raises:
        BadKeyFile: It holds no keys.
    """

    def __init__(self, path: Path, issuer: str, audience: str) -> None:
        self._path, self._issuer, self._audience = path, issuer, audience
        self._keys = read_keys(path)
        self._tokens = AccessTokens(self._keys, issuer, audience)

    def look(self) -> None:
        """Read the file; one that holds no keys changes nothing, and is logged."""
        try:
            keys = read_keys(self._path)
        except BadKeyFile as error:
            _log.error("signing keys stay as they are: %s", error)
            return
        if keys != self._keys:
            self._keys, self._tokens = keys, AccessTokens(keys, self._issuer, self._audience)
            _log.info("signing keys: %d", len(keys))

    async def keep_fresh(self) -> None:
        """Look every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await asyncio.to_thread(self.look)

    def sign(self, user: str, session: str, token_id: str, now: float) -> str:
        """See :meth:`AccessTokens.sign`."""
        return self._tokens.sign(user, session, token_id, now)

    def read(self, token: str, now: float) -> AccessClaims:
        """See :meth:`AccessTokens.read`."""
        return self._tokens.read(token, now)

    def key_set(self, now: float) -> str:
        """See :meth:`AccessTokens.key_set`."""
        return self._tokens.key_set(now)
