"""A market to look at: stores with categories, products and reviews."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from connectors.mongo.async_client import Documents, connect_async
from connectors.mongo.notifications import Notifications
from connectors.mongo.review_documents import review_document
from connectors.mongo.sagas.notifications import notice_mail_document, notification_document
from marketplace.catalog.products import Availability, Image, Option, Product, Variant
from marketplace.collections import CATEGORIES, MAILS, NOTIFICATIONS, PRODUCTS, REVIEWS, STORES, USERS
from marketplace.notifications.notices import Notice, Template
from marketplace.notifications.preferences import unsubscribe_token
from marketplace.reviews.reviews import Reply, Review
from ops.stack import Stack
from tests.kits.api import Api, own_database, running_api
from tests.kits.api_people import password_hash
from tests.kits.notifications import PLACED_MS, facts
from tests.kits.products import product, put_products
from tests.kits.stack import polled
from tests.kits.tenancy import World

COFFEE: Final = "brooklyn-coffee"
BIKES: Final = "berlin-bikes"
NEW: Final = "just-opened"
"""A store that has nothing yet."""

TITLES: Final = {COFFEE: "Brooklyn Coffee Roasters", BIKES: "Berliner Fahrradladen", NEW: "Just opened"}
HOSTILE: Final = '<script>alert("1")</script>\'"><img src=x onerror=alert(1)>'
LONG: Final = "Averyveryverylongwordwithoutanyspace" * 8
ARABIC: Final = "قهوة عربية محمصة من اليمن السعيد مع الهيل"
AT: Final = 1_796_000_000_000
_ROASTED: Final = "Roasted twice a week in small batches.\n\nNotes of bergamot, jasmine and honey."


def id_of(name: str) -> str:
    """32 hexadecimal digits of a name."""
    return uuid.uuid5(uuid.NAMESPACE_URL, name).hex


def _image(motif: str, hue: int, slug: str, alt: str) -> Image:
    return Image(f"/shop/pictures/{motif}/{hue}/{slug}.svg", alt)


def _coffee(at: int, title: str, slug: str, price: int, **fields: Any) -> Product:
    images = (_image("bag", 28, slug, f"A bag of {title[:60]}"), _image("bag", 60, f"{slug}-2", "Its back"))
    return product(
        title,
        id=id_of(slug),
        store=COFFEE,
        slug=slug,
        currency="USD",
        category=id_of("beans"),
        images=images,
        created_at=AT + at,
        **{"description": _ROASTED, "variants": (Variant(id_of(f"{slug}-1"), slug.upper(), (), price),), **fields},
    )


def _bike(at: int, title: str, slug: str, price: int, **fields: Any) -> Product:
    return product(
        title,
        id=id_of(slug),
        store=BIKES,
        slug=slug,
        currency="EUR",
        category=id_of("bikes"),
        description="Gebaut in Kreuzberg.",
        images=(_image("wheel", 210, slug, title),),
        created_at=AT + at,
        **{"variants": (Variant(id_of(f"{slug}-1"), slug.upper(), (), price),), **fields},
    )


def _sizes(slug: str, *prices: int) -> dict[str, Any]:
    names = ("250 g", "500 g", "1 kg", "5 kg")
    stock = (Availability.MANY, Availability.FEW, Availability.NONE, Availability.MANY)
    return {
        "options": (Option("Size", names),),
        "variants": tuple(
            Variant(id_of(f"{slug}-{at + 1}"), f"{slug}-{at}".upper(), (names[at],), price, None, stock[at])
            for at, price in enumerate(prices)
        ),
    }


def products() -> list[Product]:
    """What the stores sell."""
    sale = Variant(id_of("huila-1"), "HUILA", (), 1450, 1800, Availability.FEW)
    gone = Variant(id_of("sampler-1"), "SAMPLER", (), 2900, None, Availability.NONE)
    return [
        _coffee(1, "Ethiopia Yirgacheffe", "yirgacheffe", 1600, stars=(0, 1, 0, 2, 3), sold=40,
                **_sizes("yirgacheffe", 1600, 2900, 5400, 24_000)),
        _coffee(2, "Colombia Huila", "huila", 1450, variants=(sale,), stars=(0, 0, 1, 4, 9), sold=12),
        _coffee(3, "Café de Olla", "cafe-de-olla", 1300),
        _coffee(4, "Sampler of five", "sampler", 2900, variants=(gone,)),
        _coffee(5, HOSTILE, "hostile", 100, description=HOSTILE * 20),
        _coffee(6, f"{LONG} ☕🚲 {ARABIC}"[:300], "long", 100),
        _coffee(7, ARABIC, "arabic", 100, description=ARABIC),
        *(_coffee(10 + at, f"Blend number {at}", f"blend-{at}", 1000 + at, sold=at) for at in range(24)),
        _bike(8, "Stahlrad Kreuzberg", "stahlrad", 89_900, sold=3),
        _bike(9, "Faltrad", "faltrad", 64_900, sold=2),
    ]  # fmt: skip


def reviews() -> list[Review]:
    """Reviews of the first product; its counters say so already."""
    about = id_of("yirgacheffe")
    texts = ("Best I had in years.\nWill buy again.", "", "Fine.", f"But: {HOSTILE}", ARABIC, "Good, and fast.")
    return [
        Review(
            id_of(f"review-{at}"), about, COFFEE, f"writer-{at}", stars, text, AT + at,
            helpful=12 - at, reply=Reply("Thank you!", "ann", AT + 9) if at == 0 else None,
        )
        for at, (stars, text) in enumerate(zip((5, 5, 4, 2, 4, 5), texts, strict=True))
    ]  # fmt: skip


def _run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it in a thread of its own: where a browser is driven, this one has an event loop already."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(work())).result()


@dataclass(frozen=True)
class Market:
    """A storefront that runs, and what is in it.

    Attributes:
        api: The API that shows it.
        database: The name of its database.
        stack: Where the parts are.
    """

    api: Api
    database: str
    stack: Stack

    @property
    def url(self) -> str:
        """Where it is reached."""
        return self.api.url

    def do(self, work: Callable[[World], Awaitable[Any]]) -> None:
        """Do something with its documents."""

        async def whole() -> None:
            client = connect_async(polled(self.stack.urls.mongo))
            try:
                await work(World(client, self.database))
            finally:
                await client.close()

        _run(whole)

    def set_product(self, slug: str, fields: Mapping[str, Any]) -> None:
        """Change a product past all rules."""

        async def work(world: World) -> None:
            change = {"$set": dict(fields), "$inc": {"version": 1}}
            await world.client[self.database][PRODUCTS.name].update_one({"_id": id_of(slug)}, change)

        self.do(work)

    def set_contact(self, store: str, contact: str) -> None:
        """Say where buyers of a store write to."""

        async def work(world: World) -> None:
            change = {"$set": {"contact": contact}, "$inc": {"version": 1}}
            await world.client[self.database][STORES.name].update_one({"_id": store}, change)

        self.do(work)

    def account(self) -> str:
        """A new account whose password is everybody's; gives its address."""
        with ThreadPoolExecutor(1) as thread:
            hashed = thread.submit(password_hash).result()
        name, change = uuid.uuid4().hex[:12], {"$set": {"password_hash": hashed}}

        async def work(world: World) -> None:
            await world.user(name)
            await world.client[self.database][USERS.name].update_one({"_id": name}, change)

        self.do(work)
        return f"{name}@shop.example"

    def hears(self, email: str, *templates: Template) -> None:
        """Write notifications of an account about an order of a hostile store, the newest last, and their mails."""
        user, about = email.partition("@")[0], facts(store=COFFEE, store_title=HOSTILE)

        async def work(world: World) -> None:
            mongo = world.client[self.database]
            for at, template in enumerate(templates):
                notice = Notice(f"user:{user}", template, f"{user}:{at}")
                await mongo[NOTIFICATIONS.name].insert_one(notification_document(notice, about, PLACED_MS + at))
                mail = notice_mail_document(notice, about.order, user, datetime.now(UTC))
                await mongo[MAILS.name].insert_one(mail)

        self.do(work)

    def unsubscribe_path(self, email: str) -> str:
        """The path of the link in mails of an account."""
        found = []

        async def work(world: World) -> None:
            user = email.partition("@")[0]
            secret = await Notifications(world.client, self.database)._new_secret(user)
            found.append(f"/shop/unsubscribe/{unsubscribe_token(user, secret)}")

        self.do(work)
        return found[0]


