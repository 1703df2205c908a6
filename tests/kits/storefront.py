"""A market to look at: stores with categories, products and reviews, and somebody who buys there without JavaScript."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

import httpx

from connectors.mongo.async_client import Documents, connect_async
from connectors.mongo.review_documents import review_document
from marketplace.catalog.products import Availability, Image, Option, Product, Variant
from marketplace.collections import CATEGORIES, PRODUCTS, REVIEWS, USERS
from marketplace.reviews.reviews import Reply, Review
from ops.stack import Stack
from tests.kits.api import PASSWORD, Api, any_address, own_database, running_api
from tests.kits.api_people import password_hash
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
            id_of(f"review-{at}"), about, COFFEE, f"writer-{at}", stars, text, AT + at, verified=at == 0,
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


@dataclass
class Form:
    """A form of a page, with what is in it.

    Attributes:
        action: Where it is sent.
        method: How.
        fields: What is filled in.
        buttons: The names of its buttons.
    """

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)


class PageReader(HTMLParser):
    """Reads what a browser without JavaScript would act on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._form: Form | None = None
        self._select = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append((tag, given))
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "form":
            self._form = Form(given.get("action", ""), given.get("method", "get"))
            self.forms.append(self._form)
        form = self._form
        if form is None:
            return
        if tag == "button" and "name" in given:
            form.buttons.append(given["name"])
        elif tag == "input" and "name" in given and (given.get("type") != "radio" or "checked" in given):
            form.fields[given["name"]] = given.get("value", "")
        elif tag == "textarea":
            form.fields[given["name"]] = ""
        elif tag == "select":
            self._select = given["name"]
        elif tag == "option" and ("selected" in given or self._select not in form.fields):
            form.fields[self._select] = given["value"]

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None


@dataclass
class Page:
    """An answer as somebody sees it.

    Attributes:
        answer: The answer.
        url: Its address.
    """

    answer: httpx.Response
    url: str

    @property
    def text(self) -> str:
        """Its HTML."""
        return self.answer.text

    @property
    def read(self) -> PageReader:
        """What is on it."""
        return PageReader(self.text)

    def form(self, button: str, **having: str) -> Form:
        """The first form with a button of that name, and with these values."""
        found = [
            form
            for form in self.read.forms
            if button in form.buttons and all(form.fields.get(name) == value for name, value in having.items())
        ]
        assert found, f"no form with the button {button!r} on {self.url}"
        return found[0]

    @property
    def words(self) -> str:
        """Its text, without elements."""
        return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", self.text))


class Buyer:
    """A browser without JavaScript: it keeps cookies, follows redirects and fills in forms.

    Args:
        url: Where the storefront is.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        headers = {"x-forwarded-for": any_address(), "user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0"}
        self.client = httpx.Client(base_url=url, headers=headers, follow_redirects=True, timeout=20)

    def __enter__(self) -> Buyer:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def get(self, path: str, **options: Any) -> Page:
        """Open a page."""
        answer = self.client.get(path, **options)
        return Page(answer, str(answer.url))

    def send(self, page: Page, form: Form, /, **changes: str) -> Page:
        """Fill in a form and send it as the page's browser does."""
        return self.send_with({"origin": self.url}, page, form, **changes)

    def send_with(self, own: Mapping[str, str], page: Page, form: Form, /, **changes: str) -> Page:
        """The same with headers that say where it comes from."""
        fields = {**form.fields, **changes}
        answer = self.client.post(urljoin(page.url, form.action), data=fields, headers=dict(own))
        return Page(answer, str(answer.url))

    def sign_in(self, email: str, password: str = PASSWORD, path: str = "/shop/sign-in") -> Page:
        """Sign in by the form."""
        page = self.get(path)
        return self.send(page, page.form("sign-in"), email=email, password=password)
