from __future__ import annotations

import ipaddress
import re

from hypothesis import assume, example, given
from hypothesis import strategies as st

from marketplace.clicks.visitors import truncate_ip
from marketplace.masking import mask_addresses

ADDRESSES = st.ip_addresses().filter(lambda address: truncate_ip(str(address)) != str(address))
TEXT_AROUND = st.binary(max_size=20) | st.text("0123456789abcdef:.-% []=,", max_size=12).map(str.encode)
HEX_AFTER_A_DOT = st.from_regex(rb"[0-9a-f]{0,3}:{1,2}[0-9a-f]{0,3}\.[0-9a-f]{1,3}[:.]?[0-9a-f]{0,3}", fullmatch=True)
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


@given(ADDRESSES, TEXT_AROUND, TEXT_AROUND, st.integers(0, 3))
def test_an_address_does_not_come_through_whatever_stands_around_it(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, before: bytes, after: bytes, spelling: int
) -> None:
    spelled = spellings(address)[spelling].encode()

    masked = mask_addresses(before + spelled + after)

    assume(spelled not in before and spelled not in after)
    assert spelled not in masked


@given(st.lists(ADDRESSES | TEXT_AROUND | HEX_AFTER_A_DOT, max_size=6))
@example([b"::.0a"])
@example([b"2001:db8::1.0abc"])
def test_what_can_still_be_read_as_an_address_is_a_network(parts: list[object]) -> None:
    line = b" ".join(part if isinstance(part, bytes) else str(part).encode() for part in parts)

    masked = mask_addresses(line)

    assert [found for found in addresses_in(masked) if truncate_ip(found) != found] == []


@given(ADDRESSES)
def test_an_address_by_itself_becomes_the_network_that_the_collector_keeps(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assert mask_addresses(b"from " + str(address).encode() + b" -") == f"from {truncate_ip(str(address))} -".encode()


GROUPS = st.text("0123456789abcdef", min_size=1, max_size=4)
NUMBERS = st.integers(1, 255).map(str)


@given(ADDRESSES, st.integers(0, 2**80 - 1), TEXT_AROUND, st.integers(0, 3))
def test_nothing_of_an_address_beyond_its_network_has_any_part_in_what_stays(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, host: int, before: bytes, spelling: int
) -> None:
    host_bits = 8 if address.version == 4 else 80
    other = type(address)((int(address) >> host_bits << host_bits) | host % 2**host_bits)
    assume(truncate_ip(str(other)) == truncate_ip(str(address)))
    # A network by itself has nothing to be cut, and then zero bytes and escapes around it stay too.
    assume(truncate_ip(str(other)) != str(other))

    texts = [before + b" " + spellings(one)[spelling].encode() + b" -" for one in (address, other)]

    assert mask_addresses(texts[0]) == mask_addresses(texts[1])


@given(
    st.lists(GROUPS, min_size=3, max_size=3),
    st.lists(GROUPS, min_size=1, max_size=20),
    st.lists(GROUPS, min_size=1, max_size=20),
)
def test_of_groups_that_are_no_whole_address_three_stay_as_of_one_that_is(
    network: list[str], host: list[str], other: list[str]
) -> None:
    masked = {mask_addresses(":".join([*network, *rest]).encode()) for rest in (host, other)}

    assert masked == {truncate_ip(f"{':'.join(network)}::").encode()}


@given(st.lists(NUMBERS, min_size=3, max_size=3), NUMBERS, NUMBERS, st.sampled_from([".", "-", "%2E", "\\u002e"]))
def test_of_four_numbers_three_stay(network: list[str], host: str, other: str, dot: str) -> None:
    masked = {mask_addresses(dot.join([*network, last]).encode()) for last in (host, other)}

    (kept,) = masked
    assert kept in {dot.join([*network, "0"]).encode(), ".".join([*network, "0"]).encode()}


@given(ADDRESSES, st.data())
def test_an_address_does_not_come_through_with_its_characters_escaped_as_in_json(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, data: st.DataObject
) -> None:
    escaped = data.draw(st.lists(st.booleans(), min_size=len(str(address)), max_size=len(str(address))))
    text = "".join(f"\\u{ord(char):04x}" if hide else char for char, hide in zip(str(address), escaped, strict=True))

    assert mask_addresses(f'{{"x":"{text}"}}'.encode()) == f'{{"x":"{truncate_ip(str(address))}"}}'.encode()


@given(st.lists(ADDRESSES, max_size=60))
def test_a_text_of_many_addresses_ends_before_one_comes_through(addresses: list[object]) -> None:
    masked = mask_addresses(" ".join(map(str, addresses)).encode())

    assert [found for found in addresses_in(masked) if truncate_ip(found) != found] == []


@given(st.binary(max_size=60) | TEXT_AROUND)
def test_masking_again_changes_nothing(line: bytes) -> None:
    once = mask_addresses(line)

    assert mask_addresses(once) == once


@given(st.text('ghijklmnop /?=&"[]', max_size=60))
def test_text_without_numbers_is_left_alone(text: str) -> None:
    assert mask_addresses(text.encode()) == text.encode()


@given(st.integers(0, 60), st.sampled_from([b"203.0.113.77", b"2001:db8:7::5"]))
def test_eight_addresses_stay_and_one_more_for_every_128_bytes_and_the_text_ends_there(count: int, one: bytes) -> None:
    line = b" ".join([one] * count)

    masked = mask_addresses(line)

    kept = min(count, 8 + len(line) // 128)
    assert masked.split() == [truncate_ip(one.decode()).encode()] * kept
    assert masked.endswith(b" ") == (kept < count)


@given(st.integers(0, 3), ADDRESSES)
def test_what_stands_between_times_of_day_is_cut_all_the_same(times: int, address: object) -> None:
    line = "12:30:05 " * times + f"{address} 12:30:05"

    assert mask_addresses(line.encode()) == line.replace(str(address), truncate_ip(str(address))).encode()


def test_behind_the_last_address_that_may_stay_nothing_is_looked_at() -> None:
    addresses = b"2001:db8:7::5 " * 8

    assert mask_addresses(addresses + b"at 12:30:05") == b"2001:db8:7:: " * 8 + b"at "
