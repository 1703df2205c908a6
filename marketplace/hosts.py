"""Hosts in one form, so that two spellings of one host are equal.

The form is the one that is on the wire: lower case, A-labels (``xn--``) for what is not ASCII, no port, no final dot.
Browsers send it in ``Origin`` and ``Referer``; people and some logs write the letters themselves. ``www.`` stays:
whether it is the same site is for the caller to say.

Letters are mapped as browsers do (UTS 46, nontransitional: ``ß`` stays itself), by the standard library alone. Its
codec ``idna`` is of 2003 and makes ``ss`` of it, which is another host.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from typing import Final

MAX_HOST_CHARS: Final = 253
"""The longest host name (RFC 1035)."""

_MAX_LABEL_CHARS: Final = 63
_MAX_TEXT_CHARS: Final = 1_024
_PORT: Final = re.compile(r":[0-9]{0,5}$")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_DOTS: Final = str.maketrans("\u3002\uff0e\uff61", "...")
"""Full stops of Chinese and Japanese keyboards separate labels too."""
_IGNORED: Final = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
_PREFIX: Final = "xn--"


def canonical_host(text: str) -> str:
    """A host in its one form; total, idempotent.

    Args:
        text: A host name or an address, with or without port and final dot; an IPv6 address in brackets.

    Returns:
        The form, at most 253 characters; an empty string for what is not a host (a URL, a path, ``-``, a number).
    """
    if len(text) > _MAX_TEXT_CHARS:
        return ""
    host = _PORT.sub("", text.strip())
    if host.startswith("["):
        return _bracketed(host)
    if not host.isascii():
        host = unicodedata.normalize("NFKC", host.translate(_IGNORED).translate(_DOTS))
    labels = [_canonical_label(label) for label in host.removesuffix(".").split(".")]
    host = ".".join(labels)
    if not all(labels) or len(host) > MAX_HOST_CHARS:
        return ""
    # A name whose last label is a number is an address to every resolver, or nothing.
    return host if not labels[-1].isdigit() or _is_ipv4(host) else ""


def _canonical_label(label: str) -> str:
    if not label.isascii():
        label = _a_label(label)
    label = label.lower()
    return label if _LABEL.fullmatch(label) else ""


def _a_label(label: str) -> str:
    # Letter by letter: str.lower() writes a capital sigma at a word's end as another letter than domain names do.
    mapped = unicodedata.normalize("NFKC", "".join(letter.lower() for letter in label))
    if len(mapped) > _MAX_LABEL_CHARS or any(unicodedata.category(letter)[0] in "CZ" for letter in mapped):
        return ""
    # Lower case can be ASCII where the capital was not (the sign for kelvin).
    return mapped if mapped.isascii() else _PREFIX + mapped.encode("punycode").decode("ascii")


def _bracketed(host: str) -> str:
    try:
        return f"[{ipaddress.IPv6Address(host[1:-1])}]" if host.endswith("]") else ""
    except ValueError:
        return ""


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True
