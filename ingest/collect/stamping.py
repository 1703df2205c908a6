"""Deriving visitor ids; the only place where a full address is used, and it is not passed on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UnsetType

from marketplace.clicks.collect import ValidEvent
from marketplace.clicks.history import ImportedEvent
from marketplace.clicks.record import Visitor
from marketplace.clicks.visitors import cookieless_visitor, first_party_visitor, salt_date
from marketplace.stores import Store

SaltOf = Callable[[str], bytes]
"""Maps a date to the store's salt for it."""


def dates_needed(
    store: Store, events: Sequence[ValidEvent], received_at_ms: int, *, imported: bool = False
) -> set[str]:
    """The dates whose salts the events without a first-party id need."""
    zone = ZoneInfo(store.timezone)
    return {
        salt_date(zone, occurred_at_ms=valid.occurred_at_ms, received_at_ms=received_at_ms, imported=imported)
        for valid in events
        if valid.event.visitor_id is msgspec.UNSET
    }


def stamp(
    store: Store,
    events: Sequence[ValidEvent],
    *,
    received_at_ms: int,
    address: str,
    user_agent: str,
    salt_of: SaltOf,
    imported: bool = False,
) -> list[Visitor]:
    """One visitor per event, in order.

    Args:
        store: Whose visitors.
        events: The events of one request.
        received_at_ms: When the request came, epoch milliseconds.
        address: The client's full address, for events that name no other.
        user_agent: As sent, in full, for events that name no other.
        salt_of: The salts of :func:`dates_needed`.
        imported: The times are a server's and choose the salt, however old they are.
    """
    zone = ZoneInfo(store.timezone)
    own: dict[str, Visitor] = {}
    cookieless: dict[tuple[str, str, str], Visitor] = {}

    def hashed(valid: ValidEvent) -> Visitor:
        date = salt_date(zone, occurred_at_ms=valid.occurred_at_ms, received_at_ms=received_at_ms, imported=imported)
        name = (date, *whose(valid, address, user_agent))
        if name not in cookieless:
            cookieless[name] = Visitor(cookieless_visitor(salt_of(date), store.slug, *name[1:]), "cookieless")
        return cookieless[name]

    visitors = []
    for valid in events:
        own_id = valid.event.visitor_id
        if isinstance(own_id, UnsetType):
            visitors.append(hashed(valid))
            continue
        visitor = own.get(own_id)
        if visitor is None:
            visitor = own[own_id] = Visitor(
                first_party_visitor(store.visitor_secret, store.slug, own_id), "first_party"
            )
        visitors.append(visitor)
    return visitors


def whose(valid: ValidEvent, address: str, user_agent: str) -> tuple[str, str]:
    """The full address and user agent of an event: its own where it is imported with them, else the request's."""
    event = valid.event
    if not isinstance(event, ImportedEvent):
        return address, user_agent
    return (
        address if isinstance(event.ip, UnsetType) else event.ip,
        user_agent if isinstance(event.user_agent, UnsetType) else event.user_agent,
    )
