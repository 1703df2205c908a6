"""Parses records with the standard library's JSON, by the contract of ``clicks.collected.v1``."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from marketplace.stores import Store

_ABSENT: Final = object()
_STRINGS: Final = (
    "key",
    "event_id",
    "store",
    "visitor",
    "ip",
    "user_agent",
    "url",
    "referrer",
    "target",
    "product",
    "name",
)
_CHOICES: Final = {
    "type": ("view", "click", "event"),
    "visitor_kind": ("first_party", "cookieless"),
    "origin": ("web", "pixel", "server", "import"),
}
_FLAGS: Final = ("automated", "opted_out")
_REQUIRED: Final = ("key", "event_id", "store", "visitor", "received_at_ms")
_END_OF_TIME_MS: Final = 2**53
_END_OF_RECEIPT_MS: Final = 4_102_444_800_000  # 2100-01-01: the tables' times end in 2106


@dataclass
class Event:
    """A valid record; the defaults are the contract's."""

    key: str
    event_id: str
    store: str
    visitor: str
    received_at_ms: int
    type: str = "view"
    visitor_kind: str = "cookieless"
    origin: str = "web"
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


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as a list of its fields in their order, with repeated ones."""


def read(value: bytes, stores: Mapping[str, Store]) -> Event | None:
    """The event in a record; None if it is invalid."""
    pairs = _parse(value)
    if pairs is None:
        return None
    fields: dict[str, Any] = {}
    for name, given in pairs:
        if name in Event.__dataclass_fields__:
            if not _fits(name, given):
                return None
            fields[name] = given
    if any(fields.get(name, _ABSENT) is _ABSENT for name in _REQUIRED):
        return None
    if fields.get("properties") is not None:
        fields["properties"] = dict(fields["properties"])
    event = Event(**fields)
    return event if _is_valid(event, stores) else None


def _parse(value: bytes) -> _Pairs | None:
    try:
        parsed = json.loads(
            value.decode("utf-8"), object_pairs_hook=_Pairs, parse_int=_whole, parse_constant=_no_constant
        )
        # An unpaired surrogate is not valid text, anywhere in the record.
        json.dumps(parsed, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, _Pairs) else None


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < 1_000 else math.inf


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _fits(name: str, given: Any) -> bool:
    if name in _STRINGS:
        return type(given) is str
    if name in _CHOICES:
        return type(given) is str and given in _CHOICES[name]
    if name in _FLAGS:
        return type(given) is bool
    if name == "sampling":
        return type(given) in (int, float) and _is_finite(given)
    if given is None:
        return name in ("occurred_at_ms", "sent_at_ms", "properties")
    if name == "properties":
        return isinstance(given, _Pairs) and all(type(text) is str for _, text in given)
    return type(given) is int


def _is_finite(number: int | float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _is_valid(event: Event, stores: Mapping[str, Store]) -> bool:
    for text in (event.key, event.visitor):
        if re.fullmatch("[0-9a-f]{16}", text) is None:
            return False
    for moment in (event.occurred_at_ms, event.sent_at_ms):
        if moment is not None and not 0 <= moment < _END_OF_TIME_MS:
            return False
    return 0 <= event.received_at_ms < _END_OF_RECEIPT_MS and event.store in stores
