"""Every request that moves money or stock is done once for its key; the list is made of the routes themselves."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from api.access import Demand
from api.web.routes import Routes
from marketplace.idempotency import MAX_KEY_CHARS
from ops.reference.access import rules
from tests.unit.api.test_app import APP

POSTS = sorted(path for method, path in rules() if method == "POST")
ONCE = {
    "/v1/orders",
    "/v1/orders/{order}/cancel",
    "/v1/orders/{order}/refunds",
    "/v1/stores/{store}/orders/{order}/cancel",
    "/v1/stores/{store}/orders/{order}/refunds",
    "/v1/stores/{store}/stock/transfer",
    "/v1/stores/{store}/stock/{variant}/adjust",
    "/v1/stores/{store}/stock/{variant}/receive",
}
NEITHER_MONEY_NOR_STOCK = (
    "/v1/identity/",
    "/v1/stores/{store}/api-keys",
    "/v1/stores/{store}/invitations",
    "/v1/stores/{store}/products",
    "/v1/stores/{store}/product-imports",
    "/v1/stores/{store}/categories",
    "/v1/stores/{store}/write-key",
    "/v1/stores/{store}/import-key",
    "/v1/stores/{store}/leave",
    "/v1/invitations/",
    "/v1/admin/",
    "/v1/reviews/",
    "/v1/carts",
    "/v1/cart/",
    "/v1/orders/{order}/reorder",
    # What the provider says is named by itself: its id is the key.
    "/v1/payments/",
    "/v1/notifications/",
)


def is_neither(path: str) -> bool:
    return path == "/v1/stores" or path.startswith(NEITHER_MONEY_NOR_STOCK)


def test_every_route_says_whether_it_is_done_once() -> None:
    declared = {path for path in POSTS if rules()["POST", path].once}
    assert declared == ONCE
    assert [path for path in POSTS if path not in declared and not is_neither(path)] == []


def test_a_post_of_a_feature_that_moves_money_or_stock_cannot_leave_it_open() -> None:
    routes = Routes("/v1", "Money", moves_value=True)
    with pytest.raises(ValueError, match="does not say whether it is done once"):
        routes.add("POST", "/top-ups", demand=Demand.SIGNED_IN)
    routes.add("GET", "/top-ups", demand=Demand.SIGNED_IN)
    routes.add("POST", "/top-ups", demand=Demand.SIGNED_IN, once=True)


@pytest.mark.parametrize("path", sorted(ONCE))
def test_the_document_says_that_the_key_is_needed(path: str) -> None:
    document = APP.app.state.openapi()  # type: ignore[attr-defined]  # what is within is the application
    operation = document["paths"][path]["post"]
    (key,) = [each for each in operation["parameters"] if each["name"] == "Idempotency-Key"]
    assert (key["in"], key["required"]) == ("header", True)
    assert {"400", "409", "422"} <= operation["responses"].keys()


BAD_KEYS: tuple[list[bytes], ...] = (
    [],
    [b"a", b"b"],
    [b""],
    [b"x" * (MAX_KEY_CHARS + 1)],
    [b"a b"],
    [b"\x7f"],
    [b"\xc3\xa9"],
)


@pytest.mark.parametrize("path", sorted(ONCE))
def test_without_a_key_or_with_one_that_is_none_nothing_is_begun(path: str) -> None:
    async def ask(keys: list[bytes]) -> httpx.Response:
        headers = [(b"authorization", b"Bearer good"), *((b"idempotency-key", key) for key in keys)]
        transport = httpx.ASGITransport(APP, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.example") as client:
            filled = path.replace("{store}", "shop").replace("{order}", "o").replace("{variant}", "v")
            return await client.post(filled, json={}, headers=headers)

    for keys in BAD_KEYS:
        answer = asyncio.run(ask(list(keys)))
        assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-request"), keys
        assert [each["path"] for each in answer.json()["errors"]] == ["header:idempotency-key"]
