"""What the API knows of stores: the services of its routes, and who may do what in which store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from api.api_keys.service import ApiKeyService
from api.callers import Access, Caller
from api.grants.service import GrantService
from api.members.service import MemberService
from api.stores.service import StoreService
from connectors.mongo.accounts import Accounts
from connectors.mongo.api_keys import ApiKeys
from connectors.mongo.async_client import Documents
from connectors.mongo.carts import Carts
from connectors.mongo.grants import Grants
from connectors.mongo.idempotency import IdempotencyKeys, Session
from connectors.mongo.invitations import Invitations
from connectors.mongo.memberships import Memberships
from connectors.mongo.tenant_stores import TenantStores
from marketplace.identity.roles import permissions_of, scopes_in_effect
from marketplace.identity.tenancy import parts_of_api_key
from marketplace.stores import SLUG


class Tenancy:
    """Stores, members, API keys and grants.

    Args:
        stores: Of the routes of stores.
        members: Of members and invitations.
        api_keys: Of API keys.
        grants: Of tiers.
        accounts: Where accounts are; one that is deleted leaves its stores.
        memberships: Who works in which store.
        clock: The time.
    """

    def __init__(
        self,
        stores: StoreService,
        members: MemberService,
        api_keys: ApiKeyService,
        grants: GrantService,
        accounts: Accounts,
        memberships: Memberships,
        clock: Callable[[], datetime],
    ) -> None:
        self.stores, self.members, self.api_keys, self.grants = stores, members, api_keys, grants
        self.accounts, self.memberships, self._clock = accounts, memberships, clock

    @staticmethod
    def on_mongo(
        client: Documents, database: str, public_url: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> Tenancy:
        """On the collections of a database; the caller closes the client."""
        memberships = Memberships(client, database, TenantStores(client, database))
        carts, keys = Carts(client, database), IdempotencyKeys(client, database)

        async def forget(user: str, session: Session) -> None:
            await carts.forget(user, session)
            await keys.forget(user, session)

        accounts = Accounts(client, database, memberships.leave_all, forget)
        return Tenancy(
            StoreService.on_mongo(client, database, clock),
            MemberService(memberships, Invitations(client, database), public_url, clock),
            ApiKeyService(ApiKeys(client, database), clock),
            GrantService(Grants(client, database), accounts, clock),
            accounts,
            memberships,
            clock,
        )

    async def caller_of_key(self, key: str) -> Caller | None:
        """See :class:`api.callers.StoreAccess`."""
        parts = parts_of_api_key(key)
        found = await self.api_keys.authenticate(*parts) if parts is not None else None
        if found is None:
            return None
        maker = await self.accounts.get(found.maker)
        members = await self.memberships.members(found.store)
        if maker is None or maker.banned or maker.id not in members:
            return None
        await self.api_keys.note_use(found)
        return Caller(maker, "", found)

    async def access(self, caller: Caller, slug: str) -> Access | None:
        """See :class:`api.callers.StoreAccess`."""
        if not SLUG.fullmatch(slug) or (caller.key is not None and caller.key.store != slug):
            return None
        view = await self.memberships.view(slug, self._clock(), member=caller.user.id)
        if view is None:
            return None
        member = view.members[caller.user.id]
        if caller.key is None:
            role, permissions = member.role, permissions_of(member.role)
        else:
            role, permissions = None, scopes_in_effect(caller.key.scopes, member.role)
        return Access(view.record, view.members, view.standing, role, permissions)
