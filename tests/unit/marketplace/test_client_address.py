from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.clicks.client_address import (
    CLIENT_HEADERS,
    FORWARDED,
    bucket_name,
    client_address,
    is_trusted,
    reported_hops,
)
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


@pytest.mark.parametrize(
    ("header", "values", "client"),
    [
        ("x-forwarded-for", ["1.1.1.1", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("x-real-ip", ["198.51.100.1"], "198.51.100.1"),
        ("cf-connecting-ip", ["2001:db8::5"], "2001:db8::5"),
        ("forwarded", ["for=198.51.100.1"], "198.51.100.1"),
        ("forwarded", ["for=1.1.1.1, for=198.51.100.1;proto=https;by=10.0.0.1"], "198.51.100.1"),
        ("forwarded", ['For="[2001:db8::5]:4711"; proto=https'], "2001:db8::5"),
        ("forwarded", ["for=1.1.1.1", "for=198.51.100.1, for=10.0.0.2"], "198.51.100.1"),
        ("forwarded", ['host="a,for=1.1.1.1";for=198.51.100.1'], "198.51.100.1"),
        ("forwarded", ["for=198.51.100.1, for=_hidden"], "10.0.0.1"),
        ("forwarded", ["for=198.51.100.1, proto=https"], "10.0.0.1"),
        ("forwarded", ['for="198.51.100.1'], "10.0.0.1"),
        ("forwarded", ["for=198.51.100.1 and more"], "10.0.0.1"),
        ("forwarded", [], "10.0.0.1"),
    ],
)
def test_the_header_that_trusted_proxies_write_says_who_the_client_is(
    header: str, values: list[str], client: str
) -> None:
    assert client_address("10.0.0.1", reported_hops(header, values), PROXIES) == client
    assert client_address("203.0.113.5", reported_hops(header, values), PROXIES) == "203.0.113.5"


@given(st.sampled_from(CLIENT_HEADERS), st.lists(st.text(alphabet='for=";,\\ 1.:[]x', max_size=20), max_size=3))
def test_whatever_a_client_wrote_further_left_the_address_is_the_proxys_word(header: str, written: list[str]) -> None:
    word = "for=198.51.100.1" if header == FORWARDED else "198.51.100.1"
    balanced = [text.replace('"', "") for text in written]
    assert client_address("10.0.0.1", reported_hops(header, [*balanced, word]), PROXIES) == "198.51.100.1"
    # With a quotation mark left open nothing further right can be read: then the proxy is all that is known.
    opened = client_address("10.0.0.1", reported_hops(header, [*written, word]), PROXIES)
    assert opened in ("198.51.100.1", "10.0.0.1")


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
