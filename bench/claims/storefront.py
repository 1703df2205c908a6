"""``python -m bench.claims.storefront``: how long the server takes for each page of the storefront, and its size.

One process of the API on real parts shows the catalogs of the demo's five shops. One connection asks for one
page after the other, so the time of an answer is the server's and that of loopback; each kind is asked for some times
in a row, and the kinds take turns. CPU is of the API and of Mongo for a request: it says what a page costs on a machine
that does other things, too. Pages are a guest's unless they say otherwise; whoever is signed in has a full cart.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import itertools
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from api.carts.service import CartService
from api.storefront.assets import SCRIPT, STYLE
from bench.claims.numbers import Row, median, quantile, report, say
from bench.claims.processes import Cpu, part_pids, wait_until
from bench.corpus_cache import ROOT
from connectors.mongo.async_client import Documents, connect_async
from connectors.mongo.product_reads import product_document, slug_id
from connectors.mongo.review_documents import review_document
from connectors.redis import sessions
from marketplace.catalog.products import Image, Option, Product, ProductState, Variant
from marketplace.collections import CATEGORIES, PRODUCT_SLUGS, PRODUCTS, REVIEWS, STORES, USERS
from marketplace.identity.accounts import User
from marketplace.identity.refresh import refresh_token
from marketplace.reviews.reviews import Review
from marketplace.settings import Urls
from marketplace.stores import Store, hash_write_key
from ops.demo.catalogs import CatalogProduct, catalog_of
from ops.demo.traffic.shops import SHOPS, Shop
from ops.provision import ensure_provisioned
from ops.stack import Stack
from ops.stack.registry import REGISTRY
from runtime.ports import free_ports
from runtime.sections import Settings

TARGET_MS: Final = 30.0
"""Of the 95th percentile, at most."""

TARGET_BYTES: Final = 100_000
"""Of a page with its style and script, uncompressed, without pictures."""

_DATABASE: Final = "bench_storefront"
_PARTS: Final = ("mongo", "redis", "clickhouse")
_REVIEWS: Final = 30
_CART_LINES: Final = 10
_WARM: Final = 20
_BUYER: Final = "b" * 32
_SESSION: Final = "5" * 32
_NOW_MS: Final = 1_796_000_000_000


@dataclass(frozen=True)
class Page:
    """A page that is asked for.

    Attributes:
        name: For people.
        path: Its address.
        signed_in: Whether somebody is.
        status: Of its answer.
    """

    name: str
    path: str
    signed_in: bool = False
    status: int = 200


def pages() -> list[Page]:
    """One of each kind, with the addresses of the first shop's best product."""
    shop, best = SHOPS[0].name, catalog_of(SHOPS[0].name).products[0]
    return [
        Page("front", "/shop"),
        Page("store", f"/shop/{shop}"),
        Page("category", f"/shop/{shop}/category/{_slug(best.category[0])}"),
        Page("search, all stores", "/shop/search?q=blend"),
        Page("search, every product", "/shop/search?sort=price"),
        Page("suggestions", "/shop/suggest?q=bl"),
        Page("product", f"/shop/{shop}/{best.slug}"),
        Page("product, signed in", f"/shop/{shop}/{best.slug}", signed_in=True),
        Page("reviews", f"/shop/{shop}/reviews/{best.slug}"),
        Page(f"cart with {_CART_LINES} lines", "/shop/cart", signed_in=True),
        Page("account", "/shop/account", signed_in=True),
        Page("sign in", "/shop/sign-in"),
        Page("not found", f"/shop/{shop}/nothing", status=404),
    ]


def _slug(name: str) -> str:
    return "-".join(name.lower().split())


def _product(shop: Shop, currency: str, at: int, given: CatalogProduct) -> Product:
    return Product(
        id=given.id,
        store=shop.name,
        slug=given.slug,
        title=given.title,
        description=given.description,
        state=ProductState.ACTIVE,
        currency=currency,
        variants=tuple(
            Variant(
                f"{given.id[:29]}{nth:03x}", f"{given.slug}-{nth}", (each.value,) if each.value else (),
                each.price_minor,
            )
            for nth, each in enumerate(given.variants)
        ),
        options=(Option(given.option, tuple(each.value for each in given.variants)),) if given.option else (),
        images=(Image(f"/shop/pictures/bag/28/{given.slug}.svg", given.title),),
        category=f"{shop.name}/{given.category[0]}",
        stars=(0, 0, 0, 0, _REVIEWS) if at == 0 else (0, 0, 1, 2, at % 9),
        sold=max(0, 200 - at),
        created_at=_NOW_MS + at,
    )  # fmt: skip


