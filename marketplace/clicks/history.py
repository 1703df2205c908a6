"""The format of imports: events of the past from a seller's own server, with their visitors' addresses and browsers.

A request with the store's secret import key is trusted where a page is not: about when an event happened, however long
ago, and from which address and browser. The address is treated like any other: it is hashed into the visitor and cut to
its network, and is neither in the fingerprint nor in a dead letter.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from marketplace.clicks.client_times import ClientTime
from marketplace.clicks.collect import Batch, ClientEvent, EventKind, RefusedEvent, ValidEvent, read_body
from marketplace.clicks.events import MAX_USER_AGENT_CHARS
from marketplace.clicks.faults import Fault
from marketplace.clicks.visitors import FUTURE_TOLERANCE

MAX_ADDRESS_CHARS: Final = 64

_AHEAD_MS: Final = int(FUTURE_TOLERANCE.total_seconds() * 1000)


class ImportedEvent(ClientEvent, frozen=True, kw_only=True, gc=False):
    """One event of the past.

    Attributes:
        occurred_at: Required here, and trusted.
        ip: The visitor's full address, empty for unknown; without the field the request's own.
        user_agent: The visitor's; without it the request's own.
    """

    occurred_at: ClientTime
    ip: Annotated[str, Meta(max_length=MAX_ADDRESS_CHARS)] | UnsetType = UNSET
    user_agent: Annotated[str, Meta(max_length=MAX_USER_AGENT_CHARS)] | UnsetType = UNSET

    def payload(self) -> ClientEvent:
        """Address and browser are transport fields: the same event, sent by the page itself, has the same payload."""
        return msgspec.structs.replace(self, sent_at=UNSET, ip=UNSET, user_agent=UNSET)


HISTORY: Final = EventKind(ImportedEvent)


def read_history(body: bytes, received_at_ms: int) -> Batch:
    """Decode and validate the body of an import; see ``collect.read_body``.

    Args:
        body: UTF-8 JSON, already decompressed and bounded in size.
        received_at_ms: When it came, epoch milliseconds; history that is more than a day later is refused.

    Raises:
        RefusedBody: As for ``collect.read_body``.
    """
    batch = read_body(body, HISTORY, lambda valid, path: _fault(valid, path, received_at_ms))
    return Batch([_without_sent_at(result) for result in batch.results], batch.single)


def _without_sent_at(result: ValidEvent | RefusedEvent) -> ValidEvent | RefusedEvent:
    """A server's clock is trusted: there is no skew to correct."""
    if isinstance(result, RefusedEvent) or result.sent_at_ms is None:
        return result
    return ValidEvent(result.event, result.occurred_at_ms, None, result.canonical)


def _fault(valid: ValidEvent, path: str, received_at_ms: int) -> Fault | None:
    prefix = f"{path}." if path else ""
    if valid.occurred_at_ms is not None and valid.occurred_at_ms > received_at_ms + _AHEAD_MS:
        return Fault("timestamp", f"{prefix}occurred_at", "lies in the future")
    address = getattr(valid.event, "ip", UNSET)
    if isinstance(address, str) and address and not _is_address(address):
        return Fault("field_value", f"{prefix}ip", "is not an address")
    return None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
