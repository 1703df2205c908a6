"""What payment providers say by themselves, as the API keeps it for the payments service."""

from __future__ import annotations

from datetime import datetime

from pymongo.errors import DuplicateKeyError

from connectors.mongo.async_client import Documents, answering
from connectors.mongo.sagas.payments import webhook_document
from marketplace.collections import PAYMENT_WEBHOOKS


class PaymentWebhooks:
    """The collection ``payment_webhooks``.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Documents, database: str) -> None:
        self._webhooks = client[database][PAYMENT_WEBHOOKS.name]

    async def add(self, webhook: str, provider: str, raw: bytes, now: datetime) -> bool:
        """Keep a webhook once, with its exact bytes.

        Args:
            webhook: Its id.
            provider: The name of its sender.
            raw: Its bytes as they came.
            now: The time.

        Returns:
            Whether it is new.

        Raises:
            Unavailable: Mongo does not answer; it may have been kept.
        """
        try:
            async with answering():
                await self._webhooks.insert_one(webhook_document(webhook, provider, raw, now))
        except DuplicateKeyError:
            return False
        return True
