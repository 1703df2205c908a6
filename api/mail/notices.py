"""Mails about orders: looked up at the moment at which they are sent, so that none says what is not so any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import quote, urlencode

from connectors.mongo.notifications import Deliverable
from marketplace.notifications.facts import Facts
from marketplace.notifications.letters import Letter, Links, letter_of
from marketplace.notifications.notices import OF_STORES
from marketplace.notifications.preferences import unsubscribe_token

UNSUBSCRIBE_PATH: Final = "/unsubscribe"
"""Below the storefront's pages, in front of a token."""


class Deliverables(Protocol):
    """Knows what mails are made of."""

    async def deliverable(self, notice: str, user: str) -> Deliverable | None:
        """See :meth:`connectors.mongo.notifications.Notifications.deliverable`."""


@dataclass(frozen=True)
class Prepared:
    """A mail about a notification.

    Attributes:
        to: The address.
        letter: What it says.
        unsubscribe: Where a page with a button, or one request of a mail program, ends them.
    """

    to: str
    letter: Letter
    unsubscribe: str


class NoticeMails:
    """Writes mails about notifications.

    Args:
        found: What they are made of.
        shop_url: Of the storefront's pages.
        store_url: Of the dashboard, where those who work in stores look at orders and stock.
    """

    def __init__(self, found: Deliverables, shop_url: str, store_url: str) -> None:
        self._found, self._shop_url, self._store_url = found, shop_url.rstrip("/"), store_url.rstrip("/")

    async def prepare(self, notice: str, user: str) -> Prepared | None:
        """The mail of a notification; None where it is not to be sent any more.

        Raises:
            Unavailable: Mongo does not answer.
        """
        found = await self._found.deliverable(notice, user)
        if found is None:
            return None
        unsubscribe = f"{self._shop_url}{UNSUBSCRIBE_PATH}/{unsubscribe_token(found.user, found.secret)}"
        if found.template in OF_STORES:
            page = f"{self._store_url}{dashboard_path(found.facts)}"
        else:
            page = f"{self._shop_url}/orders/{quote(found.facts.order, safe='')}"
        return Prepared(found.to, letter_of(found.template, found.facts, Links(page, unsubscribe)), unsubscribe)


def dashboard_path(facts: Facts) -> str:
    """The page of the dashboard that shows what a store's notification is about, below the dashboard's address."""
    if facts.order:
        return f"/orders?{urlencode({'store': facts.store, 'order': facts.order})}"
    return f"/stock?{urlencode({'store': facts.store, **({'variant': facts.variant} if facts.variant else {})})}"
