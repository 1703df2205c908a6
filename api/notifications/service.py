"""Notifications and preferences: what the routes and the pages do, without HTTP."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.mongo.async_client import Documents
from connectors.mongo.notifications import Notification, Notifications
from marketplace.notifications.preferences import Preferences

Place = tuple[int, str]
"""The time and the id of the last notification of a page."""


@dataclass(frozen=True)
class NotificationPage:
    """Notifications, the newest first.

    Attributes:
        notifications: They.
        next: Behind which the next page begins; None where there is none.
    """

    notifications: list[Notification]
    next: Place | None


class NotificationService:
    """Reads notifications, and keeps what accounts want. Each call raises ``Unavailable`` where Mongo does not answer.

    Args:
        kept: Where they are.
    """

    def __init__(self, kept: Notifications) -> None:
        self._kept = kept

    @staticmethod
    def on_mongo(client: Documents, database: str) -> NotificationService:
        """On the collections of a database; the caller closes the client."""
        return NotificationService(Notifications(client, database))

    async def of_user(self, user: str, after: Place | None, limit: int) -> NotificationPage:
        """Notifications of an account."""
        return _page(await self._kept.of_user(user, after, limit + 1), limit)

    async def of_store(self, slug: str, after: Place | None, limit: int) -> NotificationPage:
        """Notifications of a store."""
        return _page(await self._kept.of_store(slug, after, limit + 1), limit)

    async def unread(self, user: str) -> int:
        """How many an account has not read, up to a hundred."""
        return await self._kept.unread(user)

    async def read(self, user: str, until: str) -> None:
        """Note that an account has read a notification and all older ones; what is none of its own changes nothing.

        Raises:
            NoSuchUser: The account is banned or deleted by now.
        """
        await self._kept.read(user, until)

    async def preferences(self, user: str) -> Preferences:
        """What an account wants by mail."""
        return await self._kept.preferences(user)

    async def set_preferences(self, user: str, wanted: Preferences) -> None:
        """Keep what an account wants by mail.

        Raises:
            NoSuchUser: The account is banned or deleted by now.
        """
        await self._kept.set_preferences(user, wanted)

    async def preferences_of_token(self, token: str) -> Preferences | None:
        """What the account of a mail's link wants; None where the link is none."""
        return await self._kept.preferences_of_token(token)

    async def set_by_token(self, token: str, wanted: Preferences) -> bool:
        """Keep what the account of a mail's link wants; returns False where the link is none."""
        return await self._kept.set_by_token(token, wanted)


def _page(found: list[Notification], limit: int) -> NotificationPage:
    shown = found[:limit]
    return NotificationPage(shown, (shown[-1].at_ms, shown[-1].id) if len(found) > limit else None)
