"""Grants of tiers, which are kept with the account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from pymongo import ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession

from connectors.mongo.accounts import user_of
from connectors.mongo.async_client import Documents, in_transaction
from connectors.mongo.times import milliseconds
from marketplace.collections import USERS
from marketplace.entitlements import Grant, Tier, with_grant_ended
from marketplace.identity.accounts import User
from marketplace.identity.tenancy import LimitReached, NoSuchUser, NotAllowed

MAX_GRANTS: Final = 100
"""Of one account, past ones among them."""


class Grants:
    """Writes the grants of accounts.

    Args:
        client: A connected client; the caller closes it.
        database: The database's name.
    """

    def __init__(self, client: Documents, database: str) -> None:
        self._client, self._users = client, client[database][USERS.name]

    async def grant(self, user: str, actor: str | None, grant: Grant) -> User:
        """Give a tier for a time; one that is given already is not given twice.

        Args:
            user: The account's id.
            actor: Who asks; None for the operator, who may.
            grant: The tier, and its time.

        Raises:
            NotAllowed: Who asks is no admin any more.
            NoSuchUser: There is no such account.
            LimitReached: There are too many grants.
            Unavailable: Mongo does not answer; it may have happened.
        """

        def add(account: User) -> tuple[Grant, ...]:
            if grant in account.grants:
                return account.grants
            if len(account.grants) >= MAX_GRANTS:
                raise LimitReached(f"an account has at most {MAX_GRANTS} grants")
            return (*account.grants, grant)

        return await self._change(user, actor, add)

    async def end(self, user: str, actor: str | None, tier: Tier, now: datetime) -> User:
        """End the grants of a tier; those to come never begin.

        Args:
            user: The account's id.
            actor: Who asks; None for the operator, who may.
            tier: Which one.
            now: The time.

        Raises:
            NotAllowed: Who asks is no admin any more.
            NoSuchUser: There is no such account.
            Unavailable: Mongo does not answer; it may have happened.
        """
        return await self._change(
            user, actor, lambda account: with_grant_ended(account.grants, tier, milliseconds(now))
        )

    async def _change(self, user: str, actor: str | None, change: Callable[[User], tuple[Grant, ...]]) -> User:
        async def work(session: AsyncClientSession) -> User:
            admin = {"_id": actor, "admin": True, "banned": False}
            if actor is not None and await self._users.find_one(admin, session=session) is None:
                raise NotAllowed("this is for admins of the platform")
            document: Mapping[str, Any] | None = await self._users.find_one({"_id": user}, session=session)
            if document is None:
                raise NoSuchUser("there is no such account")
            grants = [
                {"tier": grant.tier.value, "since": grant.since, "until": grant.until}
                for grant in change(user_of(document))
            ]
            after = await self._users.find_one_and_update(
                {"_id": user}, {"$set": {"grants": grants}}, return_document=ReturnDocument.AFTER, session=session
            )
            if after is None:
                raise NoSuchUser("there is no such account")
            return user_of(after)

        return await in_transaction(self._client, work)
