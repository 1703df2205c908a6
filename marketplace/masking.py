"""Masks addresses in text that could not be parsed: everything that looks like one is cut to its network, /24 or /48.

Such text may have an address anywhere and in any notation, so this errs on the side of masking: a version number of
four parts or a hardware address is cut too. A time of day is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from marketplace.clicks.visitors import truncate_ip

_COLON: Final = rb"(?::|%(?:25)*3[aA])"
_DOT: Final = rb"(?:\.|%(?:25)*2[eE])"
_DOT_OR_HYPHEN: Final = rb"(?:-|" + _DOT + rb")"
# Each match begins where a run of digits begins and never backtracks into it, so that the longest line is read once.
# Only digits are possessive, not groups: before Python 3.11.5 a possessive group with alternatives matches wrongly.
_IPV4: Final = re.compile(rb"(?<!\d)\d++(?:" + _DOT_OR_HYPHEN + rb"\d++){3,}")
# It ends where no further hexadecimal digit follows: one that was left would become a part of the network before it.
_HEX: Final = rb"[0-9A-Fa-f]*+"
_IPV6: Final = re.compile(
    rb"(?<![0-9A-Fa-f])" + _HEX + rb"(?:" + _COLON + _HEX + rb"(?:" + _DOT + rb"\d++" + _HEX + rb")*){2,}"
)
_COLONS: Final = re.compile(_COLON)
_DOTS: Final = re.compile(rb"(" + _DOT_OR_HYPHEN + rb")")
_GROUP: Final = re.compile(rb"[0-9A-Fa-f]{0,4}")
_TIME_OF_DAY: Final = re.compile(rb"(?:\d{4}:)?\d\d:\d\d:\d\d(?:\.\d+)?")
# A character of an address as JSON may escape it; escapes of other characters are left alone.
_ESCAPED: Final = re.compile(rb"\\u00(2[dDeE]|3[0-9aA]|[46][1-6])")
_KEPT_IPV4_PARTS: Final = 3
_KEPT_IPV6_GROUPS: Final = 3
_MAX_IPV4_PARTS: Final = 8
"""In a longer row of numbers, everything after this many is one part."""

_MAX_IPV6_CHARS: Final = 45
_ADDRESSES: Final = 8
_BYTES_PER_ADDRESS: Final = 128
_HASH_NAME: Final = b"dead letter"


def mask_addresses(raw: bytes) -> bytes:
    """The text without the host part of everything that looks like an address.

    Recognised are IPv4 with dots or hyphens, as in providers' host names, IPv6 in every notation, and both with their
    dots or colons percent-encoded or any character escaped as in JSON. In UTF-16 text, as in the logs of some systems,
    the zero bytes are dropped where an address was found among them.

    Text that consists of addresses ends before the one that is too many: eight, and one more for every 128 bytes.

    Args:
        raw: Any bytes; the time taken grows with their number.
    """
    for rewrite in (_without_zeros, _without_escapes):
        plain = rewrite(raw)
        if plain is not raw and _mask(plain) != plain:
            raw = plain
    return _mask(raw)


def line_hash(raw: bytes, secret: str) -> str:
    """A keyed hash as 32 hex digits, equal for equal bytes of one store.

    It is keyed because against a plain hash of a line that is otherwise known, 256 addresses could be tried.

    Args:
        raw: The exact bytes.
        secret: The store's visitor secret, 64 hex digits.
    """
    return blake2b(raw, digest_size=16, key=bytes.fromhex(secret), person=_HASH_NAME).hexdigest()


def _mask(raw: bytes) -> bytes:
    most = _ADDRESSES + len(raw) // _BYTES_PER_ADDRESS
    return _replace(_IPV4, _cut_ipv4, _replace(_IPV6, _cut_ipv6, raw, most), most)


def _replace(pattern: re.Pattern[bytes], cut: Callable[[bytes], bytes | None], raw: bytes, most: int) -> bytes:
    """The text with up to ``most`` matches cut; it ends before the next match."""
    parts: list[bytes] = []
    found = end = 0
    for match in pattern.finditer(raw):
        kept = cut(match[0]) if found < most else b""
        if kept is None:
            continue
        if found == most:
            raw = raw[: match.start()]
            break
        parts += (raw[end : match.start()], kept)
        found, end = found + 1, match.end()
    return b"".join((*parts, raw[end:]))


def _without_zeros(raw: bytes) -> bytes:
    return raw.replace(b"\x00", b"") if b"\x00" in raw else raw


def _without_escapes(raw: bytes) -> bytes:
    return _ESCAPED.sub(_unescape, raw) if b"\\u00" in raw else raw


def _unescape(match: re.Match[bytes]) -> bytes:
    return bytes.fromhex(match[1].decode())


def _cut_ipv4(text: bytes) -> bytes:
    parts = _DOTS.split(text, _MAX_IPV4_PARTS)
    # Numbers are at even positions, separators between them; of more than four numbers the first three are kept too.
    kept = 2 * _KEPT_IPV4_PARTS
    return b"".join(part if place < kept or place % 2 else b"0" for place, part in enumerate(parts))


def _cut_ipv6(found: bytes) -> bytes | None:
    """The network of an IPv6 address; None, and quickly, for text that is not an address."""
    text = _COLONS.sub(b":", found) if b"%" in found else found
    if _TIME_OF_DAY.fullmatch(text):
        return None
    # Only the groups that may be kept are parsed, so that a line of colons is quick.
    groups = text.split(b":", _KEPT_IPV6_GROUPS)
    heads = [group[: _group_digits(group)] for group in groups[:_KEPT_IPV6_GROUPS]]
    if heads == groups and b"" not in groups:
        return None
    network = truncate_ip(text.decode()) if len(text) <= _MAX_IPV6_CHARS else ""
    if network:
        return network.encode()
    known = heads.index(b"") if b"" in heads else len(heads)
    return truncate_ip((b":".join(heads[:known]) + b"::").decode()).encode()


def _group_digits(group: bytes) -> int:
    found = _GROUP.match(group)
    return found.end() if found else 0
