"""``python -m bench.claims.orders``: how long it takes to place an order, and what one variant that all want can bear.

Carts become orders by the service that the API runs, with its keys and its stock, on a Mongo of its own. Nothing of
HTTP is in the numbers: `bench.claims.api` says what a request costs beside its work.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

from api.orders.bodies import checkout_body
from api.orders.service import OrderService
from api.web.idempotency import stored
from bench.claims.numbers import Row, quantile, report, say
from bench.meter import cpu_seconds_of
from connectors.errors import Unavailable
from connectors.mongo.async_client import Documents, connect_async
from connectors.mongo.carts import Carts, Holder
from connectors.mongo.idempotency import Claim, IdempotencyKeys
from connectors.mongo.orders import Checkout, Wish
from connectors.mongo.product_reads import product_document
from marketplace.carts.cart import Cart, put
from marketplace.catalog.products import Product, ProductState, Variant
from marketplace.collections import PRODUCTS, STOCK, STORES, USERS
from marketplace.idempotency import StoredAnswer
from marketplace.orders.checkout import Seen
from marketplace.orders.delivery import Address
from marketplace.settings import Urls
from ops.provision import ensure_provisioned
from ops.resources import Resources
from ops.stack import Stack
from ops.stack.registry import REGISTRY
from runtime.sections import Settings

_DATABASE: Final = "bench_orders"
_METHOD: Final = "tok_bench"
_STORES: Final = ("bench", "other")
_ADDRESS: Final = Address("Bea Buyer", "Hill Road 7", "", "10115", "Berlin", "DE")
_ON_HAND: Final = 1_000_000
BUYERS: Final = 64


@dataclass
class Bench:
    """Buyers, and goods of which there is enough.

    Attributes:
        mongo: Where.
        goods: Of both stores in turn.
        mongo_pid: The process of Mongo.
        database: The database's name.
        method: What the payment provider knows the buyers' card as.
    """

    mongo: Documents
    goods: Sequence[Product]
    mongo_pid: int
    database: str = _DATABASE
    method: str = _METHOD

    def __post_init__(self) -> None:
        self._orders = OrderService.on_mongo(self.mongo, self.database)
        self._keys, self._carts = IdempotencyKeys(self.mongo, self.database), Carts(self.mongo, self.database)
        self.repeated = 0

    async def fill(self, buyer: str, goods: Sequence[Product]) -> int:
        """Put one of each into a buyer's cart; gives its version."""
        now = datetime.now(UTC)

        def edit(cart: Cart) -> Cart:
            for each in goods:
                cart = put(cart, each, each.variants[0].id, 1, 0)
            return cart

        return (await self._carts.change(Holder.account(buyer), edit, now)).version

    async def place(self, buyer: str, version: int) -> float:
        """Order a cart; gives the seconds. What is to be repeated is, as clients do, and counts."""
        return (await self.placed(buyer, version))[0]

    async def placed(self, buyer: str, version: int) -> tuple[float, str]:
        """The same, with the id of the first order."""

        def answer(done: Checkout) -> StoredAnswer:
            return stored(201, checkout_body(done))

        began, row = time.perf_counter(), f"user:{buyer}:{secrets.token_hex(16)}"
        while True:
            owner = secrets.token_hex(16)
            await self._keys.begin(row, "bench", owner, datetime.now(UTC))
            wish = Wish(Seen(version), _ADDRESS, self.method)
            try:
                done = await self._orders.place(buyer, wish, Claim(self._keys, row, owner), answer)
            except Unavailable:
                self.repeated += 1
                await self._keys.give_up(row, owner)
                continue
            return time.perf_counter() - began, done.orders[0].order.id

    async def measured(self, what: str, orders: int, at_once: int, lines: int, *, hot: bool = False) -> Row:
        """Place orders, so many at one time, each of so many lines; of hot goods all want the same."""
        waiting, seconds, self.repeated = iter(range(orders)), [], 0
        buyers = [f"buyer-{at}" for at in range(at_once)]

        async def one(buyer: str) -> None:
            for number in waiting:
                goods = [self.goods[0 if hot else (number * lines + at) % len(self.goods)] for at in range(lines)]
                version = await self.fill(buyer, goods)
                seconds.append(await self.place(buyer, version))

        began, mongo_before, own_before = time.perf_counter(), cpu_seconds_of(self.mongo_pid), time.process_time()
        await asyncio.gather(*(one(buyer) for buyer in buyers))
        took = time.perf_counter() - began
        mongo, own = (cpu_seconds_of(self.mongo_pid) - mongo_before) / took, (time.process_time() - own_before) / took
        p50, p95 = (1_000 * quantile(seconds, share) for share in (0.5, 0.95))
        say(f"{what}: p95 {p95:.1f} ms")
        busy = f"Mongo {mongo:.0%} and this process {own:.0%} of a processor"
        rate = f"{orders / took:,.0f} orders/s with the filling of carts"
        note = f"p50 {p50:.1f} ms, {rate}, {self.repeated} repeated, {busy}"
        return Row(f"{what}, p95", f"{p95:.1f} ms", note=note)


