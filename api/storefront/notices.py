"""Notifications as pages show them, by the service that the REST API has, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from api.access import caller_is_there
from api.callers import Caller
from api.notifications.pages import cursor_of, place_after
from api.notifications.service import NotificationService
from api.storefront.addresses import ORDERS, with_query
from connectors.mongo.notifications import MOST_COUNTED, Notification
from marketplace.notifications.preferences import Preferences
from marketplace.notifications.texts import text_of

PAGE: Final = "/shop/notifications"
_SIZE: Final = 20


@dataclass(frozen=True)
class NoticeLine:
    """A notification, as the page shows it.

    Attributes:
        id: Its id.
        title: One line of ours.
        sentences: What it says.
        at: When, epoch milliseconds.
        unread: Whether it is new to who looks.
        url: Of what it is about; empty for nothing.
    """

    id: str
    title: str
    sentences: tuple[str, ...]
    at: int
    unread: bool
    url: str


@dataclass(frozen=True)
class NoticesPage:
    """A page of notifications.

    Attributes:
        lines: The newest first.
        next_url: Of the next page; empty for none.
        first: Whether it is the first page.
    """

    lines: list[NoticeLine]
    next_url: str
    first: bool

    @property
    def newest(self) -> str:
        """The id of the newest one that is new; empty for none."""
        return next((line.id for line in self.lines if line.unread), "")


class StorefrontNotices:
    """Reads notifications, and keeps what accounts want. Each call raises ``Unavailable`` where Mongo does not answer.

    Args:
        notifications: The service.
    """

    def __init__(self, notifications: NotificationService) -> None:
        self._notifications = notifications

    async def of_viewer(self, viewer: Caller, after: str) -> NoticesPage:
        """Those of somebody who is signed in.

        Args:
            viewer: Who looks.
            after: What the page before has given; empty for the first page.

        Raises:
            Problem: No page of this account has given it.
        """
        kind = f"notifications on pages of {viewer.user.id}"
        found = await self._notifications.of_user(viewer.user.id, place_after(kind, after), _SIZE)
        following = cursor_of(kind, found.next)
        lines = [_line(each) for each in found.notifications]
        return NoticesPage(lines, with_query(PAGE, after=following) if following else "", not after)

    async def unread(self, viewer: Caller) -> str:
        """How many somebody has not read, for people; empty for none."""
        count = await self._notifications.unread(viewer.user.id)
        return f"{MOST_COUNTED - 1}+" if count >= MOST_COUNTED else str(count or "")

    async def read(self, viewer: Caller, until: str) -> None:
        """Note that somebody has read one and all older ones; one that is not there is no error."""
        with caller_is_there():
            await self._notifications.read(viewer.user.id, until)

    async def wants_mails(self, viewer: Caller) -> bool:
        """Whether somebody wants mails about orders."""
        return (await self._notifications.preferences(viewer.user.id)).orders_by_mail

    async def want_mails(self, viewer: Caller, *, wanted: bool) -> None:
        """Keep whether somebody wants mails about orders."""
        with caller_is_there():
            await self._notifications.set_preferences(viewer.user.id, Preferences(wanted))

    async def wants_mails_by_link(self, token: str) -> bool | None:
        """Whether the account of a mail's link wants mails about orders; None where the link is none."""
        found = await self._notifications.preferences_of_token(token)
        return None if found is None else found.orders_by_mail

    async def want_mails_by_link(self, token: str, *, wanted: bool) -> bool:
        """Keep whether the account of a mail's link wants them; returns False where the link is none."""
        return await self._notifications.set_by_token(token, Preferences(wanted))


def _line(found: Notification) -> NoticeLine:
    said, order = text_of(found.template, found.facts), found.facts.order
    url = f"{ORDERS}/{quote(order, safe='')}" if order else ""
    return NoticeLine(found.id, said.title, said.sentences, found.at_ms, found.unread, url)
