"""What the commands of stores share: the services of the API on Mongo alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from api.stores.service import StoreService
from connectors.mongo.accounts import Accounts
from connectors.mongo.async_client import connect_async
from connectors.mongo.stores import StoresUnavailable
from marketplace.identity.accounts import User
from marketplace.identity.tenancy import NoSuchStore, NoSuchUser
from marketplace.stores import InvalidStore
from ops.context import load_mongo

T = TypeVar("T")

SlugArgument = Annotated[str, typer.Argument(metavar="SLUG", help="The store's name in URLs and commands.")]


@dataclass(frozen=True)
class StoreParts:
    """What a command works with.

    Attributes:
        stores: The same service that the API has.
        accounts: Of the people who may own a store.
    """

    stores: StoreService
    accounts: Accounts

    async def user(self, email: str) -> User:
        """The account of an address.

        Raises:
            NoSuchUser: There is none.
        """
        found = await self.accounts.by_email(email)
        if found is None or found.banned:
            raise NoSuchUser(f"no account {email}: it is made by registering and following the link in the mail")
        return found

    async def no_such_store(self, slug: str) -> InvalidStore:
        """The error of a slug that there is no store of, with those that there are."""
        known = ", ".join(found.slug for found in await self.stores.every()) or "none yet"
        return InvalidStore(f"no store {slug}; there are: {known}")


def with_stores(data: Path | None, work: Callable[[StoreParts], Awaitable[T]]) -> T:
    """Do something with Mongo alone: a leaked key can be replaced while all else is down."""
    mongo = load_mongo(data_dir=data)

    async def whole() -> T:
        client = connect_async(mongo.url)
        try:
            parts = StoreParts(StoreService.on_mongo(client, mongo.database), Accounts(client, mongo.database))
            return await work(parts)
        except StoresUnavailable as error:
            raise StoresUnavailable(f"{error}; stores are kept there and nowhere else") from error
        finally:
            await client.close()

    return asyncio.run(whole())


def of_known_store(slug: str, work: Callable[[StoreParts], Awaitable[T]]) -> Callable[[StoreParts], Awaitable[T]]:
    """Work on a store; where there is none, the error names those that there are."""

    async def checked(parts: StoreParts) -> T:
        try:
            return await work(parts)
        except NoSuchStore as error:
            raise await parts.no_such_store(slug) from error

    return checked
