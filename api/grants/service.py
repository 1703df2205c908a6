"""Grants of tiers: what the routes of admins do, without HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from connectors.mongo.accounts import Accounts
from connectors.mongo.grants import Grants
from marketplace.entitlements import Grant, Tier
from marketplace.identity.accounts import User
from marketplace.identity.tenancy import NoSuchUser


class GrantService:
    """Gives tiers to accounts and ends them.

    Args:
        grants: Writes them.
        accounts: Where accounts are.
        clock: The time.
    """

    def __init__(
        self, grants: Grants, accounts: Accounts, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._grants, self._accounts, self._clock = grants, accounts, clock

    @property
    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return int(self._clock().timestamp() * 1000)

    async def account(self, user: str) -> User:
        """The account of an id.

        Raises:
            NoSuchUser: There is none.
            Unavailable: Mongo does not answer.
        """
        return _there(await self._accounts.get(user))

    async def by_email(self, email: str) -> User:
        """The account of an address.

        Raises:
            NoSuchUser: There is none.
            Unavailable: Mongo does not answer.
        """
        return _there(await self._accounts.by_email(email))

    async def grant(self, user: str, actor: str, tier: Tier, since: int | None, until: int | None) -> User:
        """Give a tier from a moment on, by default from now; see :meth:`Grants.grant` for the errors."""
        return await self._grants.grant(user, actor, Grant(tier, self.now_ms if since is None else since, until))

    async def end(self, user: str, actor: str, tier: Tier) -> User:
        """End the grants of a tier now; see :meth:`Grants.end` for the errors."""
        return await self._grants.end(user, actor, tier, self._clock())


def _there(user: User | None) -> User:
    if user is None:
        raise NoSuchUser("there is no such account")
    return user
