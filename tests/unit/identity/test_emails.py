from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.identity.emails import MAX_CHARS, InvalidEmail, checked_email, email_key


@pytest.mark.parametrize("address", ["ann@shop.example", "a.b+c@xn--bcher-kva.example", "O'Neil@Mail.Example"])
def test_an_address_is_kept_as_it_was_written(address: str) -> None:
    assert checked_email(f"  {address}\n") == address


@pytest.mark.parametrize(
    "text",
    [
        "", "ann", "ann@", "@shop.example", "ann@shop", "a@b@shop.example", "ann@shop..example", "ann @shop.example",
        "ann@-shop.example", "ann@shop.example\r\nBcc: all@shop.example", "ann@shop.example\x00", "<ann@shop.example>",
        f"{'a' * 65}@shop.example", f"ann@{'a' * 64}.example", "ann..b@shop.example", ".ann@shop.example",
        "ann.@shop.example", "...@shop.example", "=?utf-8?q?ann?=@shop.example",
        "ann.=?utf-8?q?=0abcc=3a?=@shop.example",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidEmail, match=r"^give an e-mail address, such as name@shop\.example$"):
        checked_email(text)


@given(st.text(max_size=300))
def test_whatever_is_accepted_is_one_line_of_ascii_with_one_at_sign_and_no_space(text: str) -> None:
    try:
        address = checked_email(text)
    except InvalidEmail:
        return
    assert address.isascii()
    assert address.isprintable()
    assert len(address) <= MAX_CHARS
    assert (address.count("@"), " " in address) == (1, False)


def test_the_longest_address_is_accepted_and_a_longer_one_is_not() -> None:
    domain = ".".join(["d" * 61, "d" * 61, "d" * 61, "example"])
    longest = f"{'a' * (MAX_CHARS - 1 - len(domain))}@{domain}"
    assert (len(longest), checked_email(longest)) == (MAX_CHARS, longest)
    with pytest.raises(InvalidEmail):
        checked_email(longest + "e")


def test_addresses_that_differ_in_case_are_one_account_and_others_are_not() -> None:
    assert email_key("Ann@Shop.Example") == email_key("ann@shop.example")
    assert len({email_key(each) for each in ("ann@shop.example", "a.nn@shop.example", "ann+x@shop.example")}) == 3
