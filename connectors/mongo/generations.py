"""The numbers of the starts of flows, in Mongo."""

from __future__ import annotations

from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from connectors.errors import Unavailable
from connectors.mongo.client import unavailable
from marketplace.collections import FLOW_GENERATIONS


class Generations:
    """Counts the starts of a flow, so that the newest is distinguished from a zombie."""

    def __init__(self, client: MongoClient[dict[str, Any]], database: str) -> None:
        self._collection = client[database][FLOW_GENERATIONS.name]

    def next(self, flow: str, at_least: int) -> int:
        """A number larger than any given before, and than ``at_least`` (should this collection have been lost).

        Raises:
            Unavailable: Mongo does not answer.
        """
        try:
            self._collection.update_one({"_id": flow}, {"$max": {"generation": at_least}}, upsert=True)
            found = self._collection.find_one_and_update(
                {"_id": flow}, {"$inc": {"generation": 1}}, return_document=True
            )
        except PyMongoError as error:
            raise unavailable(error) from error
        if found is None:
            raise Unavailable(f"the generation of {flow} vanished while it was counted; try again")
        return int(found["generation"])
