"""Orders over HTTP: placed whole or not at all, at the price that was seen or a lower one, and nobody else's."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import httpx

from connectors.mongo.client import connect
from connectors.mongo.sagas.orders import OrderRepository
from connectors.mongo.sagas.steps import SagaSteps
from connectors.mongo.times import milliseconds
from marketplace.collections import (
    CARTS,
    IDEMPOTENCY_KEYS,
    MAILS,
    ORDERS,
    OUTBOX,
    PAYMENTS,
    PRODUCTS,
    RESERVATIONS,
    USERS,
)
from marketplace.identity.accounts import Mail
from marketplace.sagas.events import Event, EventType, PaymentCompleted
from ops.stack import Stack
from saga_consumers.orders.store import OrdersStore
from tests.kits.orders import (
    confirm,
    count,
    drift,
    fill,
    goods,
    keyed,
    level,
    open_shop,
    ordered,
    place,
    put_stock,
    refusal,
    variant_of,
    wish,
)
from tests.kits.tenancy import Run, World, run_in_world, tenancy_database


async def nothing_is_placed(world: World) -> bool:
    written = [await count(world, each.name) for each in (ORDERS, PAYMENTS, RESERVATIONS, OUTBOX, IDEMPOTENCY_KEYS)]
    return written == [0] * 5


def test_a_cart_becomes_one_order_for_each_store_and_currency_with_all_that_belongs_to_it(run: Run) -> None:
    mug, plate = goods("Mug"), goods("Plate", price_minor=300)
    dollar, bike = goods("Badge", currency="USD", price_minor=99), goods("Bike", store="bikes", price_minor=89_900)

    async def work(world: World) -> None:
        await open_shop(world, mug, plate, dollar, bike)
        await world.store("bikes", zoe="owner")
        await put_stock(world, mug, 20)
        await put_stock(world, bike, 6)
        version = await fill(world, "bea", (mug, 2), (bike, 1), (plate, 3), (dollar, 1))
        answer = await place(world, "bea", version)
        assert answer.status_code == 201, answer.text
        orders = answer.json()["orders"]
        found = [(each["store"], each["currency"], each["total_minor"], each["state"]) for each in orders]
        assert found == [
            ("shop", "EUR", 3400, "pending"),
            ("bikes", "EUR", 89_900, "pending"),
            ("shop", "USD", 99, "pending"),
        ]
        assert orders[0]["delivery"] == {
            "name": "Bea Buyer", "street": "Hill Road 7", "extra": "", "postcode": "10115", "city": "Berlin",
            "country": "DE",
        }  # fmt: skip
        mongo = world.client[world.database]
        payments = await mongo[PAYMENTS.name].find().to_list()
        assert {(each["order"], each["amount_minor"], each["state"]) for each in payments} == {
            (each["id"], each["total_minor"], "waiting") for each in orders
        }
        rows = await mongo[OUTBOX.name].find().to_list()
        assert {(row["aggregateid"], row["type"]) for row in rows} == {(each["id"], "ORDER_CREATED") for each in orders}
        # What is not counted is reserved by nobody, and each order has its reservation.
        reserved = {each["_id"]: len(each["items"]) for each in await mongo[RESERVATIONS.name].find().to_list()}
        assert reserved == {orders[0]["id"]: 1, orders[1]["id"]: 1, orders[2]["id"]: 0}
        assert (await level(world, mug), await level(world, bike)) == ((20, 2), (6, 1))
        assert await drift(world) == []
        assert (await world.ask("GET", "/v1/cart", "bea")).json()["lines"] == []
        assert (await world.ask("GET", answer.headers["location"], "bea")).json()["id"] == answer.json()["id"]
        one = (await world.ask("GET", f"/v1/orders/{orders[0]['id']}", "bea")).json()
        assert one == orders[0]

    run(work)


def test_what_costs_more_comes_back_as_a_difference_and_what_costs_less_costs_less(run: Run) -> None:
    mug = goods("Mug", price_minor=1000)

    async def work(world: World) -> None:
        await open_shop(world, mug)
        await put_stock(world, mug, 5)
        products = world.client[world.database][PRODUCTS.name]
        version = await fill(world, "bea", (mug, 2))
        await products.update_one({"_id": mug.id}, {"$set": {"variants.0.price_minor": 1200}})
        answer = await place(world, "bea", version, "one")
        assert refusal(answer) == (409, [("/changes_id", "differs")])
        (change,) = [each for each in answer.json()["changes"] if each["kind"] == "price"]
        assert (change["before"], change["after"]) == (1000, 1200)
        assert await nothing_is_placed(world)
        assert await level(world, mug) == (5, 0)
        # The same key, now with what was seen: nothing was kept of the refusal.
        seen = await place(world, "bea", version, "one", changes_id=answer.json()["changes_id"])
        assert seen.json()["orders"][0]["total_minor"] == 2400
        # It falls, and nobody has to be asked.
        version = await fill(world, "bea", (mug, 1))
        await products.update_one({"_id": mug.id}, {"$set": {"variants.0.price_minor": 900}})
        fallen = await place(world, "bea", version)
        assert fallen.json()["orders"][0]["total_minor"] == 900
        # What stands in an order stays what it was.
        await products.update_one({"_id": mug.id}, {"$set": {"variants.0.price_minor": 9000}})
        kept = await world.ask("GET", f"/v1/orders/{fallen.json()['orders'][0]['id']}", "bea")
        assert kept.json()["total_minor"] == 900

    run(work)


def test_what_cannot_be_ordered_is_refused_by_name_and_nothing_is_written(run: Run) -> None:
    mug, plate, free = goods("Mug"), goods("Plate"), goods("Sample", price_minor=0)
    dear = goods("Diamond", price_minor=10**11)

    async def work(world: World) -> None:
        await open_shop(world, mug, plate, free, dear, buyers=("bea", "bob", "cat", "dan"))
        await put_stock(world, mug, 3)
        assert refusal(await place(world, "bea", 0)) == (409, [("/cart_version", "empty")])
        version = await fill(world, "bea", (mug, 4), (plate, 1))
        lacking = await place(world, "bea", version)
        assert refusal(lacking) == (409, [("/cart_version", "out-of-stock")])
        assert lacking.json()["lacking"] == [{"variant": variant_of(mug), "wanted": 4, "left": 3}]
        assert refusal(await place(world, "bea", version - 1)) == (409, [("/cart_version", "changed")])
        none = {"$set": {"variants.0.availability": "none"}}
        version = await fill(world, "bob", (plate, 1))
        await world.client[world.database][PRODUCTS.name].update_one({"_id": plate.id}, none)
        lacking = await place(world, "bob", version)
        assert lacking.json()["lacking"] == [{"variant": variant_of(plate), "wanted": 1, "left": 0}]
        assert refusal(await place(world, "cat", await fill(world, "cat", (free, 1)))) == (
            409, [("/cart_version", "nothing-to-pay")],
        )  # fmt: skip
        assert refusal(await place(world, "dan", await fill(world, "dan", (dear, 2)))) == (
            409, [("/cart_version", "limit")],
        )  # fmt: skip
        # Of a store that is gone nothing is left.
        await world.client[world.database]["stores"].update_one({"_id": "shop"}, {"$set": {"deleted_at": 1}})
        assert refusal(await place(world, "bea", 1))[1] == [("/changes_id", "differs")]
        assert await nothing_is_placed(world)
        assert await drift(world) == []

    run(work)


NUMBERS_OF_CARDS = ("4242424242424242", "4000-0000-0000-0028", "4242_4242.4242:4242", "378282246310005")


def test_a_card_or_an_address_that_is_none_is_refused_and_the_key_is_free(run: Run) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug)
        version = await fill(world, "bea", (mug, 1))
        for field, body in (
            ("/payment/method", wish(version, payment={"method": ""})),
            *(("/payment/method", wish(version, payment={"method": number})) for number in NUMBERS_OF_CARDS),
            *(
                (f"/delivery/{name}", wish(version, delivery={**wish(1)["delivery"], name: " \u00a0\u3000"}))
                for name in ("name", "street", "extra", "postcode", "city")
            ),
            ("/delivery/country", wish(version, delivery={**wish(1)["delivery"], "country": "Germany"})),
            ("/delivery/country", wish(version, delivery={**wish(1)["delivery"], "country": "XX"})),
            ("/delivery/country", wish(version, delivery={**wish(1)["delivery"], "country": "de"})),
            ("/delivery/name", wish(version, delivery={**wish(1)["delivery"], "name": "a\nb"})),
            ("/total", {**wish(version), "total": 1}),
        ):
            answer = await world.ask("POST", "/v1/orders", "bea", json=body, headers=keyed("same"))
            assert [each["path"] for each in answer.json()["errors"]] == [field], answer.text
        assert await nothing_is_placed(world)
        assert (await place(world, "bea", version, "same")).status_code == 201

    run(work)


def test_nobody_but_the_buyer_and_the_store_sees_an_order_or_changes_it(run: Run) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug, buyers=("bea", "bob"))
        await world.store("other", mallory="owner")
        order = await ordered(world, "bea", (mug, 1))
        await confirm(world, order["id"])
        before = await world.everything()
        of_buyer = [
            ("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/refunds"), ("POST", "/reorder"),
        ]  # fmt: skip
        for method, more in of_buyer:
            for who in ("bob", "olga", "mallory"):
                body: dict[str, Any] = {"json": {}} if more == "/refunds" else {}
                answer = await world.ask(method, f"/v1/orders/{order['id']}{more}", who, headers=keyed(), **body)
                assert answer.status_code == 404, (method, more, who)
                assert order["checkout"] not in answer.text
        assert (await world.ask("GET", f"/v1/checkouts/{order['checkout']}", "bob")).status_code == 404
        for method, more in [("GET", ""), ("POST", "/cancel"), ("POST", "/refunds"), ("PUT", "/fulfilment")]:
            path = f"/v1/stores/other/orders/{order['id']}{more}"
            bodies: dict[str, Any] = {"/refunds": {"json": {}}, "/fulfilment": {"json": {"state": "packed"}}}
            answer = await world.ask(method, path, "mallory", headers=keyed(), **bodies.get(more, {}))
            assert answer.status_code == 404, (method, more)
        assert (await world.ask("GET", "/v1/orders", "bob")).json()["orders"] == []
        assert (await world.ask("GET", "/v1/stores/other/orders", "mallory")).json()["orders"] == []
        assert await world.everything() == before

    run(work)


def test_lists_of_orders_go_on_where_they_stopped_and_are_searched(run: Run) -> None:
    mug, theirs = goods(), goods(store="other")

    async def work(world: World) -> None:
        await open_shop(world, mug, theirs, buyers=("bea", "bob"))
        placed = [await ordered(world, who, (mug, 1)) for who in ("bea", "bea", "bob", "bea")]
        await confirm(world, placed[0]["id"])
        seen: list[str] = []
        cursor = ""
        while True:
            page = (await world.ask("GET", "/v1/orders", "bea", params={"limit": "2", "cursor": cursor})).json()
            seen += [each["id"] for each in page["orders"]]
            if page["next"] is None:
                break
            cursor = page["next"]
        assert sorted(seen) == sorted(each["id"] for each in placed if each is not placed[2])
        of_store = "/v1/stores/shop/orders"

        async def found(**query: str) -> set[str]:
            answer = await world.ask("GET", of_store, "max", params=query)
            assert answer.status_code == 200, answer.text
            return {each["id"] for each in answer.json()["orders"]}

        ids = [each["id"] for each in placed]
        assert await found() == set(ids)
        assert await found(state="confirmed") == {ids[0]}
        assert await found(q=ids[1]) == {ids[1]}
        assert await found(q="Bob@shop.example") == {ids[2]}
        assert await found(q=placed[3]["checkout"]) == {ids[3]}
        assert await found(q="bea", state="pending") == {ids[1], ids[3]}
        assert await found(q="nobody@shop.example") == set()
        await world.store("other", {"ann": "owner"})
        both = (await place(world, "bea", await fill(world, "bea", (mug, 1), (theirs, 1)))).json()
        own, foreign = sorted(both["orders"], key=lambda each: each["store"] != "shop")
        assert await found(q=both["id"]) == {own["id"]}
        assert await found(q=both["id"], state="confirmed") == await found(q=foreign["id"]) == set()

    run(work)


def test_who_cancels_has_the_last_one_for_others_and_oneself_at_once(run: Run) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug)
        await put_stock(world, mug, 1)
        for _ in range(3):
            order = await ordered(world, "bea", (mug, 1))
            assert await level(world, mug) == (1, 1)
            answer = await world.ask("POST", f"/v1/orders/{order['id']}/cancel", "bea", headers=keyed())
            assert (answer.json()["state"], answer.json()["reason"]) == ("cancelled", "buyer")
            assert await level(world, mug) == (1, 0)
            assert await drift(world) == []
        again = await world.ask("POST", f"/v1/orders/{order['id']}/cancel", "bea", headers=keyed())
        assert refusal(again) == (409, [("path:order", "state")])
        # One that was declined, or is over, is in nobody's way either, before anybody has released it.
        for change in ({"state": "cancelled", "reason": "declined", "due_ms": None}, None):
            order = await ordered(world, "bea", (mug, 1))
            mongo = world.client[world.database]
            if change is not None:
                await mongo[ORDERS.name].update_one({"_id": order["id"]}, {"$set": change})
            else:
                await mongo[RESERVATIONS.name].update_one(
                    {"_id": order["id"]}, {"$set": {"expires_ms": 1, "due_ms": 1}}
                )
        await ordered(world, "bea", (mug, 1))
        assert await drift(world) == []

    run(work)


def test_who_asks_for_many_changes_at_one_time_hears_of_each_and_is_never_put_off(run: Run) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug)
        orders = [(await ordered(world, "bea", (mug, 1)))["id"] for _ in range(4)]
        path = f"/v1/orders/{orders[0]}/cancel"
        asked = await asyncio.gather(*(world.ask("POST", path, "bea", headers=keyed()) for _ in range(20)))
        assert sorted(each.status_code for each in asked) == [200] + [409] * 19
        for order in orders[1:]:
            await confirm(world, order)
        paths = [f"/v1/stores/shop/orders/{order}/fulfilment" for order in orders[1:] * 3]
        packed = await asyncio.gather(*(world.ask("PUT", each, "max", json={"state": "packed"}) for each in paths))
        assert {each.status_code for each in packed} == {200}
        assert await drift(world) == []

    run(work)


def test_lines_are_refunded_once_and_never_more_than_was_bought(run: Run) -> None:
    mug, plate = goods("Mug"), goods("Plate", price_minor=300)

    async def work(world: World) -> None:
        await open_shop(world, mug, plate)
        order = await ordered(world, "bea", (mug, 3), (plate, 1))
        path = f"/v1/orders/{order['id']}/refunds"

        async def refund(*lines: tuple[int, int]) -> tuple[int, int]:
            body = {"lines": [{"number": number, "quantity": count} for number, count in lines]} if lines else {}
            answer = await world.ask("POST", path, "bea", json=body, headers=keyed())
            refunds = answer.json().get("refunds", [])
            return answer.status_code, sum(each["amount_minor"] for each in refunds)

        assert (await refund((1, 1)))[0] == 409  # nobody has paid yet
        await confirm(world, order["id"])
        assert await refund((1, 2)) == (200, 2500)
        assert (await refund((1, 2)))[0] == 409
        assert (await refund((3, 1)))[0] == 409
        assert (await refund((1, 1), (1, 1)))[0] == 422
        # The same key is one refund, however often it is sent.
        key = keyed()
        body = {"lines": [{"number": 2, "quantity": 1}], "reason": "It is broken."}
        answers = [await world.ask("POST", path, "bea", json=body, headers=key) for _ in range(3)]
        assert {(each.status_code, each.text) for each in answers} == {(200, answers[0].text)}
        assert [each.headers.get("idempotent-replayed") for each in answers] == [None, "true", "true"]
        assert await refund() == (200, 4050)
        assert (await refund())[0] == 409
        rows = await world.client[world.database][OUTBOX.name].find({"type": "ORDER_REFUND_REQUESTED"}).to_list()
        assert len(rows) == 3
        got = (await world.ask("GET", f"/v1/orders/{order['id']}", "bea")).json()
        assert (got["state"], [each["returned"] for each in got["lines"]]) == ("refunding", [3, 1])

    run(work)


def test_a_cancel_and_a_payment_at_one_moment_are_both_kept_whichever_comes_first(stack: Stack) -> None:
    mug = goods()

    async def race(world: World, store: OrdersStore, order: str) -> tuple[int, str]:
        paid = Event(
            f"{order}:payments:2:0", EventType.PAYMENT_COMPLETED, order, "shop", 1, PaymentCompleted("p", 1250, "EUR")
        )
        asked = world.ask("POST", f"/v1/orders/{order}/cancel", "bea", headers=keyed())
        answer, _ = await asyncio.gather(asked, asyncio.to_thread(store.handle, paid, world.now))
        kept = (await world.ask("GET", f"/v1/orders/{order}", "bea")).json()
        assert kept["paid_minor"] == 1250
        return answer.status_code, str(kept["state"])

    with tenancy_database(stack) as database, connect(stack.urls.mongo) as mongo:
        store = OrdersStore(SagaSteps(mongo, database, "orders"), OrderRepository(mongo, database))

        async def work(world: World) -> None:
            await open_shop(world, mug)
            await put_stock(world, mug, 20)
            for _ in range(8):
                order = await ordered(world, "bea", (mug, 1))
                # The cancel came first, and the money goes back; or the payment did, and nothing is cancelled.
                assert await race(world, store, order["id"]) in ((200, "refunding"), (409, "paid"))
                rows = await world.client[world.database][OUTBOX.name].find({"aggregateid": order["id"]}).to_list()
                said = sorted(row["type"] for row in rows)
                assert said in (
                    ["ORDER_CANCELLED", "ORDER_CREATED", "ORDER_REFUND_REQUESTED"],
                    ["ORDER_CREATED", "ORDER_PAYMENT_COMPLETED"],
                )
            assert await drift(world) == []

        run_in_world(stack.urls.mongo, database, work)


def test_goods_go_their_way_step_by_step_and_what_is_shipped_is_refunded_and_not_cancelled(run: Run) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug)
        order = await ordered(world, "bea", (mug, 2))
        path = f"/v1/stores/shop/orders/{order['id']}"

        async def tell(state: str, **fields: str) -> int:
            answer = await world.ask("PUT", f"{path}/fulfilment", "max", json={"state": state, **fields})
            return answer.status_code

        assert await tell("packed") == 409  # nobody has paid yet
        await confirm(world, order["id"])
        assert await tell("delivered") == 409
        assert await tell("packed", tracking="1") == 409
        assert await tell("packed") == 200
        mine = await world.ask("POST", f"/v1/orders/{order['id']}/cancel", "bea", headers=keyed())
        assert refusal(mine) == (409, [("path:order", "state")])
        assert await tell("unfulfilled") == 200
        assert await tell("shipped", carrier="Parcel Post", tracking="00340") == 200
        before = await world.everything()
        assert await tell("shipped", carrier="Parcel Post", tracking="00340") == 200
        assert await tell("packed") == 409
        assert (await world.ask("POST", f"{path}/cancel", "max", headers=keyed())).status_code == 409
        assert await world.everything() == before
        body = {"lines": [{"number": 1, "quantity": 1}]}
        assert (await world.ask("POST", f"{path}/refunds", "max", json=body, headers=keyed())).status_code == 200
        body["restock"] = True  # type: ignore[assignment]  # what is inferred is narrower
        assert (await world.ask("POST", f"{path}/refunds", "max", json=body, headers=keyed())).status_code == 200
        rows = await world.client[world.database][OUTBOX.name].find({"type": "ORDER_REFUND_REQUESTED"}).to_list()
        assert [('"restocked":[]' in row["payload"]) for row in rows] == [True, False]
        case = (await world.ask("GET", path, "max")).json()
        assert case["fulfilment"]["tracking"] == "00340"
        assert case["timeline"][0]["type"] == "ORDER_CREATED"
        assert (case["payment"]["state"], case["buyer"]["email"]) == ("completed", "bea@shop.example")

    run(work)


def test_the_lines_of_an_order_are_put_into_the_cart_again_once(run: Run) -> None:
    mug, plate, gone = goods("Mug"), goods("Plate"), goods("Gone")

    async def work(world: World) -> None:
        await open_shop(world, mug, plate, gone)
        order = await ordered(world, "bea", (mug, 2), (plate, 1), (gone, 1))
        await world.client[world.database][PRODUCTS.name].delete_one({"_id": gone.id})
        answers = [await world.ask("POST", f"/v1/orders/{order['id']}/reorder", "bea") for _ in range(2)]
        assert answers[0].json() == answers[1].json()
        assert answers[0].json()["skipped"] == [{"variant": variant_of(gone), "reason": "not-for-sale"}]
        cart = (await world.ask("GET", "/v1/cart", "bea")).json()
        assert [(each["variant"], each["quantity"]) for each in cart["lines"]] == [
            (variant_of(mug), 2), (variant_of(plate), 1),
        ]  # fmt: skip

    run(work)


def test_a_review_of_somebody_who_has_bought_the_product_and_kept_it_says_so(run: Run) -> None:
    mug = replace(goods(), slug="mug")

    async def work(world: World) -> None:
        await open_shop(world, mug, buyers=("bea", "bob"))
        for who in ("bea", "bob"):
            body = {"stars": 5, "text": "Good."}
            assert (await world.ask("PUT", f"/v1/products/{mug.id}/review", who, json=body)).status_code == 200

        async def verified() -> list[bool]:
            page = (await world.ask("GET", "/v1/shops/shop/products/mug/reviews")).json()
            return [each["verified"] for each in sorted(page["reviews"], key=lambda each: str(each["author"]))]

        order = await ordered(world, "bea", (mug, 1))
        assert await verified() == [False, False]
        await confirm(world, order["id"])
        assert await verified() == [True, False]
        path = f"/v1/orders/{order['id']}/cancel"
        assert (await world.ask("POST", path, "bea", headers=keyed())).json()["state"] == "refunding"
        assert await verified() == [False, False]

    run(work)


def test_an_account_that_is_deleted_leaves_its_orders_and_none_of_its_keys(run: Run) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug)
        await ordered(world, "bea", (mug, 1))
        assert (await count(world, CARTS.name), await count(world, IDEMPOTENCY_KEYS.name)) == (1, 1)
        bea = await world.tenancy.accounts.get("bea")
        assert bea is not None
        notice = Mail(bea.email, "deleted", {})
        assert await world.tenancy.accounts.delete("bea", bea.security_stamp, notice, world.now)
        assert (await count(world, CARTS.name), await count(world, IDEMPOTENCY_KEYS.name)) == (0, 0)
        assert (await count(world, ORDERS.name), await count(world, USERS.name, _id="bea")) == (1, 0)

    run(work)


AGES_SECONDS = (-60, 0, 0, 0, 1_800, 7_200, 7_200, 100_000, 400_000, 2_000_000, 9_000_000, 9_000_000, 40_000_000)
"""Of orders: also of one that a clock ahead of ours has placed, and some of one moment."""


def test_lists_have_every_order_once_and_the_newest_first_however_old_they_are(run: Run) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug)
        order = await ordered(world, "bea", (mug, 1))
        mongo, now_ms = world.client[world.database][ORDERS.name], milliseconds(world.now)
        (kept,) = await mongo.find({"_id": order["id"]}).to_list()
        rows = [
            {**kept, "_id": f"{number:032x}", "placed_at_ms": now_ms - age * 1_000}
            for number, age in enumerate(AGES_SECONDS)
        ]
        await mongo.delete_one({"_id": order["id"]})
        await mongo.insert_many(rows)
        wanted = [row["_id"] for row in sorted(rows, key=lambda row: (-row["placed_at_ms"], row["_id"]))]
        for path, who in (("/v1/orders", "bea"), ("/v1/stores/shop/orders", "olga")):
            for limit in ("1", "2", "5", "100"):
                listed, cursor = list[str](), ""
                while cursor is not None:
                    page = (await world.ask("GET", path, who, params={"limit": limit, "cursor": cursor})).json()
                    listed += [each["id"] for each in page["orders"]]
                    cursor = page["next"]
                assert listed == wanted, (path, limit)

    run(work)


def test_an_order_that_goes_to_two_letters_which_are_no_country_is_read_as_it_was_placed(run: Run) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug)
        order = await ordered(world, "bea", (mug, 1))
        mongo = world.client[world.database]
        await mongo[ORDERS.name].update_one({"_id": order["id"]}, {"$set": {"delivery.country": "XX"}})
        for who, path in (("bea", f"/v1/orders/{order['id']}"), ("olga", f"/v1/stores/shop/orders/{order['id']}")):
            assert (await world.ask("GET", path, who)).json()["delivery"]["country"] == "XX"

    run(work)


async def collections_that_hold(world: World, text: str) -> set[str]:
    """The collections of a database in which a text stands anywhere."""
    mongo = world.client[world.database]
    names = await mongo.list_collection_names()
    return {name for name in names if any(text in repr(each) for each in await mongo[name].find().to_list())}


def test_after_a_deletion_the_address_stands_in_the_orders_alone_and_answers_to_sellers_come_again(run: Run) -> None:
    mug = goods()

    async def work(world: World) -> None:
        await open_shop(world, mug)
        pending, paid = await ordered(world, "bea", (mug, 1)), await ordered(world, "bea", (mug, 2))
        await confirm(world, paid["id"])
        street = paid["delivery"]["street"]
        asked: dict[str, dict[str, Any]] = {
            f"/v1/stores/shop/orders/{pending['id']}/cancel": {},
            f"/v1/stores/shop/orders/{paid['id']}/refunds": {
                "json": {"lines": [{"number": 1, "quantity": 1}], "reason": "It is late."}
            },
        }

        async def answers() -> list[httpx.Response]:
            return [
                await world.ask("POST", path, "olga", headers=keyed("of-" + path[-7:]), **body)
                for path, body in asked.items()
            ]

        first, again = await answers(), await answers()
        assert [each.status_code for each in first] == [200, 200]
        assert [each.content for each in again] == [each.content for each in first]
        assert [each.headers.get("idempotent-replayed") for each in again] == ["true"] * 2
        assert await collections_that_hold(world, street) == {ORDERS.name, IDEMPOTENCY_KEYS.name}
        bea = await world.tenancy.accounts.get("bea")
        assert bea is not None
        notice = Mail(bea.email, "deleted", {})
        assert await world.tenancy.accounts.delete("bea", bea.security_stamp, notice, world.now)
        assert await collections_that_hold(world, street) == {ORDERS.name}
        # The notice about it is deleted when it is sent.
        assert await collections_that_hold(world, bea.email) == {MAILS.name}
        for before, after in zip(first, await answers(), strict=True):
            nobody = {"id": "bea", "name": None, "email": None}
            assert after.json() == {**before.json(), "buyer": nobody}

    run(work)
