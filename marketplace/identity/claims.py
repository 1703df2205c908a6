"""The claims of access tokens (RFC 9068) and of the links in mails, and when they hold.

A signature says who made a token; this says whether the token means what a route takes it for. A claim that is
missing, of another type or nearly right is as bad as a wrong one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

ACCESS_SECONDS: Final = 15 * 60
LEEWAY_SECONDS: Final = 5
"""Clocks of our own processes differ by so much at most."""

ACCESS_TYPE: Final = "at+jwt"
ALGORITHM: Final = "EdDSA"

_MAX_ID_CHARS: Final = 64


class InvalidClaims(ValueError):
    """A token does not hold; the message names the claim and not its value."""


@dataclass(frozen=True)
class AccessClaims:
    """What an access token says.

    Attributes:
        user: Whose it is (``sub``).
        session: Of which sign-in (``sid``).
        token_id: Its own id (``jti``).
        issued_at: Epoch seconds.
        expires_at: Epoch seconds.
    """

    user: str
    session: str
    token_id: str
    issued_at: int
    expires_at: int

    def payload(self, issuer: str, audience: str) -> dict[str, object]:
        """The claims as they are signed."""
        return {
            "iss": issuer,
            "aud": audience,
            "sub": self.user,
            "sid": self.session,
            "jti": self.token_id,
            "iat": self.issued_at,
            "nbf": self.issued_at,
            "exp": self.expires_at,
        }


def access_claims(
    header: Mapping[str, object], payload: Mapping[str, object], issuer: str, audience: str, now: float
) -> AccessClaims:
    """What a token with a good signature says.

    Args:
        header: Its header.
        payload: Its claims.
        issuer: Whose tokens are taken.
        audience: For whom they have to be.
        now: Epoch seconds.

    Raises:
        InvalidClaims: It is no access token of ours that is valid now.
    """
    if header.get("alg") != ALGORITHM or header.get("typ") != ACCESS_TYPE:
        raise InvalidClaims("typ: this is no access token")
    for name, expected in (("iss", issuer), ("aud", audience)):
        # A list that has the right value in it is refused too: ours never have one.
        if payload.get(name) != expected:
            raise InvalidClaims(f"{name}: not ours")
    issued_at, not_before, expires_at = (_seconds(payload, name) for name in ("iat", "nbf", "exp"))
    if now >= expires_at + LEEWAY_SECONDS:
        raise InvalidClaims("exp: expired")
    if now < max(issued_at, not_before) - LEEWAY_SECONDS:
        raise InvalidClaims("nbf: not valid yet")
    if expires_at - issued_at > ACCESS_SECONDS:
        raise InvalidClaims("exp: longer than any of ours")
    user, session, token_id = (_id(payload, name) for name in ("sub", "sid", "jti"))
    return AccessClaims(user, session, token_id, issued_at, expires_at)


def _seconds(payload: Mapping[str, object], name: str) -> int:
    value = payload.get(name)
    # A switch is a whole number for Python.
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidClaims(f"{name}: missing or no number of seconds")
    return value


def _id(payload: Mapping[str, object], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_ID_CHARS:
        raise InvalidClaims(f"{name}: missing or no id")
    return value
