from __future__ import annotations

import time
from hashlib import blake2b

import pytest

from marketplace.access_logs.requests import MAX_LINE_BYTES
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
        ("0000:0000:0000:0000:0000:ffff:203.113.100.177", "203.113.100.0"),
        ("1.2.3.4.5.6.7.8.9.10.11.12", "1.2.3.0.0.0.0.0.0"),
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


PIECES = (
    b"1",
    b"a",
    b".",
    b":",
    b"-",
    b" ",
    b"%3A",
    b"%2E",
    b"::",
    b"1.2.3.4",
    b"a:b:c:",
    b"0:0:0 ",
    b"\\u003a",
    b"\x00",
)
UNITS = sorted({a + b for a in PIECES for b in (b"", *PIECES)})
SIZE = 16 * 1024


def seconds_for(text: bytes) -> float:
    began = time.process_time()
    mask_addresses(text)
    return time.process_time() - began


def test_no_text_takes_much_longer_for_each_byte_than_a_log_of_addresses() -> None:
    ordinary = b'203.0.113.77 - - [17/May/2015:10:05:03 +0000] "GET /p?ip=2001:db8:7::5 HTTP/1.1" 200 512\n'
    bound = max(seconds_for((ordinary * SIZE)[:SIZE]) for _ in range(5))

    slow = [unit for unit in UNITS if min(seconds_for((unit * SIZE)[:SIZE]) for _ in range(3)) > 10 * bound]

    assert slow == []


@pytest.mark.parametrize("unit", [b":", b"0:0:0 ", b"1.", b"a:1.1.1 ", b"1-1:", b"%3A"])
def test_the_longest_line_takes_its_length_and_not_its_square(unit: bytes) -> None:
    part, whole = ((unit * size)[:size] for size in (MAX_LINE_BYTES // 8, MAX_LINE_BYTES))
    bound = 8 * max(seconds_for(part) for _ in range(3))

    assert min(seconds_for(whole) for _ in range(3)) < 4 * bound


def test_a_hash_tells_equal_lines_of_one_store_and_nothing_to_another() -> None:
    assert line_hash(b"line", SECRET) == line_hash(b"line", SECRET)
    assert len({line_hash(b"line", SECRET), line_hash(b"Line", SECRET), line_hash(b"line", "5b" * 32)}) == 3


def test_a_hash_of_a_line_has_32_digits_and_is_no_other_hash_under_the_stores_secret() -> None:
    assert len(line_hash(b"line", SECRET)) == 32
    assert line_hash(b"line", SECRET) != blake2b(b"line", digest_size=16, key=bytes.fromhex(SECRET)).hexdigest()
