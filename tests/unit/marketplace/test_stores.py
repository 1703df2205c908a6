from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.stores import (
    InvalidStore,
    Store,
    checked_domain,
    checked_domains,
    checked_networks,
    checked_zone,
    import_key,
    store_of_import_key,
)

SHOP = Store("shop", "A shop", "UTC", ("shop.example",), "0" * 64, "5a" * 32)


@pytest.mark.parametrize("domain", ["shop.example", "localhost", "a-b.shop.example", "www.shop.example"])
def test_a_host_alone_is_a_domain(domain: str) -> None:
    assert checked_domain(domain) == domain


@pytest.mark.parametrize("domain", ["Bücher.example", "bücher.example.", "XN--Bcher-kva.example"])
def test_a_domain_has_one_form(domain: str) -> None:
    assert checked_domains([domain, "bücher.example"]) == ("xn--bcher-kva.example",)


def test_lists_of_hosts_and_networks_are_bounded_and_have_each_once() -> None:
    assert checked_networks(["192.0.2.0/24", "2001:DB8::/32", "2001:db8:0::/32"]) == ("192.0.2.0/24", "2001:db8::/32")
    assert len(checked_domains(f"a{number}.example" for number in range(50))) == 50
    with pytest.raises(InvalidStore, match="domains: 50 at most, not 51"):
        checked_domains(f"a{number}.example" for number in range(51))
    with pytest.raises(InvalidStore, match="blocked networks: 100 at most, not 101"):
        checked_networks(f"192.0.2.{number}" for number in range(101))


@pytest.mark.parametrize("domain", ["", "https://shop.example", "shop.example:80", "a..b", ".shop.example", "a b"])
def test_what_is_no_host_is_refused_by_its_name(domain: str) -> None:
    with pytest.raises(InvalidStore) as refused:
        checked_domain(domain)

    assert repr(domain) in str(refused.value)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Zurich", "Asia/Kathmandu", "Etc/GMT+12", "EST5EDT", "GMT0"])
def test_a_zone_of_the_iana_database_is_taken(zone: str) -> None:
    assert checked_zone(zone) == zone


@pytest.mark.parametrize(
    "zone",
    [
        "", "Mars/Base", "Europe", "..", "Europe/../UTC", "/etc/localtime", "UTC\n", "UTC\x00", "x" * 300, "tzdata.zi",
        "right/UTC", "right/Europe/Zurich", "posix/Europe/Zurich", "posix/right/UTC", "localtime", "posixrules",
        "Factory",
    ],
)  # fmt: skip
def test_a_zone_that_is_one_machines_alone_or_counts_leap_seconds_is_none_for_a_store(zone: str) -> None:
    with pytest.raises(InvalidStore) as refused:
        checked_zone(zone)

    assert repr(zone) in str(refused.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("slug", "Not A Slug"), ("slug", "-shop"), ("timezone", "Mars/Base"), ("blocked_networks", ("10.0.0.0/99",))],
)
def test_a_store_that_does_not_hold_names_what_is_wrong(field: str, value: str | tuple[str, ...]) -> None:
    with pytest.raises(InvalidStore) as refused:
        replace(SHOP, **{field: value})  # type: ignore[arg-type]  # one field or the other

    assert (value if isinstance(value, str) else value[0]) in str(refused.value)


@pytest.mark.parametrize("key", ["", "shop", "other.shop.secret", "import.shop", "import.shop.", "import.Shop.secret"])
def test_what_is_no_import_key_names_no_store(key: str) -> None:
    assert store_of_import_key(key) is None


def test_an_import_key_names_its_store_by_what_stands_before_its_secret() -> None:
    assert store_of_import_key(import_key("shop", "secret")) == "shop"
    assert store_of_import_key("import.shop.secret.more") == "shop"
