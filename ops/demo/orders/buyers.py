"""The demo's buyers as accounts that can sign in; their password is this run's own, and nobody sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Final

from api.identity.password_hashes import PasswordHashes
from connectors.mongo.accounts import user_document
from connectors.mongo.async_client import Documents, connect_async
from connectors.mongo.times import milliseconds
from marketplace.collections import USERS
from marketplace.entitlements import Grant, Tier
from marketplace.identity.accounts import User
from ops.demo.services.demo_accounts import new_password
from runtime.sections import Settings

NAMES: Final = ("Amara", "Ben", "Chiara", "Deepak")


@dataclass(frozen=True)
class Buyer:
    """A buyer of the demo.

    Attributes:
        id: Of the account.
        name: For people.
        email: To sign in with.
        password: In clear; it is kept nowhere.
    """

    id: str
    name: str
    email: str
    password: str = field(repr=False)


def ensure_buyers(settings: Settings, now: datetime, names: Sequence[str] = NAMES) -> list[Buyer]:
    """Make the accounts, or give those that are there the password of this run.

    They have the plan of those who ask much: each of them orders for many.

    Raises:
        Unavailable: Mongo does not answer. Calling it again completes what was begun.
    """
    password = new_password()

    async def ensure(client: Documents) -> None:
        hashes = PasswordHashes()
        try:
            # One hash for all: it has a salt of its own, and nobody else's password is the same.
            password_hash = await hashes.hash(password)
        finally:
            hashes.close()
        for name in names:
            grant = Grant(Tier.PREMIUM, milliseconds(now))
            made = User(_id(name), _email(name), name, password_hash, milliseconds(now), grants=(grant,))
            fresh = {key: value for key, value in user_document(made).items() if key not in ("_id", "password_hash")}
            await client[settings.database][USERS.name].update_one(
                {"_id": made.id}, {"$set": {"password_hash": password_hash}, "$setOnInsert": fresh}, upsert=True
            )

    async def with_client() -> None:
        client = connect_async(settings.urls.mongo)
        try:
            await ensure(client)
        finally:
            await client.close()

    asyncio.run(with_client())
    return [Buyer(_id(name), name, _email(name), password) for name in names]


def _id(name: str) -> str:
    return blake2b(f"demo buyer {name}".encode(), digest_size=16).hexdigest()


def _email(name: str) -> str:
    return f"{name.lower()}@buyers.example"
