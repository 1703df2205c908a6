"""Accounts and sign-ins: what the routes do, without HTTP.

No answer and no time tells whether an address has an account: the work is the same for both, and only a mail differs.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from urllib.parse import quote

from api.access import Caller
from api.identity.key_ring import KeyRing
from api.identity.password_hashes import PasswordHashes
from api.web.problems import GONE, UNAUTHENTICATED, Problem
from connectors.mongo.accounts import Accounts
from connectors.redis.sessions import Sessions
from marketplace.identity.accounts import LinkKind, Mail, Registration, User
from marketplace.identity.claims import ACCESS_SECONDS
from marketplace.identity.refresh import Presented

_WRONG: Final = "the address and the password do not go together, or there is no such account"


@dataclass(frozen=True)
class SignedIn:
    """What a client gets that has signed in.

    Attributes:
        access_token: For every request.
        expires_in: Seconds for which it is valid.
        refresh_token: For the next access token; each can be used once.
    """

    access_token: str
    expires_in: int
    refresh_token: str


class IdentityService:
    """Registers, signs in, refreshes, signs out.

    Args:
        accounts: Where accounts are.
        sessions: Where sign-ins are.
        hashes: Of passwords.
        tokens: Signs access tokens.
        public_url: Of the pages that links in mails lead to; never what a request says of its host.
        clock: The time.
    """

    def __init__(
        self,
        accounts: Accounts,
        sessions: Sessions,
        hashes: PasswordHashes,
        tokens: KeyRing,
        public_url: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._accounts, self._sessions, self._hashes, self._tokens = accounts, sessions, hashes, tokens
        self._public_url, self._clock = public_url.rstrip("/"), clock

    def key_set(self) -> str:
        """The public keys of access tokens, as a JSON Web Key Set."""
        return self._tokens.key_set(self._clock().timestamp())

    async def register(self, email: str, name: str, password: str) -> None:
        """Send a mail with a link that makes the account, or one that says that there is one already."""
        password_hash = await self._hashes.hash(password)
        secret, now = _secret(), self._clock()
        known = await self._accounts.by_email(email) is not None
        link = f"{self._public_url}/sign-in" if known else self._link("confirm", secret)
        mail = Mail(email, "already_registered" if known else "confirm_address", {"name": name, "link": link})
        # The link of a known address is kept too, and nobody gets its secret: the same work for both.
        await self._accounts.register(Registration(email, name, password_hash), _hash(secret), mail, now)

    async def confirm(self, secret: str) -> User:
        """Make the account that a link was sent for.

        Raises:
            Problem: The link is unknown, used or expired.
        """
        made = await self._accounts.confirm_registration(_hash(secret), secrets.token_hex(16), self._clock())
        if made is None:
            raise Problem(GONE)
        return made

    async def sign_in(self, email: str, password: str, client: str, network: str) -> SignedIn:
        """Begin a session.

        Raises:
            Problem: The password is not the account's, or there is none: one answer for both.
        """
        user = await self._accounts.by_email(email)
        verified = await self._hashes.verify(user.password_hash if user else None, password)
        if user is None or not verified.matches or user.banned:
            raise Problem(UNAUTHENTICATED, _WRONG)
        if verified.outdated:
            await self._accounts.raise_hash(user.id, user.password_hash, await self._hashes.hash(password))
        session, token = secrets.token_hex(16), _secret()
        await self._sessions.create(user.id, session, token, client, network)
        return self._signed_in(user.id, session, token)

    async def refresh(self, refresh_token: str) -> SignedIn:
        """Replace a refresh token.

        Raises:
            Problem: It is none, or its session has ended; if it had been replaced long ago, its session ends now.
        """
        user, session, token = _parts(refresh_token)
        found = await self._sessions.refresh(user, session, token, secrets.token_hex(16))
        if found.presented not in (Presented.CURRENT, Presented.PREVIOUS):
            raise Problem(UNAUTHENTICATED, "this sign-in has ended")
        account = await self._accounts.get(user)
        if account is None or account.banned:
            raise Problem(UNAUTHENTICATED, "this sign-in has ended")
        return self._signed_in(user, session, found.successor)

    async def sign_out(self, refresh_token: str) -> None:
        """End the session of a refresh token, whatever token of it that is; one that is unknown is no error."""
        user, session, _ = _parts(refresh_token)
        await self._sessions.end(user, session)

    async def caller_of(self, access_token: str) -> Caller | None:
        """See :class:`api.access.Identities`."""
        claims = self._tokens.read(access_token, self._clock().timestamp())
        if not await self._sessions.is_live(claims.user, claims.session):
            return None
        user = await self._accounts.get(claims.user)
        return None if user is None or user.banned else Caller(user, claims.session)

    async def forgot_password(self, email: str) -> None:
        """Send a link to choose a new password, or a mail that says that the address has no account."""
        secret, now = _secret(), self._clock()
        user = await self._accounts.by_email(email)
        if user is None:
            mail = Mail(email, "no_account", {"link": f"{self._public_url}/register"})
        else:
            mail = Mail(user.email, "reset_password", {"name": user.name, "link": self._link("reset", secret)})
        # The link of nobody is kept too, and nobody gets its secret: the same work for both.
        await self._accounts.send_link(LinkKind.RESET, _hash(secret), user.id if user else "", {}, mail, now)

    async def reset_password(self, secret: str, password: str) -> None:
        """Choose a new password by a link; every session of the account ends.

        Raises:
            Problem: The link is unknown, used or expired.
        """
        user = await self._accounts.reset_password(_hash(secret), await self._hashes.hash(password), self._clock())
        if user is None:
            raise Problem(GONE)
        await self._sessions.end_all(user.id)

    def _signed_in(self, user: str, session: str, token: str) -> SignedIn:
        access = self._tokens.sign(user, session, secrets.token_hex(8), self._clock().timestamp())
        return SignedIn(access, ACCESS_SECONDS, f"{user}.{session}.{token}")

    def _link(self, page: str, secret: str) -> str:
        # Behind the fragment it is sent to no server, and in no log and no referrer.
        return f"{self._public_url}/{page}#{quote(secret)}"


def _secret() -> str:
    return secrets.token_urlsafe(32)


def _hash(secret: str) -> str:
    """SHA-256 hex: a secret has 256 random bits, so a plain hash is enough."""
    return sha256(secret.encode()).hexdigest()


def _parts(refresh_token: str) -> tuple[str, str, str]:
    """User, session and secret of a refresh token.

    Raises:
        Problem: It is none.
    """
    parts = refresh_token.split(".")
    if len(parts) != 3 or not all(part.isascii() and 0 < len(part) <= 64 for part in parts):
        raise Problem(UNAUTHENTICATED, "this is no refresh token")
    return parts[0], parts[1], parts[2]
