"""Addresses in text that nobody could parse: what looks like one is cut to its network, /24 or /48.

A line that cannot be parsed may hold an address anywhere and in any spelling, so this errs on the side of cutting: a
version number of four parts or a hardware address is cut too. A time of day is not.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

from marketplace.visitors import truncate_ip

_COLON: Final = rb"(?::|%(?:25)*3[aA])"
_DOT: Final = rb"(?:\.|%(?:25)*2[eE])"
_DOT_OR_HYPHEN: Final = rb"(?:-|" + _DOT + rb")"
# Each begins where a run of its digits begins and never goes back in it, so that the longest line is read once. Groups
# are not possessive, only digits are: before Python 3.11.5 a possessive group that holds a choice matches wrongly.
_IPV4: Final = re.compile(rb"(?<!\d)\d++(?:" + _DOT_OR_HYPHEN + rb"\d++){3,}")
_IPV6: Final = re.compile(rb"(?<![0-9A-Fa-f])[0-9A-Fa-f]*+(?:" + _COLON + rb"[0-9A-Fa-f]*+(?:" + _DOT + rb"\d++)*){2,}")
_COLONS: Final = re.compile(_COLON)
_DOTS: Final = re.compile(rb"(" + _DOT_OR_HYPHEN + rb")")
_GROUP: Final = re.compile(rb"[0-9A-Fa-f]{0,4}")
_TIME_OF_DAY: Final = re.compile(rb"(?:\d{4}:)?\d\d:\d\d:\d\d(?:\.\d+)?")
_KEPT_IPV4_PARTS: Final = 3
_KEPT_IPV6_GROUPS: Final = 3
_HASH_NAME: Final = b"dead letter"


def mask_addresses(raw: bytes) -> bytes:
    """The same bytes with the host part of everything that looks like an address taken out.

    Recognised are IPv4 with dots or hyphens, as in host names that providers make of addresses, IPv6 in every spelling,
    and both with their dots or colons percent-encoded. In text of two bytes a character, as some systems write logs,
    the zero bytes are dropped where an address was found among them.

    Args:
        raw: Any bytes; the time taken grows with their number.
    """
    if b"\x00" in raw:
        narrow = raw.replace(b"\x00", b"")
        masked = _mask(narrow)
        if masked != narrow:
            return masked
    return _mask(raw)


def line_hash(raw: bytes, secret: str) -> str:
    """32 hex digits, equal for equal bytes of one store.

    They are keyed: of a line whose rest is known, 256 addresses could be tried against a plain hash.

    Args:
        raw: The exact bytes.
        secret: The store's visitor secret, 64 hex digits.
    """
    return blake2b(raw, digest_size=16, key=bytes.fromhex(secret), person=_HASH_NAME).hexdigest()


def _mask(raw: bytes) -> bytes:
    return _IPV4.sub(_cut_ipv4, _IPV6.sub(_cut_ipv6, raw))


def _cut_ipv4(match: re.Match[bytes]) -> bytes:
    parts = _DOTS.split(match[0])
    # Numbers stand at even places, what separates them between; of more than four the first three are kept as well.
    kept = 2 * _KEPT_IPV4_PARTS
    return b"".join(part if place < kept or place % 2 else b"0" for place, part in enumerate(parts))


def _cut_ipv6(match: re.Match[bytes]) -> bytes:
    text = _COLONS.sub(b":", match[0])
    if _TIME_OF_DAY.fullmatch(text):
        return match[0]
    network = truncate_ip(text.decode())
    if network:
        return network.encode()
    groups = text.split(b":")
    heads = [group[: _group_digits(group)] for group in groups]
    if len(groups) <= _KEPT_IPV6_GROUPS and heads == groups and b"" not in groups:
        return match[0]
    known = heads.index(b"") if b"" in heads else len(heads)
    kept = heads[: min(known, _KEPT_IPV6_GROUPS)]
    return truncate_ip((b":".join(kept) + b"::").decode()).encode()


def _group_digits(group: bytes) -> int:
    found = _GROUP.match(group)
    return found.end() if found else 0
