"""Refresh tokens that rotate: what happens to a family of them when one is presented.

A sign-in begins a family. Each refresh replaces its current token by a successor. A client whose answer was lost
presents the previous one, and gets the same successor again: the successor is derived from the token that is
presented and a salt that is stored, so that it can be made twice although only hashes of tokens are kept. Any older
token was stolen, or its successor was: the family ends (RFC 9700, section 4.14.2).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

LIFETIME_SECONDS: Final = 7 * 86_400.0
GRACE_SECONDS: Final = 60.0
"""How long the previous token is answered with the same successor: longer than a client waits before it repeats."""


class Presented(StrEnum):
    """What a token is to its family."""

    CURRENT = "current"
    """It is replaced by its successor."""
    PREVIOUS = "previous"
    """Its answer was lost: the same successor again."""
    REUSED = "reused"
    """It was replaced long ago: the family is revoked."""
    ENDED = "ended"
    """The family is revoked or has expired."""


@dataclass(frozen=True)
class Family:
    """The refresh tokens of one sign-in.

    Attributes:
        current_hash: Of the token that is valid.
        expires_at: Epoch seconds; from then on none is. Each rotation moves it.
        previous_hash: Of the token before; empty before the first rotation.
        salt: What the current token was derived with from the previous one; empty before the first rotation.
        rotated_at: Epoch seconds of the last rotation.
        revoked: Whether it has ended for good.
    """

    current_hash: str
    expires_at: float
    previous_hash: str = ""
    salt: str = ""
    rotated_at: float = 0.0
    revoked: bool = False


def refresh_token(user: str, session: str, secret: str) -> str:
    """A refresh token as clients keep it: it names its session, so that one look finds it."""
    return f"{user}.{session}.{secret}"


def parts_of_refresh_token(token: str) -> tuple[str, str, str] | None:
    """User, session and secret of a refresh token; None for text that is none."""
    parts = token.split(".")
    if len(parts) != 3 or not all(part.isascii() and 0 < len(part) <= 64 for part in parts):
        return None
    return parts[0], parts[1], parts[2]


def hash_of(token: str) -> str:
    """SHA-256 hex: a token has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def successor_of(token: str, salt: str) -> str:
    """The token that replaces one, 64 hex digits; a stored hash and salt do not suffice to make it."""
    return hmac.new(salt.encode(), token.encode(), hashlib.sha256).hexdigest()


def present(family: Family, token: str, fresh_salt: str, now: float) -> tuple[Presented, Family]:
    """Decide about a token that is presented.

    Args:
        family: As it is stored.
        token: What the client sent.
        fresh_salt: At least 128 random bits, used where the token is replaced.
        now: Epoch seconds.

    Returns:
        What the token is, and the family as it is from now on. For ``CURRENT`` and ``PREVIOUS`` the client gets
        ``successor_of(token, salt)`` with the salt of that family.
    """
    if family.revoked or now >= family.expires_at:
        return Presented.ENDED, family
    presented = hash_of(token)
    if hmac.compare_digest(presented, family.current_hash):
        successor = hash_of(successor_of(token, fresh_salt))
        rotated = Family(successor, now + LIFETIME_SECONDS, presented, fresh_salt, now)
        return Presented.CURRENT, rotated
    if hmac.compare_digest(presented, family.previous_hash) and now < family.rotated_at + GRACE_SECONDS:
        return Presented.PREVIOUS, family
    return Presented.REUSED, replace(family, revoked=True)
