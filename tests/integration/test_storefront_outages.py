"""The storefront while a part does not answer: pages that need it say when to come again, and the others work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from api.identity.key_file import ensure_keys
from api.identity.key_ring import KeyRing
from api.identity.password_hashes import PasswordHashes
from api.identity.service import IdentityService
from api.search.service import SearchService
from api.storefront.service import Shop
from connectors.mongo.async_client import connect_async
from connectors.payments.methods import methods_of
from connectors.redis import sessions
from connectors.redis.sent_forms import SentForms
from marketplace.collections import USERS
from marketplace.search.entries import entry_of
from ops.stack import Stack
from tests.kits.api import PASSWORD
from tests.kits.api_people import password_hash
from tests.kits.buyers import PageReader
from tests.kits.checkout import ADDRESS, card
from tests.kits.storefront import COFFEE, products, settle
from tests.kits.tenancy import World, run_in_world

NOBODY_LISTENS = "127.0.0.1:9"
HOST = "http://api.example"
BUYER = {"marketplace-buyer": f"{'a' * 32}.{'b' * 32}.secret"}
PRODUCT = f"/shop/{COFFEE}/cafe-de-olla"
SEEN_BY_ALL = ("/shop", f"/shop/{COFFEE}", f"/shop/{COFFEE}/category/beans", "/shop/search?q=cafe", PRODUCT)


@asynccontextmanager
async def storefront(world: World, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Pages on the Mongo of a world, and on no Redis."""
    ensure_keys(folder / "keys.json", 1_700_000_000.0)
    redis, hashes = sessions.connect_async(f"redis://{NOBODY_LISTENS}/0"), PasswordHashes()
    ring = KeyRing(folder / "keys.json", HOST, "api")
    identities = IdentityService(world.tenancy.accounts, sessions.Sessions(redis), hashes, ring, HOST)
    own = World(world.client, world.database, identities=identities)
    for product in products():
        own.index.put_store(product.store, product.store.title())
        if (entry := entry_of(product)) is not None:
            own.index.put(entry)
    own.app.app.state.shop = Shop.on_services(  # type: ignore[attr-defined]  # nothing starts the application here
        world.client,
        world.database,
        own.catalog,
        SearchService.on_index(own.index),
        own.shopping,
        SentForms(redis),
        own.ordering,
        methods_of("sandbox", f"http://{NOBODY_LISTENS}"),
    )
    transport = httpx.ASGITransport(own.app, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(transport=transport, base_url=HOST, follow_redirects=True) as client:
            yield client
    finally:
        hashes.close()
        await redis.aclose()


def assert_comes_back(answer: httpx.Response) -> None:
    """A page that says when to come again, with a way on."""
    assert answer.status_code == 503
    assert answer.headers["content-type"].startswith("text/html")
    assert f"Try again in {answer.headers['retry-after']} second" in answer.text
    assert "/shop" in PageReader(answer.text).links


async def send(client: httpx.AsyncClient, path: str, button: str, **changes: str) -> httpx.Response:
    """Fill in the form with that button, and send it."""
    forms = PageReader((await client.get(path)).text).forms
    form = next(each for each in forms if button in each.buttons)
    return await client.post(form.action, data={**form.fields, **changes}, headers={"origin": HOST})


def test_without_redis_guests_look_and_buy_and_nobody_signs_in(stack: Stack, database: str, tmp_path: Path) -> None:
    hashed = {"$set": {"password_hash": password_hash()}}

    async def work(world: World) -> None:
        await settle(world.client, world.database)
        await world.client[world.database][USERS.name].update_one({"_id": "ann"}, hashed)
        async with storefront(world, tmp_path) as client:
            for path in SEEN_BY_ALL:
                assert (await client.get(path)).status_code == 200, path
            cart = await send(client, PRODUCT, "add-to-cart")
            assert cart.status_code == 200
            assert 'id="in-cart">1<' in cart.text
            fields = {"email": "ann@shop.example", "password": PASSWORD}
            assert_comes_back(await send(client, "/shop/sign-in", "sign-in", **fields))
            client.cookies.update(BUYER)
            for path in SEEN_BY_ALL:
                seen = await client.get(path)
                assert seen.status_code == 200
                # Nobody knows whether they are signed in: the page says neither.
                assert not {"/shop/account", "/shop/sign-in"} & set(PageReader(seen.text).links[:4])
            for path in ("/shop/cart", "/shop/account", "/shop/sign-in"):
                assert_comes_back(await client.get(path))

    run_in_world(stack.urls.mongo, database, work)


def test_without_mongo_pages_come_back_and_what_is_in_memory_is_shown(tmp_path: Path) -> None:
    async def work() -> None:
        client = connect_async(f"mongodb://{NOBODY_LISTENS}/?serverSelectionTimeoutMS=100")
        try:
            async with storefront(World(client, "nothing"), tmp_path) as pages:
                for path in ("/shop", "/shop/search?q=cafe", "/shop/suggest?q=ca", "/shop/sign-in", "/shop/register"):
                    assert (await pages.get(path)).status_code == 200, path
                pages.cookies.set("marketplace-cart", "g" * 43)
                paths = (f"/shop/{COFFEE}", PRODUCT, "/shop/cart", "/shop")
                *refused, front = await asyncio.gather(*map(pages.get, paths))
                for answer in refused:
                    assert_comes_back(answer)
                assert front.status_code == 200
        finally:
            await client.close()

    asyncio.run(work())


def test_without_mongo_a_checkout_keeps_what_was_typed_and_orders_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        client = connect_async(f"mongodb://{NOBODY_LISTENS}/?serverSelectionTimeoutMS=100")
        try:
            async with storefront(World(client, "nothing"), tmp_path) as pages:
                token = PageReader((await pages.get("/shop/sign-in")).text).forms[1].fields["token"]
                pages.cookies.update(BUYER)
                fields = {"token": token, "do": "order", "once": "o" * 32, "version": "3", "changes": "", **ADDRESS}
                sent = await pages.post("/shop/checkout", data={**fields, **card()}, headers={"origin": HOST})
                assert (sent.status_code, sent.headers["retry-after"]) == (503, "3")
                form = next(each for each in PageReader(sent.text).forms if "place-order" in each.buttons)
                kept = {name: form.fields[name] for name in ("once", "version", "street", "country")}
                assert kept == {"once": "o" * 32, "version": "3", "street": "Hill Road 7", "country": "DE"}
                assert form.fields["number"] == ""
                for path in ("/shop/orders", f"/shop/orders/{'0' * 32}"):
                    assert_comes_back(await pages.get(path))
        finally:
            await client.close()

    asyncio.run(work())
