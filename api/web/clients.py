"""Where a request comes from."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

from fastapi import Request

from marketplace.clicks.client_address import bucket_name, client_address
from marketplace.networks import Network

_NETWORK_BITS: Final = {4: 24, 6: 48}


def address_of(request: Request) -> str:
    """The client's address, or its IPv6 /64; proxies are believed as far as they are trusted. Empty if nobody knows."""
    trusted: Sequence[Network] = request.app.state.trusted_proxies
    forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
    peer = request.client.host if request.client is not None else ""
    return bucket_name(client_address(peer, forwarded, trusted))


def network_of(request: Request) -> str:
    """The client's network, for people who look at their sign-ins: one of many people, whom it does not name."""
    address = address_of(request)
    if not address:
        return ""
    bits = _NETWORK_BITS[ipaddress.ip_address(address).version]
    return str(ipaddress.ip_network(f"{address}/{bits}", strict=False))
