"""Reviews over HTTP: what is refused and why, lists page by page, and what a reader sees."""

from __future__ import annotations

from typing import Any

import httpx

from marketplace.catalog.products import ProductState
from marketplace.collections import PRODUCT_SLUGS, PRODUCTS
from tests.kits.products import product, put_products
from tests.kits.shopping import put_reviews, review
from tests.kits.tenancy import Run, World

MUG = "a1" * 16
PUBLIC = "/v1/shops/shop/products/blue-mug/reviews"
OWN = f"/v1/products/{MUG}/review"


async def shop(world: World) -> None:
    await world.store("shop", {"olga": "owner"})
    await world.store("other", {"mia": "owner"})
    for name in ("ann", "bob", "cem"):
        await world.user(name)
    await world.user("root", admin=True)
    await put_products(world.client, world.database, [product("Blue mug", id=MUG, slug="blue-mug")])


def refusal(answer: httpx.Response) -> tuple[int, list[tuple[str, str]]]:
    return answer.status_code, [(error["path"], error["code"]) for error in answer.json().get("errors", ())]


async def write(world: World, who: str, stars: int = 5, text: str = "Good") -> dict[str, Any]:
    answer = await world.ask("PUT", OWN, who, json={"stars": stars, "text": text})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_review_is_read_by_everybody_answered_by_the_store_and_found_helpful(run: Run) -> None:
    async def work(world: World) -> None:
        await shop(world)
        text = "<script>alert('x')</script>\r\nIt holds & keeps <b>warm</b>."
        written = await write(world, "ann", 4, text)
        assert written["text"] == text.replace("\r\n", "\n")
        assert (written["state"], written["verified"], written["product"]["title"]) == ("visible", False, "Blue mug")
        at = f"/v1/reviews/{written['id']}"
        assert (await world.ask("PUT", f"{at}/vote", "bob")).status_code == 204
        reply = f"/v1/stores/shop/reviews/{written['id']}/reply"
        assert (await world.ask("PUT", reply, "olga", json={"text": "Thank you!"})).status_code == 200

        page = (await world.ask("GET", PUBLIC)).json()
        (shown,) = page["reviews"]
        assert (page["rating"], page["stars"]) == (4.0, {"1": 0, "2": 0, "3": 0, "4": 1, "5": 0})
        assert (shown["author"], shown["helpful"], shown["reply"]["text"]) == ("Ann", 1, "Thank you!")
        assert (shown["mine"], shown["voted"]) == (False, False)
        assert "ann" not in str(shown).replace("Ann", "")
        for reader, mine, voted in (("ann", True, False), ("bob", False, True)):
            (shown,) = (await world.ask("GET", PUBLIC, reader)).json()["reviews"]
            assert (shown["mine"], shown["voted"]) == (mine, voted)
        own = (await world.ask("GET", "/v1/me/reviews", "ann")).json()["reviews"]
        assert [each["id"] for each in own] == [written["id"]]
        assert (await world.ask("DELETE", OWN, "ann")).status_code == 204
        assert (await world.ask("GET", PUBLIC)).json()["stars"]["4"] == 0

    run(work)


def test_every_refusal_names_what_it_is_about_and_changes_nothing(run: Run) -> None:
    async def work(world: World) -> None:
        await shop(world)
        written = await write(world, "ann")
        vote, reply = f"/v1/reviews/{written['id']}/vote", f"reviews/{written['id']}/reply"
        good = {"stars": 5, "text": "Good"}
        before = await world.everything()
        for method, path, who, body, expected in (
            ("PUT", OWN, "olga", good, (403, [("path:product", "own-store")])),
            ("PUT", f"/v1/products/{'0' * 32}/review", "bob", good, (404, [("path:product", "unknown")])),
            ("PUT", OWN, "bob", {**good, "stars": 6}, (422, [("/stars", "less_than_equal")])),
            ("PUT", OWN, "bob", {**good, "text": "x" * 5_001}, (422, [("/text", "string_too_long")])),
            ("PUT", OWN, "bob", {**good, "text": "a\x1b[2J"}, (422, [("/text", "string_pattern_mismatch")])),
            ("PUT", OWN, "bob", {**good, "verified": True}, (422, [("/verified", "extra_forbidden")])),
            ("DELETE", OWN, "bob", None, (404, [("path:product", "unknown")])),
            ("PUT", vote, "ann", None, (403, [("path:review", "own-review")])),
            ("PUT", vote, "olga", None, (403, [("path:review", "own-store")])),
            ("PUT", f"/v1/stores/other/{reply}", "mia", {"text": "Ours"}, (404, [("path:review", "unknown")])),
            ("PUT", f"/v1/stores/shop/{reply}", "olga", {"text": " \n "}, (422, [("/text", "text")])),
            ("PUT", f"/v1/stores/shop/{reply}", "mia", {"text": "Ours"}, (404, [])),
        ):
            answer = await world.ask(method, path, who, **({"json": body} if body else {}))
            assert refusal(answer) == expected, (path, answer.text)
        assert await world.everything() == before

    run(work)


