"""Who asks, and what they may do in a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from marketplace.identity.accounts import User
from marketplace.identity.roles import Permission, StoreRole
from marketplace.identity.tenancy import ApiKey, Membership, Standing, StoreRecord


@dataclass(frozen=True)
class Caller:
    """Who is asking.

    Attributes:
        user: The account; of an API key, its maker.
        session: The sign-in that the request belongs to; empty for an API key.
        key: The API key, where a server asks with one.
    """

    user: User
    session: str
    key: ApiKey | None = None


@dataclass(frozen=True)
class Access:
    """What somebody may do in a store, at one moment.

    Attributes:
        record: The store.
        members: All of them, by user.
        standing: What the store's owners pay for.
        role: The caller's; None for an API key.
        permissions: What the caller may do.
    """

    record: StoreRecord
    members: Mapping[str, Membership]
    standing: Standing
    role: StoreRole | None
    permissions: frozenset[Permission]

    @property
    def slug(self) -> str:
        """The store's."""
        return self.record.store.slug


class Identities(Protocol):
    """Knows accounts and sign-ins."""

    async def caller_of(self, access_token: str) -> Caller | None:
        """Who an access token stands for now; None where its session ended or its account is gone.

        Raises:
            InvalidClaims: It is no access token of ours that is valid now.
            Unavailable: Nobody can say now.
        """


class StoreAccess(Protocol):
    """Knows API keys, and who may do what in which store."""

    async def caller_of_key(self, key: str) -> Caller | None:
        """Who an API key stands for now; None where it is none, or its maker is no member of its store any more.

        Raises:
            Unavailable: Nobody can say now.
        """

    async def access(self, caller: Caller, slug: str) -> Access | None:
        """What a caller may do in a store now; None where there is no such store, or the caller has no part in it.

        Raises:
            Unavailable: Nobody can say now.
        """
