from __future__ import annotations

import ipaddress
import string

from hypothesis import assume, given
from hypothesis import strategies as st

from marketplace.clicks.client_address import client_address
from marketplace.clicks.visitors import canonical_ip, cookieless_visitor, first_party_visitor, truncate_ip
from marketplace.networks import parse_networks
from marketplace.stores import SLUG

SALTS = st.binary(min_size=32, max_size=32)
ADDRESSES = st.ip_addresses().map(str)
SECRETS = st.binary(min_size=32, max_size=32).map(bytes.hex)
SLUGS = st.from_regex(SLUG, fullmatch=True)
OWN_IDS = st.text(st.characters(exclude_categories=["Cs"]))
HEX = set(string.hexdigits.lower())


@given(st.ip_addresses(v=4))
def test_every_ipv4_address_becomes_the_base_of_its_24(address: ipaddress.IPv4Address) -> None:
    assert truncate_ip(str(address)) == str(ipaddress.ip_network(f"{address}/24", strict=False).network_address)


@given(st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address))
def test_every_ipv6_address_becomes_the_base_of_its_48(address: ipaddress.IPv6Address) -> None:
    assume(address.ipv4_mapped is None)

    assert truncate_ip(str(address)) == str(ipaddress.ip_network(f"{address}/48", strict=False).network_address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_inside_ipv6_is_that_ipv4_address(address: ipaddress.IPv4Address) -> None:
    mapped = f"::ffff:{address}"

    assert canonical_ip(mapped) == str(address)
    assert truncate_ip(mapped) == truncate_ip(str(address))


@given(ADDRESSES)
def test_truncating_again_changes_nothing(address: str) -> None:
    assert truncate_ip(truncate_ip(address)) == truncate_ip(address)


@given(st.text())
def test_any_text_is_truncated_to_an_address_or_to_nothing(text: str) -> None:
    truncated = truncate_ip(text)

    assert truncated == "" or ipaddress.ip_address(truncated)


@given(SALTS, st.text(), st.text())
def test_a_visitor_is_always_16_hex_digits(salt: bytes, address: str, user_agent: str) -> None:
    visitor = cookieless_visitor(salt, "shop", address, user_agent.encode("utf-8", "ignore").decode())

    assert len(visitor) == 16
    assert set(visitor) <= HEX


@given(SALTS, st.ip_addresses(v=6), st.text(string.printable))
def test_all_spellings_of_an_address_are_one_visitor(
    salt: bytes, address: ipaddress.IPv6Address, user_agent: str
) -> None:
    spellings = (str(address), address.exploded, address.exploded.upper())

    assert len({cookieless_visitor(salt, "shop", spelling, user_agent) for spelling in spellings}) == 1


@given(ADDRESSES, st.text())
def test_a_client_cannot_choose_its_address_by_what_it_writes_into_the_header(peer: str, written: str) -> None:
    proxies = parse_networks("192.0.2.1")
    through_proxy = client_address("192.0.2.1", f"{written},{peer}", proxies)

    assert through_proxy == canonical_ip(peer) or peer == "192.0.2.1"


@given(
    st.lists(SECRETS, min_size=1, max_size=2), st.lists(SLUGS, min_size=2, max_size=2, unique=True), OWN_IDS, OWN_IDS
)
def test_two_stores_never_share_a_visitor_whatever_their_secrets_and_ids(
    secrets: list[str], slugs: list[str], one_id: str, other_id: str
) -> None:
    one = first_party_visitor(secrets[0], slugs[0], one_id)
    other = first_party_visitor(secrets[-1], slugs[1], other_id)

    assert one != other


@given(SECRETS, st.lists(SLUGS, min_size=2, max_size=2, unique=True), OWN_IDS)
def test_no_id_moves_the_border_between_slug_and_id(secret: str, slugs: list[str], own_id: str) -> None:
    shorter, longer = sorted(slugs, key=len)

    glued = first_party_visitor(secret, longer, own_id)
    for between in ("", "\x00", ":"):
        assert first_party_visitor(secret, shorter, longer[len(shorter) :] + between + own_id) != glued


@given(SECRETS, SLUGS, OWN_IDS, OWN_IDS)
def test_in_one_store_equal_ids_and_no_others_are_one_visitor(secret: str, slug: str, one: str, other: str) -> None:
    same = first_party_visitor(secret, slug, one) == first_party_visitor(secret, slug, other)

    assert same == (one == other)
