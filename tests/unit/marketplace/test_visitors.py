from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from marketplace.clicks.visitors import canonical_ip, cookieless_visitor, first_party_visitor, salt_date, truncate_ip

BERLIN = ZoneInfo("Europe/Berlin")
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MIDNIGHT_MS = 1_750_024_800_000  # 2025-06-16T00:00 in Berlin


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("10.1.2.3", "10.1.2.0"),
        ("127.0.0.1", "127.0.0.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("::1", "::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        (" 203.0.113.77 ", "203.0.113.0"),
        ("", ""),
        ("unknown", ""),
        ("203.0.113", ""),
        ("203.0.113.777", ""),
        ("203.0.113.77:80", ""),
    ],
)
def test_an_address_is_cut_to_its_24_or_48_bits_and_garbage_to_nothing(address: str, network: str) -> None:
    assert truncate_ip(address) == network


@pytest.mark.parametrize(
    ("address", "canonical"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:0DB8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
        ("host.example", "host.example"),
    ],
)
def test_spellings_of_one_address_are_one(address: str, canonical: str) -> None:
    assert canonical_ip(address) == canonical


def test_two_stores_see_two_visitors_in_one_first_party_id() -> None:
    assert first_party_visitor("aa" * 32, "shop", "me") != first_party_visitor("bb" * 32, "shop", "me")
    assert first_party_visitor("aa" * 32, "shop", "me") != first_party_visitor("aa" * 32, "other", "me")


def test_a_cookieless_visitor_depends_on_salt_store_address_and_agent() -> None:
    visitors = {
        cookieless_visitor(b"s" * 32, "shop", "192.0.2.1", "Browser"),
        cookieless_visitor(b"t" * 32, "shop", "192.0.2.1", "Browser"),
        cookieless_visitor(b"s" * 32, "other", "192.0.2.1", "Browser"),
        cookieless_visitor(b"s" * 32, "shop", "192.0.2.2", "Browser"),
        cookieless_visitor(b"s" * 32, "shop", "192.0.2.1", "Browser/2"),
    }

    assert len(visitors) == 5


def test_a_visitor_is_16_hex_digits_that_do_not_change_with_the_code() -> None:
    assert cookieless_visitor(b"s" * 32, "shop", "192.0.2.1", "Browser") == "2bdeda60346699ea"
    assert first_party_visitor("5a" * 32, "shop", "me") == "a9fe7e4eb16a84d9"


def test_the_salt_is_that_of_the_events_own_date_in_the_stores_zone() -> None:
    before, after = MIDNIGHT_MS - 1, MIDNIGHT_MS

    dates = [salt_date(BERLIN, occurred_at_ms=at, received_at_ms=MIDNIGHT_MS + 1_000) for at in (before, after)]

    assert dates == ["2025-06-15", "2025-06-16"]


@pytest.mark.parametrize(
    ("distance_ms", "date"),
    [
        (-7 * DAY_MS, "2025-06-09"),
        (-7 * DAY_MS - 1, "2025-06-16"),
        (DAY_MS, "2025-06-17"),
        (DAY_MS + 1, "2025-06-16"),
    ],
)
def test_a_clock_that_cannot_be_believed_does_not_choose_the_salt(distance_ms: int, date: str) -> None:
    received_at_ms = MIDNIGHT_MS + HOUR_MS

    assert salt_date(BERLIN, occurred_at_ms=received_at_ms + distance_ms, received_at_ms=received_at_ms) == date


def test_without_a_time_of_its_own_an_event_has_the_date_of_its_arrival() -> None:
    assert salt_date(BERLIN, occurred_at_ms=None, received_at_ms=MIDNIGHT_MS) == "2025-06-16"


def test_an_imported_request_has_its_own_date_however_old_it_is() -> None:
    assert salt_date(BERLIN, occurred_at_ms=0, received_at_ms=MIDNIGHT_MS, imported=True) == "1970-01-01"


def test_a_text_of_more_than_256_characters_is_no_address_whatever_is_in_it() -> None:
    assert truncate_ip("203.0.113.7".rjust(256)) == "203.0.113.0"
    assert truncate_ip("203.0.113.7".rjust(257)) == ""


def test_an_agent_of_bytes_that_are_no_text_is_an_agent_of_its_own() -> None:
    agents = ["caf\udce9", "caf\udce8", "caf?", "caf"]

    assert len({cookieless_visitor(b"s" * 32, "shop", "203.0.113.7", agent) for agent in agents}) == 4