async def _settle(client: Documents, redis_url: str) -> str:
    """Shops, products, reviews, and a buyer with a cart; returns the value of the buyer's cookie."""
    mongo = client[_DATABASE]
    everything = []
    for shop in SHOPS:
        catalog = catalog_of(shop.name)
        store = Store(shop.name, shop.title, "UTC", (), hash_write_key(shop.name), secrets.token_hex(32))
        document = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(store).items()}
        await mongo[STORES.name].insert_one({**document, "_id": shop.name, "version": 1, "created_at": 1})
        names = dict.fromkeys(product.category[0] for product in catalog.products)
        tree = [{"id": f"{shop.name}/{name}", "slug": _slug(name), "name": name, "parent": None} for name in names]
        await mongo[CATEGORIES.name].insert_one({"_id": shop.name, "version": 1, "categories": tree})
        everything.append([_product(shop, catalog.currency, at, each) for at, each in enumerate(catalog.products)])
    products = list(itertools.chain(*everything))
    await mongo[PRODUCTS.name].insert_many([product_document(each) for each in products])
    slugs = [{"_id": slug_id(each.store, each.slug), "product": each.id} for each in products]
    await mongo[PRODUCT_SLUGS.name].insert_many(slugs)
    people = [User(f"{at:032x}", f"user-{at}@bench.example", "Writer", "", 1) for at in range(_REVIEWS)]
    people.append(User(_BUYER, "buyer@bench.example", "Buyer", "", 1))
    documents = [{**asdict(user), "_id": user.id, "email_key": user.email_key, "grants": []} for user in people]
    await mongo[USERS.name].insert_many([{k: v for k, v in each.items() if k != "id"} for each in documents])
    best = products[0]
    reviews = [
        Review(secrets.token_hex(16), best.id, best.store, user.id, 5, "It is as good as they say. " * 8, _NOW_MS + at)
        for at, user in enumerate(people[:_REVIEWS])
    ]
    await mongo[REVIEWS.name].insert_many([review_document(each) for each in reviews])
    redis, token = sessions.connect_async(redis_url), secrets.token_urlsafe(32)
    await sessions.Sessions(redis).create(_BUYER, _SESSION, token)
    await redis.aclose()
    carts = CartService.on_mongo(client, _DATABASE)
    for nth in range(_CART_LINES):
        chosen = everything[nth % len(everything)][nth]
        await carts.add(CartService.holder(_BUYER), chosen.id, chosen.variants[0].id, 1 + nth)
    return refresh_token(_BUYER, _SESSION, token)


@contextlib.contextmanager
def serving() -> Iterator[tuple[int, str, dict[str, int]]]:
    """A storefront on parts of its own: its port, the value of the buyer's cookie, and the processes."""
    with (
        tempfile.TemporaryDirectory(prefix="marketplace-bench-") as name,
        Stack(f"{name}/stack", ports="auto", parts=set(_PARTS), external={}) as stack,
    ):
        folder, (port, admin) = Path(name), free_ports(2)
        urls = Urls(stack.urls.kafka, stack.urls.mongo, stack.urls.clickhouse, stack.urls.redis)
        settings = Settings(urls, PurePosixPath(folder), _DATABASE)
        ensure_provisioned(settings, resources=REGISTRY.service("api").resources)
        token = asyncio.run(_settled(urls))
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("MARKETPLACE_")},
            **urls.environment(),
            "PYTHONPATH": str(ROOT),
            "MARKETPLACE_DATA": name,
            "MARKETPLACE_DATABASE": _DATABASE,
            "MARKETPLACE_API_PORT": str(port),
            "MARKETPLACE_API_ADMIN_PORT": str(admin),
            # Each request says another address, as many buyers have: the limits of one are not what is measured.
            "MARKETPLACE_API_TRUSTED_PROXIES": "127.0.0.1",
        }
        with (folder / "api.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", "api"], env=environment, cwd=ROOT, stdout=log, stderr=log)
        try:
            ready = f"http://127.0.0.1:{admin}/readyz"
            wait_until(lambda: _answers(ready), 60, f"the API does not start: {(folder / 'api.log').read_text()}")
            pids = part_pids(Path(name, "stack"))
            yield port, token, {"api": process.pid, "mongo": pids["mongo"]}
        finally:
            process.terminate()
            process.wait(30)


