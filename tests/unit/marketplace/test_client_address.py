from __future__ import annotations

import pytest

from marketplace.clicks.client_address import bucket_name, client_address, is_trusted
from marketplace.networks import parse_networks

PROXIES = parse_networks("10.0.0.0/8, 192.0.2.9, fd00::/8")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("203.0.113.5", "", "203.0.113.5"),
        ("203.0.113.5", "198.51.100.1", "203.0.113.5"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 192.0.2.9, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("fd00::1", "[2001:db8::5]:4711", "2001:db8::5"),
        ("fd00::1", "[2001:db8::5]]:4711", "2001:db8::5"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("", "198.51.100.1", ""),
        ("/run/collector.sock", "198.51.100.1", ""),
    ],
)
def test_only_trusted_hops_are_believed_from_the_right(peer: str, forwarded_for: str, client: str) -> None:
    assert client_address(peer, forwarded_for, PROXIES) == client


def test_without_trusted_proxies_the_header_is_never_read() -> None:
    assert client_address("127.0.0.1", "198.51.100.1", ()) == "127.0.0.1"


def test_a_network_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="10\\.0\\.0\\.0/99"):
        parse_networks("127.0.0.1,10.0.0.0/99")


def test_a_client_that_owns_a_whole_64_counts_as_one() -> None:
    assert bucket_name("2001:db8:1:2::5") == bucket_name("2001:db8:1:2:ffff::1") != bucket_name("2001:db8:1:3::5")
    assert bucket_name("192.0.2.1") == "192.0.2.1"


@pytest.mark.parametrize(
    ("peer", "trusted"), [("10.0.0.1", True), ("fd00::1", True), ("203.0.113.5", False), ("/run/x.sock", False)]
)
def test_a_peer_is_trusted_when_its_address_is_a_proxys(peer: str, trusted: bool) -> None:
    assert is_trusted(peer, PROXIES) == trusted
    assert not is_trusted(peer, ())


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("", []),
        (" , ", []),
        ("10.0.0.0/8,192.0.2.9", ["10.0.0.0/8", "192.0.2.9/32"]),
        (" 10.1.2.3/8 , fd00::1/8 ", ["10.0.0.0/8", "fd00::/8"]),
    ],
)
def test_networks_are_listed_with_commas_and_may_be_named_by_any_of_their_addresses(
    text: str, networks: list[str]
) -> None:
    assert [str(network) for network in parse_networks(text)] == networks
