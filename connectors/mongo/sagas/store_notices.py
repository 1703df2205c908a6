"""A store's notifications for its seller's page, read with the blocking client: always of one store, and bounded."""

from __future__ import annotations

from typing import Any, Final

import pymongo
from pymongo.errors import PyMongoError

from connectors.mongo.client import Client, unavailable
from connectors.mongo.newest_pages import NewestPage, NewestPlace
from connectors.mongo.notifications import KNOWN_TEMPLATES, Notification, notification_of
from marketplace.collections import NOTIFICATIONS
from marketplace.notifications.notices import team_of

PAGE: Final = 30
"""Notifications of a page."""

_SECONDS: Final = 2.0


class StoreNotices:
    """The notifications of one store at a time.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Client, database: str) -> None:
        self._rows = client[database][NOTIFICATIONS.name]

    def page(self, store: str, after: NewestPlace | None = None) -> NewestPage[Notification]:
        """A page of what those who work in a store were notified of.

        Args:
            store: The slug.
            after: Behind which place; None for the newest ones.

        Raises:
            Unavailable: Mongo does not answer in time.
        """
        query: dict[str, Any] = {"recipient": team_of(store), "template": KNOWN_TEMPLATES}
        if after is not None:
            later = {"at_ms": after.at_ms, "_id": {"$gt": after.id}}
            query |= {"at_ms": {"$lte": after.at_ms}, "$or": [{"at_ms": {"$lt": after.at_ms}}, later]}
        try:
            with pymongo.timeout(_SECONDS):
                rows = self._rows.find(query).sort([("at_ms", -1), ("_id", 1)]).limit(PAGE + 1).to_list()
        except PyMongoError as error:
            raise unavailable(error) from error
        found = tuple(map(notification_of, rows[:PAGE]))
        last = found[-1] if len(rows) > PAGE else None
        return NewestPage(found, None if last is None else NewestPlace(last.at_ms, last.id))
