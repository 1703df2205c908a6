"""What the commands of accounts share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from connectors.mongo.accounts import Accounts
from connectors.mongo.async_client import connect_async
from connectors.mongo.grants import Grants
from marketplace.identity.accounts import User
from marketplace.identity.emails import InvalidEmail, checked_email
from ops.commands.one_line import fail
from ops.context import load_mongo
from runtime.sections import MongoSettings

T = TypeVar("T")
EmailArgument = Annotated[str, typer.Argument(metavar="EMAIL", help="The account's address.")]


@dataclass(frozen=True)
class AccountParts:
    """What a command works with: the same that the API has, on Mongo alone."""

    accounts: Accounts
    grants: Grants


def change_account(
    email: str, data: Path | None, change: Callable[[AccountParts, User], Awaitable[User | None]]
) -> tuple[User, User]:
    """Change the account of an address; ends the command where there is none.

    Returns:
        The account as it is now, and as it was before.
    """
    try:
        address = checked_email(email)
    except InvalidEmail as error:
        fail(str(error))

    async def work(parts: AccountParts) -> tuple[User, User] | None:
        before = await parts.accounts.by_email(address)
        user = None if before is None else await change(parts, before)
        return None if user is None or before is None else (user, before)

    found = asyncio.run(with_accounts(load_mongo(data_dir=data), work))
    if found is None:
        fail(f"there is no account with the address {address}: it is made once the link in its mail was followed")
    return found


async def with_accounts(mongo: MongoSettings, work: Callable[[AccountParts], Awaitable[T]]) -> T:
    """Do something with Mongo alone."""
    client = connect_async(mongo.url)
    try:
        return await work(AccountParts(Accounts(client, mongo.database), Grants(client, mongo.database)))
    finally:
        await client.close()
