"""Tokens and secrets of forms."""

from __future__ import annotations

import asyncio
import secrets

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.carts.service import CartService
from api.storefront.forms import guest_secret, is_token, token_of
from api.storefront.notice_pages import UNSUBSCRIBE_PAGES
from api.storefront.routes import STOREFRONT
from connectors.mongo.carts import Holder
from tests.kits.tenancy import application

# The link of a mail is a secret of its own, and mail programs send no form of a page.
OTHERS = UNSUBSCRIBE_PAGES.rules.keys()
SENDS = sorted(path for feature in STOREFRONT for method, path in feature.rules.keys() - OTHERS if method == "POST")
SECRET = secrets.token_urlsafe(32)
COOKIE = {"cookie": f"marketplace-form={SECRET}; marketplace-buyer={'a' * 32}.{'b' * 32}.secret"}
HOST = "http://api.example"
FORM = "application/x-www-form-urlencoded"
GOOD = f"token={token_of(SECRET)}&do=add".encode()


def send(path: str, headers: dict[str, str], body: bytes) -> httpx.Response:
    """Send something to a page of an application that has no services: whatever asks one fails."""

    async def work() -> httpx.Response:
        transport = httpx.ASGITransport(application(), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
            own = {name: value for name, value in headers.items() if value}
            return await client.post(path.replace("{", "").replace("}", ""), content=body, headers={**COOKIE, **own})

    return asyncio.run(work())


@pytest.mark.parametrize("path", SENDS)
def test_what_is_no_form_of_a_page_of_ours_is_refused_before_anything_is_asked(path: str) -> None:
    own = {"origin": HOST, "content-type": FORM}
    cases = {
        415: [{"content-type": each} for each in ("application/json", "text/plain", "multipart/form-data", "")],
        403: [
            {"origin": ""}, {"origin": "null"}, {"origin": "https://api.example"}, {"origin": "http://shop.api.example"},
            {"origin": "http://api.example:81"}, {"origin": "http://["}, {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "none"}, {"cookie": ""},
            {"cookie": f"marketplace-form={secrets.token_urlsafe(32)}"},
            {"cookie": f"marketplace-form={SECRET}; marketplace-form={secrets.token_urlsafe(32)}"},
        ],
    }  # fmt: skip
    for status, several in cases.items():
        for headers in several:
            if headers.get("cookie") == "":
                headers = {"cookie": "other=1"}
            answer = send(path, {**own, **headers}, GOOD)
            assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8"), headers
    for body, status in ((b"", 403), (b"token=x&token=y", 400), (b"a=%ff", 400), (b"&".join([b"a=1"] * 30), 400),
                         (b"token=" + b"x" * 70_000, 413)):  # fmt: skip
        assert send(path, own, body).status_code == status, body[:20]


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_token_is_good_for_the_browser_that_its_page_was_made_for(secret: str, other: str) -> None:
    token = token_of(secret)
    assert is_token(token, secret)
    assert is_token(token, other) is (secret == other)
    assert not is_token(token[:-1] + ("0" if token[-1] != "0" else "1"), secret)
    assert not is_token(token[:-1], secret)
    assert not is_token(token.upper() if token.upper() != token else "", secret)


def test_no_two_pages_have_one_token_and_none_shows_what_it_is_made_with() -> None:
    tokens = {token_of(SECRET) for _ in range(100)}
    assert len(tokens) == 100
    assert len({token[32:] for token in tokens}) == 100
    assert not any(SECRET.encode().hex()[:16] in token for token in tokens)


@given(st.text(max_size=50))
def test_what_is_no_token_is_none(text: str) -> None:
    assert not is_token(text, SECRET)


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_form_makes_one_cart_and_another_form_another_one(secret: str, once: str) -> None:
    made = guest_secret(secret, once)
    assert CartService.holder(None, made) == Holder.guest(made)
    assert guest_secret(secret, once) == made
    assert guest_secret(secret, f"{once}.") != made
    assert guest_secret(f"{secret}.", once) != made
