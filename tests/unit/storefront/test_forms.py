"""Tokens and secrets of forms."""

from __future__ import annotations

import secrets

from hypothesis import given
from hypothesis import strategies as st

from api.carts.service import CartService
from api.storefront.forms import guest_secret, token_of
from connectors.mongo.carts import Holder


def test_a_page_does_not_show_what_its_forms_are_made_with() -> None:
    secret = secrets.token_urlsafe(32)
    assert secret not in token_of(secret)
    assert token_of(secret) == token_of(secret)
    assert token_of(secret) != token_of(secrets.token_urlsafe(32))


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_form_makes_one_cart_and_another_form_another_one(secret: str, once: str) -> None:
    made = guest_secret(secret, once)
    assert CartService.holder(None, made) == Holder.guest(made)
    assert guest_secret(secret, once) == made
    assert guest_secret(secret, f"{once}.") != made
    assert guest_secret(f"{secret}.", once) != made
