"""Accounts: who signs in, and the links in mails that prove an address."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from marketplace.entitlements import Grant, Tier, tier_of
from marketplace.identity.emails import email_key


class LinkKind(StrEnum):
    """What a link in a mail is good for; one of one kind is worth nothing for another."""

    REGISTRATION = "registration"
    RESET = "reset"
    EMAIL_CHANGE = "email_change"
    INVITATION = "invitation"


LINK_SECONDS: Final = {
    LinkKind.REGISTRATION: 24 * 3_600,
    LinkKind.RESET: 3_600,
    LinkKind.EMAIL_CHANGE: 24 * 3_600,
    LinkKind.INVITATION: 7 * 24 * 3_600,
}
"""How long a link of each kind can be used, once."""


@dataclass(frozen=True)
class User:
    """An account with a proved address.

    Attributes:
        id: Its id; it never changes and is never given to another account.
        email: As its owner wrote it.
        name: For people.
        password_hash: Argon2id, with its parameters.
        created_at: Epoch milliseconds.
        admin: Whether its owner runs the platform.
        banned: Whether it is shut out.
        security_stamp: Goes up with whatever ends what was given out before: a new password or address, an end of all
            sessions, a ban. Sessions and links carry the number under which they were made, and are worth nothing
            under another one.
        grants: Tiers that it has or had.
    """

    id: str
    email: str
    name: str
    password_hash: str
    created_at: int
    admin: bool = False
    banned: bool = False
    security_stamp: int = 1
    grants: tuple[Grant, ...] = ()

    @property
    def email_key(self) -> str:
        """What no other account has."""
        return email_key(self.email)

    def tier(self, now_ms: int) -> Tier:
        """What it pays for at a moment."""
        return tier_of(self.grants, now_ms)


@dataclass(frozen=True)
class Registration:
    """Somebody who wants an account and has not proved the address yet: there is no account before that.

    Attributes:
        email: As it was written.
        name: For people.
        password_hash: Argon2id.
    """

    email: str
    name: str
    password_hash: str


@dataclass(frozen=True)
class Mail:
    """A mail that is to be sent.

    Attributes:
        to: The address.
        template: Which text; see ``api/mail``.
        values: What the text holds, the link among them: it is deleted when the mail has been sent.
    """

    to: str
    template: str
    values: dict[str, str]
