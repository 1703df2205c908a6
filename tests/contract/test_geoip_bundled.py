"""The place lookup on the bundled GeoLite2-City."""

from __future__ import annotations

import pytest

from connectors.lookups.geoip import GeoIP, PlaceSnapshot, default_geoip_file
from marketplace.enrichments import Place


@pytest.fixture(scope="module")
def bundled() -> PlaceSnapshot:
    return PlaceSnapshot(default_geoip_file())


@pytest.mark.parametrize(
    ("ip", "country"),
    [
        ("8.8.8.0", "US"),
        ("81.2.69.0", "GB"),
        ("1.1.1.0", "AU"),
        ("133.11.0.0", "JP"),
        ("2001:4860::", "US"),
        ("2a02:c7f::", "GB"),
        ("::ffff:81.2.69.0", "GB"),
    ],
)
def test_the_bundled_database_knows_networks_by_their_truncated_addresses(
    bundled: PlaceSnapshot, ip: str, country: str
) -> None:
    assert bundled.find(ip).country == country


@pytest.mark.parametrize(
    "ip",
    [
        pytest.param("", id="empty"),
        pytest.param("-", id="dash"),
        pytest.param("10.0.0.0", id="private"),
        pytest.param("192.168.1.0", id="home network"),
        pytest.param("172.16.0.0", id="private 172"),
        pytest.param("127.0.0.0", id="loopback"),
        pytest.param("169.254.0.0", id="link local"),
        pytest.param("100.64.0.0", id="carrier NAT"),
        pytest.param("192.0.2.0", id="documentation"),
        pytest.param("224.0.0.0", id="multicast"),
        pytest.param("0.0.0.0", id="unspecified"),
        pytest.param("255.255.255.0", id="broadcast"),
        pytest.param("::", id="IPv6 unspecified"),
        pytest.param("::1", id="IPv6 loopback"),
        pytest.param("fc00::", id="IPv6 private"),
        pytest.param("fe80::", id="IPv6 link local"),
        pytest.param("2001:db8::", id="IPv6 documentation"),
        pytest.param("::ffff:10.0.0.0", id="IPv4-mapped private"),
        pytest.param("256.1.1.1", id="no address"),
        pytest.param("8.8.8", id="too short"),
        pytest.param("8.8.8.0/24", id="with prefix length"),
        pytest.param(" 8.8.8.0", id="space"),
        pytest.param("٨.8.8.0", id="Arabic digit"),
        pytest.param("8.8.8.0\x00", id="NUL"),
        pytest.param("\ud800", id="surrogate"),
        pytest.param("8" * 100_000, id="100 kB"),
    ],
)
def test_an_address_without_a_place_answers_the_empty_place(bundled: PlaceSnapshot, ip: str) -> None:
    assert bundled.find(ip) == Place()


def test_the_bundled_version_names_type_date_and_checksum(bundled: PlaceSnapshot) -> None:
    kind, date, checksum = bundled.version().split()
    assert (kind, date) == ("GeoLite2-City", "2019-12-24")
    assert len(checksum) == 8


def test_without_a_path_the_bundled_file_is_used(bundled: PlaceSnapshot) -> None:
    assert GeoIP().version() == bundled.version()
