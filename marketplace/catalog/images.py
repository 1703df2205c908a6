"""Addresses of pictures: they are checked and kept, and nothing here ever asks for one.

A buyer's browser asks for them. An address must not lead it to the buyer's own machine or network, so a host is a name
of the public internet and never a number, in whatever way numbers of addresses can be written.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

MAX_URL_CHARS: Final = 1_000

_CHARS: Final = re.compile(r"[!#$%&()*+,\-./0-9:;=?@A-Z_a-z~\[\]']+")
"""Printable ASCII without what ends an attribute or what browsers read as something else, as they do a backslash."""

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_TOP: Final = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PRIVATE: Final = frozenset({"localhost", "local", "internal", "intranet", "lan", "home", "corp", "private", "arpa"})
"""Last labels that no name of the public internet has."""

_PATH: Final = re.compile(r"/(?!/)[!$%&()*+,\-./0-9:;=@A-Z_a-z~]*")
_UP: Final = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)


def image_fault(url: str) -> str:
    """What is wrong with the address of a picture; empty where nothing is.

    Args:
        url: ``https://`` and a host of the internet, or a path of this platform that begins with ``/``.
    """
    if not 0 < len(url) <= MAX_URL_CHARS or not _CHARS.fullmatch(url):
        return f"give an address of at most {MAX_URL_CHARS} characters of ASCII, without spaces and quotes"
    if url.startswith("/"):
        if not _PATH.fullmatch(url) or any(_UP.fullmatch(part) for part in url.split("/")):
            return "give a path of this platform, such as /pictures/mug.svg"
        return ""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return _EXAMPLE
    if not url.startswith("https://") or parts.scheme != "https":
        return _EXAMPLE
    if "@" in parts.netloc:
        return "give an address without a user and a password"
    if port not in (None, 443):
        return "give an address of the usual port"
    return "" if _is_public(parts.hostname or "") else "give a host of the internet by its name"


def _is_public(host: str) -> bool:
    labels = host.split(".")
    return (
        len(host) <= 253
        and len(labels) > 1
        and all(_LABEL.fullmatch(label) for label in labels)
        # Browsers read 127.1, 0x7f.0.0.1 and 0177.0.0.1 as numbers of addresses, all of which end in a digit or 0x.
        and _TOP.fullmatch(labels[-1]) is not None
        and labels[-1] not in _PRIVATE
    )


_EXAMPLE: Final = "give an address such as https://shop.example/mug.jpg"
