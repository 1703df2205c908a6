"""Where a request comes from, as limits and people see it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Request

from api.web.clients import address_of, network_of
from marketplace.networks import parse_networks


def request(peer: str | None, forwarded: str = "") -> Request:
    scope: dict[str, Any] = {
        "type": "http",
        "headers": [(b"x-forwarded-for", forwarded.encode())] if forwarded else [],
        "client": None if peer is None else (peer, 50_000),
        "app": SimpleNamespace(state=SimpleNamespace(trusted_proxies=parse_networks("127.0.0.1"))),
    }
    return Request(scope)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address", "network"),
    [
        ("203.0.113.77", "", "203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::", "2001:db8:1::/48"),
        ("127.0.0.1", "198.51.100.7, 203.0.113.77", "203.0.113.77", "203.0.113.0/24"),
        ("203.0.113.77", "198.51.100.7", "203.0.113.77", "203.0.113.0/24"),
        (None, "", "", ""),
        ("", "", "", ""),
    ],
)
def test_limits_know_the_client_and_people_see_a_network(
    peer: str | None, forwarded: str, address: str, network: str
) -> None:
    assert address_of(request(peer, forwarded)) == address
    assert network_of(request(peer, forwarded)) == network
