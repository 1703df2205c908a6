"""Books whose Mongo can hang and crawl: the twins by themselves, the real ones behind a proxy."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from connectors.mongo.client import connect
from connectors.mongo.salts import MemorySalts, MongoSalts, SaltRepository
from connectors.mongo.stores import MemoryStores, MongoStores, StoreRepository
from tests.kits.tcp_proxy import TcpProxy

DEADLINE_SECONDS = 0.5
PATIENCE_SECONDS = 10 * DEADLINE_SECONDS


@dataclass
class Moody:
    """Two books on one Mongo, and what can be done to it."""

    stores: StoreRepository
    salts: SaltRepository
    hang: Callable[[], object]
    release: Callable[[], object]
    crawl: Callable[[float], object]


def moody_twins() -> Moody:
    """The twins."""
    stores, salts = MemoryStores(DEADLINE_SECONDS), MemorySalts(DEADLINE_SECONDS)

    def crawl(seconds: float) -> None:
        stores.latency_seconds = salts.latency_seconds = seconds

    def hang() -> None:
        stores.hang()
        salts.hang()

    def release() -> None:
        stores.release()
        salts.release()

    return Moody(stores, salts, hang, release, crawl)


@contextmanager
def moody_mongo(url: str) -> Iterator[Moody]:
    """The real ones."""
    proxy = TcpProxy(url)
    proxy.open()
    client = connect(url.replace(urlsplit(url).netloc, f"127.0.0.1:{proxy.port}"), DEADLINE_SECONDS)
    database = f"contract_{uuid.uuid4().hex}"

    def crawl(seconds: float) -> None:
        # Questions and answers are both kept back.
        proxy.delay_seconds = seconds / 2

    try:
        stores = MongoStores(client, database)
        stores.prepare()
        yield Moody(stores, MongoSalts(client, database), proxy.freeze, proxy.thaw, crawl)
    finally:
        client.close()
        proxy.close()
        direct = connect(url)
        direct.drop_database(database)
        direct.close()
