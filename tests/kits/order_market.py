"""Shops, buyers and sellers of the demo on a stack of a test, with everything that orders need."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

import httpx

from api.identity.key_ring import KeyRing
from api.server import AUDIENCE
from connectors.mongo.accounts import user_document
from connectors.mongo.async_client import connect_async
from connectors.payments.secrets import read_secrets
from connectors.redis import sessions
from marketplace.collections import USERS
from marketplace.identity.accounts import User
from ops.demo.orders.client import Person
from ops.demo.orders.numbers import OrderNumbers
from ops.demo.orders.places import Places
from ops.demo.orders.plan import GOOD
from ops.demo.orders.run import OrdersRun
from ops.demo.report.progress_printer import ProgressPrinter
from ops.demo.services.demo_accounts import DemoAccount, ensure_accounts
from ops.demo.services.demo_catalogs import ensure_catalogs
from ops.demo.services.demo_processes import open_shops
from ops.demo.services.demo_stack import ORDER_SERVICES
from ops.demo.services.served import service_url
from ops.demo.traffic.shops import SHOPS
from ops.stack import Stack
from ops.stack.registry import REGISTRY
from runtime.sections import PROVIDER_SECRETS, Settings

ORDER_PARTS: Final = REGISTRY.needed_by(ORDER_SERVICES)


@contextmanager
def order_stack(folder: Path) -> Iterator[Stack]:
    """A stack of its own with everything that orders need."""
    with Stack(folder, ports="auto", parts=ORDER_PARTS, external={}) as running:
        yield running


class OrderMarket:
    """Two shops of the demo, and orders in them.

    Args:
        stack: Where.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.settings = Settings(stack.urls, PurePosixPath(stack.data_dir))
        opened = open_shops(self.settings, 1, uuid.uuid4().hex[:6], fresh=False, shops=SHOPS[:2])
        ensure_catalogs(self.settings, opened, datetime.now(UTC))
        api = service_url(stack.data_dir, "api")
        self.slug, self.api = opened[0].store.slug, api
        self._sellers: list[DemoAccount] = ensure_accounts(self.settings, opened, api, datetime.now(UTC))
        key = read_secrets(stack.data_dir / PROVIDER_SECRETS).api_key
        self._places = Places(api, service_url(stack.data_dir, "payments"), key)

    def play(self, seed: int, orders: int, watch: Callable[[], None] = lambda: None) -> OrderNumbers:
        """Place orders and wait for their ends; ``watch`` is called again and again meanwhile."""
        run = OrdersRun(self.settings, self._places, self._sellers, ProgressPrinter(), seed, orders)
        return run.play(watch)

    @property
    def owner(self) -> DemoAccount:
        """Who owns the first shop."""
        return self._sellers[0]

    def seller(self) -> Person:
        """Who sells in the first shop."""
        return Person(self.api, self._sellers[0].email, self._sellers[0].password)

    def token(self, card: str = GOOD) -> str:
        """What the provider knows a card as."""
        body = {"number": card, "exp": "12/30", "cvc": "123"}
        made = httpx.post(f"{self._places.provider}/v1/methods", json=body, timeout=20)
        return str(made.json()["token"])

    def crowd(self, count: int) -> list[str]:
        """Access tokens of so many new accounts."""
        ring = KeyRing(self.stack.data_dir / "api" / "keys.json", self.api, AUDIENCE)

        async def sign_in() -> list[str]:
            client, redis = connect_async(self.stack.urls.mongo), sessions.connect_async(self.stack.urls.redis)
            try:
                now_ms, users = time.time_ns() // 1_000_000, [uuid.uuid4().hex for _ in range(count)]
                documents = [user_document(User(each, f"{each}@crowd.example", "Crowd", "!", now_ms)) for each in users]
                await client[self.settings.database][USERS.name].insert_many(documents)
                found = []
                for user in users:
                    session, token = secrets.token_hex(16), secrets.token_urlsafe(32)
                    await sessions.Sessions(redis).create(user, session, token)
                    found.append(ring.sign(user, session, secrets.token_hex(8), time.time()))
                return found
            finally:
                await client.close()
                await redis.aclose()

        return asyncio.run(sign_in())


class Kills:
    """Kills processes of a stack one after the other, at given moments after its first call.

    Args:
        stack: Whose.
        moments: Seconds, and the name of a process, in order.

    Attributes:
        done: Those that were killed.
    """

    def __init__(self, stack: Stack, moments: list[tuple[float, str]]) -> None:
        self._stack, self._waiting, self._began = stack, sorted(moments), 0.0
        self.done: list[str] = []

    def __call__(self) -> None:
        """Kill what is due and runs."""
        self._began = self._began or time.monotonic()
        while self._waiting and self._waiting[0][0] <= time.monotonic() - self._began:
            _, name = self._waiting[0]
            process = self._stack.state().process(name)
            if process is None or process.pid is None:
                return
            self._stack.kill(name)
            self.done.append(name)
            self._waiting.pop(0)
