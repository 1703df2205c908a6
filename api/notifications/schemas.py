"""What the routes of notifications take and give, as JSON."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from api.identity.schemas import Input
from marketplace.notifications.notices import ID_CHARS

Kind = Literal[
    "order_confirmed",
    "order_cancelled",
    "order_refunded",
    "payment_returned",
    "refund_reversed",
    "order_shipped",
    "new_order",
    "store_order_cancelled",
    "store_refund_reversed",
    "low_stock",
]
_ID_FORM: Final = f"^[0-9a-f]{{{ID_CHARS}}}$"


class ReadUntil(Input):
    """What was read."""

    until: Annotated[
        str,
        Field(
            pattern=_ID_FORM,
            examples=["3f2a9c51d06e4b7fa8c1e2d3b4a59687"],
            description="The id of a notification: it and all older ones.",
        ),
    ]


class PreferencesToPut(Input):
    """What the account wants to get by mail. Mails about the account itself always come."""

    orders_by_mail: Annotated[bool, Field(examples=[False])]


class PreferencesBody(BaseModel):
    """What the account wants to get by mail."""

    orders_by_mail: bool = Field(description="Mails about own orders, and about those of stores that it owns.")


class NotificationBody(BaseModel):
    """A notification."""

    id: str
    kind: Kind
    title: str
    text: str
    at: str
    unread: bool = Field(description="Always false for a store: no single person reads for all of them.")
    store: str
    order: str | None
    product: str | None


class NotificationList(BaseModel):
    """Notifications of an account."""

    notifications: list[NotificationBody]
    unread: int = Field(description="How many of all are not read; 100 stands for 100 or more.")
    next: str | None


class StoreNotificationList(BaseModel):
    """Notifications of a store."""

    notifications: list[NotificationBody]
    next: str | None
