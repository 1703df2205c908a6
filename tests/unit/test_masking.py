from __future__ import annotations

import time

import pytest

from marketplace.access_log import MAX_LINE_BYTES
from marketplace.masking import line_hash, mask_addresses

SECRET = "5a" * 32


@pytest.mark.parametrize(
    ("raw", "masked"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("for=203.0.113.77:443;x", "for=203.0.113.0:443;x"),
        ("id203.0.113.77z", "id203.0.113.0z"),
        ("9.203.0.113.77", "9.203.0.0.0"),
        ("ip-203-0-113-77.isp.example", "ip-203-0-113-0.isp.example"),
        ("?ip=203%2E0%2E113%2e77&a=1", "?ip=203%2E0%2E113%2e0&a=1"),
        ("?u=203%252E0%252E113%252E77", "?u=203%252E0%252E113%252E0"),
        ("[2001:db8:1:2:3:4:5:6]:80", "[2001:db8:1::]:80"),
        ("2001:DB8::5 -", "2001:db8:: -"),
        ("2001%3Adb8%3A7%3A%3A5", "2001:db8:7::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("64:ff9b::203.0.113.77", "64:ff9b::"),
        ("fe80::1%eth0", "fe80::%eth0"),
        ("2001:db8:1:2:3:4:5", "2001:db8:1::"),
        ("2001:db8:1:2:3:4:5:6:443", "2001:db8:1::"),
        ("f2001:db8::5", "f200:db8::"),
        (":::5", "::"),
        ("a::b:", "a::"),
        ("203.0.113.77:1:2:3:4", "203.0.113.0:1:2::"),
    ],
)
def test_what_looks_like_an_address_is_cut_to_its_network(raw: str, masked: str) -> None:
    assert mask_addresses(raw.encode()).decode() == masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- - [17/May/2015:10:05:03 +0000]",
        "at 12:30:05.250",
        '"GET http://shop.example/a:b HTTP/1.1" 200 512',
        "version 1.2.3",
        "2001:db8:1",
        "2015-05-17 10:05",
        "\x00\x01 broken",
    ],
)
def test_what_holds_no_address_stays_as_it_is(text: str) -> None:
    assert mask_addresses(text.encode()) == text.encode()


def test_an_address_in_text_of_two_bytes_a_character_is_found() -> None:
    assert mask_addresses('203.0.113.77 - "'.encode("utf-16-le")) == b'203.0.113.0 - "'


@pytest.mark.parametrize("unit", [b"a", b"1", b"1.", b"a:", b":", b"1.2.3 ", b"%3A", b"%25", b"1-1:"])
def test_the_longest_line_takes_no_time_to_speak_of(unit: bytes) -> None:
    began = time.monotonic()
    mask_addresses((unit * MAX_LINE_BYTES)[:MAX_LINE_BYTES])

    assert time.monotonic() - began < 2


def test_a_hash_tells_equal_lines_of_one_store_and_nothing_to_another() -> None:
    assert line_hash(b"line", SECRET) == line_hash(b"line", SECRET)
    assert len({line_hash(b"line", SECRET), line_hash(b"Line", SECRET), line_hash(b"line", "5b" * 32)}) == 3