@contextmanager
def market(stack: Stack, folder: Path, **settings: str) -> Iterator[Market]:
    """A storefront with stores, on a database of its own."""
    with own_database(stack) as database:
        _run(lambda: _settle(polled(stack.urls.mongo), database))
        with running_api(stack, folder, database, **settings) as api:
            yield Market(api, database, stack)


async def _settle(mongo_url: str, database: str) -> None:
    client = connect_async(mongo_url)
    try:
        await settle(client, database)
    finally:
        await client.close()


async def settle(client: Documents, database: str) -> None:
    """Write stores, categories, products, reviews and their authors."""
    world = World(client, database)
    for slug, title in TITLES.items():
        await world.store(slug, ann="owner")
        await client[database]["stores"].update_one({"_id": slug}, {"$set": {"title": title}})
    for at in range(6):
        await world.user(f"writer-{at}")
    tree = [("beans", "Coffee beans", None), ("light", "Light roasts", id_of("beans"))]
    for store, categories in ((COFFEE, tree), (BIKES, [("bikes", "Fahrräder", None)])):
        entries = [{"id": id_of(slug), "slug": slug, "name": name, "parent": up} for slug, name, up in categories]
        await client[database][CATEGORIES.name].insert_one({"_id": store, "version": 1, "categories": entries})
    await put_products(client, database, products())
    await client[database][REVIEWS.name].insert_many([review_document(each) for each in reviews()])
