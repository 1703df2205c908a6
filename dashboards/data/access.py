"""Who looks at the dashboard, and which stores they may see: decided here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from marketplace.entitlements import Tier
from marketplace.identity.accounts import User
from marketplace.identity.roles import Permission, StoreRole, has_permission
from marketplace.identity.tenancy import Membership, Standing
from marketplace.stores import Store


class NotAllowed(Exception):
    """What was asked for is not for who asks."""


class SignedOut(NotAllowed):
    """There are accounts, and nobody is signed in: the sign-in has ended, or there was none."""


class NoAccountYet(NotAllowed):
    """There is no account yet, and the request does not come from this machine."""


class NotPermitted(NotAllowed):
    """The viewer sees the store, and its role does not include this."""


class StoreNotVisible(NotAllowed):
    """There is no such store, or it is one of others: nobody learns which."""


READING: Final = frozenset(
    {
        Permission.READ_NUMBERS,
        Permission.READ_STORE,
        Permission.READ_CATALOG,
        Permission.READ_ORDERS,
        Permission.READ_STOCK,
    }
)
"""What changes nothing."""


@dataclass(frozen=True)
class Viewer:
    """Who looks, and what they may see, at one moment.

    Attributes:
        name: Of the account; empty where there is no account at all.
        email: Of the account; empty where there is no account at all.
        stores: Those whose numbers they may see, by slug, in the order in which they are shown.
        roles: In each store; empty where there is no account at all.
        standings: What the owners of each store pay for; empty where there is no account at all.
    """

    name: str = ""
    email: str = ""
    stores: Mapping[str, Store] = field(default_factory=dict)
    roles: Mapping[str, StoreRole] = field(default_factory=dict)
    standings: Mapping[str, Standing] = field(default_factory=dict)

    @property
    def signed_in(self) -> bool:
        """Whether this is somebody with an account."""
        return bool(self.email)

    def store(self, slug: str) -> Store:
        """The store of that slug.

        Raises:
            StoreNotVisible: There is none, or the viewer may not see it.
        """
        found = self.stores.get(slug)
        if found is None:
            raise StoreNotVisible(slug)
        return found

    def may(self, slug: str, permission: Permission) -> bool:
        """Whether the viewer may do something in a store; without any account this machine reads and changes nothing.

        Raises:
            StoreNotVisible: There is no such store, or the viewer may not see it.
        """
        store = self.store(slug)
        if self.signed_in:
            return has_permission(self.roles[store.slug], permission)
        return permission in READING

    def tier(self, slug: str) -> Tier | None:
        """What bounds the numbers of a store, frozen or not; None where there is no account at all: then nothing does.

        Raises:
            StoreNotVisible: There is no such store, or the viewer may not see it.
        """
        store = self.store(slug)
        return self.standings[store.slug].tier if self.signed_in else None


def visible(memberships: list[Membership]) -> dict[str, StoreRole]:
    """The stores whose numbers an account may see, with its role in each."""
    return {each.store: each.role for each in memberships if has_permission(each.role, Permission.READ_NUMBERS)}


def member(
    user: User, roles: Mapping[str, StoreRole], stores: Mapping[str, Store], standings: Mapping[str, Standing]
) -> Viewer:
    """An account as a viewer.

    Args:
        user: The account.
        roles: What it may see; see :func:`visible`.
        stores: Those of these stores that there are.
        standings: What the owners of each of them pay for.
    """
    seen = {slug: stores[slug] for slug in roles if slug in stores}
    return Viewer(
        user.name,
        user.email,
        by_title(seen),
        {slug: roles[slug] for slug in seen},
        {slug: standings[slug] for slug in seen},
    )


def everybody(stores: list[Store]) -> Viewer:
    """Whoever sits at this machine while there is no account: all stores are theirs."""
    return Viewer(stores=by_title({store.slug: store for store in stores}))


def by_title(stores: Mapping[str, Store]) -> dict[str, Store]:
    """In the order in which they are shown."""
    return dict(sorted(stores.items(), key=lambda pair: (pair[1].title.casefold(), pair[0])))
