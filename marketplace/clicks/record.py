"""From a valid event to the record on the topic: fingerprint, partition, headers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Final

import msgspec

from marketplace.clicks.collect import ValidEvent, property_texts
from marketplace.clicks.events import MAX_USER_AGENT_CHARS, CollectedClick, Origin, VisitorKind
from marketplace.enrichments.kept_links import kept_referrer, kept_target, kept_url

_KEY_BYTES: Final = 8
_SEPARATOR: Final = b"\x00"

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Client:
    """Properties of the connection, the same for all events of a request.

    Attributes:
        ip: The truncated address.
        user_agent: As sent, cut to 1,024 characters.
        origin: The endpoint or import that it came through.
        automated: A header declares a prefetch or automation.
        opted_out: The client sent DNT or Sec-GPC.
    """

    ip: str
    user_agent: str
    origin: Origin
    automated: bool = False
    opted_out: bool = False


class Visitor(msgspec.Struct, frozen=True, gc=False):
    """A stamped visitor: 16 hex digits and the kind of the id."""

    id: str
    kind: VisitorKind


def fingerprint(store: str, canonical: bytes) -> str:
    """16 hex digits, a hash of store and payload with the event id: equal only for the same event sent twice."""
    return blake2b(store.encode() + _SEPARATOR + canonical, digest_size=_KEY_BYTES).hexdigest()


def collected_click(
    valid: ValidEvent, *, store: str, client: Client, visitor: Visitor, received_at_ms: int
) -> CollectedClick:
    """The event as a record of the topic; of its links only what is counted (see ``kept_links``)."""
    event = valid.event
    return CollectedClick(
        key=fingerprint(store, valid.canonical),
        event_id=event.event_id,
        store=store,
        visitor=visitor.id,
        received_at_ms=received_at_ms,
        type=event.type,
        visitor_kind=visitor.kind,
        origin=client.origin,
        occurred_at_ms=valid.occurred_at_ms,
        sent_at_ms=valid.sent_at_ms,
        ip=client.ip,
        user_agent=client.user_agent,
        url=kept_url(event.url),
        referrer=kept_referrer(event.referrer),
        target=kept_target(event.target),
        product=event.product,
        name=event.name,
        properties=property_texts(event.properties),
        automated=event.automated or client.automated,
        opted_out=client.opted_out,
        sampling=event.sampling,
    )


def clip_user_agent(user_agent: str) -> str:
    """At most 1,024 characters of a user agent; the visitor is hashed from the whole."""
    return user_agent[:MAX_USER_AGENT_CHARS]


def partition_for(event: CollectedClick, partitions: int) -> int:
    """The partition of an event, stable over versions of Python and of this code.

    A first-party visitor chooses it by its id. A cookieless id changes when its salt does, so such an event is placed
    by what does not change: store, network and user agent. Either way the copies of an event that come from one place
    meet in one partition, which is where duplicates are found.

    Args:
        event: The event.
        partitions: How many partitions the topic has, at least 1.
    """
    if event.visitor_kind == "first_party":
        return int(event.visitor, 16) % partitions
    return _placement(event.store, event.ip, event.user_agent) % partitions


def record_headers(event: CollectedClick) -> Headers:
    """CloudEvents attributes in Kafka's binary mode."""
    return (("ce_id", event.key.encode()), *_shared_headers(event.type, event.store, event.received_at_ms))


@lru_cache(maxsize=64)
def _shared_headers(type_: str, store: str, received_at_ms: int) -> Headers:
    return (
        ("ce_type", type_.encode()),
        ("ce_source", store.encode()),
        ("ce_time", iso_time(received_at_ms).encode()),
    )


@lru_cache(maxsize=4)
def iso_time(epoch_ms: int) -> str:
    """ISO 8601 in UTC with milliseconds, as CloudEvents asks for."""
    instant = datetime.fromtimestamp(epoch_ms // 1000, UTC).replace(tzinfo=None)
    return f"{instant.isoformat()}.{epoch_ms % 1000:03d}Z"


@lru_cache(maxsize=16_384)
def _placement(store: str, ip: str, user_agent: str) -> int:
    message = _SEPARATOR.join(part.encode("utf-8", "surrogatepass") for part in (store, ip, user_agent))
    return int.from_bytes(blake2b(message, digest_size=8).digest(), "big")
