"""The demo's accounts: the owner of a shop, an analyst of another one, and an admin of the platform.

They come about as people's accounts do: a registration and its link, an invitation and its link, a new password. Of a
password there is nothing but its hash, so that a demo on shops that have accounts already sets new ones.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from api.identity.password_hashes import PasswordHashes
from connectors.mongo.accounts import Accounts
from connectors.mongo.async_client import Documents, connect_async
from connectors.mongo.grants import Grants
from connectors.mongo.invitations import Invitations, Offer
from connectors.mongo.memberships import Memberships
from connectors.mongo.tenant_stores import TenantStores
from connectors.mongo.times import milliseconds
from marketplace.entitlements import ENTITLEMENTS, Grant, Tier
from marketplace.identity.accounts import Mail, Registration, User
from marketplace.identity.roles import StoreRole
from marketplace.identity.tenancy import TenancyError, hash_of_secret
from ops.demo.services.demo_processes import DemoFailed
from ops.demo.traffic.shops import DemoStore
from runtime.sections import Settings

OWNER: Final = "owner"
ANALYST: Final = "analyst"
ADMIN: Final = "admin"

_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that are taken for one another when they are typed from a screen."""

_GROUPS: Final = 3
_GROUP_CHARS: Final = 4


@dataclass(frozen=True)
class DemoAccount:
    """An account, and what it takes to sign in.

    Attributes:
        who: ``owner``, ``analyst`` or ``admin``.
        email: Its address.
        password: In clear; it is kept nowhere.
        stores: Slugs of the shops that it works in.
    """

    who: str
    email: str
    password: str = field(repr=False)
    stores: tuple[str, ...]


def new_password() -> str:
    """A random password of 59 bits, such as ``kq7r-m2xv-9tde``."""
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(_GROUP_CHARS)) for _ in range(_GROUPS))
    return "-".join(groups)


def somebody_has_an_account(settings: Settings) -> bool:
    """Whether there is any account: from the first one on the dashboard asks for a sign-in.

    Raises:
        Unavailable: Mongo does not answer.
    """

    async def ask() -> bool:
        client = connect_async(settings.urls.mongo)
        try:
            return await Accounts(client, settings.database).has_any()
        finally:
            await client.close()

    return asyncio.run(ask())


def ensure_accounts(
    settings: Settings, opened: Sequence[DemoStore], pages_url: str, now: datetime
) -> list[DemoAccount]:
    """Make the three accounts; those that are there get a new password, and back what they should have.

    Args:
        settings: Mongo's URL and the database.
        opened: The shops, two at least: the first one is the owner's, the others are the admin's, and the second one
            has the analyst.
        pages_url: Where the pages are that links in mails lead to.
        now: The time.

    Raises:
        DemoFailed: They cannot be made; the message says why.
        Unavailable: Mongo does not answer. Calling it again completes what was begun.
    """

    async def ensure() -> list[DemoAccount]:
        client, hashes = connect_async(settings.urls.mongo), PasswordHashes()
        try:
            return await _Makers(client, settings.database, hashes, pages_url, now).ensure(opened)
        except TenancyError as error:
            raise DemoFailed(f"the demo's accounts cannot be made: {error}") from error
        finally:
            hashes.close()
            await client.close()

    return asyncio.run(ensure())


class _Makers:
    """What makes accounts and members, for one call of :func:`ensure_accounts`."""

    def __init__(self, client: Documents, database: str, hashes: PasswordHashes, pages_url: str, now: datetime) -> None:
        self._accounts, self._grants = Accounts(client, database), Grants(client, database)
        self._memberships = Memberships(client, database, TenantStores(client, database))
        self._invitations = Invitations(client, database)
        self._hashes, self._pages_url, self._now = hashes, pages_url, now

    async def ensure(self, opened: Sequence[DemoStore]) -> list[DemoAccount]:
        mine, *others = (each.store.slug for each in opened)
        theirs = others[0]
        seller, seller_password = await self._account(f"owner@{mine}.example", "Demo owner")
        analyst, analyst_password = await self._account(f"analyst@{theirs}.example", "Demo analyst")
        admin, admin_password = await self._account(f"admin@marketplace{_suffix(opened)}.example", "Demo admin")
        await self._accounts.set_admin(admin.id, admin=True)
        # So that CSV and the whole history are there to be looked at; a free plan has neither.
        for user in (seller, admin):
            if user.tier(milliseconds(self._now)) is not Tier.PREMIUM:
                await self._grants.grant(user.id, admin.id, Grant(Tier.PREMIUM, milliseconds(self._now)))
        await self._memberships.make_owner(mine, seller.id, self._now)
        for slug in others:
            await self._memberships.make_owner(slug, admin.id, self._now)
        await self._make_analyst(theirs, analyst, admin)
        return [
            DemoAccount(OWNER, seller.email, seller_password, (mine,)),
            DemoAccount(ANALYST, analyst.email, analyst_password, (theirs,)),
            DemoAccount(ADMIN, admin.email, admin_password, tuple(others)),
        ]

    async def _account(self, email: str, name: str) -> tuple[User, str]:
        """The account of an address, with a password that was not there before."""
        password = new_password()
        password_hash = await self._hashes.hash(password)
        found = await self._accounts.by_email(email)
        made = await (self._change(found, password_hash) if found else self._register(email, name, password_hash))
        if made is None:
            raise DemoFailed(f"something else changes the account {email} at this moment; run the demo again")
        return made, password

    async def _register(self, email: str, name: str, password_hash: str) -> User | None:
        secret = secrets.token_urlsafe(32)
        mail = Mail(email, "confirm_address", {"link": f"{self._pages_url}/confirm#{secret}"})
        registration = Registration(email, name, password_hash)
        await self._accounts.register(registration, hash_of_secret(secret), mail, self._now)
        return await self._accounts.confirm_registration(hash_of_secret(secret), secrets.token_hex(16), self._now)

    async def _change(self, user: User, password_hash: str) -> User | None:
        found = await self._accounts.set_banned(user.id, banned=False) if user.banned else user
        if found is None:
            return None
        notice = Mail(found.email, "password_changed", {"name": found.name, "link": f"{self._pages_url}/sign-in"})
        return await self._accounts.change_password(found.id, found.security_stamp, password_hash, notice, self._now)

    async def _make_analyst(self, slug: str, analyst: User, admin: User) -> None:
        there = (await self._memberships.members(slug)).get(analyst.id)
        if there is None:
            await self._invite(slug, analyst, admin)
        elif there.role is not StoreRole.ANALYST:
            await self._memberships.change_role(slug, admin.id, analyst.id, StoreRole.ANALYST, self._now)

    async def _invite(self, slug: str, analyst: User, admin: User) -> None:
        secret, role = secrets.token_urlsafe(32), StoreRole.ANALYST
        link = f"{self._pages_url}/invitation#{secret}"
        values = {"inviter": admin.email, "store": slug, "role": role.value, "link": link}
        offer = Offer(secrets.token_hex(16), slug, analyst.email, role, admin.id)
        # The store has the tier of its best owner, and the admin is one.
        limit = ENTITLEMENTS[Tier.PREMIUM].members
        mail = Mail(analyst.email, "invitation", values)
        await self._invitations.invite(offer, hash_of_secret(secret), mail, limit, self._now)
        await self._invitations.accept(hash_of_secret(secret), analyst, limit, self._now)


def _suffix(opened: Sequence[DemoStore]) -> str:
    """What the shops' slugs have behind their names where those were taken: such shops have an admin of their own."""
    return max((each.store.slug.removeprefix(each.shop.name) for each in opened), key=len)
