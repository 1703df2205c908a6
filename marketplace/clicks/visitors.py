"""Visitor ids without personal data: truncated addresses and keyed hashes.

A visitor is the snippet's first-party id hashed with the store under its secret, or, without one, store, full address
and user agent hashed under a random salt that exists for 48 hours. Neither can be reversed, and two stores cannot join
theirs. A salt belongs to the date of the *event* in the store's time zone, so that an event near midnight keeps its
visitor when it arrives late, and an id never spans two of the store's days.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Final
from zoneinfo import ZoneInfo

SALT_BYTES: Final = 32
SALT_LIFETIME: Final = timedelta(hours=48)
"""After this a salt is destroyed; then a cookieless id cannot be traced back to an address."""

PAST_TOLERANCE: Final = timedelta(days=7)
FUTURE_TOLERANCE: Final = timedelta(days=1)
"""The largest difference from its arrival at which a web event's own time still decides the date of its salt."""

_VISITOR_BYTES: Final = 8
_IPV4_PREFIX: Final = 24
_IPV6_PREFIX: Final = 48
_MAX_ADDRESS_CHARS: Final = 256
_SEPARATOR: Final = b"\x00"

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Salt:
    """One store's salt for one of its dates.

    Attributes:
        value: 32 random bytes.
        destroy_at: From this instant on no copy of it may be used.
    """

    value: bytes
    destroy_at: datetime


def canonical_ip(address: str) -> str:
    """The canonical form of an address: IPv4-mapped IPv6 as IPv4, IPv6 compressed, no zone; other text is unchanged."""
    parsed = parse_ip(address)
    return address.strip() if parsed is None else str(parsed)


def truncate_ip(address: str) -> str:
    """The network part of an address: the base of its IPv4 /24 or IPv6 /48.

    Private, loopback and link-local addresses are truncated alike; IPv4 mapped into IPv6 counts as IPv4.

    Returns:
        The base address, or an empty string for anything that is not an address.
    """
    parsed = parse_ip(address)
    if parsed is None:
        return ""
    kept_bits = _IPV4_PREFIX if parsed.version == 4 else _IPV6_PREFIX
    dropped_bits = parsed.max_prefixlen - kept_bits
    return str(type(parsed)((int(parsed) >> dropped_bits) << dropped_bits))


def first_party_visitor(visitor_secret: str, store: str, client_visitor_id: str) -> str:
    """The visitor of a snippet's own id: 16 hex digits that two stores never share, even under one secret.

    Args:
        visitor_secret: The store's, 64 hex digits.
        store: The store's slug.
        client_visitor_id: As sent.
    """
    return _digest(bytes.fromhex(visitor_secret), _SEPARATOR.join((store.encode(), client_visitor_id.encode())))


def cookieless_visitor(salt: bytes, store: str, address: str, user_agent: str) -> str:
    """The visitor of a client without an id: 16 hex digits, equal only with the same ``salt``.

    Args:
        salt: The 32 random bytes of (store, event date).
        store: The store's slug.
        address: The full address, or a host name where a log has no address; only its hash is kept.
        user_agent: As sent, in full.
    """
    parts = (store, canonical_ip(address), user_agent)
    return _digest(salt, _SEPARATOR.join(part.encode("utf-8", "surrogateescape") for part in parts))


def salt_date(timezone: ZoneInfo, *, occurred_at_ms: int | None, received_at_ms: int, imported: bool = False) -> str:
    """The date whose salt an event uses, as YYYY-MM-DD in the store's time zone.

    It is the event's own date if the client's clock is plausible (7 days back to 1 day ahead; always for an imported
    log), and otherwise the date of arrival.
    """
    chosen_ms = received_at_ms
    if occurred_at_ms is not None:
        distance = timedelta(milliseconds=occurred_at_ms - received_at_ms)
        if imported or -PAST_TOLERANCE <= distance <= FUTURE_TOLERANCE:
            chosen_ms = occurred_at_ms
    return _local_date(timezone, chosen_ms // 60_000)


def salt_id(store: str, date: str) -> str:
    """The name of a salt: ``<store>:<date>``; a slug has no colon."""
    return f"{store}:{date}"


@lru_cache(maxsize=4_096)
def _local_date(timezone: ZoneInfo, epoch_minute: int) -> str:
    return datetime.fromtimestamp(epoch_minute * 60, UTC).astimezone(timezone).date().isoformat()


def parse_ip(address: str) -> IPAddress | None:
    """A parsed address in its canonical form (see :func:`canonical_ip`), or None for anything else."""
    return _parse_ip(address.strip()) if len(address) <= _MAX_ADDRESS_CHARS else None


# Cached, because the address of a request is parsed three times.
@lru_cache(maxsize=256)
def _parse_ip(address: str) -> IPAddress | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return parsed.ipv4_mapped
        if parsed.scope_id is not None:
            return ipaddress.IPv6Address(int(parsed))
    return parsed


def _digest(key: bytes, message: bytes) -> str:
    return blake2b(message, digest_size=_VISITOR_BYTES, key=key).hexdigest()
