"""Stores by HTTP on a real Mongo: made, listed, edited and deleted by those who may, and invisible to others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from connectors.errors import Unavailable
from connectors.mongo.async_client import connect_async
from connectors.mongo.client import connect
from connectors.mongo.sagas.documents import order_document
from connectors.mongo.store_directory import find_by_import_key, find_by_write_key
from connectors.mongo.stores import MongoStores
from marketplace.collections import ORDERS
from marketplace.identity.roles import API_KEY_SCOPES
from marketplace.orders import closing
from marketplace.orders.delivery import Fulfilment, FulfilmentState
from marketplace.sagas.order_state import Order, OrderLine, OrderState, Refund
from ops.stack import Stack
from tests.kits.api_requests import filled
from tests.kits.orders import DELIVERY, open_shop
from tests.kits.stack import leftovers_collected, polled
from tests.kits.tenancy import Run, World


@pytest.fixture
def click_path(stack: Stack, database: str) -> Iterator[MongoStores]:
    client = connect(stack.urls.mongo)
    yield MongoStores(client, database)
    client.close()


def without_id(response: httpx.Response) -> bytes:
    return response.content.replace(response.headers["x-request-id"].encode(), b"")


def test_who_makes_a_store_owns_it_and_its_write_key_is_shown_once_and_works(run: Run, click_path: MongoStores) -> None:
    async def work(world: World) -> None:
        await world.user("ann")
        body = {"title": "Ann's shop", "slug": "anns-shop", "timezone": "Europe/Zurich", "domains": ["shop.example"]}
        made = await world.ask("POST", "/v1/stores", "ann", json=body)
        assert made.status_code == 201, made.text
        store = made.json()
        key = store.pop("write_key")
        assert store == {
            **body, "blocked_networks": [], "honour_opt_out": True, "contact": "", "role": "owner", "tier": "free",
            "frozen": False, "created_at": "2026-11-29T12:00:00.000Z", "payment_hosts": [], "ignored_referrers": [],
            "source_rules": [], "trailing_slash": "keep", "page_case": "keep",
        }  # fmt: skip
        assert (made.headers["location"], made.headers["etag"]) == ("/v1/stores/anns-shop", '"1"')
        read = await world.ask("GET", "/v1/stores/anns-shop", "ann")
        assert (read.json(), read.headers["etag"]) == (store, '"1"')
        assert key not in read.text
        found = find_by_write_key(click_path, key)
        assert found is not None
        assert found.slug == "anns-shop"

    run(work)


@pytest.mark.parametrize("premium", [False, True])
def test_the_write_key_of_a_store_that_was_made_is_answered_though_nothing_can_be_read_afterwards(
    run: Run, monkeypatch: pytest.MonkeyPatch, premium: bool
) -> None:
    async def work(world: World) -> None:
        await world.user("ann", premium=premium)
        with monkeypatch.context() as patch:

            async def unavailable(*_: Any) -> Any:
                raise Unavailable("Mongo does not answer")

            patch.setattr(world.tenancy, "access", unavailable)
            patch.setattr(world.tenancy.memberships, "view", unavailable)
            made = await world.ask("POST", "/v1/stores", "ann", json={"title": "Shop"})
        assert made.status_code == 201, made.text
        store = made.json()
        assert store.pop("write_key")
        assert (await world.ask("GET", made.headers["location"], "ann")).json() == store

    run(work)


def test_a_store_of_others_is_answered_like_one_that_does_not_exist_to_the_byte(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        await world.store("other", mallory="owner")
        for (method, path), rule in world.rules.items():
            if "{store}" not in path:
                continue
            there, nowhere = [
                await world.ask(method, filled(path, store=slug, user="ann", invitation="x", key="x"), "mallory")
                for slug in ("shop", "nowhere")
            ]
            assert (there.status_code, without_id(there)) == (nowhere.status_code, without_id(nowhere)), path
            assert there.status_code == 404, (method, path, rule)
            assert dict(there.headers) | {"x-request-id": ""} == dict(nowhere.headers) | {"x-request-id": ""}

    run(work)


def test_a_store_whose_document_is_not_valid_is_nowhere_for_strangers_and_an_error_of_ours_for_members(
    run: Run,
) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        await world.user("mallory")
        await world.client[world.database]["stores"].update_one({"_id": "shop"}, {"$set": {"timezone": 5}})
        there, nowhere = [await world.ask("GET", f"/v1/stores/{slug}", "mallory") for slug in ("shop", "nowhere")]
        assert (there.status_code, without_id(there)) == (404, without_id(nowhere))
        assert (await world.ask("GET", "/v1/stores/shop", "ann")).status_code == 500
        assert (await world.ask("GET", "/v1/stores", "ann")).json() == {"stores": [], "next": None}

    run(work)


def test_a_slug_is_given_once_and_some_to_nobody(run: Run) -> None:
    async def work(world: World) -> None:
        await world.user("ann", premium=True)
        await world.store("taken", bob="owner")
        taken = await world.ask("POST", "/v1/stores", "ann", json={"title": "A", "slug": "taken"})
        assert (taken.status_code, taken.json()["errors"][0]["code"]) == (409, "taken")
        reserved = await world.ask("POST", "/v1/stores", "ann", json={"title": "A", "slug": "admin"})
        assert (reserved.status_code, reserved.json()["errors"][0]["code"]) == (422, "reserved")
        assert await world.roles("taken") == {"bob": "owner"}

    run(work)


def test_who_makes_the_own_store_once_more_hears_that_it_is_there_and_not_of_the_plan(run: Run) -> None:
    async def work(world: World) -> None:
        await world.user("ann")
        body = {"title": "A", "slug": "shop"}
        assert (await world.ask("POST", "/v1/stores", "ann", json=body)).status_code == 201
        again = await world.ask("POST", "/v1/stores", "ann", json=body)
        assert (again.status_code, again.json()["errors"][0]["code"]) == (409, "taken")
        other = await world.ask("POST", "/v1/stores", "ann", json={"title": "A", "slug": "other"})
        assert (other.status_code, other.json()["type"]) == (403, "/problems/limit")

    run(work)


def test_of_parallel_requests_for_one_slug_one_gets_it_and_the_others_get_nothing(run: Run) -> None:
    async def work(world: World) -> None:
        names = [f"user{number}" for number in range(10)]
        for name in names:
            await world.user(name)
        answers = await asyncio.gather(
            *(world.ask("POST", "/v1/stores", name, json={"title": "A", "slug": "shop"}) for name in names)
        )
        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
        winner = names[[answer.status_code for answer in answers].index(201)]
        assert await world.roles("shop") == {winner: "owner"}

    run(work)


def test_parallel_requests_of_one_account_make_no_more_stores_than_its_plan_includes(run: Run) -> None:
    async def work(world: World) -> None:
        await world.user("ann", premium=True)
        answers = await asyncio.gather(
            *(world.ask("POST", "/v1/stores", "ann", json={"title": "Shop"}) for _ in range(14))
        )
        assert sorted(answer.status_code for answer in answers) == [201] * 10 + [403] * 4
        assert {answer.json()["type"] for answer in answers if answer.status_code == 403} == {"/problems/limit"}
        listed = (await world.ask("GET", "/v1/stores?limit=100", "ann")).json()["stores"]
        assert len({store["slug"] for store in listed}) == 10

    run(work)


@pytest.mark.parametrize("title", ["ทดสอบ", "Иван", "!!!", "Ä", "A\u0308", "🛒", "x" * 100, "admin"])
def test_two_stores_of_one_title_in_any_script_get_two_slugs(run: Run, title: str) -> None:
    async def work(world: World) -> None:
        await world.user("ann", premium=True)
        made = [await world.ask("POST", "/v1/stores", "ann", json={"title": title}) for _ in range(2)]
        assert [each.status_code for each in made] == [201, 201]
        assert len({each.json()["slug"] for each in made}) == 2
        assert {each.json()["title"] for each in made} == {title}

    run(work)


def test_walking_the_list_gives_each_store_once_at_any_page_size_also_while_it_changes(run: Run) -> None:
    async def work(world: World) -> None:
        await world.user("ann", premium=True)
        slugs = sorted(f"shop-{number}" for number in range(8))
        for slug in slugs:
            await world.store(slug, ann="owner", bob="analyst")
        await world.store("of-bob-alone", bob="owner")
        for limit in (1, 2, 7, 8, 100):
            seen, cursor = [], ""
            while True:
                answer = await world.ask("GET", f"/v1/stores?limit={limit}&cursor={cursor}", "ann")
                page = answer.json()
                seen += [store["slug"] for store in page["stores"]]
                cursor = page["next"]
                if cursor is None:
                    break
            assert seen == slugs, limit
        first = (await world.ask("GET", "/v1/stores?limit=3", "ann")).json()
        assert (await world.ask("DELETE", "/v1/stores/shop-2", "ann")).status_code == 204
        await world.store("shop-55", ann="owner")
        rest = (await world.ask("GET", f"/v1/stores?limit=9&cursor={first['next']}", "ann")).json()
        assert [store["slug"] for store in rest["stores"]] == [
            "shop-3",
            "shop-4",
            "shop-5",
            "shop-55",
            "shop-6",
            "shop-7",
        ]

    run(work)


@pytest.mark.parametrize("change", ["cut", "flip", "other", "empty bytes", "no ascii"])
def test_a_cursor_that_was_changed_is_refused(run: Run, change: str) -> None:
    async def work(world: World) -> None:
        await world.user("ann", premium=True)
        for slug in ("a", "b"):
            await world.store(slug, ann="owner")
        given = (await world.ask("GET", "/v1/stores?limit=1", "ann")).json()["next"]
        flipped = given[:-1] + ("A" if given[-1] != "A" else "B")
        changed = {"cut": given[:-2], "flip": flipped, "other": "MQ", "empty bytes": "AA", "no ascii": "ä"}[change]
        answer = await world.ask("GET", "/v1/stores", "ann", params={"cursor": changed})
        assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-request")

    run(work)


def test_an_edit_changes_what_it_names_and_nothing_else(run: Run, click_path: MongoStores) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", max="manager")
        before = (await world.ask("GET", "/v1/stores/shop", "ann")).json()
        for who, body in (
            ("ann", {"title": "New"}),
            ("max", {"timezone": "Asia/Kathmandu", "blocked_networks": ["192.0.2.0/24"]}),
            ("ann", {"domains": [], "honour_opt_out": False}),
        ):
            answer = await world.edit("shop", who, body)
            assert answer.status_code == 200, answer.text
            before |= body
            assert answer.json() == before | {"role": {"ann": "owner", "max": "manager"}[who]}
        nothing = await world.edit("shop", "ann", {})
        assert (nothing.json(), nothing.headers["etag"]) == (before, '"4"')
        assert click_path.get("shop") is not None

    run(work)


def test_an_edit_names_the_version_that_it_edits(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", max="manager")

        async def status(**headers: str) -> tuple[int, str]:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            answer = await world.ask("PATCH", "/v1/stores/shop", "ann", json={"title": "B"}, headers=sent)
            return answer.status_code, answer.json().get("type", "")

        assert await status() == (428, "/problems/precondition-required")
        for tag in ('W/"1"', '"2"', '"0"', "1", "*", '"1', "x" * 5000):
            assert await status(if_match=tag) == (412, "/problems/stale"), tag
        # The tag of one reader is good for another one, and so is a list that has it.
        tag = (await world.ask("GET", "/v1/stores/shop", "max", headers={"accept-encoding": "gzip"})).headers["etag"]
        assert await status(if_match=f'"7", {tag}') == (200, "")
        assert await status(if_match=tag) == (412, "/problems/stale")

    run(work)


def test_of_parallel_edits_of_one_version_one_succeeds(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        answers = await asyncio.gather(
            *(
                world.ask("PATCH", "/v1/stores/shop", "ann", json={"title": f"T{n}"}, headers={"if-match": '"1"'})
                for n in range(20)
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 19
        winner = next(answer for answer in answers if answer.status_code == 200)
        assert (await world.ask("GET", "/v1/stores/shop", "ann")).json() == winner.json()

    run(work)


def test_where_buyers_write_to_is_set_changed_and_taken_off_again(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        for given, kept in ((" Hello@shop.example ", "Hello@shop.example"), ("", "")):
            edited = await world.edit("shop", "ann", {"contact": given})
            assert (edited.status_code, edited.json()["contact"]) == (200, kept)
            assert (await world.ask("GET", "/v1/stores/shop", "ann")).json()["contact"] == kept

    run(work)


@pytest.mark.parametrize("name", ["title", "timezone", "domains", "blocked_networks", "honour_opt_out", "contact"])
def test_what_is_left_out_stays_and_null_is_refused(run: Run, name: str) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        before = await world.everything()
        answer = await world.edit("shop", "ann", {name: None})
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (422, f"/{name}")
        assert await world.everything() == before

    run(work)


@pytest.mark.parametrize(
    "body",
    [
        {"timezone": "Mars/Olympus"},
        {"timezone": "America"},
        {"timezone": "../etc/passwd"},
        {"timezone": "\x00"},
        {"timezone": "right/UTC"},
        {"timezone": "localtime"},
        {"domains": ["https://shop.example"]},
        {"domains": ["a"] * 51},
        {"domains": "shop.example"},
        {"blocked_networks": ["everybody"]},
        {"blocked_networks": ["192.0.2.1/24"]},
        {"title": ""},
        {"title": "two\nlines"},
        {"title": "x" * 101},
        {"honour_opt_out": "yes"},
        {"honour_opt_out": 1},
        {"contact": "nobody"},
        {"contact": "a@shop.example, b@shop.example"},
        {"contact": "a@shop.example\nBcc: b@shop.example"},
        {"contact": f"a@{'x' * 250}.example"},
        {"slug": "other"},
        {"version": 7},
        {"write_key_hash": "0" * 64},
        {"visitor_secret": "0" * 64},
        {"import_key_hash": None},
        {"created_at": 5},
        {"deleted_at": None},
        {"tier": "premium"},
        {"role": "owner"},
        {"frozen": False},
        {"$set": {"title": "x"}},
        {"title.x": "y"},
        {"_id": "x"},
    ],
    ids=str,
)
def test_an_edit_that_is_not_valid_changes_nothing(run: Run, body: dict[str, object]) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        before = await world.everything()
        answer = await world.edit("shop", "ann", body)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")
        assert await world.everything() == before

    run(work)


def test_an_edit_keeps_fields_that_the_code_does_not_know(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        stores = world.client[world.database]["stores"]
        await stores.update_one({"_id": "shop"}, {"$set": {"plan": "gold"}})
        assert (await world.edit("shop", "ann", {"title": "New"})).status_code == 200
        saved = await stores.find_one({"_id": "shop"})
        assert saved is not None
        assert (saved["plan"], saved["title"], saved["version"]) == ("gold", "New", 2)

    run(work)


def test_a_plan_bounds_hosts_that_are_added_and_takes_none_away(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner")
        two = ["shop.example", "other.example"]
        refused = await world.edit("shop", "ann", {"domains": two})
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/limit")
        refused = await world.ask("POST", "/v1/stores", "ann", json={"title": "A", "domains": two})
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/limit")
        await world.client[world.database]["stores"].update_one(
            {"_id": "shop"}, {"$set": {"domains": [*two, "c.example"]}}
        )
        assert (await world.edit("shop", "ann", {"domains": two})).status_code == 200
        assert (await world.edit("shop", "ann", {"title": "New"})).json()["domains"] == two

    run(work)


def test_keys_are_replaced_shown_once_and_work_in_the_click_path(run: Run, click_path: MongoStores) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", max="manager", eve="analyst")
        first = (await world.ask("POST", "/v1/stores/shop/write-key", "max")).json()["write_key"]
        second = (await world.ask("POST", "/v1/stores/shop/write-key", "ann")).json()["write_key"]
        assert find_by_write_key(click_path, first) is None
        assert find_by_write_key(click_path, second) is not None
        assert (await world.ask("GET", "/v1/stores/shop/keys", "max")).json() == {
            "write_key": True,
            "import_key": False,
        }
        secret = (await world.ask("POST", "/v1/stores/shop/import-key", "max")).json()["import_key"]
        assert find_by_import_key(click_path, secret) is not None
        assert (await world.ask("GET", "/v1/stores/shop/keys", "max")).json() == {"write_key": True, "import_key": True}
        for method, path in (("GET", "keys"), ("POST", "write-key"), ("POST", "import-key"), ("DELETE", "import-key")):
            assert (await world.ask(method, f"/v1/stores/shop/{path}", "eve")).status_code == 403
        assert find_by_import_key(click_path, secret) is not None
        assert (await world.ask("DELETE", "/v1/stores/shop/import-key", "ann")).status_code == 204
        assert find_by_import_key(click_path, secret) is None

    run(work)


def test_a_deleted_store_is_nowhere_its_keys_are_worth_nothing_and_its_slug_is_given_to_nobody(
    run: Run, click_path: MongoStores
) -> None:
    async def work(world: World) -> None:
        await world.store("shop", ann="owner", max="manager")
        key = await world.key("shop", "ann", *API_KEY_SCOPES)
        assert (await world.ask("GET", "/v1/stores/shop", key)).status_code == 200
        write_key = (await world.ask("POST", "/v1/stores/shop/write-key", "ann")).json()["write_key"]
        invited = {"email": "new@shop.example", "role": "analyst"}
        assert (await world.ask("POST", "/v1/stores/shop/invitations", "ann", json=invited)).status_code == 201
        secret = await world.secret_of_mail("new@shop.example")
        assert (await world.ask("DELETE", "/v1/stores/shop", "max")).status_code == 403
        assert (await world.ask("DELETE", "/v1/stores/shop", "ann")).status_code == 204

        for who in ("ann", "max"):
            assert (await world.ask("GET", "/v1/stores/shop", who)).status_code == 404
            assert (await world.ask("GET", "/v1/stores", who)).json()["stores"] == []
        assert (await world.ask("GET", "/v1/stores/shop", key)).status_code == 401
        await world.user("new")
        assert (
            await world.ask("POST", "/v1/invitations/acceptances", "new", json={"token": secret})
        ).status_code == 410
        assert find_by_write_key(click_path, write_key) is None
        assert click_path.get("shop") is not None
        await world.user("mallory")
        for who in ("mallory", "ann"):
            taken = await world.ask("POST", "/v1/stores", who, json={"title": "A", "slug": "shop"})
            assert taken.status_code == 409
        # The place in the plan is free again.
        assert (await world.ask("POST", "/v1/stores", "ann", json={"title": "A"})).status_code == 201

    run(work)


def test_what_was_turned_away_is_shown_for_the_own_store_alone(run: Run) -> None:
    async def work(world: World) -> None:
        await world.store("shop", eve="analyst", ann="owner")
        await world.store("shop2", mallory="owner")
        for slug, hour in (("shop", "2026-11-29T11"), ("shop", "2026-11-01T11"), ("shop2", "2026-11-29T11")):
            await world.client[world.database]["turned_away"].insert_one(
                {
                    "_id": f"{slug}:{hour}:store",
                    "store": slug,
                    "hour": hour,
                    "reason": "store",
                    "requests": 2,
                    "events": 9,
                }
            )
        row = {"hour": "2026-11-29T11", "reason": "store", "requests": 2, "events": 9}
        week = await world.ask("GET", "/v1/stores/shop/turned-away", "eve")
        assert week.json() == {"days": 7, "rows": [row]}
        month = await world.ask("GET", "/v1/stores/shop/turned-away?days=31", "eve")
        assert month.json()["rows"] == [{**row, "hour": "2026-11-01T11"}, row]

    run(work)


def test_while_all_connections_are_taken_requests_are_answered_or_wait_and_none_is_an_error(
    stack: Stack, database: str
) -> None:
    async def work() -> None:
        client = connect_async(polled(stack.urls.mongo), max_connections=1)
        try:
            world = World(client, database)
            for name in ("stores", "users", "memberships"):
                await client[database][name].delete_many({})
            await world.store("shop", ann="owner")
            answers = await asyncio.gather(*(world.ask("GET", "/v1/stores/shop", "ann") for _ in range(60)))
            assert {answer.status_code for answer in answers} <= {200, 503}
            assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 503)
            assert (await world.ask("GET", "/v1/stores/shop", "ann")).status_code == 200
        finally:
            await client.close()

    asyncio.run(work())


def test_a_request_that_is_given_up_in_the_middle_leaves_nothing_of_its_answer_to_another_one(run: Run) -> None:
    async def work(world: World) -> None:
        names = [f"user{number}" for number in range(6)]
        for name in names:
            await world.store(f"shop-of-{name}", {name: "owner"})

        async def one(number: int) -> None:
            name = names[number % len(names)]
            slug = f"shop-of-{name}"
            request = asyncio.create_task(world.ask("GET", f"/v1/stores/{slug}", name))
            if number % 2:
                await asyncio.wait([request], timeout=(number % 40) / 2_000)
                request.cancel()
                await asyncio.gather(request, return_exceptions=True)
            else:
                answer = await request
                assert (answer.status_code, answer.json()["slug"]) == (200, slug)

        for begin in range(0, 400, 20):
            await asyncio.gather(*(one(number) for number in range(begin, begin + 20)))

    with leftovers_collected():
        run(work)


def test_who_gives_up_making_a_store_has_it_with_its_owner_or_has_nothing(run: Run) -> None:
    async def work(world: World) -> None:
        for number in range(40):
            name, slug = f"user{number}", f"shop-{number}"
            await world.user(name)
            request = asyncio.create_task(world.ask("POST", "/v1/stores", name, json={"title": "A", "slug": slug}))
            await asyncio.wait([request], timeout=number / 2_000)
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
        # What was given up may still be under way on the server.
        deadline = time.monotonic() + 10
        while True:
            found = await world.everything()
            stores = {store["_id"] for store in found["stores"]}
            owned = {membership["store"] for membership in found["memberships"]}
            if stores == owned:
                break
            assert time.monotonic() < deadline, stores ^ owned
            await asyncio.sleep(0.05)
        for store in stores:
            assert await world.roles(store) == {store.replace("shop-", "user"): "owner"}
        # Nothing stays locked: who got nothing can try again.
        for number in range(40):
            again = await world.ask(
                "POST", "/v1/stores", f"user{number}", json={"title": "A", "slug": f"shop-{number}"}
            )
            assert again.status_code in ((403, 409) if f"shop-{number}" in stores else (201,)), again.text

    with leftovers_collected():
        run(work)


OPEN = [
    ("pending", "unfulfilled", True), ("paid", "unfulfilled", True), ("refunding", "shipped", True),
    ("confirmed", "unfulfilled", True), ("confirmed", "packed", True), ("confirmed", "shipped", True),
    ("cancelled", "unfulfilled", False), ("confirmed", "shipped", False), ("confirmed", "delivered", False),
]  # fmt: skip
"""States of orders and of their goods, and whether the store has something to do; the third shipped one owes money."""


def test_a_store_is_closed_once_nothing_of_its_orders_is_owed_any_more(run: Run) -> None:
    async def work(world: World) -> None:
        await open_shop(world)
        mongo, made = world.client[world.database][ORDERS.name], dict[str, bool]()
        for number, (state, goods, is_open) in enumerate(OPEN):
            line = OrderLine(1, "mug", "v", "Mug", 2, 1250)
            owed = (Refund("r1", 1250, done=not (is_open and goods == "shipped")),) if state == "confirmed" else ()
            order = Order(f"o{number}", "shop", "bea", "c", "EUR", (line,), OrderState(state), 0, refunds=owed)
            extra = {
                "fulfilment": {"state": goods, "carrier": "", "tracking": "", "changed_at_ms": 0},
                "delivery": {**DELIVERY, "extra": ""},
            }
            await mongo.insert_one({**order_document(order, 0), **extra})
            made[order.id] = is_open
            assert closing.is_open(order, Fulfilment(FulfilmentState(goods))) is is_open
        theirs = await mongo.find_one({"_id": "o0"})
        assert theirs is not None
        await mongo.insert_one({**theirs, "_id": "theirs", "store": "other"})
        for left in range(sum(made.values()), 0, -1):
            refused = await world.ask("DELETE", "/v1/stores/shop", "olga")
            assert (refused.status_code, refused.json()["type"]) == (409, "/problems/open-orders")
            assert (refused.json()["open_orders"], refused.json()["orders"]) == (left, "/v1/stores/shop/orders")
            assert refused.json()["detail"].startswith(f"{left} order")
            assert (await world.ask("GET", refused.json()["orders"], "olga")).status_code == 200
            assert (await world.ask("DELETE", "/v1/stores/shop", "max")).status_code == 403
            ended = next(own for own, is_open in made.items() if is_open)
            made[ended] = False
            await mongo.update_one({"_id": ended}, {"$set": {"state": "cancelled", "refunds": []}})
        assert (await world.ask("DELETE", "/v1/stores/shop", "olga")).status_code == 204

    run(work)


@pytest.mark.parametrize(
    ("count", "says"), [(1, "1 order is"), (2, "2 orders are"), (1_000, "1,000 orders or more are")]
)
def test_how_many_orders_are_open_is_said_in_words(count: int, says: str) -> None:
    sentence = closing.open_orders_sentence(count)
    assert sentence.startswith(says)
    assert sentence.endswith("before the store is closed")
