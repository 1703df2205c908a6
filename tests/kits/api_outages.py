"""Parts of their own behind proxies, what can happen to them, and a request for every route of a running API."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final

import httpx

from api.access import Demand, Requirement
from api.analytics.routes import ANALYTICS
from api.known import KEPT_SECONDS
from marketplace.identity.roles import Permission
from marketplace.tables import TABLES
from ops.provision import ensure_provisioned
from ops.reference.access import rules
from ops.resources import Resources
from ops.stack import Part, Stack
from runtime.sections import Settings
from tests.kits.api import Person, bearer, own_database, running_api
from tests.kits.api_people import Registry
from tests.kits.api_requests import GoodRequest, filled, good_request, settle, signed
from tests.kits.depth import CHAOS_SEEDS
from tests.kits.tcp_proxy import TcpProxy
from tests.kits.tenancy import WEBHOOK_SECRET, World

IDENTITY: Final = "/v1/identity"
PARTS: Final[tuple[Part, ...]] = ("mongo", "redis", "clickhouse")

Route = tuple[str, str]


@dataclass
class Parts:
    """Mongo, Redis and ClickHouse of their own, and proxies in front of them."""

    stack: Stack
    proxies: dict[str, TcpProxy]

    def urls(self) -> dict[str, str]:
        """Settings of a process that reaches them through the proxies."""
        return {f"MARKETPLACE_{name.upper()}_URL": proxy.url for name, proxy in self.proxies.items()}


@contextmanager
def own_parts(folder: Path) -> Iterator[Parts]:
    """Start them."""
    with Stack(folder, ports="auto", parts=set(PARTS), external={}) as stack, ExitStack() as proxies:
        urls = {"mongo": stack.urls.mongo, "redis": stack.urls.redis, "clickhouse": stack.urls.clickhouse}
        made = {name: TcpProxy(url) for name, url in urls.items()}
        for proxy in made.values():
            proxy.open()
            proxies.callback(proxy.close)
        yield Parts(stack, made)


@contextmanager
def api_on(parts: Parts, folder: Path) -> Iterator[Registry]:
    """An API on these parts, with a database and tables of its own; its log has no error that nobody expected."""
    with own_database(parts.stack) as database:
        settings = Settings(parts.stack.urls, PurePosixPath(folder), database)
        ensure_provisioned(settings, resources=Resources(tables=TABLES))
        secrets = {"MARKETPLACE_PAYMENTS_WEBHOOK_SECRETS": WEBHOOK_SECRET}
        with running_api(parts.stack, folder, database, **parts.urls(), **secrets) as running:
            yield Registry(running, parts.stack, database)
    assert "Traceback" not in (folder / "api.log").read_text()


@contextmanager
def frozen(parts: Parts, name: str) -> Iterator[None]:
    """The process stands still, and its connections stay."""
    pid = parts.stack.pid(name)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def killed(parts: Parts, name: str) -> Iterator[None]:
    """The process is gone, and another one comes."""
    parts.stack.kill(name)
    yield
    parts.stack.wait_healthy(name)


@contextmanager
def cut_off(parts: Parts, name: str) -> Iterator[None]:
    """All connections end, and new ones are refused."""
    parts.proxies[name].cut()
    try:
        yield
    finally:
        parts.proxies[name].open()


@contextmanager
def slow(parts: Parts, name: str, seconds: float = 0.0) -> Iterator[None]:
    """Whatever passes is kept back so long, in each direction; by default too long for any answer to be in time."""
    parts.proxies[name].delay_seconds = seconds or (5.0 if name == "clickhouse" else 3.0)
    try:
        yield
    finally:
        parts.proxies[name].delay_seconds = 0.0


FAULTS: Final = {"frozen": frozen, "killed": killed, "cut off": cut_off, "slow": slow}


@dataclass
class Answered:
    """An answer and its time.

    Attributes:
        what: Route and caller.
        response: The answer.
        seconds: How long it took.
        usual: The status that it always has; None for whatever is no error of ours.
    """

    what: str
    response: httpx.Response
    seconds: float
    usual: int | None

    @property
    def works(self) -> bool:
        """Whether it is what is always answered."""
        return self.response.status_code != 503

    def assert_sound(self, bound_seconds: float) -> None:
        """It came in time, and is what is always answered or says when to come again."""
        status = self.response.status_code
        assert self.seconds < bound_seconds, (self.what, self.seconds, status)
        if status == 503:
            assert self.response.json()["type"] == "/problems/unavailable", self.what
            assert self.response.headers["content-type"] == "application/problem+json", self.what
            assert int(self.response.headers["retry-after"]) >= 1, self.what
        elif self.usual is None:
            assert status < 500, (self.what, status, self.response.text)
        else:
            assert status == self.usual, (self.what, status, self.response.text)


Ask = Callable[[], httpx.Response]


def once_more(ask: Ask) -> Ask:
    """A request as clients send it: what is to be repeated is asked once more, after as long as the answer says.

    A part that has just come back may be slow for a moment, on a busy machine above all.
    """

    def asked() -> httpx.Response:
        response = ask()
        if response.status_code == 503:
            time.sleep(int(response.headers["retry-after"]))
            response = ask()
        return response

    return asked


MOST_AT_ONCE: Final = 40
"""Requests at one time where they are to work: more would wait for connections of Mongo."""


def ask_at_once(asked: Mapping[str, tuple[Ask, int | None]], most: int = MOST_AT_ONCE) -> dict[str, Answered]:
    """Send all requests, as many at one time as that."""

    def send(what: str, ask: Ask, usual: int | None) -> Answered:
        began = time.monotonic()
        response = ask()
        return Answered(what, response, time.monotonic() - began, usual)

    with ThreadPoolExecutor(most) as pool:
        sent = [pool.submit(send, what, *each) for what, each in asked.items()]
        return {each.what: each for each in (future.result() for future in sent)}


OTHERS: Final[Sequence[Route]] = sorted(key for key in rules() if not key[1].startswith((IDENTITY, "/.well-known")))
"""All routes but those of identity: a new one is here the day it is registered."""

COLUMNS: Final = ("person", "key", "nobody")

SCOPES: Final = (Permission.READ_STORE, Permission.READ_NUMBERS, Permission.READ_MEMBERS)
"""Of the API key."""


def is_refused(method: str, path: str, column: str) -> bool:
    """Whether a route refuses somebody for who they are."""
    demand = rules()[method, path].demand
    open_to: dict[str, tuple[Requirement, ...]] = {
        "nobody": (Demand.NOTHING, Demand.CART),
        "key": (Demand.NOTHING, *SCOPES),
    }
    return column in open_to and demand not in open_to[column]


@dataclass
class Shop:
    """A store that everybody asks for, and who they are.

    Attributes:
        registry: Where.
        requests: For every route a good one.
        people: By the name of the account.
        key: An API key that may read.
    """

    registry: Registry
    requests: Mapping[Route, GoodRequest]
    people: Mapping[str, Person]
    key: str

    @staticmethod
    def opened(registry: Registry) -> Shop:
        """A world in which every good request has something to do; whatever was there before is gone."""

        async def work(world: World) -> tuple[Mapping[Route, GoodRequest], str]:
            await settle(world)
            requests = {route: good_request(world, *route) for route in OTHERS}
            return requests, await world.key("shop", "ona", *SCOPES)

        requests, key = registry.do(work)
        return Shop(registry, requests, {name: registry.sign_in(name)[0] for name in ("ann", "root")}, key)

    def asks(self, columns: Sequence[str] = COLUMNS, *, changing: bool = True) -> dict[str, Ask]:
        """A good request for every route as everybody.

        What is refused whatever a part does is refused in one place: in every run a fifth of it is asked for, all of it
        in ``make chaos``. As whom a route refuses, test_api_access.py asks every route.

        Args:
            columns: Who asks.
            changing: Whether people also ask what changes something.
        """
        found: dict[str, Ask] = {}
        refused = itertools.count()
        for (method, path), request in self.requests.items():
            for column in columns:
                if column == "person" and method != "GET" and not changing:
                    continue
                if column == "nobody" and method != "GET" and rules()[method, path].demand is Demand.CART:
                    continue  # there is one guest's cart, which those who read it are to find as it is
                if is_refused(method, path, column) and CHAOS_SEEDS < 3 and next(refused) % 5:
                    continue
                person = self.people["root" if path.startswith("/v1/admin") else "ann"]
                token = {"person": person.access_token, "key": self.key, "nobody": ""}[column]
                headers = {**request.headers, **bearer(token)}
                if path.startswith("/v1/payments/"):
                    # A webhook is signed now: this API has the time of the machine.
                    headers["webhook-signature"] = signed(request.body, time.time())
                options: dict[str, Any] = {"params": request.query, "headers": headers}
                if request.body is not None:
                    options |= request.content
                found[f"{method} {path} as {column}"] = partial(self.registry.api.ask, method, filled(path), **options)
        return found


def works_without(part: str, method: str, path: str, column: str) -> bool:
    """Whether a route other than those of identity answers as always while a part does not answer."""
    if column == "nobody":
        # Whoever sends no credential is answered, or refused, by nothing but the limits, unless what is asked for is
        # for everybody and in Mongo.
        everybodys = path.startswith(("/v1/shops/", "/v1/carts", "/v1/invitations/previews", "/v1/payments/"))
        return part != "mongo" or not (everybodys or rules()[method, path].demand is Demand.CART)
    if part == "clickhouse":
        return (method, path) not in ANALYTICS.rules
    return part == "redis" and column == "key"


def wait_until_nothing_is_known() -> None:
    """Wait until whatever the API has read of callers and of revisions is too old to be used."""
    until = time.monotonic() + KEPT_SECONDS + 0.1
    while time.monotonic() < until:
        time.sleep(0.02)
