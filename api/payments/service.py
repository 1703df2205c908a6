"""Takes what a payment provider says by itself: checked by its signature, kept as it came, applied by another process."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from connectors.mongo.async_client import Documents
from connectors.mongo.payment_webhooks import PaymentWebhooks
from connectors.payments.secrets import KnownSecrets
from connectors.payments.signatures import is_signed

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)


class UnknownProvider(Exception):
    """Nothing of that name sends webhooks here."""


class NotSigned(Exception):
    """The bytes do not come from the provider, or do not come now."""


class _Named(msgspec.Struct, frozen=True):
    id: str


@dataclass(frozen=True)
class WebhookService:
    """What the route of webhooks does.

    Attributes:
        webhooks: Where they are kept.
        secrets: Of each provider, by its name.
        clock: The time.
    """

    webhooks: PaymentWebhooks
    secrets: Mapping[str, KnownSecrets]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @staticmethod
    def on_mongo(
        client: Documents,
        database: str,
        secrets: Mapping[str, KnownSecrets],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> WebhookService:
        """On the collection of a database; the caller closes the client."""
        return WebhookService(PaymentWebhooks(client, database), secrets, clock)

    async def take(self, provider: str, header: str, raw: bytes) -> bool:
        """Keep a webhook.

        Args:
            provider: The name of its sender.
            header: Its signature.
            raw: Its bytes as they came.

        Returns:
            Whether it is new; it is kept once, however often it comes.

        Raises:
            UnknownProvider: Nothing of that name sends any.
            NotSigned: It was not looked into.
            Unavailable: Mongo does not answer; it may have been kept.
        """
        known, now = self.secrets.get(provider), self.clock()
        if known is None:
            raise UnknownProvider(provider)
        if not is_signed(header, raw, known.now().webhook_secrets, now.timestamp()):
            raise NotSigned
        return await self.webhooks.add(f"{provider}:{_id_of(raw)}", provider, raw, now)


def _id_of(raw: bytes) -> str:
    """The provider's id of a message; what has none, although it is signed, is kept under the hash of its bytes."""
    try:
        given = msgspec.json.decode(raw, type=_Named).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        given = ""
    return given if _ID.fullmatch(given) else f"sha256-{hashlib.sha256(raw).hexdigest()}"