async def _settled(urls: Urls) -> str:
    client = connect_async(urls.mongo)
    try:
        return await _settle(client, urls.redis)
    finally:
        await client.close()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class Browser:
    """One connection.

    Args:
        port: Of the storefront.
        token: The value of the buyer's cookie.
    """

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._form, self._token, self._asked = secrets.token_urlsafe(32), token, 0

    def ask(self, page: Page) -> tuple[float, int]:
        """Ask for a page: milliseconds until all of it was there, and its bytes.

        Raises:
            RuntimeError: The answer has another status.
        """
        self._asked += 1
        cookies = f"marketplace-form={self._form}" + (f"; marketplace-buyer={self._token}" if page.signed_in else "")
        address = f"198.18.{self._asked // 250 % 250}.{self._asked % 250}"
        began = time.perf_counter()
        self._connection.request("GET", page.path, headers={"cookie": cookies, "x-forwarded-for": address})
        answer = self._connection.getresponse()
        body = answer.read()
        took = 1e3 * (time.perf_counter() - began)
        if answer.status != page.status:
            raise RuntimeError(f"{page.path}: {answer.status}")
        return took, len(body)


@dataclass
class Measured:
    """What was measured of a page.

    Attributes:
        milliseconds: Of each answer.
        cpu_ms: CPU of each process for an answer, by run.
        size: Bytes of an answer.
    """

    milliseconds: list[float] = field(default_factory=list)
    cpu_ms: dict[str, list[float]] = field(default_factory=dict)
    size: int = 0


def measure(browser: Browser, page: Page, pids: dict[str, int], requests: int, into: Measured) -> None:
    """Ask for a page some times in a row."""
    cpu = Cpu.of(pids)
    for _ in range(requests):
        took, into.size = browser.ask(page)
        into.milliseconds.append(took)
    for name, seconds in cpu.used().items():
        into.cpu_ms.setdefault(name, []).append(1e3 * seconds / requests)


def table(found: dict[str, Measured]) -> list[Row]:
    """The percentiles of each page, what it costs, and its size."""
    rows = []
    files = len(STYLE.body) + len(SCRIPT.body)
    for name, one in found.items():
        p50, p95, p99 = (quantile(one.milliseconds, share) for share in (0.5, 0.95, 0.99))
        cpu = ", ".join(f"{process} {median(values):.1f} ms" for process, values in one.cpu_ms.items())
        note = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms; CPU: {cpu}; {one.size / 1e3:.1f} kB"
        rows.append(Row(f"{name}, p95", f"{p95:.1f} ms", f"<= {TARGET_MS:.0f} ms", p95 <= TARGET_MS, note))
    largest = max(found, key=lambda name: found[name].size)
    whole = found[largest].size + files
    note = f"{largest}; style and script are {files / 1e3:.1f} kB of it, {_packed() / 1e3:.1f} kB as they are sent"
    target = f"<= {TARGET_BYTES / 1e3:.0f} kB"
    return [*rows, Row("largest page with its files", f"{whole / 1e3:.1f} kB", target, whole <= TARGET_BYTES, note)]


def _packed() -> int:
    return len(STYLE.packed) + len(SCRIPT.packed)


def main() -> int:
    """Run the claim; print and write its table."""
    parser = argparse.ArgumentParser(prog="python -m bench.claims.storefront", description=__doc__)
    parser.add_argument("--requests", type=int, default=60, help="of each page in a row [%(default)s]")
    parser.add_argument("--rounds", type=int, default=5, help="of all pages [%(default)s]")
    parser.add_argument("--json", type=Path, help="where to write everything")
    options = parser.parse_args()
    found = {page.name: Measured() for page in pages()}
    with serving() as (port, token, pids):
        browser = Browser(port, token)
        search = Page("search", "/shop/search?sort=newest")
        # Search reads what there is a moment after the start.
        wait_until(lambda: browser.ask(search)[1] > 20_000, 20, "search finds nothing")
        for page in pages() * _WARM:
            browser.ask(page)
        for nth in range(options.rounds):
            say(f"round {nth + 1} of {options.rounds}")
            for page in pages():
                measure(browser, page, pids, options.requests, found[page.name])
    return report(table(found), {name: asdict(one) for name, one in found.items()}, options.json)


if __name__ == "__main__":
    sys.exit(main())