def test_reports_hide_a_review_an_edit_does_not_bring_it_back_and_an_admin_does(run: Run) -> None:
    async def work(world: World) -> None:
        await shop(world)
        await world.user("dua")
        review_id = (await write(world, "ann"))["id"]
        for who in ("bob", "cem", "dua"):
            body = {"reason": "offensive", "note": "It names me"}
            report = await world.ask("POST", f"/v1/reviews/{review_id}/reports", who, json=body)
            assert report.status_code == 204
        assert (await world.ask("GET", PUBLIC)).json()["reviews"] == []
        assert (await write(world, "ann", 5, "Milder"))["state"] == "pending"
        for_admins = await world.ask("GET", "/v1/admin/reviews", "root", params={"state": "pending"})
        assert [each["id"] for each in for_admins.json()["reviews"]] == [review_id]
        case = (await world.ask("GET", f"/v1/admin/reviews/{review_id}", "root")).json()
        assert [wording["text"] for wording in case["history"]] == ["Good"]
        assert len(case["reported"]) == 3
        for_sellers = (await world.ask("GET", "/v1/stores/shop/reviews", "olga")).json()["reviews"]
        assert [each["state"] for each in for_sellers] == ["pending"]
        decide = f"/v1/admin/reviews/{review_id}/decisions"
        assert (await world.ask("POST", decide, "root", json={"decision": "approve"})).json()["state"] == "visible"
        assert [each["text"] for each in (await world.ask("GET", PUBLIC)).json()["reviews"]] == ["Milder"]
        await world.ask("POST", decide, "root", json={"decision": "remove"})
        answer = await world.ask("PUT", OWN, "ann", json={"stars": 5, "text": "Again"})
        assert refusal(answer) == (409, [("path:product", "removed")])

    run(work)


def test_a_cursor_is_one_of_its_own_list_alone(run: Run) -> None:
    async def work(world: World) -> None:
        await shop(world)
        await put_products(world.client, world.database, [product("Red mug", slug="red-mug")])
        await put_reviews(world, [review(f"buyer-{n}", MUG, store="shop", written_at=n, helpful=n) for n in range(5)])
        first = (await world.ask("GET", PUBLIC, params={"limit": 2})).json()
        further = (await world.ask("GET", PUBLIC, params={"limit": 100, "cursor": first["next"]})).json()
        assert further["next"] is None
        walked = [each["id"] for each in (*first["reviews"], *further["reviews"])]
        assert walked == [each["id"] for each in (await world.ask("GET", PUBLIC)).json()["reviews"]]
        for path, params in (
            (PUBLIC, {"order": "helpful"}), (PUBLIC, {"stars": "4"}), ("/v1/shops/shop/products/red-mug/reviews", {}),
        ):  # fmt: skip
            answer = await world.ask("GET", path, params={**params, "cursor": first["next"]})
            assert refusal(answer) == (400, [("query:cursor", "cursor")]), path

    run(work)


def test_reviews_are_found_by_an_earlier_address_and_not_where_the_product_cannot_be_seen(run: Run) -> None:
    async def work(world: World) -> None:
        await shop(world)
        mongo = world.client[world.database]
        await mongo[PRODUCT_SLUGS.name].insert_one({"_id": "shop:old-mug", "product": MUG})
        await mongo[PRODUCT_SLUGS.name].insert_one({"_id": "other:stolen", "product": MUG})
        assert (await world.ask("GET", "/v1/shops/shop/products/old-mug/reviews")).status_code == 200
        nothing = [await world.ask("GET", f"/v1/shops/{path}/reviews") for path in (
            "other/products/blue-mug", "other/products/stolen", "nowhere/products/blue-mug", "shop/products/none",
        )]  # fmt: skip
        for state in (ProductState.DRAFT, ProductState.ARCHIVED):
            await mongo[PRODUCTS.name].update_one({"_id": MUG}, {"$set": {"state": state.value}})
            nothing.append(await world.ask("GET", PUBLIC))
        assert {answer.status_code for answer in nothing} == {404}
        assert len({answer.text.replace(answer.headers["x-request-id"], "") for answer in nothing}) == 1

    run(work)
