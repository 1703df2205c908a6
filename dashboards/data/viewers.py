"""Reads who looks: the sign-in in Redis, the account and its memberships in Mongo; ends sign-ins, accepts invitations.

An answer is shared for less than half a second: what ends a sign-in or takes a store away holds within one. The clients
are asyncio's and run on a thread of their own; scripts wait for them, and pages of the event loop await them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeVar

from connectors.errors import Unavailable
from connectors.mongo.acceptances import Acceptances
from connectors.mongo.accounts import Accounts
from connectors.mongo.async_client import connect_async as connect_mongo
from connectors.mongo.invitations import Invitations
from connectors.mongo.memberships import Memberships
from connectors.mongo.tenant_stores import TenantStores
from connectors.redis.sessions import Sessions
from connectors.redis.sessions import connect_async as connect_redis
from dashboards.data.access import NoAccountYet, SignedOut, Viewer, everybody, member, visible
from dashboards.data.query_cache import QueryCache
from marketplace.identity.accounts import User
from marketplace.identity.refresh import parts_of_refresh_token
from marketplace.identity.tenancy import Membership

SHARED_SECONDS: Final = 0.3
"""How long an answer is shared; together with the time that it takes, and that a page takes to ask, below a second."""

SESSION_HEADER: Final = "x-dashboard-session"
LOCAL_HEADER: Final = "x-dashboard-local"
FORWARDED_HEADER: Final = "x-dashboard-forwarded"
"""How :mod:`dashboards.web.sign_in` says to a page's script who has opened it, and from where; what a browser sends as
them is dropped."""

_EVERYTHING_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 6.0
_MAX_TOKEN_CHARS: Final = 256
_CONNECTIONS: Final = 16

T = TypeVar("T")


class Reader(Protocol):
    """Reads what is known now. Each call raises ``Unavailable`` where a part does not answer."""

    def member(self, token: str) -> Viewer | None:
        """Who a sign-in stands for; None where it has ended or there is none."""

    def has_accounts(self) -> bool:
        """Whether there is any account."""

    def everybody(self) -> Viewer:
        """All stores."""

    def end(self, token: str) -> None:
        """End a sign-in for good; one that is unknown is no error."""

    def accept(self, token: str, secret: str) -> Membership:
        """Make a member of who is signed in, by an invitation.

        Raises:
            SignedOut: Nobody is.
            TenancyError: See :meth:`connectors.mongo.acceptances.Acceptances.accept`.
        """


class DatabaseReader:
    """Reads Mongo and Redis.

    Args:
        mongo_url: Mongo's.
        database: The database's name.
        redis_url: Redis'.
    """

    def __init__(self, mongo_url: str, database: str, redis_url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="access", daemon=True)
        self._thread.start()
        self._run(self._connect(mongo_url, database, redis_url))

    async def _connect(self, mongo_url: str, database: str, redis_url: str) -> None:
        self._mongo, self._redis = connect_mongo(mongo_url, _CONNECTIONS), connect_redis(redis_url)
        self._stores = TenantStores(self._mongo, database)
        self._memberships = Memberships(self._mongo, database, self._stores)
        self._accounts = Accounts(self._mongo, database)
        self._sessions = Sessions(self._redis)
        self._acceptances = Acceptances(Invitations(self._mongo, database), self._memberships)

    def close(self) -> None:
        """Close the connections and end the thread."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        await self._mongo.close()
        await self._redis.aclose()

    def member(self, token: str) -> Viewer | None:
        """See :class:`Reader`."""
        return self._run(self._member(token))

    async def _member(self, token: str) -> Viewer | None:
        found = await self._session(token)
        if found is None:
            return None
        user, memberships = await asyncio.gather(self._user(*found), self._memberships.of_user(found[0]))
        if user is None:
            return None
        roles = visible(memberships)
        records, standings = await asyncio.gather(
            self._stores.several(roles), self._memberships.standings_of(roles, datetime.now(UTC))
        )
        return member(user, roles, {slug: record.store for slug, record in records.items()}, standings)

    async def _session(self, token: str) -> tuple[str, int] | None:
        """The account of a sign-in that has not ended, and under which stamp it began."""
        parts = parts_of_refresh_token(token)
        if parts is None or len(token) > _MAX_TOKEN_CHARS:
            return None
        security_stamp = await self._sessions.use(*parts)
        return None if security_stamp is None else (parts[0], security_stamp)

    async def _user(self, user: str, security_stamp: int) -> User | None:
        found = await self._accounts.get(user)
        return None if found is None or found.banned or found.security_stamp != security_stamp else found

    def has_accounts(self) -> bool:
        """See :class:`Reader`."""
        return self._run(self._accounts.has_any())

    def everybody(self) -> Viewer:
        """See :class:`Reader`."""
        return everybody(self._run(self._stores.every()))

    def end(self, token: str) -> None:
        """See :class:`Reader`."""
        parts = parts_of_refresh_token(token)
        if parts is not None:
            self._run(self._sessions.end(parts[0], parts[1]))

    def accept(self, token: str, secret: str) -> Membership:
        """See :class:`Reader`."""
        return self._run(self._accept(token, secret))

    async def _accept(self, token: str, secret: str) -> Membership:
        found = await self._session(token)
        user = None if found is None else await self._user(*found)
        if user is None:
            raise SignedOut
        return await self._acceptances.accept(secret, user, datetime.now(UTC))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        asked = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return asked.result(_ANSWER_SECONDS)
        except FutureTimeout as error:
            asked.cancel()
            raise Unavailable(f"no answer within {_ANSWER_SECONDS:g} s") from error


