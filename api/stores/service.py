"""Stores: what the routes and ``marketplace stores`` do, without HTTP and without a terminal."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from api.stores.store_goals import StoreGoals
from connectors.mongo.async_client import Documents
from connectors.mongo.memberships import Memberships
from connectors.mongo.tenant_stores import TenantStores
from connectors.mongo.turned_away import TurnedAway, TurnedAwayQueries
from marketplace.entitlements import Tier
from marketplace.hosts import canonical_host
from marketplace.identity.accounts import User
from marketplace.identity.roles import Permission, StoreRole
from marketplace.identity.slugs import is_reserved, slug_of_title
from marketplace.identity.tenancy import (
    DeletedStore,
    LimitReached,
    SlugReserved,
    SlugTaken,
    Standing,
    StoreRecord,
    adds_hosts,
)
from marketplace.store_links import check_link_rules
from marketplace.stores import Store, checked_contact, hash_write_key
from marketplace.stores import import_key as make_import_key

TURNED_AWAY_DAYS: Final = 90
"""How long the counts are kept."""

LINK_SETTINGS: Final = ("domains", "payment_hosts", "ignored_referrers", "source_rules")
"""Fields of a store that must not contradict each other."""

_KEY_BYTES: Final = 16
_SLUG_ATTEMPTS: Final = 5


@dataclass(frozen=True)
class NewStore:
    """What somebody says of a store that is to be made.

    Attributes:
        title: Its display name.
        slug: None for one that is made of the title.
        timezone: An IANA zone.
        domains: Its own hosts.
        blocked_networks: CIDR ranges whose events are not counted.
        honour_opt_out: Whether visitors who ask not to be counted are not.
        contact: The mail address that buyers write to; empty for none.
    """

    title: str
    slug: str | None = None
    timezone: str = "UTC"
    domains: tuple[str, ...] = ()
    blocked_networks: tuple[str, ...] = ()
    honour_opt_out: bool = True
    contact: str = ""


@dataclass(frozen=True)
class OwnStore:
    """A store of somebody.

    Attributes:
        record: The store.
        role: Of whom the list is for.
        standing: What its owners pay for.
    """

    record: StoreRecord
    role: StoreRole
    standing: Standing


class StoreService:
    """Makes, edits and deletes stores and their keys.

    Args:
        stores: Where they are.
        memberships: Who works in them.
        turned_away: What was turned away of their events.
        clock: The time.

    Attributes:
        goals: What they want their visitors to do.
    """

    def __init__(
        self,
        stores: TenantStores,
        memberships: Memberships,
        turned_away: TurnedAwayQueries,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._stores, self._memberships, self._turned_away, self._clock = stores, memberships, turned_away, clock
        self.goals = StoreGoals(stores)

    @staticmethod
    def on_mongo(
        client: Documents, database: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> StoreService:
        """On the collections of a database; the caller closes the client."""
        stores = TenantStores(client, database)
        memberships = Memberships(client, database, stores)
        return StoreService(stores, memberships, TurnedAwayQueries(client, database), clock)

    async def prepare(self) -> None:
        """Make what keeps stores apart, where nobody has provisioned anything.

        Raises:
            StoresUnavailable: Mongo did not answer.
        """
        await self._stores.prepare()

    async def create(self, new: NewStore, owner: User | None) -> tuple[StoreRecord, str]:
        """Make a store.

        Args:
            new: What it is to be.
            owner: Whose it is; None for the operator's, which has no owner yet.

        Returns:
            The store, and its write key, which nobody can read again.

        Raises:
            InvalidStore: A value is not valid; the message names it.
            SlugReserved: The slug is given to nobody.
            SlugTaken: It is or was another store's.
            LimitReached: The owner's tier does not include one more, or not so many hosts.
            Unavailable: Mongo does not answer; it may be made.
        """
        tier = Tier.PREMIUM if owner is None else owner.tier(int(self._clock().timestamp() * 1000))
        if new.slug is not None and is_reserved(new.slug):
            raise SlugReserved("it is given to nobody")
        if adds_hosts((), new.domains, tier):
            raise LimitReached(_HOSTS)
        for attempt in range(1, _SLUG_ATTEMPTS + 1):
            slug = slug_of_title(new.title, secrets.token_hex(3)) if new.slug is None else new.slug
            write_key = secrets.token_hex(_KEY_BYTES)
            store = Store(
                slug=slug,
                title=new.title,
                timezone=new.timezone,
                domains=new.domains,
                write_key_hash=hash_write_key(write_key),
                visitor_secret=secrets.token_hex(32),
                blocked_networks=new.blocked_networks,
                honour_opt_out=new.honour_opt_out,
                contact=new.contact,
            )
            try:
                return await self._stores.create(store, owner.id if owner else None, self._clock()), write_key
            except SlugTaken:
                if new.slug is not None or attempt == _SLUG_ATTEMPTS:
                    raise
            except LimitReached:
                # Who repeats a request whose answer was lost must hear that it was done, and not of a limit.
                if new.slug is not None and await self._stores.get(new.slug) is not None:
                    raise SlugTaken("it is taken") from None
                raise
        raise AssertionError("unreachable")

    async def edit(self, slug: str, actor: str, fields: Mapping[str, Any], version: int, tier: Tier) -> StoreRecord:
        """Change settings of a store.

        Args:
            slug: The store's.
            actor: Who asks: of an API key, its maker.
            fields: New values, by the names in :class:`Store`; others stay.
            version: The one that is edited.
            tier: The store's.

        Raises:
            NoSuchStore: There is none.
            NotAllowed: Who asks may not, by the role of now.
            Stale: It has another version.
            LimitReached: The tier does not include so many hosts.
            InvalidLinkRule: Settings of links contradict each other, or those that stay.
            InvalidStore: A value is not valid.
            Unavailable: Mongo does not answer; it may be changed.
        """
        wanted = {
            name: tuple(dict.fromkeys(value)) if isinstance(value, tuple) else value for name, value in fields.items()
        }

        def change(store: Store) -> Mapping[str, Any]:
            if "domains" in fields and adds_hosts(map(canonical_host, store.domains), fields["domains"], tier):
                raise LimitReached(_HOSTS)
            if not set(LINK_SETTINGS).isdisjoint(wanted):
                check_link_rules(*(wanted.get(name, getattr(store, name)) for name in LINK_SETTINGS))
            return wanted

        return await self._stores.edit_as(slug, actor, Permission.EDIT_STORE, change, version)

    async def new_write_key(self, slug: str, actor: str | None = None) -> str:
        """Give a store a new write key; the old one stops working within seconds.

        Args:
            slug: The store's.
            actor: Who asks; None for the operator, who may.

        Raises:
            NoSuchStore: There is none.
            NotAllowed: Who asks may not, by the role of now.
            Unavailable: Mongo does not answer; the old one may be worth nothing any more.
        """
        key = secrets.token_hex(_KEY_BYTES)
        await self._set(slug, actor, {"write_key_hash": hash_write_key(key)})
        return key

    async def new_import_key(self, slug: str, actor: str | None = None) -> str:
        """Give a store a secret key for importing history; the old one stops working within seconds.

        Args:
            slug: The store's.
            actor: Who asks; None for the operator, who may.

        Raises:
            NoSuchStore: There is none.
            NotAllowed: Who asks may not, by the role of now.
            Unavailable: Mongo does not answer; the old one may be worth nothing any more.
        """
        key = make_import_key(slug, secrets.token_hex(_KEY_BYTES))
        await self._set(slug, actor, {"import_key_hash": hash_write_key(key)})
        return key

    async def revoke_import_key(self, slug: str, actor: str | None = None) -> None:
        """Take the import key back, if there is one.

        Args:
            slug: The store's.
            actor: Who asks; None for the operator, who may.

        Raises:
            NoSuchStore: There is none.
            NotAllowed: Who asks may not, by the role of now.
            Unavailable: Mongo does not answer; it may be worth nothing any more.
        """
        await self._set(slug, actor, {"import_key_hash": None})

    async def set_contact(self, slug: str, contact: str) -> None:
        """Say where buyers can write to: for the operator.

        Args:
            slug: The store's.
            contact: A mail address; empty for none.

        Raises:
            NoSuchStore: There is none.
            InvalidStore: It is no address.
            StoresUnavailable: Mongo did not answer; it may be changed.
        """
        fields = {"contact": checked_contact(contact)}
        await self._stores.edit(slug, lambda _: fields)

    async def _set(self, slug: str, actor: str | None, keys: Mapping[str, Any]) -> None:
        if actor is None:
            await self._stores.edit(slug, lambda _: keys)
        else:
            await self._stores.edit_as(slug, actor, Permission.ROTATE_KEYS, lambda _: keys)

    async def delete(self, slug: str, actor: str | None = None) -> DeletedStore:
        """Delete a store for everybody; see :meth:`TenantStores.delete` for what is kept, and for the errors."""
        return await self._stores.delete(slug, actor, self._clock())

    async def configure(self, slug: str, fields: Mapping[str, Any]) -> Store:
        """Change settings of a store: for the operator.

        Args:
            slug: The store's.
            fields: New values, by the names in :class:`Store`; others stay.

        Raises:
            NoSuchStore: There is none.
            InvalidStore: A value is not valid.
            StoresUnavailable: Mongo did not answer; it may be changed.
        """
        return (await self._stores.edit(slug, lambda _: fields)).store

    async def get(self, slug: str) -> StoreRecord | None:
        """The store of that slug.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return await self._stores.get(slug)

    async def every(self) -> list[Store]:
        """All stores by slug: for the operator.

        Raises:
            StoresUnavailable: Mongo did not answer.
        """
        return await self._stores.every()

    async def owners(self) -> dict[str, list[str]]:
        """The addresses of those who own stores, by slug; one without an owner is not in it: for the operator.

        Raises:
            Unavailable: Mongo does not answer.
        """
        return await self._memberships.owners()

    async def of_user(self, user: str, after: str, limit: int) -> tuple[list[OwnStore], str]:
        """A page of the stores that somebody is a member of, by slug.

        Args:
            user: The account's id.
            after: Only stores behind this slug.
            limit: At most so many.

        Returns:
            The stores, and the slug that the next page comes after; empty where there is none.

        Raises:
            Unavailable: Mongo does not answer.
        """
        found = await self._memberships.of_user(user, after, limit + 1)
        page, more = found[:limit], len(found) > limit
        slugs = [membership.store for membership in page]
        records = await self._stores.several(slugs)
        standings = await self._memberships.standings_of(slugs, self._clock())
        stores = [
            OwnStore(records[each.store], each.role, standings[each.store]) for each in page if each.store in records
        ]
        return stores, slugs[-1] if more else ""

    async def turned_away(self, slug: str, days: int) -> list[TurnedAway]:
        """What the collector turned away of a store in the last days, by hour and reason.

        Raises:
            TurnedAwayUnavailable: Mongo did not answer.
        """
        # A day more at each end: a store's own date may be ahead of UTC's or behind it.
        today = self._clock().astimezone(UTC).date()
        first, last = today - timedelta(days=days), today + timedelta(days=1)
        return await self._turned_away.of(slug, first.isoformat(), last.isoformat())

    async def give_to(self, slug: str, user: User) -> None:
        """Make an account an owner of a store; see :meth:`Memberships.make_owner` for the errors."""
        await self._memberships.make_owner(slug, user.id, self._clock())


_HOSTS: Final = "the plan includes one host of its own for a store"
