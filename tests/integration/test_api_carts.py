"""Carts over HTTP: of guests and of accounts, and what is not a line of one."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from marketplace.carts.cart import POLICY
from marketplace.catalog.products import Availability
from tests.kits.products import product, put_products
from tests.kits.shopping import PRODUCT, VARIANT, mug
from tests.kits.tenancy import Run, World

LINE = {"product": PRODUCT, "variant": VARIANT}


async def shop(world: World) -> str:
    """A store with a product and two buyers; gives the secret of a guest's empty cart."""
    await world.store("shop", {"olga": "owner"})
    await world.user("ann")
    await world.user("bob")
    await put_products(world.client, world.database, [mug()])
    made = await world.ask("POST", "/v1/carts")
    assert made.status_code == 201
    return str(made.json()["secret"])


def pieces(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [line["quantity"] for line in answer.json()["lines"]]


def refusal(answer: httpx.Response) -> tuple[int, list[tuple[str, str]]]:
    return answer.status_code, [(error["path"], error["code"]) for error in answer.json()["errors"]]


def test_a_guest_fills_a_cart_signs_in_and_the_cart_is_one(run: Run) -> None:
    async def work(world: World) -> None:
        secret = await shop(world)
        guest = {"x-cart": secret}
        assert pieces(await world.ask("POST", "/v1/cart/lines", json={**LINE, "quantity": 2}, headers=guest)) == [2]
        assert pieces(
            await world.ask("PUT", f"/v1/cart/lines/{VARIANT}", "ann", json={"product": PRODUCT, "quantity": 3})
        ) == [3]
        merged = await world.ask("POST", "/v1/cart/merge", "ann", json={"secret": secret})
        assert [line["quantity"] for line in merged.json()["cart"]["lines"]] == [5]
        again = await world.ask("POST", "/v1/cart/merge", "ann", json={"secret": secret})
        assert (again.json()["merged"], again.json()["cart"]) == (False, merged.json()["cart"])
        assert (await world.ask("GET", "/v1/cart", "ann")).json() == merged.json()["cart"]
        # Whoever uses the browser next has the secret still, and sees none of it.
        assert refusal(await world.ask("GET", "/v1/cart", headers=guest)) == (404, [("header:x-cart", "unknown")])
        assert pieces(await world.ask("GET", "/v1/cart", "bob", headers=guest)) == []

    run(work)


def test_who_shows_nothing_is_asked_to_sign_in_and_a_secret_that_is_none_is_not_found(run: Run) -> None:
    async def work(world: World) -> None:
        secret = await shop(world)
        assert (await world.ask("GET", "/v1/cart")).status_code == 401
        assert (await world.ask("POST", "/v1/cart/lines", json=LINE)).status_code == 401
        for wrong in (
            "",
            "x" * 43,
            secret[:-1],
            f"{secret}=",
            "user:ann",
            "{}",
            secret.swapcase(),
            f"{secret}, {secret}",
        ):
            assert (await world.ask("GET", "/v1/cart", headers={"x-cart": wrong})).status_code == 404, wrong

    run(work)


@pytest.mark.parametrize("quantity", [0, -1, 1.5, "2", True, None, 2**63, 10_000, POLICY.max_quantity + 1, [1]])
def test_a_quantity_is_a_whole_number_from_one_to_the_limit(run: Run, quantity: Any) -> None:
    async def work(world: World) -> None:
        await shop(world)
        put = f"/v1/cart/lines/{VARIANT}"
        assert pieces(await world.ask("POST", "/v1/cart/lines", "ann", json=LINE)) == [1]
        for method, path, body in (
            ("POST", "/v1/cart/lines", {**LINE, "quantity": quantity}),
            ("PUT", put, {"product": PRODUCT, "quantity": quantity}),
            ("PATCH", put, {"quantity": quantity}),
        ):
            answer = await world.ask(
                method, path, "ann", content=json.dumps(body), headers={"content-type": "application/json"}
            )
            assert answer.status_code in (400, 422), answer.text
            if answer.status_code == 422:
                assert {error["path"] for error in answer.json()["errors"]} == {"/quantity"}
        assert pieces(await world.ask("GET", "/v1/cart", "ann")) == [1]

    run(work)


def test_every_refusal_names_what_it_is_about_and_changes_nothing(run: Run) -> None:
    async def work(world: World) -> None:
        await shop(world)
        none = product("Sold out", availability=Availability.NONE)
        await put_products(world.client, world.database, [none])
        sold_out = {"product": none.id, "variant": none.variants[0].id}
        await world.ask("POST", "/v1/cart/lines", "ann", json={**LINE, "quantity": 99})
        before = await world.everything()
        for method, path, body, expected in (
            ("POST", "/v1/cart/lines", LINE, (409, [("/quantity", "limit")])),
            ("POST", "/v1/cart/lines", sold_out, (409, [("/variant", "out-of-stock")])),
            ("POST", "/v1/cart/lines", {**LINE, "variant": "unknown"}, (404, [("/variant", "not-for-sale")])),
            ("POST", "/v1/cart/lines", {**LINE, "product": none.id}, (404, [("/variant", "not-for-sale")])),
            ("POST", "/v1/cart/lines", {**LINE, "price_minor": 1}, (422, [("/price_minor", "extra_forbidden")])),
            ("PATCH", "/v1/cart/lines/unknown", {"quantity": 1}, (404, [("path:variant", "unknown")])),
            ("DELETE", "/v1/cart/lines/unknown", None, (404, [("path:variant", "unknown")])),
        ):
            answer = await world.ask(method, path, "ann", **({"json": body} if body else {}))
            assert refusal(answer) == expected, answer.text
        lines = {"lines": [LINE] * 10_000}
        assert (await world.ask("POST", "/v1/cart/lines", "ann", json=lines)).status_code == 413
        assert await world.everything() == before

    run(work)
