"""People who are signed in at a running API, written into its databases: no mail is sent and no password is hashed."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from api.identity.key_ring import KeyRing
from api.identity.password_hashes import PasswordHashes
from api.server import AUDIENCE
from connectors.mongo.async_client import connect_async
from connectors.redis import sessions
from marketplace.collections import USERS
from marketplace.identity.refresh import refresh_token
from ops.stack import Stack
from tests.kits.api import PASSWORD, Api, Person
from tests.kits.stack import polled
from tests.kits.tenancy import World

T = TypeVar("T")


@cache
def password_hash() -> str:
    """Of the password that everybody in tests has."""
    hashes = PasswordHashes()
    try:
        return asyncio.run(hashes.hash(PASSWORD))
    finally:
        hashes.close()


@dataclass(frozen=True)
class Registry:
    """The databases of a running API, past whatever stands between them and the API.

    Attributes:
        api: The API, whose keys sign.
        stack: Where the parts are.
        database: The name of its database.
    """

    api: Api
    stack: Stack
    database: str

    def do(self, work: Callable[[World], Awaitable[T]]) -> T:
        """Do something with its documents."""

        async def whole() -> T:
            client = connect_async(polled(self.stack.urls.mongo))
            try:
                return await work(World(client, self.database))
            finally:
                await client.close()

        return asyncio.run(whole())

    def account(self, *, premium: bool = False, admin: bool = False) -> str:
        """A new account whose password is everybody's; gives its id."""
        name, change = uuid.uuid4().hex, {"$set": {"password_hash": password_hash()}}

        async def work(world: World) -> None:
            await world.user(name, premium=premium, admin=admin)
            await world.client[self.database][USERS.name].update_one({"_id": name}, change)

        self.do(work)
        return name

    def sign_in(self, user: str, count: int = 1) -> list[Person]:
        """Begin sessions of an account."""
        ring = KeyRing(self.api.folder / "api" / "keys.json", self.api.url, AUDIENCE)

        async def work(world: World) -> list[Person]:
            redis = sessions.connect_async(self.stack.urls.redis)
            try:
                account = (await world.tenancy.memberships.users([user]))[user]
                people = []
                for _ in range(count):
                    session, token = secrets.token_hex(16), secrets.token_urlsafe(32)
                    await sessions.Sessions(redis).create(user, session, token, security_stamp=account.security_stamp)
                    access = ring.sign(user, session, secrets.token_hex(8), time.time())
                    people.append(Person(self.api, account.email, access, refresh_token(user, session, token)))
                return people
            finally:
                await redis.aclose()

        return self.do(work)

    def person(self, *, premium: bool = False, admin: bool = False) -> Person:
        """A new account with one session."""
        return self.sign_in(self.account(premium=premium, admin=admin))[0]


def user_of(person: Person) -> str:
    """The id of the account."""
    return person.refresh_token.split(".")[0]


def session_of(person: Person) -> str:
    """The id of the session."""
    return person.refresh_token.split(".")[1]
