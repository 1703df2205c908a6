"""Accounts and sign-ins: what the routes do, without HTTP.

Neither an answer nor its time shows whether an address has an account: the work is the same, and only a mail differs.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlencode

from api.callers import Caller
from api.identity.key_ring import KeyRing
from api.identity.password_hashes import PasswordHashes
from api.web.problems import CONFLICT, GONE, INVALID, NOT_FOUND, UNAUTHENTICATED, FieldError, Problem
from connectors.errors import Unavailable
from connectors.mongo.accounts import Accounts, SoleOwner
from connectors.redis.sessions import Session, Sessions
from marketplace.identity.accounts import LinkKind, Mail, Registration, User
from marketplace.identity.claims import ACCESS_SECONDS
from marketplace.identity.passwords import check_password
from marketplace.identity.refresh import Presented, parts_of_refresh_token, refresh_token
from marketplace.identity.tenancy import hash_of_secret
from runtime.shared_questions import SharedQuestions

_WRONG: Final = "the address and the password do not go together, or there is no such account"
_ENDED: Final = "this sign-in has ended"
_log = logging.getLogger(__name__)


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


@dataclass(frozen=True)
class AccessToken:
    """For every request.

    Attributes:
        text: The token.
        expires_in: Seconds for which it is valid.
    """

    text: str
    expires_in: int


class IdentityService:
    """Registers, signs in, refreshes, signs out, and changes accounts.

    A session is worth something while its number is its account's (``security_stamp``). What ends all sessions raises
    the number in Mongo, together with its cause: nothing that happens to Redis or to this process afterwards brings a
    session back, and a sign-in that was under way with the former password begins a session that is worth nothing.

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
        self._callers = SharedQuestions(self._ask_callers)

    def key_set(self) -> str:
        """The public keys of access tokens, as a JSON Web Key Set."""
        return self._tokens.key_set(self._clock().timestamp())

    async def register(self, email: str, name: str, password: str, pages_url: str = "", then: str = "") -> None:
        """Send a mail with a link that makes the account, or one that says that there is one already.

        Args:
            email: The address.
            name: For people.
            password: Checked.
            pages_url: Of the pages that the link leads to, where they are not those of all other mails.
            then: Where those pages lead on to; empty for where they always do.
        """
        pages = pages_url or self._public_url
        password_hash = await self._hashes.hash(password)
        secret, now = _secret(), self._clock()
        known = await self._accounts.by_email(email) is not None
        link = _page(pages, "sign-in", then) if known else _link(pages, "confirm", secret, then)
        mail = Mail(email, "already_registered" if known else "confirm_address", {"link": link})
        # The link of a known address is kept too, and nobody gets its secret: the same work for both.
        await self._accounts.register(Registration(email, name, password_hash), hash_of_secret(secret), mail, now)

    async def confirm(self, secret: str) -> User:
        """Make the account that a link was sent for.

        Raises:
            Problem: The link is unknown, used or expired.
        """
        made = await self._accounts.confirm_registration(hash_of_secret(secret), secrets.token_hex(16), self._clock())
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
        await self._sessions.create(user.id, session, token, client, network, user.security_stamp)
        return self._signed_in(user.id, session, token)

    async def refresh(self, refresh_token: str) -> SignedIn:
        """Replace a refresh token.

        Raises:
            Problem: It is none, or its session has ended; if it had been replaced long ago, its session ends now.
        """
        user, session, token = _parts(refresh_token)
        # Before the token is replaced: while Mongo does not answer nothing is, and whoever tries again and again for
        # longer than a token that was replaced is answered must not be taken for a thief.
        account = await self._accounts.get(user)
        found = await self._sessions.refresh(user, session, token, secrets.token_hex(16))
        if found.presented not in (Presented.CURRENT, Presented.PREVIOUS):
            raise Problem(UNAUTHENTICATED, _ENDED)
        if account is None or account.banned or account.security_stamp != found.security_stamp:
            raise Problem(UNAUTHENTICATED, _ENDED)
        return self._signed_in(user, session, found.successor)

    async def sign_out(self, refresh_token: str) -> None:
        """End the session of a refresh token, whatever token of it that is; one that is unknown is no error."""
        user, session, _ = _parts(refresh_token)
        await self._sessions.end(user, session)

    async def caller_of(self, access_token: str) -> Caller | None:
        """See :class:`api.callers.Identities`."""
        claims = self._tokens.read(access_token, self._clock().timestamp())
        return await self._callers.get((claims.user, claims.session))

    async def caller_of_cookie(self, token: str) -> Caller | None:
        """Who a refresh token stands for that a browser keeps in a cookie: it is compared, and not replaced.

        Args:
            token: The one that :meth:`sign_in` gave.

        Returns:
            The caller; None where the sign-in has ended, or the text is no token.

        Raises:
            Unavailable: Nobody can say now.
        """
        parts = parts_of_refresh_token(token)
        if parts is None:
            return None
        user_id, session, secret = parts
        stamp, user = await asyncio.gather(self._sessions.use(user_id, session, secret), self._accounts.get(user_id))
        ended = stamp is None or user is None or user.banned or user.security_stamp != stamp
        return None if ended or user is None else Caller(user, session)

    async def access_token(self, refresh_token: str) -> AccessToken:
        """An access token for a refresh token that is compared, and not replaced; see :meth:`caller_of_cookie`.

        It belongs to the same session, so that whatever ends that one ends it too.

        Raises:
            Problem: It is none, not the session's current one, or its session has ended.
        """
        _parts(refresh_token)
        caller = await self.caller_of_cookie(refresh_token)
        if caller is None:
            raise Problem(UNAUTHENTICATED, _ENDED)
        return AccessToken(self._access_token(caller.user.id, caller.session), ACCESS_SECONDS)

    async def forgot_password(self, email: str, pages_url: str = "", then: str = "") -> None:
        """Send a link to choose a new password, or a mail that says that the address has no account.

        Args:
            email: The address.
            pages_url: Of the pages that the link leads to, where they are not those of all other mails.
            then: Where those pages lead on to; empty for where they always do.
        """
        pages = pages_url or self._public_url
        secret, now = _secret(), self._clock()
        user = await self._accounts.by_email(email)
        if user is None:
            mail = Mail(email, "no_account", {"link": _page(pages, "register", then)})
        else:
            values = {"name": user.name, "link": _link(pages, "reset", secret, then)}
            mail = Mail(user.email, "reset_password", values)
        # The link of nobody is kept too, and nobody gets its secret: the same work for both.
        owner, data = (user.id, {"security_stamp": user.security_stamp}) if user else ("", {"security_stamp": 0})
        await self._accounts.send_link(LinkKind.RESET, hash_of_secret(secret), owner, data, mail, now)

    async def reset_password(self, secret: str, password: str) -> None:
        """Choose a new password by a link; every session and every other link of the account ends.

        Raises:
            WeakPassword: The account may not have it; the link can be used still.
            Problem: The link is unknown, used, void or expired.
        """
        # Before the hash is made, which takes time: whoever guesses links must not have it for nothing.
        owner = await self._accounts.by_link(LinkKind.RESET, hash_of_secret(secret), self._clock())
        if owner is None:
            raise Problem(GONE)
        check_password(password, personal=(owner.email, owner.name))
        password_hash = await self._hashes.hash(password)
        user = await self._accounts.reset_password(
            hash_of_secret(secret), password_hash, self._password_changed, self._clock()
        )
        if user is None:
            raise Problem(GONE)
        await self._forget_sessions(user.id, user.security_stamp)

    async def list_sessions(self, caller: Caller) -> list[Session]:
        """The sessions of an account that have not ended; the one that was used last comes first."""
        found = await self._sessions.list_sessions(caller.user.id)
        return [each for each in found if each.security_stamp == caller.user.security_stamp]

    async def end_session(self, caller: Caller, session: str) -> None:
        """End one session of the own account.

        Raises:
            Problem: There is none of that id.
        """
        if not await self._sessions.end(caller.user.id, session):
            raise Problem(NOT_FOUND)

    async def end_sessions(self, caller: Caller) -> None:
        """End all sessions of an account, the caller's too, and its links."""
        changed = await self._accounts.end_all(caller.user.id, caller.user.security_stamp)
        if changed is not None:
            await self._forget_sessions(changed.id, changed.security_stamp)

    async def change_password(self, caller: Caller, current: str, password: str) -> None:
        """Choose a new password; every other session and every link of the account ends.

        Raises:
            Problem: The present password is another one, or the session has ended meanwhile.
        """
        user = caller.user
        await self._prove(user, current, "/current_password")
        password_hash, notice = await self._hashes.hash(password), self._password_changed(user)
        changed = await self._accounts.change_password(
            user.id, user.security_stamp, password_hash, notice, self._clock()
        )
        if changed is None:
            raise Problem(UNAUTHENTICATED, _ENDED)
        await self._forget_sessions(changed.id, changed.security_stamp, but=caller.session)

    async def ask_email_change(self, caller: Caller, email: str, password: str) -> None:
        """Send a link to a new address, or a mail that says that it has an account; the present address gets a notice.

        Raises:
            Problem: The password is another one.
        """
        user = caller.user
        await self._prove(user, password, "/password")
        secret, now = _secret(), self._clock()
        other = await self._accounts.by_email(email)
        if other is None or other.id == user.id:
            mail = Mail(email, "confirm_new_address", {"link": self._link("email", secret)})
        else:
            mail = Mail(email, "address_taken", {"link": f"{self._public_url}/sign-in"})
        notice = Mail(user.email, "address_change_asked", {"name": user.name, "link": f"{self._public_url}/sign-in"})
        data = {"email": email, "security_stamp": user.security_stamp}
        # For an address that is taken too: the same work for both, and nobody gets the secret.
        await self._accounts.send_link(LinkKind.EMAIL_CHANGE, hash_of_secret(secret), user.id, data, mail, now, notice)

    async def change_email(self, secret: str) -> None:
        """Take the address that a link was sent to; every session and every other link of the account ends.

        Raises:
            Problem: The link is unknown, used, void or expired, or the address has another account by now.
        """
        notice = Mail("", "address_changed", {"link": self._public_url})
        user = await self._accounts.change_email(hash_of_secret(secret), notice, self._clock())
        if user is None:
            raise Problem(GONE)
        await self._forget_sessions(user.id, user.security_stamp)

    async def delete_account(self, caller: Caller, password: str) -> None:
        """Delete an account: its sessions and links end, and its address is free.

        Raises:
            Problem: The password is another one, a store would have no owner, or the session has ended meanwhile.
        """
        user = caller.user
        await self._prove(user, password, "/password")
        notice = Mail(user.email, "account_deleted", {"name": user.name, "link": f"{self._public_url}/register"})
        try:
            deleted = await self._accounts.delete(user.id, user.security_stamp, notice, self._clock())
        except SoleOwner as error:
            raise Problem(CONFLICT, str(error)) from error
        if not deleted:
            raise Problem(UNAUTHENTICATED, _ENDED)
        await self._forget_sessions(user.id)

    async def _ask_callers(self, sessions: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Caller | Exception]:
        stamps, users = await asyncio.gather(
            self._sessions.security_stamps_of(sessions), self._accounts.get_all({user for user, _ in sessions})
        )
        callers: dict[tuple[str, str], Caller | Exception] = {}
        for user_id, session in sessions:
            user = users.get(user_id)
            if isinstance(user, Exception):
                callers[user_id, session] = user
            elif user is not None and not user.banned and user.security_stamp == stamps[user_id, session]:
                callers[user_id, session] = Caller(user, session)
        return callers

    async def _prove(self, user: User, password: str, path: str) -> None:
        verified = await self._hashes.verify(user.password_hash, password)
        if not verified.matches:
            # No 401: the client is signed in, and must not take it for the end of the session.
            raise Problem(INVALID, errors=[FieldError(path, "wrong_password", "this is not the password")])

    async def _forget_sessions(self, user: str, security_stamp: int = 0, but: str = "") -> None:
        """Remove sessions that have ended with their number; one that is kept gets the new one.

        The change is done when this begins, so that an error here must not be the answer: without Redis the session
        that was to be kept ends as well, and the others are removed when they expire.

        Args:
            user: Whose.
            security_stamp: The new number; 0 where the account is gone.
            but: The session that is kept; empty for none.
        """
        try:
            await self._sessions.end_all(user, but, security_stamp)
        except Unavailable as error:
            _log.warning("sessions that have ended are removed when they expire: %s", error)

    def _password_changed(self, user: User) -> Mail:
        link = f"{self._public_url}/forgot"
        return Mail(user.email, "password_changed", {"name": user.name, "link": link})

    def _signed_in(self, user: str, session: str, token: str) -> SignedIn:
        return SignedIn(self._access_token(user, session), ACCESS_SECONDS, refresh_token(user, session, token))

    def _access_token(self, user: str, session: str) -> str:
        return self._tokens.sign(user, session, secrets.token_hex(8), self._clock().timestamp())

    def _link(self, page: str, secret: str) -> str:
        return _link(self._public_url, page, secret)


def _page(pages_url: str, page: str, then: str = "") -> str:
    return f"{pages_url}/{page}?{urlencode({'next': then})}" if then else f"{pages_url}/{page}"


def _link(pages_url: str, page: str, secret: str, then: str = "") -> str:
    # Behind the fragment it is sent to no server, and in no log and no referrer.
    return f"{_page(pages_url, page, then)}#{quote(secret)}"


def _secret() -> str:
    return secrets.token_urlsafe(32)


def _parts(token: str) -> tuple[str, str, str]:
    """User, session and secret of a refresh token.

    Raises:
        Problem: It is none.
    """
    parts = parts_of_refresh_token(token)
    if parts is None:
        raise Problem(UNAUTHENTICATED, "this is no refresh token")
    return parts
