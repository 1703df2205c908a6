"""``python -m bench.claims.catalog``: how long an import of products takes, from a CSV file to Mongo and back.

The file is imported by the service that the API runs, on a Mongo and a Redis of its own: into an empty store, then once
more, which changes nothing, then with other prices, which changes all. While it runs a task notes how long the event
loop was not there for others.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

from api.catalog.service import CatalogService
from bench.claims.numbers import Row, report, say
from connectors.mongo.async_client import Documents, connect_async
from connectors.redis import sessions
from connectors.redis.read_cache import ReadCache
from marketplace.catalog.csv_files import COLUMNS
from marketplace.catalog.imports import ImportState
from marketplace.collections import MEMBERSHIPS, STORES
from marketplace.entitlements import Tier
from marketplace.identity.roles import StoreRole
from marketplace.identity.tenancy import Membership
from marketplace.settings import Urls
from marketplace.stores import Store, hash_write_key
from ops.provision import ensure_provisioned
from ops.stack import Stack
from ops.stack.registry import REGISTRY
from runtime.sections import Settings

IMPORT_SECONDS: Final = 60.0
"""For ten thousand products, at most."""

_STORE, _OWNER, _DATABASE = "bench", "ann", "bench_catalog"
_TICK_SECONDS: Final = 0.001


def file_of(products: int, variants: int, price: int) -> bytes:
    """A file of products with a description, two pictures and some variants each."""
    lines = [",".join(COLUMNS)]
    for at in range(products):
        for variant in range(variants):
            whole = (
                [f"Blue mug {at}", "Of stoneware. " * 20, "active", "EUR", "", "https://shop.example/mug.jpg A mug"]
                if variant == 0
                else [""] * 6
            )
            options = ["Size" if variant == 0 else "", f"Size {variant}", "", "", "", ""]
            cells = [f"mug-{at}", *whole, *options, f"MUG-{at}-{variant}", f"{price}.50", "", "many"]
            lines.append(",".join(cells))
    return "\r\n".join([*lines, ""]).encode()


class Blocks:
    """Notes the longest time that the event loop was not there.

    Attributes:
        longest_seconds: That time.
    """

    def __init__(self) -> None:
        self.longest_seconds = 0.0

    async def watch(self) -> None:
        """Look until it is cancelled."""
        before = time.perf_counter()
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.perf_counter()
            self.longest_seconds = max(self.longest_seconds, now - before - _TICK_SECONDS)
            before = now


@asynccontextmanager
async def catalog(urls: Urls) -> AsyncIterator[CatalogService]:
    """The service on a store that has an owner and no product."""
    mongo, redis = connect_async(urls.mongo), sessions.connect_async(urls.redis)
    await _open_store(mongo)
    service = CatalogService.on_mongo(mongo, _DATABASE, ReadCache(redis))
    try:
        yield service
    finally:
        await service.close()
        await redis.aclose()
        await mongo.close()


async def _open_store(mongo: Documents) -> None:
    store = Store(_STORE, "Bench", "UTC", (), hash_write_key(_STORE), "0" * 64)
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(store).items()}
    del fields["slug"]
    made = int(datetime.now(UTC).timestamp() * 1000)
    await mongo[_DATABASE][STORES.name].insert_one({"_id": _STORE, **fields, "version": 1, "created_at": made})
    member = Membership(_STORE, _OWNER, StoreRole.OWNER, made, made)
    await mongo[_DATABASE][MEMBERSHIPS.name].insert_one({"_id": member.id, **asdict(member), "role": "owner"})


async def measured(urls: Urls, products: int, variants: int) -> list[Row]:
    """The rows of the table."""
    rows = []
    async with catalog(urls) as service:
        for what, price, target in (
            ("import into an empty store", 12, products == 10_000),
            ("import of the same file", 12, False),
            ("import of other prices", 13, False),
        ):
            content, blocks = file_of(products, variants, price), Blocks()
            watching, began = asyncio.create_task(blocks.watch()), time.perf_counter()
            begun = await service.files.begin(_STORE, _OWNER, content, Tier.PREMIUM, dry_run=False)
            await service.files.idle()
            seconds = time.perf_counter() - began
            watching.cancel()
            found = await service.files.get(_STORE, begun.id)
            if (found.state, found.failed) != (ImportState.DONE, 0):
                raise RuntimeError(f"{what}: {found.state}, {found.faults[:3]}")
            say(f"{what}: {seconds:.1f} s")
            note = (
                f"{len(content) / 1e6:.1f} MB; the loop was blocked for {1000 * blocks.longest_seconds:.0f} ms at most"
            )
            rows.append(
                Row(
                    f"{what}, {products:,} products of {variants} variants",
                    f"{seconds:.1f} s",
                    f"<= {IMPORT_SECONDS:.0f} s" if target else "",
                    seconds <= IMPORT_SECONDS if target else None,
                    note,
                )
            )
        began, size = time.perf_counter(), 0
        async for part in await service.files.export(_STORE):
            size += len(part)
        seconds = time.perf_counter() - began
        rows.append(Row("export of all of them", f"{seconds:.1f} s", note=f"{size / 1e6:.1f} MB"))
    return rows


def main() -> int:
    """Run the claim; print and write its table."""
    parser = argparse.ArgumentParser(prog="python -m bench.claims.catalog", description=__doc__)
    parser.add_argument("--products", type=int, default=10_000, help="of the file [%(default)s]")
    parser.add_argument("--variants", type=int, default=2, help="of each [%(default)s]")
    parser.add_argument("--json", type=Path, help="where to write everything")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="marketplace-bench-") as name,
        Stack(f"{name}/stack", ports="auto", parts={"mongo", "redis", "clickhouse"}, external={}) as stack,
    ):
        urls = Urls(stack.urls.kafka, stack.urls.mongo, stack.urls.clickhouse, stack.urls.redis)
        settings = Settings(urls, PurePosixPath(name), _DATABASE)
        ensure_provisioned(settings, resources=REGISTRY.service("api").resources)
        rows = asyncio.run(measured(urls, options.products, options.variants))
    return report(rows, {}, options.json)


if __name__ == "__main__":
    sys.exit(main())
