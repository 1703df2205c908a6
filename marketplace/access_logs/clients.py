"""Who a request came from: what a log may have in the client's place, and lists of addresses that proxies report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from marketplace.access_logs.requests import LoggedRequest, UnparseableLine, plain_text
from marketplace.clicks.client_address import client_address, is_trusted
from marketplace.clicks.visitors import IPAddress, parse_ip
from marketplace.hosts import canonical_host
from marketplace.networks import Network, parse_networks

_PORT: Final = re.compile(r":\d{1,5}$")
_UNIX: Final = "unix"
_LOOPBACK: Final = "127.0.0.1"
_THIS_MACHINE: Final = parse_networks(_LOOPBACK)
_PRIVATE: Final = parse_networks(
    "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,127.0.0.0/8,169.254.0.0/16,::1,fc00::/7,fe80::/10"
)


@lru_cache(maxsize=16_384)
def logged_client(word: bytes) -> str:
    """The client that a log names: an address in its canonical form, or a host name; its port is left out.

    Raises:
        UnparseableLine: It is neither. A word of another kind would make one visitor of all clients.
    """
    text = plain_text(word)
    address = parse_address(text)
    if address is not None:
        return str(address)
    host = canonical_host(text)
    if not host:
        raise UnparseableLine("the client is neither an address nor a host name")
    return host


def parse_address(text: str) -> IPAddress | None:
    """An address with or without a port; an IPv6 address with a port has brackets."""
    text = text.strip()
    address = parse_ip(text)
    if address is None and text.startswith("["):
        return parse_ip(text[1:].partition("]")[0])
    return parse_ip(_PORT.sub("", text)) if address is None and text.count(":") == 1 else address


def is_address(word: bytes) -> bool:
    """Whether a word is an address, with or without a port."""
    return parse_address(plain_text(word)) is not None


def addresses_in(forwarded: str) -> list[str]:
    """The addresses of a list, in its order; empty where one of its members is neither an address nor unknown."""
    found = []
    for member in forwarded.split(","):
        address = parse_address(member)
        if address is not None:
            found.append(str(address))
        elif member.strip().lower() not in ("unknown", "-"):
            return []
    return found


def is_private(address: str) -> bool:
    """Whether an address is of a private network, or this machine's; no host name is."""
    parsed = parse_ip(address)
    return address == _UNIX or (parsed is not None and is_trusted(str(parsed), _PRIVATE))


def nearest_public(addresses: Sequence[str]) -> str:
    """The last address that is of no private network, as proxies add theirs on the right; else the first."""
    return next((address for address in reversed(addresses) if not is_private(address)), addresses[0])


def client_behind(request: LoggedRequest, trusted: Sequence[Network]) -> str:
    """The client of a request that came through proxies.

    Args:
        request: With its list of addresses, if the format has one.
        trusted: The proxies' networks; none means that the log's own client is meant.

    Returns:
        The last address that is no trusted proxy's; see ``client_address``. What is left of it was written by the
        client and means nothing.
    """
    if not trusted or not request.forwarded:
        return request.client
    peer = request.peer or request.client
    if peer == _UNIX:  # Whoever connects by a socket of this machine is on this machine.
        peer, trusted = _LOOPBACK, (*trusted, *_THIS_MACHINE)
    return client_address(peer, request.forwarded, trusted) or request.client
