"""Stores and those who work in them: members, invitations, API keys, and which stores are frozen.

A store belongs to its owners, and has the tier of the best of them. Who owns more stores than the tier includes covers
the oldest ones only. A store that no owner covers is frozen: its events are counted and its numbers are shown, and
nothing of it can be changed but its members' roles, its write key, and what takes rights away. It thaws when an owner
covers it again.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final

from marketplace.entitlements import ENTITLEMENTS, Tier
from marketplace.identity.roles import Permission, StoreRole
from marketplace.stores import Store

KEY_PREFIX: Final = "mk_"
_API_KEY: Final = re.compile(KEY_PREFIX + r"([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
MAX_API_KEYS: Final = 20
"""Of a store."""

FROZEN: Final = "the store is frozen: the plans of its owners include fewer stores than they own"
"""Why nothing can be added to a store."""

LAST_USE_SECONDS: Final = 60
"""The last use of an API key is written down at most this often."""


class TenancyError(Exception):
    """What was asked for is refused, and nothing was changed; the message says why."""


class NoSuchStore(TenancyError):
    """There is no store of that slug."""


class NoSuchUser(TenancyError):
    """There is no account of that id or address, or it is banned."""


class NoSuchMember(TenancyError):
    """Somebody is no member of the store."""


class NoSuchThing(TenancyError):
    """There is no invitation or API key of that id in the store."""


class SlugTaken(TenancyError):
    """Another store has the slug, or had it before it was deleted."""


class SlugReserved(TenancyError):
    """The slug is given to nobody."""


class Stale(TenancyError):
    """The store was changed since it was read."""


class LimitReached(TenancyError):
    """The tier does not include one more."""


class LastOwner(TenancyError):
    """The store would be without an owner."""


class OpenOrders(TenancyError):
    """Something is owed still of orders of a store that is to be closed.

    Args:
        text: A sentence.
        count: How many of them there are.
        where: The path at which all orders of the store are listed.
    """

    def __init__(self, text: str, count: int, where: str) -> None:
        super().__init__(text)
        self.count, self.where = count, where


class NotAllowed(TenancyError):
    """The role of who asks does not allow it any more, or not for this role."""


class AlreadyMember(TenancyError):
    """Somebody is a member already."""


class LinkEnd(StrEnum):
    """Why the link of an invitation is worth nothing."""

    ACCEPTED = "accepted"
    REVOKED = "revoked"
    REPLACED = "replaced"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


_LINK_ENDS: Final[Mapping[LinkEnd, str]] = {
    LinkEnd.ACCEPTED: "the invitation was accepted already",
    LinkEnd.REVOKED: "the invitation was revoked",
    LinkEnd.REPLACED: "the invitation was replaced by a newer one to the same address",
    LinkEnd.EXPIRED: "the invitation has expired",
    LinkEnd.UNKNOWN: "the link is not valid",
}


class LinkGone(TenancyError):
    """The link of an invitation is unknown, used, revoked or expired.

    Attributes:
        end: Which of these, as far as it is known: of one that expired some minutes ago nothing is kept.
    """

    def __init__(self, end: LinkEnd = LinkEnd.UNKNOWN) -> None:
        super().__init__(_LINK_ENDS[end])
        self.end = end


class WrongAddress(TenancyError):
    """The invitation was sent to another address than the account's."""

    def __init__(self) -> None:
        super().__init__("the invitation was sent to another address than the one of your account")


class InviterGone(TenancyError):
    """Who invited may not give this role any more."""


@dataclass(frozen=True)
class StoreRecord:
    """A store as it is kept.

    Attributes:
        store: Its settings.
        version: Goes up with every change of them.
        created_at: Epoch milliseconds; 0 for stores from before this was kept.
    """

    store: Store
    version: int
    created_at: int = 0

    @property
    def etag(self) -> str:
        """The strong entity tag (RFC 9110, section 8.8.3): the same for every reader."""
        return f'"{self.version}"'