class Viewers:
    """Who may see what, shared by all pages of this process.

    Args:
        reader: Reads it.
        cache: Shares what was read.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, reader: Reader, cache: QueryCache, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader, self._cache, self._clock = reader, cache, clock
        self._accounts_seen = False
        self._everything: tuple[float, Viewer | None] = 0.0, None

    def submit(self, token: str, local: bool) -> Future[Viewer]:
        """Start to find out who looks.

        Args:
            token: Of the sign-in, as the browser's cookie has it; empty for none.
            local: Whether the request comes from this machine.

        Returns:
            The viewer; it raises ``SignedOut`` where nobody is signed in, ``NoAccountYet`` where nobody can be and the
            request comes from elsewhere, and ``Unavailable`` where nobody can say now.
        """
        return self._cache.submit((token, local), SHARED_SECONDS, lambda: self._look(token, local))

    def now(self, token: str, local: bool) -> Viewer:
        """Find out who looks; see :meth:`submit`."""
        try:
            return self.submit(token, local).result(_ANSWER_SECONDS)
        except FutureTimeout as error:
            raise Unavailable(f"no answer within {_ANSWER_SECONDS:g} s") from error

    def end(self, token: str) -> Future[None]:
        """End a sign-in for good.

        Returns:
            It raises ``Unavailable`` where Redis does not answer: the sign-in may have ended.
        """
        return self._cache.submit(("end", token), 0.0, lambda: self._reader.end(token))

    def accept(self, token: str, secret: str) -> Future[Membership]:
        """Make a member of who is signed in; pages that ask afterwards see the store.

        Returns:
            It raises ``SignedOut``, ``TenancyError`` where the invitation cannot be accepted, and ``Unavailable``: it
            may have been.
        """

        def work() -> Membership:
            try:
                return self._reader.accept(token, secret)
            finally:
                for local in (True, False):
                    self._cache.forget((token, local))

        return self._cache.submit(("accept", token, secret), 0.0, work)

    def _look(self, token: str, local: bool) -> Viewer:
        found = self._reader.member(token) if token else None
        if found is not None:
            return found
        # One that there was is enough: an account that is deleted opens nothing.
        self._accounts_seen = self._accounts_seen or self._reader.has_accounts()
        if self._accounts_seen:
            raise SignedOut
        if not local:
            raise NoAccountYet
        at, everything = self._everything
        if everything is None or self._clock() - at > _EVERYTHING_SECONDS:
            self._everything = at, everything = self._clock(), self._reader.everybody()
        return everything
