"""``python -m bench.claims.search``: what a search costs over 100,000 products of 200 stores, on real parts.

One process of the API reads all products of Mongo (SecantusDB here) and follows it, as in production. Meanwhile an
empty route is asked again and again: what waits longest there is what a client sees of the reading. Then queries of
several kinds are sent one after the other over HTTP; times are of whole answers, with facets.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import urlencode

from bench.claims.numbers import Row, quantile, report, say
from bench.claims.processes import wait_until
from bench.corpus_cache import ROOT
from connectors.mongo.async_client import Documents
from connectors.mongo.product_feed import connect_feed
from connectors.mongo.product_reads import product_document
from marketplace.catalog.products import Availability, Image, Product, ProductState, Variant
from marketplace.collections import CATEGORIES, PRODUCTS, STORES
from marketplace.settings import Urls
from ops.provision import ensure_provisioned
from ops.stack import Stack
from ops.stack.registry import REGISTRY
from runtime.ports import free_ports
from runtime.sections import Settings

TARGET_MS: Final = 50.0
"""The 95th percentile of all kinds of queries together, at most."""

_DATABASE: Final = "bench_search"
_COMMON: Final = ("blue", "mug", "coffee", "ceramic", "small", "red", "cotton", "organic", "handmade", "set")
_CATEGORIES: Final = 20
_BATCH: Final = 1_000
_SEED: Final = 15


class Catalog:
    """Products of made-up words, of which some are in a third of all titles and most in a few.

    Args:
        products: How many.
        stores: How many they are spread over.
    """

    def __init__(self, products: int, stores: int) -> None:
        self.products, self.stores, self._random = products, stores, random.Random(_SEED)
        letters = "abcdefghiklmnoprstuvw"
        self.words = ["".join(self._random.choices(letters, k=self._random.randint(4, 9))) for _ in range(20_000)]

    def _word(self) -> str:
        if self._random.random() < 0.3:
            return self._random.choice(_COMMON)
        return self.words[min(int(self._random.paretovariate(0.5)), len(self.words)) - 1]

    def product(self, at: int) -> Product:
        """One of them."""
        chance, own = self._random, f"{self._random.getrandbits(128):032x}"
        store, price = at % self.stores, self._random.randint(100, 60_000)
        variants = tuple(
            Variant(f"{own}{v}", f"SKU-{at}-{v}", (), price + 500 * v, None, chance.choice(list(Availability)))
            for v in range(chance.randint(1, 4))
        )
        return Product(
            id=own,
            store=f"store-{store}",
            slug=f"product-{at}",
            title=" ".join(self._word() for _ in range(chance.randint(3, 6))).capitalize(),
            description=" ".join(self._word() for _ in range(40)),
            state=ProductState.ACTIVE,
            currency=chance.choice(["EUR", "EUR", "USD", "CHF"]),
            variants=variants,
            images=(Image(f"https://images.example/{own}.webp", "A picture"),),
            category=f"c{chance.randrange(_CATEGORIES)}",
            stars=(0, 0, chance.choice([0, 1]), chance.randint(0, 9), chance.randint(0, 20)),
            sold=chance.choice([0, 0, 0, chance.randint(1, 5_000)]),
            created_at=1_796_000_000_000 + at,
            created_by="bench",
            changed_at=1_796_000_000_000 + at,
            changed_by="bench",
        )

    async def fill(self, url: str) -> float:
        """Write all of it; returns the seconds that took."""
        client: Documents = connect_feed(url)
        mongo, began = client[_DATABASE], time.monotonic()
        names = [f"store-{at}" for at in range(self.stores)]
        await mongo[STORES.name].insert_many(
            [{"_id": each, "title": each.title(), "write_key_hash": f"hash of {each}"} for each in names]
        )
        tree = [
            {
                "id": f"c{c}",
                "slug": f"category-{c}",
                "name": self.words[c].title(),
                "parent": f"c{c // 4}" if c > 3 else None,
            }
            for c in range(_CATEGORIES)
        ]
        await mongo[CATEGORIES.name].insert_many([{"_id": each, "version": 1, "categories": tree} for each in names])
        for first in range(0, self.products, _BATCH):
            several = range(first, min(first + _BATCH, self.products))
            await mongo[PRODUCTS.name].insert_many([product_document(self.product(at)) for at in several])
        await client.close()
        return time.monotonic() - began

    def queries(self, count: int) -> dict[str, list[dict[str, Any]]]:
        """Queries of each kind."""
        chance = random.Random(_SEED + 1)

        def rare() -> str:
            return chance.choice(self.words[2_000:])

        def common() -> str:
            return chance.choice(_COMMON)

        def wrong() -> str:
            word = chance.choice([each for each in self.words if len(each) > 6])
            return f"{word[:3]}{word[4:]} "

        filters = {"currency": "EUR", "price_min": 1_000, "price_max": 20_000, "in_stock": "true", "rating": 3}
        kinds: dict[str, Any] = {
            "everything": lambda: {},
            "common word": lambda: {"q": common()},
            "two common words": lambda: {"q": f"{common()} {common()}"},
            "ten words": lambda: {"q": " ".join(common() for _ in range(10))},
            "rare word": lambda: {"q": rare()},
            "beginning of two letters": lambda: {"q": rare()[:2]},
            "common word and a beginning": lambda: {"q": f"{common()} {rare()[:3]}"},
            "typing error": lambda: {"q": wrong()},
            "nothing found": lambda: {"q": f"{rare()[::-1]}qx {rare()[::-1]}qx"},
            "all filters": lambda: {"q": common(), "category": f"category-{chance.randrange(4)}", **filters},
            "by price": lambda: {"q": common(), "sort": "price"},
        }
        return {name: [made() for _ in range(count)] for name, made in kinds.items()}


class Client:
    """One connection, one request after the other.

    Args:
        port: The API's.
    """

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def get(self, path: str, query: dict[str, Any] | None = None) -> tuple[float, dict[str, Any]]:
        """The milliseconds of a request, and its answer."""
        began = time.perf_counter()
        self._connection.request("GET", f"{path}?{urlencode(query)}" if query else path)
        answer = self._connection.getresponse()
        body = answer.read()
        took = (time.perf_counter() - began) * 1_000
        if answer.status != 200:
            raise RuntimeError(f"{path} {query}: {answer.status} {body[:200]!r}")
        return took, json.loads(body)


@contextlib.contextmanager
def _api(stack: Stack, folder: Path) -> Iterator[tuple[int, int]]:
    """One process of the API; gives its port and its pid."""
    port, admin = free_ports(2)
    urls = Urls(stack.urls.kafka, stack.urls.mongo, stack.urls.clickhouse, stack.urls.redis)
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("MARKETPLACE_")},
        **urls.environment(),
        "PYTHONPATH": str(ROOT),
        "MARKETPLACE_DATA": str(folder),
        "MARKETPLACE_DATABASE": _DATABASE,
        "MARKETPLACE_API_PORT": str(port),
        "MARKETPLACE_API_ADMIN_PORT": str(admin),
        "MARKETPLACE_API_KEY_FILE": str(folder / "keys.json"),
    }
    with (folder / "api.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.claims.api_server"], env=environment, cwd=ROOT, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: _listens(port), 60, "the API does not start")
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


def _listens(port: int) -> bool:
    try:
        Client(port).get("/bench/empty")
    except OSError:
        return False
    return True


def _megabytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _read_first(port: int) -> tuple[float, list[float]]:
    """The seconds until everything was read, and what an empty request took meanwhile, in milliseconds."""
    client, began, waits = Client(port), time.monotonic(), list[float]()
    while True:
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            waits.append(client.get("/bench/empty")[0])
            time.sleep(0.002)
        if client.get("/v1/search", {"limit": 1})[1]["complete"]:
            return time.monotonic() - began, waits


def _deep(client: Client, pages: int) -> list[float]:
    """The times of a walk."""
    times, query = [], {"q": "blue", "limit": "100", "sort": "newest"}
    for _ in range(pages):
        took, page = client.get("/v1/search", query)
        times.append(took)
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    return times


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.claims.search", description=__doc__)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--stores", type=int, default=200)
    parser.add_argument("--queries", type=int, default=60, help="of each kind")
    parser.add_argument("--json", type=Path, default=None, help="a file for all measurements")
    arguments = parser.parse_args()
    catalog = Catalog(arguments.products, arguments.stores)
    parts: set[Any] = {"mongo", "redis", "clickhouse"}
    with (
        tempfile.TemporaryDirectory(prefix="marketplace-bench-") as name,
        Stack(f"{name}/stack", ports="auto", parts=parts, external={}) as stack,
    ):
        folder = Path(name)
        urls = Urls(stack.urls.kafka, stack.urls.mongo, stack.urls.clickhouse, stack.urls.redis)
        ensure_provisioned(
            Settings(urls, PurePosixPath(folder), _DATABASE), resources=REGISTRY.service("api").resources
        )
        with _api(stack, folder) as (port, pid):
            _read_first(port)
            empty_megabytes = _megabytes(pid)
        say(f"{arguments.products:,} products are written in {asyncio.run(catalog.fill(stack.urls.mongo)):.0f} s")
        with _api(stack, folder) as (port, pid):
            seconds, waits = _read_first(port)
            say(f"read in {seconds:.0f} s")
            each = (_megabytes(pid) - empty_megabytes) * 1e6 / arguments.products
            client, times = Client(port), dict[str, list[float]]()
            for kind, queries in catalog.queries(arguments.queries).items():
                times[kind] = [client.get("/v1/search", query)[0] for query in queries]
            times["one store"] = [
                client.get(f"/v1/shops/store-{at % arguments.stores}/search", {"q": "blue"})[0]
                for at in range(arguments.queries)
            ]
            times["suggestions"] = [
                client.get("/v1/search/suggestions", {"q": query["q"][:2]})[0]
                for query in catalog.queries(arguments.queries)["rare word"]
            ]
            times["deep pages of 100"] = _deep(client, 2 * arguments.queries)
    whole = [took for several in times.values() for took in several]
    rows = [
        Row(
            kind, f"{quantile(several, 0.5):.1f} ms", note=f"p95 {quantile(several, 0.95):.1f}, most {max(several):.1f}"
        )
        for kind, several in times.items()
    ]
    p95 = quantile(whole, 0.95)
    note = (
        f"p50 {quantile(whole, 0.5):.1f}, p99 {quantile(whole, 0.99):.1f}, most {max(whole):.1f}; {len(whole)} queries"
    )
    rows += [
        Row("all queries, p95", f"{p95:.1f} ms", f"<= {TARGET_MS:.0f} ms", p95 <= TARGET_MS, note),
        Row("first read", f"{seconds:.0f} s", note=f"{arguments.products / seconds:,.0f} products/s"),
        Row("an empty request while it reads, p50", f"{quantile(waits, 0.5):.1f} ms",
            note=f"p99 {quantile(waits, 0.99):.1f}, most {max(waits):.1f}; of {len(waits)}"),
        Row("memory of a product", f"{each:,.0f} B"),
    ]  # fmt: skip
    return report(rows, {"times_ms": times, "waits_ms": waits}, arguments.json)


if __name__ == "__main__":
    sys.exit(main())
