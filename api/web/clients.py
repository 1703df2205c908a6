"""Where a request comes from."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request

from marketplace.clicks.client_address import bucket_name, client_address
from marketplace.networks import Network


def address_of(request: Request) -> str:
    """The client's address, or its IPv6 /64; proxies are believed as far as they are trusted. Empty if nobody knows."""
    trusted: Sequence[Network] = request.app.state.trusted_proxies
    forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
    peer = request.client.host if request.client is not None else ""
    return bucket_name(client_address(peer, forwarded, trusted))
