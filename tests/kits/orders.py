"""Carts that are ordered, stock that is counted, and orders that are paid, for tests of what the API does with them."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any, Final

import httpx

from connectors.mongo.carts import Carts, Holder
from connectors.mongo.sagas.documents import order_document, payment_document, reservation_document
from connectors.mongo.times import milliseconds
from marketplace.carts.cart import Cart, put
from marketplace.catalog.products import Product, Variant
from marketplace.collections import ORDERS, PAYMENTS, PRODUCTS, RESERVATIONS, STOCK, STOCK_MOVEMENTS
from marketplace.identity.tenancy import hash_of_secret
from marketplace.sagas.inventory import Reservation, ReservationState
from marketplace.sagas.order_state import Order, OrderLine, OrderState
from marketplace.sagas.payment_state import Payment, PaymentState
from tests.kits.products import product, put_products
from tests.kits.shopping import PRODUCT, VARIANT
from tests.kits.tenancy import World

DELIVERY: Final = {
    "name": "Bea Buyer", "street": "Hill Road 7", "postcode": "10115", "city": "Berlin", "country": "DE",
}  # fmt: skip
PAYMENT: Final = {"method": "tok_4242424242424242"}


def goods(title: str = "Mug", *, store: str = "shop", price_minor: int = 1250, currency: str = "EUR") -> Product:
    """A product with one variant; :func:`variant_of` names it."""
    return product(title, store=store, price_minor=price_minor, currency=currency)


def variant_of(sold: Product) -> str:
    """The only variant of a product."""
    return sold.variants[0].id


async def open_shop(world: World, *products: Product, buyers: tuple[str, ...] = ("bea",)) -> None:
    """The store ``shop`` of olga, in which max is a manager and eve an analyst, with products and buyers."""
    await world.store("shop", {"olga": "owner", "max": "manager", "eve": "analyst"})
    for name in buyers:
        await world.user(name)
    if products:
        await put_products(world.client, world.database, products)


async def put_stock(world: World, sold: Product, on_hand: int) -> None:
    """Let the variant of a product be counted, past all rules."""
    mongo, variant = world.client[world.database], variant_of(sold)
    await mongo[STOCK.name].insert_one(
        {
            "_id": variant, "store": sold.store, "product": sold.id, "on_hand": on_hand, "reserved": 0, "low_at": None,
            "changed_at_ms": 0,
        }
    )  # fmt: skip
    await mongo[STOCK_MOVEMENTS.name].insert_one(
        {
            "_id": uuid.uuid4().hex, "variant": variant, "quantity": on_hand, "kind": "received", "cause": "first",
            "store": sold.store, "on_hand": on_hand, "at_ms": 0, "by": "olga", "note": "First delivery",
        }
    )  # fmt: skip
    shown = "none" if on_hand <= 0 else "few" if on_hand <= 5 else "many"
    await mongo[PRODUCTS.name].update_one({"_id": sold.id}, {"$set": {"variants.0.availability": shown}})


async def fill(world: World, who: str, *lines: tuple[Product, int]) -> int:
    """Put lines into somebody's cart as they are; gives its version."""
    carts = Carts(world.client, world.database)

    def edit(cart: Cart) -> Cart:
        for sold, count in lines:
            cart = put(cart, sold, variant_of(sold), count, 0)
        return cart

    return (await carts.change(Holder.account(who), edit, world.now)).version


def wish(version: int, **fields: Any) -> dict[str, Any]:
    """The body of a request that orders a cart."""
    return {"cart_version": version, "delivery": DELIVERY, "payment": PAYMENT, **fields}


def keyed(key: str = "") -> dict[str, str]:
    """The header of a key, by default one of its own."""
    return {"idempotency-key": key or uuid.uuid4().hex}


async def place(world: World, who: str, version: int, key: str = "", **fields: Any) -> httpx.Response:
    """Order a cart."""
    return await world.ask("POST", "/v1/orders", who, json=wish(version, **fields), headers=keyed(key))


async def ordered(world: World, who: str, *lines: tuple[Product, int]) -> dict[str, Any]:
    """The one order that somebody has placed with these lines."""
    answer = await place(world, who, await fill(world, who, *lines))
    assert answer.status_code == 201, answer.text
    (order,) = answer.json()["orders"]
    found: dict[str, Any] = order
    return found


async def confirm(world: World, order: str) -> None:
    """Let an order be paid and its goods deducted, past all rules."""
    mongo = world.client[world.database]
    there = await mongo[ORDERS.name].find_one({"_id": order})
    assert there is not None
    change = {"state": "confirmed", "paid_minor": there["total_minor"], "due_ms": None, "version": there["version"] + 2}
    await mongo[ORDERS.name].update_one({"_id": order}, {"$set": change})
    await mongo[PAYMENTS.name].update_one({"order": order}, {"$set": {"state": "completed", "due_ms": None}})
    reservation = await mongo[RESERVATIONS.name].find_one({"_id": order})
    assert reservation is not None
    await mongo[RESERVATIONS.name].update_one({"_id": order}, {"$set": {"state": "taken", "due_ms": None}})
    for item in reservation["items"]:
        count = item["quantity"]
        await mongo[STOCK.name].update_one({"_id": item["variant"]}, {"$inc": {"on_hand": -count, "reserved": -count}})
        await mongo[STOCK_MOVEMENTS.name].insert_one(
            {
                "_id": f"{order}:sold:{item['variant']}", "variant": item["variant"], "quantity": -count,
                "kind": "sold", "cause": order, "store": there["store"], "on_hand": 0, "at_ms": 1, "by": "", "note": "",
            }
        )  # fmt: skip


