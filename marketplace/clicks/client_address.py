"""The client's address of a request: the peer's, or the one that trusted proxies report."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Final

from marketplace.clicks.visitors import IPAddress, parse_ip
from marketplace.networks import Network

FORWARDED_FOR: Final = "x-forwarded-for"
FORWARDED: Final = "forwarded"
CLIENT_HEADERS: Final = (
    FORWARDED_FOR,
    FORWARDED,
    "x-real-ip",
    "cf-connecting-ip",
    "true-client-ip",
    "fastly-client-ip",
)
"""Headers in which proxies report a client's address: lists that each hop adds to, and single addresses."""

_PAIR: Final = re.compile(r'\s*([A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))\s*')


def reported_hops(header: str, values: Sequence[str]) -> str:
    """The addresses that a header reports, as :func:`client_address` reads them: with commas, the client first.

    Args:
        header: One of ``CLIENT_HEADERS``. Only the one that the trusted proxies write may be read: others come from
            the client as they are.
        values: Its values, one for each time that it is there.
    """
    joined = ",".join(values)
    return ",".join(map(_for_of, _elements(joined))) if header == FORWARDED else joined


def _elements(text: str) -> list[str]:
    """The elements of a list in which quoted text may hold commas (RFC 9110, section 5.6.1)."""
    parts, quoted, start, at = [], False, 0, 0
    while at < len(text):
        if text[at] == "\\" and quoted:
            at += 1
        elif text[at] == '"':
            quoted = not quoted
        elif text[at] == "," and not quoted:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return [*parts, text[start:]] if text else []


def _for_of(element: str) -> str:
    """The address of an element of ``Forwarded`` (RFC 7239); the empty text, which is none, where it has none."""
    at, found = 0, ""
    while (pair := _PAIR.match(element, at)) is not None:
        if pair[1].lower() == "for":
            found = re.sub(r"\\(.)", r"\1", pair[2]) if pair[2] is not None else pair[3]
        at = pair.end()
        if element[at : at + 1] != ";":
            break
        at += 1
    return found.replace(",", "") if at >= len(element) else ""


def client_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """The client's full address.

    Every trusted hop added the address it saw on the right, so the list is walked from the right for as long as the
    current address is a trusted proxy. Addresses further left were written by the client and are not trusted.

    Args:
        peer: The other end of the connection; empty or a path for a UNIX socket.
        forwarded_for: All ``X-Forwarded-For`` headers joined by commas; empty when there is none.
        trusted: The proxies.

    Returns:
        An address in its canonical form; the last trusted one where a hop is not an address; empty if none is known.
    """
    address = parse_ip(peer)
    hops = [hop.strip() for hop in forwarded_for.split(",")] if forwarded_for else []
    while hops and address is not None and _is_trusted(address, trusted):
        hop = parse_ip(_without_port(hops.pop()))
        if hop is None:
            break
        address = hop
    return "" if address is None else str(address)


def bucket_name(address: str) -> str:
    """The key of an address for rate limits: IPv4 by itself, IPv6 by its /64, all of which belongs to one client."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network(f"{address}/64", strict=False).network_address)


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    """Whether a peer's address belongs to a trusted proxy."""
    address = parse_ip(peer) if trusted else None
    return address is not None and _is_trusted(address, trusted)


def _is_trusted(address: IPAddress, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted if network.version == address.version)


def _without_port(hop: str) -> str:
    """``[2001:db8::1]:443`` and ``192.0.2.1:443`` as some proxies write them."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
