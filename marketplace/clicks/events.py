"""The collected click: the contract of the topic ``clicks.collected.v1``.

The collector is the only writer. It has already authenticated the store, stamped the visitor and truncated the
address, so a record has no personal address and replays to the same result years later. Golden examples are in
``tests/golden/clicks.collected.v1/``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

MAX_EVENT_ID_CHARS: Final = 64
MAX_URL_CHARS: Final = 2_048
MAX_USER_AGENT_CHARS: Final = 1_024
MAX_TARGET_CHARS: Final = 512
MAX_PRODUCT_CHARS: Final = 128
MAX_NAME_CHARS: Final = 64
MAX_PROPERTIES: Final = 20
MAX_PROPERTY_NAME_CHARS: Final = 64
MAX_PROPERTY_CHARS: Final = 200

EventType = Literal["view", "click", "event"]
Origin = Literal["web", "pixel", "server", "import"]
VisitorKind = Literal["first_party", "cookieless"]


class CollectedClick(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One event as the collector wrote it (version 1).

    Attributes:
        key: 16 lower-case hex digits, a 64-bit hash of (store, event id, payload without transport fields). Equal keys
            are one event sent twice; the same event id with another payload has another key.
        event_id: The client's id, 1 to 64 characters.
        store: The store's slug, taken from its write key and never from the body.
        type: What the buyer did: saw a page, clicked, or what ``name`` says.
        visitor: 16 lower-case hex digits; see ``marketplace.clicks.visitors``.
        visitor_kind: How that id was made.
        origin: The endpoint or import that it came through.
        received_at_ms: When the collector got it, epoch milliseconds by the collector's clock.
        occurred_at_ms: When it happened by the client's clock, or None when the client did not say.
        sent_at_ms: When the client sent it by the client's clock, or None; shows the clock's skew.
        ip: The network part only: an IPv4 /24 or IPv6 /48 base address, empty when unknown.
        user_agent: As sent, at most 1,024 characters.
        url: The page, at most 2,048 characters.
        referrer: The page before it, at most 2,048 characters.
        target: What was clicked (a link, a button's name); empty for a view.
        product: The product's id in the store's catalogue; empty when none.
        name: The name of an event of type ``event``, such as ``add_to_cart``, at most 64 characters; empty for others.
        properties: What the store adds to a named event: at most 20, each value at most 200 characters.
        automated: The client itself declares automation (``navigator.webdriver``, a prefetch header).
        opted_out: The client sent DNT or Sec-GPC; such an event is blocked where the store's settings honour it.
        sampling: The fraction of events that the client sends, in (0, 1].
    """

    key: str
    event_id: str
    store: str
    visitor: str
    received_at_ms: int
    type: EventType = "view"
    visitor_kind: VisitorKind = "cookieless"
    origin: Origin = "web"
    occurred_at_ms: int | None = None
    sent_at_ms: int | None = None
    ip: str = ""
    user_agent: str = ""
    url: str = ""
    referrer: str = ""
    target: str = ""
    product: str = ""
    name: str = ""
    properties: dict[str, str] | None = None
    automated: bool = False
    opted_out: bool = False
    sampling: float = 1.0


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(CollectedClick)
_ordered = msgspec.json.Encoder(order="sorted")
_properties = msgspec.json.Decoder(dict[str, str])


def encode_click(event: CollectedClick) -> bytes:
    """The record's value on the topic: UTF-8 JSON, defaults left out."""
    return _encoder.encode(event)


def encode_properties(properties: dict[str, str]) -> str:
    """Properties as one text, the same for the same properties in any order: a JSON object."""
    return _ordered.encode(properties).decode()


def decode_properties(text: str) -> dict[str, str]:
    """From what :func:`encode_properties` made of them; the empty text is none."""
    return _properties.decode(text) if text else {}


def decode_click(value: bytes) -> CollectedClick:
    """Read a record's value.

    Raises:
        msgspec.DecodeError: Not JSON, not UTF-8, a field missing or of the wrong type. The message goes to the
            dead-letter topic with this reason and is never retried.
    """
    return _decoder.decode(value)


def decode_clicks(values: Iterable[bytes]) -> list[CollectedClick]:
    """Read the values of many records; half the cost of one by one.

    Raises:
        msgspec.DecodeError: One of them cannot be read, as in :func:`decode_click`; it does not say which.
    """
    return list(map(_decoder.decode, values))
