"""Splits a body into its events without building their content, and bounds what may be built.

A kilobyte of JSON can hold hundreds of containers and a compressed one a hundred thousand, each of them an object that
is made, looked at and thrown away. So a body is first cut into its events as bytes; a list is refused at its 1,001st
element, before the rest of it is read; and an event is built only after its commas and brackets were counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from marketplace.clicks.faults import Fault

MAX_EVENTS: Final = 1_000
MAX_EVENT_VALUES: Final = 1_000
"""Values that one event may have in unknown fields: its commas and opening brackets."""

MAX_BODY_VALUES: Final = 20_000
"""The same for all events of a body with such fields, counted with their known fields."""

MAX_DIGITS: Final = 500
"""Digits of a number in an unknown field: the time to parse a whole number grows with the square of its digits."""

# It matches only after a character that a number may follow, so that a run of digits is not tried at each of its
# digits.
_LONG_NUMBER: Final = re.compile(rb"[:,\[\s-]\d{%d}" % (MAX_DIGITS + 1))

# What a lone half of a surrogate pair is not: other text, other escapes, whole pairs. None of it is tried twice.
_NOT_ALONE: Final = (
    rb"((?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+)"
)
_LONE_SURROGATE: Final = re.compile(_NOT_ALONE + rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")

MAX_FLOAT_CHARS: Final = 40
"""Characters of a number with a point or an exponent. Encoders need at most 24; longer ones parse slowly."""

# After a colon, as each number of a known field is. A run is tried once and no longer than it may be.
_COSTLY_NUMBER: Final = re.compile(rb":\s*+[-\d](?:[-+.eE\d]{%d}|[.\d]*+[eE][-+]?\d{3})" % MAX_FLOAT_CHARS)

_SIGNS: Final = tuple(b"%c" % sign for sign in b"-0123456789")

MAX_LONE_SURROGATES: Final = 5_000
"""Of a body; a script leaves one for each text that it cuts. With more it is refused."""


class NumberTooLong(ValueError):
    """A number that would take long to parse."""


def read_float(text: str) -> float:
    """A number with a point or an exponent; Python parses the smallest ones ten times as fast as the decoder does.

    Raises:
        NumberTooLong: It has too many characters, or is too large for a float.
    """
    value = float(text) if len(text) <= MAX_FLOAT_CHARS else math.inf
    if math.isinf(value):
        raise NumberTooLong
    return value


class RefusedBody(ValueError):
    """The body as a whole cannot be parsed: the response is 400, and it is kept in the dead-letter topic."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault

    def __reduce__(self) -> tuple[type[RefusedBody], tuple[Fault]]:
        return RefusedBody, (self.fault,)


class Pieces(msgspec.Struct, frozen=True):
    """The events of a body as bytes; none of them has been parsed.

    Attributes:
        events: The JSON of each event, in the order sent.
        path: The list's path in the body.
        sent_at: The batch's own time of sending as JSON; empty if it has none.
        single: The body was one event and not a list.
    """

    events: Sequence[bytes]
    path: str = ""
    sent_at: bytes = b""
    single: bool = False

    def path_of(self, index: int) -> str:
        """The path of an event, such as ``events[3]``; empty for the body itself."""
        return "" if self.single else f"{self.path}[{index}]"


class _Envelope(msgspec.Struct):
    events: Raw | UnsetType = UNSET
    sent_at: Raw | UnsetType = UNSET


# A struct encoded as an array fails at the first surplus element; a list would be parsed to its end first.
_List: Final = msgspec.defstruct(
    "_List",
    [(f"event_{index}", Raw | UnsetType, UNSET) for index in range(MAX_EVENTS)],
    array_like=True,
    forbid_unknown_fields=True,
)
_decode_list: Final = msgspec.json.Decoder(_List).decode
_decode_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_decode_raw: Final = msgspec.json.Decoder(Raw).decode


def split_body(body: bytes) -> Pieces:
    """Split a body into its events.

    Args:
        body: Any bytes.

    Raises:
        RefusedBody: Not UTF-8, not JSON, nested too deeply, no list of 1 to 1,000 events.
    """
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise RefusedBody(Fault("not_utf8", "", f"not UTF-8 at byte {error.start}")) from None
    start = body.lstrip(b" \t\r\n")[:1]
    try:
        if start == b"[":
            return Pieces(_elements(body, ""))
        if start != b"{":
            _decode_raw(body)
            return Pieces((body,), single=True)
        envelope = _decode_envelope(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RefusedBody(unreadable(error)) from None
    if isinstance(envelope.events, UnsetType):
        return Pieces((body,), single=True)
    events = bytes(envelope.events)
    if events[:1] != b"[":
        raise RefusedBody(Fault("field_type", "events", "expected an array"))
    sent_at = b"" if isinstance(envelope.sent_at, UnsetType) else bytes(envelope.sent_at)
    return Pieces(_elements(events, "events"), "events", sent_at)


def unreadable(error: msgspec.DecodeError | RecursionError) -> Fault:
    """The fault of a body with a part that cannot be decoded."""
    if isinstance(error, RecursionError):
        return Fault("too_deep", "", "nested too deeply")
    return Fault("not_json", "", str(error))


def count_values(raw: bytes) -> int:
    """A lower bound of the values in some JSON after the first: its commas and brackets, those in strings too."""
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def replace_lone_surrogates(raw: bytes) -> bytes:
    r"""Some JSON with U+FFFD for each half of a surrogate pair that stands alone, as browsers encode such text.

    Scripts that cut a text in the middle of an emoji send ``"\ud83d"``: an escape that stands for no character.
    """
    if b"\\ud" not in raw and b"\\uD" not in raw:
        return raw
    parts, at = [], 0
    # Matched where the last one ended, and never searched for: a search would start in the middle of an escape.
    for _ in range(MAX_LONE_SURROGATES):
        found = _LONE_SURROGATE.match(raw, at)
        if found is None:
            break
        parts += [found[1], b"\\ufffd"]
        at = found.end()
    return b"".join((*parts, raw[at:]))


def holds_long_number(raw: bytes) -> bool:
    """Whether a number has so many digits that parsing it would take long."""
    return len(raw) > MAX_DIGITS and _LONG_NUMBER.search(raw) is not None


def holds_costly_number(raw: bytes) -> bool:
    """Whether a number takes long to parse where its type is known: of many characters, or with a large exponent.

    It may be a text that looks like one.
    """
    return _COSTLY_NUMBER.search(raw) is not None


def is_long_number(raw: bytes) -> bool:
    """Whether a value is a number of more characters than any client needs, or too large for a float."""
    return raw.startswith(_SIGNS) and (len(raw) > MAX_FLOAT_CHARS or math.isinf(float(raw)))


def _elements(array: bytes, path: str) -> list[bytes]:
    try:
        found: Any = msgspec.structs.astuple(_decode_list(array))
    except msgspec.ValidationError:
        raise RefusedBody(Fault("too_many_events", path, f"more than {MAX_EVENTS:,} events")) from None
    events = [bytes(element) for element in found if element is not UNSET]
    if not events:
        raise RefusedBody(Fault("empty_batch", path, "holds no event"))
    return events
