"""Why something was refused: a code for counting, a field path and a plain reason."""

from __future__ import annotations

import re
from typing import Final, Literal, get_args

import msgspec

FaultCode = Literal[
    "not_utf8",
    "not_json",
    "too_deep",
    "too_complex",
    "too_many_events",
    "empty_batch",
    "field_missing",
    "field_type",
    "field_null",
    "field_length",
    "field_value",
    "timestamp",
]
FAULT_CODES: Final[tuple[FaultCode, ...]] = get_args(FaultCode)

_AT: Final = re.compile(r" - at (?:`key` in )?`\$\.?(?P<field>[^`]*)`$")
_MISSING: Final = re.compile(r"Object missing required field `(?P<field>[^`]*)`")
_LENGTH: Final = re.compile(r"Expected `str` of length (?P<bound><=|>=) (?P<length>\d+)")
_COUNT: Final = re.compile(r"Expected `object` of length <= (?P<count>\d+)")
_KIND: Final = re.compile(r"Expected `(?P<expected>[^`]*)`, got `(?P<got>[^`]*)`")
_RANGE: Final = re.compile(r"Expected `(?:float|int)` (?P<bound>[<>]=?) (?P<limit>-?[\d.]+)")
_WORDS: Final = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "an array",
    "null": "null",
    "bool | int | float | str": "text, a number, true or false",
    "int | str": "epoch milliseconds or an ISO 8601 time",
}
_TIMES: Final = ("occurred_at", "sent_at")


class Fault(msgspec.Struct, frozen=True, gc=False):
    """One thing that is wrong with a body.

    Attributes:
        code: One of a bounded set, fit for a metric's label.
        path: The field, such as ``events[3].url``; empty for the body as a whole.
        reason: One plain sentence without the value itself.
    """

    code: FaultCode
    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


def explain(message: str, path: str) -> Fault:
    """Put a validation message of msgspec into plain words.

    Args:
        message: The text of a ``msgspec.ValidationError`` raised for one event.
        path: The event's path in the body; empty for the body itself.
    """
    where = _AT.search(message)
    field = where["field"] if where else ""
    missing = _MISSING.match(message)
    if missing:
        return Fault("field_missing", _join(path, missing["field"]), "is required")
    here = _join(path, field)
    kind = _KIND.match(message)
    if kind and kind["got"] == "null" and field:
        return Fault("field_null", here, "null is not a value; leave the field out")
    if kind:
        expected, got = _word(kind["expected"]), _word(kind["got"])
        return Fault("timestamp" if field in _TIMES else "field_type", here, f"expected {expected}, got {got}")
    length = _LENGTH.match(message)
    if length:
        reason = "is empty" if length["bound"] == ">=" else f"longer than {int(length['length']):,} characters"
        return Fault("field_length", here, reason)
    count = _COUNT.match(message)
    if count:
        return Fault("field_length", here, f"more than {count['count']} of them")
    bounds = _RANGE.match(message)
    if bounds and field in _TIMES:
        return Fault("timestamp", here, "is after the year 9999" if bounds["bound"] == "<=" else "is before 1970")
    if bounds:
        return Fault("field_value", here, f"must be {bounds['bound']} {float(bounds['limit']):g}")
    return Fault(
        "field_value", here, "must be view, click or event" if field == "type" else "has a value that is not allowed"
    )


def _join(path: str, field: str) -> str:
    return f"{path}.{field}" if path and field else path or field


def _word(kind: str) -> str:
    return _WORDS.get(kind, kind)
