"""What happens between Mongo and Redis: whatever is under way or fails there, nothing that has ended comes back."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path, PurePosixPath

import pytest
from pymongo.asynchronous.client_session import AsyncClientSession

from api.callers import Caller
from api.identity.key_file import ensure_keys
from api.identity.key_ring import KeyRing
from api.identity.password_hashes import HashCost, PasswordHashes, Verified
from api.identity.service import IdentityService, SignedIn
from api.web.problems import Problem
from connectors.mongo.accounts import Accounts
from connectors.mongo.async_client import connect_async
from connectors.mongo.client import connect
from connectors.redis import sessions
from marketplace.collections import LINKS, MAILS, USERS
from marketplace.identity.accounts import LinkKind, Mail, Registration
from marketplace.settings import Urls
from ops.provision import ensure_provisioned
from ops.resources import Resources
from ops.stack import Stack
from runtime.sections import Settings
from tests.kits.stack import polled
from tests.kits.tcp_proxy import TcpProxy

PASSWORD, OTHER = "correct horse battery", "another horse battery"
MAIL = Mail("ann@shop.example", "reset_password", {"name": "Ann", "link": "https://shop.example"})
CHEAP = HashCost(memory_kib=64, passes=1)


class SlowHashes(PasswordHashes):
    """Does something else after it has seen that a password is right."""

    def __init__(self) -> None:
        super().__init__(CHEAP)
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def verify(self, stored: str | None, password: str) -> Verified:
        verified = await super().verify(stored, password)
        if self.meanwhile is not None:
            await self.meanwhile()
        return verified


async def own_two_stores(user: str, session: AsyncClientSession) -> list[str]:
    """Everybody is the only owner of two stores."""
    return ["teahouse", "bakery"]


class World:
    """The service on real parts, and an account."""

    def __init__(self, accounts: Accounts, hashes: SlowHashes, service: IdentityService, sole: IdentityService) -> None:
        self.accounts, self.hashes, self.service, self.service_with_stores = accounts, hashes, service, sole
        self.email, self.user = f"{uuid.uuid4().hex}@shop.example", uuid.uuid4().hex

    async def make_account(self) -> None:
        link, now = secrets.token_hex(8), datetime.now(UTC)
        registration = Registration(self.email, "Ann", await self.hashes.hash(PASSWORD))
        await self.accounts.register(registration, link, MAIL, now)
        assert await self.accounts.confirm_registration(link, self.user, now) is not None

    async def sign_in(self, password: str = PASSWORD) -> SignedIn:
        return await self.service.sign_in(self.email, password, "test", "")

    async def caller(self, signed_in: SignedIn) -> Caller:
        found = await self.service.caller_of(signed_in.access_token)
        assert found is not None
        return found

    async def is_worth_nothing(self, signed_in: SignedIn) -> bool:
        with pytest.raises(Problem, match="ended"):
            await self.service.refresh(signed_in.refresh_token)
        return await self.service.caller_of(signed_in.access_token) is None


Run = Callable[[Callable[[World], Awaitable[None]]], None]


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[str]:
    name = f"identity_{uuid.uuid4().hex}"
    urls = Urls(stack.urls.kafka, stack.urls.mongo, stack.urls.clickhouse, stack.urls.redis)
    resources = Resources(collections=(USERS, LINKS, MAILS))
    ensure_provisioned(Settings(urls, PurePosixPath("unused"), name), resources=resources)
    yield name
    client = connect(stack.urls.mongo)
    client.drop_database(name)
    client.close()


@pytest.fixture
def proxy(stack: Stack) -> Iterator[TcpProxy]:
    """In front of Redis."""
    made = TcpProxy(stack.urls.redis)
    made.open()
    yield made
    made.close()


@pytest.fixture
def run(stack: Stack, database: str, proxy: TcpProxy, tmp_path: Path) -> Run:
    ensure_keys(tmp_path / "keys.json", time.time())
    ring = KeyRing(tmp_path / "keys.json", "https://shop.example", "test")

    async def whole(work: Callable[[World], Awaitable[None]]) -> None:
        mongo, redis, hashes = connect_async(polled(stack.urls.mongo)), sessions.connect_async(proxy.url), SlowHashes()
        accounts, known = Accounts(mongo, database), sessions.Sessions(redis)
        services = [
            IdentityService(each, known, hashes, ring, "https://shop.example")
            for each in (accounts, Accounts(mongo, database, own_two_stores))
        ]
        world = World(accounts, hashes, *services)
        try:
            await world.make_account()
            await work(world)
        finally:
            hashes.close()
            await redis.aclose()
            await mongo.close()

    return lambda work: asyncio.run(whole(work))


async def reset(world: World) -> None:
    """Ann chooses another password by a link."""
    user = await world.accounts.get(world.user)
    assert user is not None
    link, now = secrets.token_urlsafe(8), datetime.now(UTC)
    data = {"security_stamp": user.security_stamp}
    await world.accounts.send_link(LinkKind.RESET, sha256(link.encode()).hexdigest(), user.id, data, MAIL, now)
    await world.service.reset_password(link, OTHER)


@pytest.mark.parametrize("event", ["reset", "sign out everywhere", "ban"])
def test_a_sign_in_that_is_under_way_begins_a_session_that_is_worth_nothing(run: Run, event: str) -> None:
    async def meanwhile(world: World) -> None:
        world.hashes.meanwhile = None
        if event == "reset":
            await reset(world)
        elif event == "ban":
            await world.accounts.set_banned(world.user, banned=True)
            await world.accounts.set_banned(world.user, banned=False)
        else:
            await world.accounts.end_all(world.user)

    async def work(world: World) -> None:
        world.hashes.meanwhile = lambda: meanwhile(world)
        late = await world.sign_in()
        assert await world.is_worth_nothing(late)
        password = OTHER if event == "reset" else PASSWORD
        assert (await world.caller(await world.sign_in(password))).user.id == world.user

    run(work)


def test_a_change_that_is_under_way_while_all_sessions_end_does_nothing(run: Run) -> None:
    async def work(world: World) -> None:
        caller = await world.caller(await world.sign_in())
        changes: list[Callable[[], Awaitable[None]]] = [
            lambda: world.service.change_password(caller, PASSWORD, OTHER),
            lambda: world.service.delete_account(caller, PASSWORD),
        ]
        for change in changes:
            world.hashes.meanwhile = lambda: world.accounts.end_all(world.user)
            with pytest.raises(Problem, match="this sign-in has ended"):
                await change()
            world.hashes.meanwhile = None
        assert (await world.caller(await world.sign_in())).user.id == world.user

    run(work)


def test_where_redis_fails_during_a_change_it_is_made_and_no_session_survives(run: Run, proxy: TcpProxy) -> None:
    async def cut() -> None:
        proxy.cut()

    async def work(world: World) -> None:
        here, elsewhere = await world.sign_in(), await world.sign_in()
        caller = await world.caller(here)
        world.hashes.meanwhile = cut
        await world.service.change_password(caller, PASSWORD, OTHER)
        world.hashes.meanwhile = None
        proxy.open()
        assert await world.is_worth_nothing(here)
        assert await world.is_worth_nothing(elsewhere)
        again = await world.caller(await world.sign_in(OTHER))
        assert len(await world.service.list_sessions(again)) == 1

    run(work)


def test_the_only_owner_of_a_store_cannot_delete_the_account_and_learns_which_stores_these_are(run: Run) -> None:
    async def work(world: World) -> None:
        signed_in = await world.sign_in()
        caller = await world.caller(signed_in)
        with pytest.raises(Problem, match="no owner: bakery, teahouse") as refused:
            await world.service_with_stores.delete_account(caller, PASSWORD)
        assert refused.value.type.status == 409
        assert await world.caller(signed_in) == caller
        # Who does not know the password learns nothing of stores.
        with pytest.raises(Problem) as wrong:
            await world.service_with_stores.delete_account(caller, "a wrong password")
        assert wrong.value.type.status == 422
        await world.service.delete_account(caller, PASSWORD)
        assert await world.is_worth_nothing(signed_in)

    run(work)
