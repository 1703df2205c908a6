"""Sends the sandbox provider's webhooks: signed, at least once, and again until somebody takes them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import time
from contextlib import suppress
from typing import Final

import httpx

from ops.sandbox_provider.cards import BY_NAME, LATE_SECONDS, Webhooks
from ops.sandbox_provider.store import Store, Webhook

_BACKOFF_SECONDS: Final = (1, 2, 5, 10, 30, 60)
_LOOK_SECONDS: Final = 0.05
_AT_ONCE: Final = 20
_TIMEOUT_SECONDS: Final = 5.0
_log = logging.getLogger(__name__)


class Delivery:
    """Sends what is due, for as long as it runs.

    Args:
        store: Where messages wait.
        url: Where they go; empty for nowhere, and they wait.
        secret: What they are signed with.
        pace: How long a second of the scripts takes.
    """

    def __init__(self, store: Store, url: str, secret: str, pace: float) -> None:
        self._store, self._url, self._secret, self._pace = store, url, secret, pace
        self._client = httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False)
        self._sending: set[int] = set()

    async def run(self) -> None:
        """Send until it is cancelled."""
        try:
            while True:
                self._store.settle(int(time.time() * 1_000))
                await self.send_due()
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await self._client.aclose()

    async def send_due(self) -> None:
        """Send what is due now, one after the other: a script may want them in an order."""
        for webhook in self._store.due(int(time.time() * 1_000), _AT_ONCE) if self._url else ():
            if webhook.seq not in self._sending:
                self._sending.add(webhook.seq)
                try:
                    await self._send(webhook)
                finally:
                    self._sending.discard(webhook.seq)

    async def _send(self, webhook: Webhook) -> None:
        card = BY_NAME[webhook.card]
        old = card.webhooks is Webhooks.LATE and not webhook.attempts
        at = int(time.time()) - (LATE_SECONDS if old else 0)
        taken = await asyncio.gather(*(self._post(webhook.body, at) for _ in range(card.copies)))
        pause = _BACKOFF_SECONDS[min(webhook.attempts, len(_BACKOFF_SECONDS) - 1)] * self._pace
        self._store.sent(webhook.seq, None if all(taken) else int((time.time() + pause) * 1_000))

    async def _post(self, body: bytes, at_seconds: int) -> bool:
        digest = hmac.new(self._secret.encode(), str(at_seconds).encode() + b"." + body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "webhook-signature": f"t={at_seconds},v1={digest}"}
        with suppress(httpx.HTTPError):
            answer = await self._client.post(self._url, content=body, headers=headers)
            if not answer.is_success:
                _log.info("a webhook was not taken: HTTP %d", answer.status_code)
            return answer.is_success
        return False
