from __future__ import annotations

import idna
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from marketplace.hosts import MAX_HOST_CHARS, canonical_host

MULLER = "xn--mller-shop-9db.example"


@pytest.mark.parametrize(
    "spelling",
    [
        MULLER,
        "xn--MLLER-shop-9DB.Example",
        "müller-shop.example",
        "MÜLLER-SHOP.EXAMPLE",
        "mu\u0308ller-shop.example",
        "müller-shop.example.",
        "müller-shop.example:8443",
        "müller-shop。example",
        "\uff4düller-shop.example",
        "mül\u00adler-shop.example",
        " müller-shop.example ",
    ],
)
def test_all_spellings_of_one_host_have_one_form(spelling: str) -> None:
    assert canonical_host(spelling) == MULLER


@pytest.mark.parametrize(
    ("spelling", "form"),
    [
        ("Shop.Example", "shop.example"),
        ("www.shop.example:443", "www.shop.example"),
        ("my_shop.example", "my_shop.example"),
        ("localhost", "localhost"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:DB8:0::1]:443", "[2001:db8::1]"),
        ("straße.example", "xn--strae-oqa.example"),
        ("ΣΟΦΟΣ.example", "xn--0xaakcn.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("\u212aelvin.example", "kelvin.example"),
    ],
)
def test_a_hosts_form_is_the_one_of_the_wire(spelling: str, form: str) -> None:
    assert canonical_host(spelling) == form


@pytest.mark.parametrize(
    "text",
    [
        "", "-", ".", "a..b", "https://shop.example", "shop.example/page", "a b", "12345", "1.2.3", "1.2.3.256",
        "shop.1",
        "-shop.example", "user@shop.example", "[::1", "[shop]", "::1", "a" * 64 + ".example", ".".join(["a" * 60] * 5),
        "ü" * 64, "ü\ud800.example", "ü\u2028.example", "a" * 5_000, "2026-11-20T09:12:00Z", "shop.example:https",
    ],
)  # fmt: skip
def test_what_is_no_host_has_no_form(text: str) -> None:
    assert canonical_host(text) == ""


@given(st.text(max_size=80) | st.text("aüßΣ.-x:n。1[]\u0308", max_size=80))
def test_any_text_has_a_form_that_is_its_own_form_or_none(text: str) -> None:
    form = canonical_host(text)

    assert canonical_host(form) == form
    assert form.isascii()
    assert len(form) <= MAX_HOST_CHARS


@given(st.text("abzAZäÄöÖüÜßñÑéÉςΣωΩжЖыЫçÇğĞİıŞşØøÅåŒœÆæ例え한تا", min_size=1, max_size=12))  # noqa: RUF001 - letters of several scripts
def test_letters_become_what_the_library_for_domain_names_makes_of_them(label: str) -> None:
    try:
        expected = idna.encode(f"{label}.example", uts46=True).decode()
    except idna.IDNAError:
        assume(False)

    assert canonical_host(f"{label}.example") == expected