async def drift(world: World) -> list[str]:
    """What of the stock does not add up; counted from the documents alone."""
    mongo = world.client[world.database]
    moved: Counter[str] = Counter()
    for each in await mongo[STOCK_MOVEMENTS.name].find().to_list():
        moved[each["variant"]] += each["quantity"]
    bound: Counter[str] = Counter()
    for each in await mongo[RESERVATIONS.name].find({"state": "held"}).to_list():
        for item in each["items"]:
            bound[item["variant"]] += item["quantity"]
    wrong = []
    for level in await mongo[STOCK.name].find().to_list():
        key, on_hand, reserved = level["_id"], level["on_hand"], level["reserved"]
        if on_hand != moved[key]:
            wrong.append(f"{key}: {on_hand} on hand, and {moved[key]} moved")
        if reserved != bound[key]:
            wrong.append(f"{key}: {reserved} reserved, and {bound[key]} by reservations")
        if not 0 <= reserved <= on_hand:
            wrong.append(f"{key}: {reserved} of {on_hand} reserved")
        shown = "none" if on_hand - reserved <= 0 else "few" if on_hand - reserved <= 5 else "many"
        about = await mongo[PRODUCTS.name].find_one({"variants.id": key, "store": level["store"]})
        if about is not None:
            (now,) = (each["availability"] for each in about["variants"] if each["id"] == key)
            if now != shown:
                wrong.append(f"{key}: buyers are shown {now}, and it is {shown}")
    return wrong


async def level(world: World, sold: Product) -> tuple[int, int]:
    """What is on hand and what is reserved of a product's variant."""
    found = await world.client[world.database][STOCK.name].find_one({"_id": variant_of(sold)})
    assert found is not None
    return found["on_hand"], found["reserved"]


async def count(world: World, collection: str, **question: Any) -> int:
    """How many documents there are."""
    return int(await world.client[world.database][collection].count_documents(question))


def refusal(answer: httpx.Response) -> tuple[int, list[tuple[str, str]]]:
    """The status of a refusal, and what it is about."""
    return answer.status_code, [(each["path"], each["code"]) for each in answer.json()["errors"]]


def order_id(who: str) -> str:
    """The id of the order of an account that asks for the routes of buyers."""
    return hash_of_secret(who)[:32]


FOREIGN_ORDER: Final = "0c" * 16
"""In the store ``other``."""

COUNTED: Final = "0d" * 16
"""A variant of the store ``shop`` that is counted, of :data:`COUNTED_PRODUCT`; nothing of it is reserved."""

COUNTED_PRODUCT: Final = "0e" * 16
SECOND: Final = "1d" * 16
SECOND_PRODUCT: Final = "1e" * 16
FOREIGN_COUNTED: Final = "0f" * 16


async def settle_orders(world: World, *users: str) -> None:
    """A confirmed order of each of the accounts in the store ``shop``, one of a stranger elsewhere, and some stock.

    The checkout of each has the same id.
    """
    mug = product("Counted mug", id=COUNTED_PRODUCT, variants=(Variant(COUNTED, "COUNTED", (), 1250),))
    other = product("Other counted mug", id=SECOND_PRODUCT, variants=(Variant(SECOND, "SECOND", (), 1250),))
    theirs = product("Their mug", store="other", variants=(Variant(FOREIGN_COUNTED, "COUNTED", (), 1250),))
    await put_products(world.client, world.database, [mug, other, theirs])
    for sold in (mug, other, theirs):
        await put_stock(world, sold, 50)
    mongo, now_ms = world.client[world.database], milliseconds(world.now)
    orders = [(buyer, "shop", order_id(buyer)) for buyer in users]
    for at, (buyer, store, order) in enumerate([*orders, ("tim", "other", FOREIGN_ORDER)]):
        line = OrderLine(1, PRODUCT, VARIANT, "Blue mug", 3, 1250)
        made = Order(
            order, store, buyer, order, "EUR", (line,), OrderState.CONFIRMED, now_ms, paid_minor=3750, version=3
        )
        payment = Payment(f"{at:032x}", order, store, 3750, "EUR", "tok_1", state=PaymentState.COMPLETED, version=3)
        taken = Reservation(order, store, (), ReservationState.TAKEN, now_ms, version=2)
        extra = {
            "delivery": {**DELIVERY, "extra": ""},
            "fulfilment": {"state": "unfulfilled", "carrier": "", "tracking": "", "changed_at_ms": 0},
        }
        await mongo[ORDERS.name].insert_one({**order_document(made, now_ms), **extra})
        await mongo[PAYMENTS.name].insert_one(payment_document(payment, now_ms))
        await mongo[RESERVATIONS.name].insert_one(reservation_document(taken))
