"""Canaries in the outbox: rows that no service reads, by which the relay sees how long the way to Kafka takes."""

from __future__ import annotations

from datetime import datetime

from pymongo.errors import PyMongoError

from connectors.mongo.client import connect, unavailable
from marketplace.collections import OUTBOX
from marketplace.relay import RELAY_AGGREGATE, Canary, encode_canary

_DEADLINE_SECONDS = 5.0


class CanaryRows:
    """Writes and removes canaries. Every call raises ``Unavailable`` if Mongo does not answer.

    Args:
        mongo_url: Mongo's URL.
        database: The database's name.

    Raises:
        Refused: It is not a URL of Mongo.
    """

    def __init__(self, mongo_url: str, database: str) -> None:
        self._client = connect(mongo_url, _DEADLINE_SECONDS)
        self._outbox = self._client[database][OUTBOX.name]

    def write(self, canary: str, now: datetime) -> None:
        """Write a canary."""
        row = {
            "_id": canary,
            "aggregatetype": RELAY_AGGREGATE,
            "aggregateid": "canary",
            "type": "CANARY",
            "payload": encode_canary(Canary(canary)).decode(),
            "created_at": now,
        }
        try:
            self._outbox.insert_one(row)
        except PyMongoError as error:
            raise unavailable(error) from error

    def remove(self, canary: str) -> None:
        """Remove one that has arrived; those that nobody removes expire like every row."""
        try:
            self._outbox.delete_one({"_id": canary, "aggregatetype": RELAY_AGGREGATE})
        except PyMongoError as error:
            raise unavailable(error) from error

    def close(self) -> None:
        """Disconnect."""
        self._client.close()