async def prepared(
    mongo: Documents, mongo_pid: int, variants: int, name: str = _DATABASE, method: str = _METHOD
) -> Bench:
    """Two stores, buyers, and goods that are counted, in an empty database."""
    database = mongo[name]
    store: dict[str, Any] = {
        "title": "Bench", "timezone": "UTC", "domains": [], "visitor_secret": "0" * 64, "version": 1, "created_at": 0,
    }  # fmt: skip
    await database[STORES.name].insert_many(
        [{**store, "_id": slug, "write_key_hash": f"{slug:0<64}"} for slug in _STORES]
    )
    user: dict[str, Any] = {
        "name": "Bea", "password_hash": "", "created_at": 0, "admin": False, "banned": False, "security_stamp": 1,
        "grants": [],
    }  # fmt: skip
    names = [f"buyer-{at}" for at in range(BUYERS)]
    await database[USERS.name].insert_many(
        [{**user, "_id": name, "email": f"{name}@a.example", "email_key": f"{name}@a.example"} for name in names]
    )
    goods = [
        Product(
            f"{at:032x}", _STORES[at % 2], f"mug-{at}", f"Mug {at}", "", ProductState.ACTIVE, "EUR",
            (Variant(f"{at:031x}f", f"MUG-{at}", (), 1250),),
        )
        for at in range(variants)
    ]  # fmt: skip
    await database[PRODUCTS.name].insert_many([product_document(each) for each in goods])
    await database[STOCK.name].insert_many(
        [
            {
                "_id": each.variants[0].id, "store": each.store, "product": each.id, "on_hand": _ON_HAND,
                "reserved": 0, "low_at": None, "changed_at_ms": 0,
            }
            for each in goods
        ]
    )  # fmt: skip
    return Bench(mongo, goods, mongo_pid, name, method)


async def measured(urls: Urls, mongo_pid: int, orders: int) -> list[Row]:
    """The rows of the table."""
    mongo = connect_async(urls.mongo)
    try:
        bench = await prepared(mongo, mongo_pid, 64)
        await bench.measured("warm", 20, 1, 1)
        return [
            await bench.measured("placing an order of one line", orders, 1, 1),
            await bench.measured("placing an order of five lines in two stores", orders, 1, 5),
            await bench.measured("the same of one line, 8 at one time", orders, 8, 1),
            await bench.measured("all of one variant, 8 at one time", orders, 8, 1, hot=True),
        ]
    finally:
        await mongo.close()


def main() -> int:
    """Run the claim; print and write its table."""
    parser = argparse.ArgumentParser(prog="python -m bench.claims.orders", description=__doc__)
    parser.add_argument("--orders", type=int, default=400, help="of each row [%(default)s]")
    parser.add_argument("--json", type=Path, help="where to write everything")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="marketplace-bench-") as name,
        Stack(f"{name}/stack", ports="auto", parts={"mongo"}, external={}) as stack,
    ):
        urls = Urls(stack.urls.kafka, stack.urls.mongo, stack.urls.clickhouse, stack.urls.redis)
        settings = Settings(urls, PurePosixPath(name), _DATABASE)
        collections = REGISTRY.service("api").resources.collections
        ensure_provisioned(settings, resources=Resources(collections=collections))
        rows = asyncio.run(measured(urls, stack.pid("mongo"), options.orders))
    return report(rows, {}, options.json)


if __name__ == "__main__":
    sys.exit(main())
