from __future__ import annotations

import ipaddress
import re

from hypothesis import assume, given
from hypothesis import strategies as st

from marketplace.masking import mask_addresses
from marketplace.visitors import truncate_ip

ADDRESSES = st.ip_addresses().filter(lambda address: truncate_ip(str(address)) != str(address))
SURROUNDINGS = st.binary(max_size=20) | st.text("0123456789abcdef:.-% []=,", max_size=12).map(str.encode)
TOKEN = re.compile(rb"[0-9A-Fa-f:.]+")


def spellings(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[str]:
    plain = str(address)
    if address.version == 4:
        return [plain, plain.replace(".", "-"), plain.replace(".", "%2E"), f"::ffff:{plain}"]
    return [plain, plain.upper(), address.exploded, plain.replace(":", "%3A")]


def addresses_in(text: bytes) -> list[str]:
    """Every address that a reader of the text could take out of it."""
    found = []
    for token in TOKEN.findall(text):
        for candidate in (token, token.strip(b".:"), *token.split(b":")):
            try:
                found.append(str(ipaddress.ip_address(candidate.decode())))
            except ValueError:
                continue
    return found


@given(ADDRESSES, SURROUNDINGS, SURROUNDINGS, st.integers(0, 3))
def test_an_address_does_not_come_through_whatever_stands_around_it(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, before: bytes, after: bytes, spelling: int
) -> None:
    spelled = spellings(address)[spelling].encode()

    masked = mask_addresses(before + spelled + after)

    assume(spelled not in before and spelled not in after)
    assert spelled not in masked


@given(st.lists(ADDRESSES | SURROUNDINGS, max_size=6))
def test_what_can_still_be_read_as_an_address_is_a_network(parts: list[object]) -> None:
    line = b" ".join(part if isinstance(part, bytes) else str(part).encode() for part in parts)

    masked = mask_addresses(line)

    assert [found for found in addresses_in(masked) if truncate_ip(found) != found] == []


@given(ADDRESSES)
def test_an_address_by_itself_becomes_the_network_that_the_collector_keeps(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assert mask_addresses(b"from " + str(address).encode() + b" -") == f"from {truncate_ip(str(address))} -".encode()


@given(st.binary(max_size=60) | SURROUNDINGS)
def test_masking_again_changes_nothing(line: bytes) -> None:
    once = mask_addresses(line)

    assert mask_addresses(once) == once


@given(st.text('ghijklmnop /?=&"[]', max_size=60))
def test_text_without_numbers_is_left_alone(text: str) -> None:
    assert mask_addresses(text.encode()) == text.encode()