@dataclass(frozen=True)
class DeletedStore:
    """The receipt of a store that was deleted.

    Attributes:
        slug: The store's, which nobody else gets.
        title: Its display name.
        at: When.
        members: How many members it had.
        invitations: How many invitations were waiting.
        api_keys: How many API keys it had.
    """

    slug: str
    title: str
    at: datetime
    members: int
    invitations: int
    api_keys: int


@dataclass(frozen=True)
class Membership:
    """Somebody's role in a store.

    Attributes:
        store: The slug.
        user: The account's id.
        role: The role.
        since: Epoch milliseconds of joining.
        store_created_at: When the store was made, in epoch milliseconds.
    """

    store: str
    user: str
    role: StoreRole
    since: int
    store_created_at: int = 0

    @property
    def id(self) -> str:
        """Store and user: one membership for both."""
        return f"{self.store}:{self.user}"


@dataclass(frozen=True)
class Invitation:
    """An address that is invited to a store.

    Attributes:
        id: Its id; the link's secret is another one.
        store: The slug.
        email: As it was written.
        role: What is offered.
        inviter: The id of the account that offers it.
        created_at: Epoch milliseconds.
        expires_at: Epoch milliseconds.
    """

    id: str
    store: str
    email: str
    role: StoreRole
    inviter: str
    created_at: int
    expires_at: int


@dataclass(frozen=True)
class ApiKey:
    """A key of a server, for one store.

    Attributes:
        id: The part of the key that is no secret.
        store: The slug.
        maker: The id of the account that made it; the key is worth what its maker may do.
        name: For people.
        scopes: What it was given.
        secret_hash: SHA-256 hex.
        created_at: Epoch milliseconds.
        last_used_at: Epoch milliseconds, a minute late at most; 0 for one that was never used.
    """

    id: str
    store: str
    maker: str
    name: str
    scopes: frozenset[Permission]
    secret_hash: str
    created_at: int
    last_used_at: int = 0

    def matches(self, secret: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(hash_of_secret(secret), self.secret_hash)


@dataclass(frozen=True)
class Standing:
    """What a store's owners pay for.

    Attributes:
        tier: The store's.
        frozen: Whether no owner's tier includes it.
    """

    tier: Tier
    frozen: bool


@dataclass(frozen=True)
class Owner:
    """An owner of a store, with all stores that this account owns.

    Attributes:
        tier: Of the account.
        owned: When each store was made, in epoch milliseconds, by its slug.
    """

    tier: Tier
    owned: Mapping[str, int]

    def covers(self, store: str) -> bool:
        """Whether the store is among the oldest, of which the tier includes so many."""
        oldest = sorted(self.owned, key=lambda slug: (self.owned[slug], slug))
        return store in oldest[: ENTITLEMENTS[self.tier].stores]


def standing_of(store: str, owners: Iterable[Owner]) -> Standing:
    """The tier of a store, and whether it is frozen; one without an owner is the operator's and not frozen."""
    every = list(owners)
    covering = [owner for owner in every if owner.covers(store)]
    order = list(Tier)
    tier = max((owner.tier for owner in covering or every), key=order.index, default=Tier.FREE)
    return Standing(tier, frozen=bool(every) and not covering)


def api_key(key_id: str, secret: str) -> str:
    """An API key as a server sends it.

    Args:
        key_id: 16 hexadecimal digits.
        secret: 256 random bits, as 43 of ``A-Za-z0-9_-``.
    """
    return f"{KEY_PREFIX}{key_id}_{secret}"


def parts_of_api_key(key: str) -> tuple[str, str] | None:
    """Id and secret of an API key; None for text that is none of ours, which need not be looked for."""
    found = _API_KEY.fullmatch(key)
    return None if found is None else (found[1], found[2])


def hash_of_secret(secret: str) -> str:
    """SHA-256 hex: a secret has 256 random bits, so a plain hash is enough."""
    return sha256(secret.encode()).hexdigest()


def adds_hosts(before: Iterable[str], after: Iterable[str], tier: Tier) -> bool:
    """Whether an edit of the domains of a store adds one that the tier does not include.

    Args:
        before: The store's domains; empty for a new store.
        after: What they are to be.
        tier: The store's.
    """
    new = set(after)
    return not ENTITLEMENTS[tier].custom_domain and len(new) > 1 and not new <= set(before)
