"""The routes of notifications."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from fastapi import Query, Request

from api.access import Demand, access_of, caller_is_there, caller_of
from api.notifications.pages import cursor_of, place_after
from api.notifications.schemas import (
    NotificationBody,
    NotificationList,
    PreferencesBody,
    PreferencesToPut,
    ReadUntil,
    StoreNotificationList,
)
from api.notifications.service import NotificationService
from api.web.cursors import MAX_CHARS
from api.web.routes import Routes
from api.web.times import rfc3339
from connectors.mongo.notifications import Notification
from marketplace.identity.roles import Permission
from marketplace.notifications.preferences import Preferences
from marketplace.notifications.texts import text_of

_ID: Final = "3f2a9c51d06e4b7fa8c1e2d3b4a59687"
_ONE: Final[dict[str, Any]] = {
    "id": _ID, "kind": "order_confirmed", "title": "Your order 9C51D06E is confirmed",
    "text": "Ann's shop has your order of 29 November 2026 at 13:00 (Europe/Berlin), and it is paid: \u20ac25.00. "
            "The store packs and sends it. You hear from us when it is on the way.",
    "at": "2026-11-29T12:00:03.000Z", "unread": True, "store": "anns-shop",
    "order": "9c51d06e4b7fa8c1e2d3b4a596873f2a", "product": None,
}  # fmt: skip
_OF_STORE: Final[dict[str, Any]] = {
    **_ONE, "kind": "low_stock", "title": "Low stock of Blue mug", "unread": False, "order": None, "product": _ID,
    "text": "Blue mug (MUG-BLUE) in Ann's shop: 2 can still be ordered.",
}  # fmt: skip
_LIST: Final[dict[str, Any]] = {"notifications": [_ONE], "unread": 1, "next": None}
_WANTED: Final = {"orders_by_mail": True}

Limit = Annotated[int, Query(ge=1, le=100, description="At most so many.")]
CursorText = Annotated[str, Query(alias="cursor", max_length=MAX_CHARS, description="`next` of the page before.")]

NOTIFICATIONS: Final = Routes("/v1", "Notifications")


def _service(request: Request) -> NotificationService:
    found: NotificationService = request.app.state.shopping.notifications
    return found


@NOTIFICATIONS.add("GET", "/notifications", demand=Demand.SIGNED_IN, example=_LIST,
                   links={"read_notifications": {"body.until": "$response.body#/notifications/0/id"}})  # fmt: skip
async def list_notifications(request: Request, limit: Limit = 20, cursor_text: CursorText = "") -> NotificationList:
    """The caller's notifications, the newest first, and how many are not read."""
    user = caller_of(request).user.id
    kind, service = f"notifications of the account {user}", _service(request)
    page, unread = await asyncio.gather(
        service.of_user(user, place_after(kind, cursor_text), limit), service.unread(user)
    )
    return NotificationList(
        notifications=[_body(each) for each in page.notifications], unread=unread, next=cursor_of(kind, page.next)
    )


@NOTIFICATIONS.add("POST", "/notifications/read", demand=Demand.SIGNED_IN, status=204, changes_access=False)
async def read_notifications(request: Request, body: ReadUntil) -> None:
    """Note that the caller has read a notification and all older ones; one that is not the caller's changes nothing."""
    with caller_is_there():
        await _service(request).read(caller_of(request).user.id, body.until)


@NOTIFICATIONS.add("GET", "/me/notification-preferences", demand=Demand.SIGNED_IN, example=_WANTED)
async def get_notification_preferences(request: Request) -> PreferencesBody:
    """What the caller wants to get by mail."""
    found = await _service(request).preferences(caller_of(request).user.id)
    return PreferencesBody(orders_by_mail=found.orders_by_mail)


@NOTIFICATIONS.add("PUT", "/me/notification-preferences", demand=Demand.SIGNED_IN, changes_access=False,
                   example=_WANTED)  # fmt: skip
async def put_notification_preferences(request: Request, body: PreferencesToPut) -> PreferencesBody:
    """Say what the caller wants to get by mail.

    It counts for mails that wait already. Mails about the account itself, such as that its password was changed, always
    come; all notifications can be read here whatever comes by mail.
    """
    with caller_is_there():
        await _service(request).set_preferences(caller_of(request).user.id, Preferences(body.orders_by_mail))
    return PreferencesBody(orders_by_mail=body.orders_by_mail)


@NOTIFICATIONS.add("GET", "/stores/{store}/notifications", demand=Permission.READ_ORDERS,
                   example={"notifications": [_OF_STORE], "next": None})  # fmt: skip
async def list_store_notifications(
    request: Request, limit: Limit = 20, cursor_text: CursorText = ""
) -> StoreNotificationList:
    """What those who work in a store were notified of, the newest first: new orders, their ends and low stock."""
    slug = access_of(request).slug
    kind = f"notifications of the store {slug}"
    page = await _service(request).of_store(slug, place_after(kind, cursor_text), limit)
    bodies = [_body(each, of_store=True) for each in page.notifications]
    return StoreNotificationList(notifications=bodies, next=cursor_of(kind, page.next))


def _body(found: Notification, *, of_store: bool = False) -> NotificationBody:
    said = text_of(found.template, found.facts)
    return NotificationBody(
        id=found.id,
        kind=found.template.value,
        title=said.title,
        text=" ".join(said.sentences),
        at=rfc3339(found.at_ms),
        unread=found.unread and not of_store,
        store=found.facts.store,
        order=found.facts.order or None,
        product=found.facts.product or None,
    )
