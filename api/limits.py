"""How much everybody may ask: buckets that all processes share, and what holds while Redis does not answer.

A request takes as many tokens as its route costs from the bucket of its caller: of the account, or of the address where
nobody is signed in. Attempts to sign in, and whatever sends a mail, take one more token from a bucket of the account
that is meant and one of the address, both small. Who does sign in gets these two back, so that they count what failed:
who signs in often is kept from nothing, and an attacker with an account of his own gains nothing.

A mail takes one more from a bucket of its kind and of where it goes, because anybody can have mails sent to strangers;
of its kind, so that nobody is kept from getting another one.

Who asks often is granted some tokens at once: see :mod:`marketplace.token_leases`. Attempts never are.

Without Redis each process grants by itself, a half of the limit: nothing is refused for ever, and nothing is
unlimited. After the first question that was not answered in time no request waits for Redis until one probe has.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final, Protocol

from api.web.problems import TOO_MANY_REQUESTS, Problem
from connectors.errors import Unavailable
from connectors.redis.token_buckets import Taken
from marketplace.entitlements import ENTITLEMENTS, Tier
from marketplace.identity.accounts import LinkKind
from marketplace.token_bucket import BucketPolicy, TokenBuckets
from marketplace.token_leases import TokenLeases
from runtime.breaker import CircuitBreaker

ADDRESS: Final = BucketPolicy(rate_per_second=2, burst=60)
"""Of an address from which nobody is signed in."""

ATTEMPTS_OF_ACCOUNT: Final = BucketPolicy(rate_per_second=1 / 60, burst=10)
"""Of all who try to sign in to one account: ten at once, then one a minute."""

ATTEMPTS_OF_ADDRESS: Final = BucketPolicy(rate_per_second=1 / 6, burst=30)
"""Of all attempts from one address, whatever accounts they are for."""

MAILS_TO_ADDRESS: Final = BucketPolicy(rate_per_second=1 / 1_800, burst=10)
"""Of all mails of one kind that anybody asks for to one address: ten at once, then two an hour."""

_REDIS_SECONDS: Final = 0.15
_LOCAL_SHARE: Final = 0.5
_KEPT: Final = 20_000


class Buckets(Protocol):
    """Buckets that all processes share."""

    async def take(
        self, name: str, policy: BucketPolicy, cost: float = 1.0, ahead: float = 0.0, back: float = 0.0
    ) -> Taken:
        """Take tokens, all or none, and some more for later; give back those that were not needed.

        Raises:
            Unavailable: Nobody answers.
        """

    async def give_back(self, name: str, policy: BucketPolicy, tokens: float) -> None:
        """Put tokens back that were taken for nothing.

        Raises:
            Unavailable: Nobody answers.
        """


@dataclass(frozen=True)
class Limited:
    """What a request was granted, for its answer's headers.

    Attributes:
        policy: Of its bucket.
        taken: What the bucket answered.
    """

    policy: BucketPolicy
    taken: Taken

    def headers(self) -> dict[str, str]:
        """``RateLimit`` and ``RateLimit-Policy`` (draft-ietf-httpapi-ratelimit-headers-10)."""
        window = math.ceil(self.policy.burst / self.policy.rate_per_second)
        return {
            "ratelimit-policy": f'"default";q={self.policy.burst:.0f};w={window}',
            "ratelimit": f'"default";r={max(0, math.floor(self.taken.left))};t={self.taken.full_seconds}',
        }


class Limiter:
    """Takes tokens for requests.

    Args:
        shared: The buckets of all processes.
        monotonic: Seconds of a monotonic clock.
    """

    def __init__(self, shared: Buckets, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._shared, self._monotonic = shared, monotonic
        self._breaker = CircuitBreaker()
        self._local: dict[BucketPolicy, TokenBuckets] = {}
        self._leases = TokenLeases(max_leases=_KEPT)
        self._asking: dict[str, asyncio.Event] = {}

    async def request(self, account: str, tier: Tier, address: str, cost: float) -> Limited:
        """Take what a request costs.

        Args:
            account: Of the caller; empty for nobody.
            tier: Of the account.
            address: Of the client, or of its IPv6 network.
            cost: Of the route.

        Raises:
            Problem: There are not enough tokens.
        """
        policy = ENTITLEMENTS[tier].requests if account else ADDRESS
        name, cost = f"account:{account}" if account else f"address:{address}", min(cost, policy.burst)
        left = self._leases.spend(name, policy, cost, self._monotonic())
        asking = self._asking.get(name)
        if left is None and asking is not None:
            # Tokens for those who come next are under way: each asking by itself would cost as much as no lease.
            await asking.wait()
            left = self._leases.spend(name, policy, cost, self._monotonic())
        if left is None:
            taken = await self._take(name, policy, cost, leases=self._leases)
        else:
            taken = Taken(True, left, 0, math.ceil((policy.burst - left) / policy.rate_per_second))
        limited = Limited(policy, taken)
        if not taken.granted:
            raise _refusal(taken, limited.headers())
        return limited

    async def attempt(self, account: str, address: str, mail: LinkKind | None = None) -> None:
        """Take one token for an attempt to be somebody, or for a mail.

        Args:
            account: Which is meant: the address of its mails, whether there is such an account or not.
            address: Of the client, or of its IPv6 network.
            mail: Of which kind is sent to the account's address; None where none is.

        Raises:
            Problem: There were too many, for this account or from this address.
        """
        mails = () if mail is None else ((f"mail:{mail.value}:{_hidden(account)}", MAILS_TO_ADDRESS),)
        for key, policy in (*_buckets_of_attempt(account, address), *mails):
            taken = await self._take(key, policy, 1.0)
            if not taken.granted:
                raise _refusal(taken, {})

    async def succeeded(self, account: str, address: str) -> None:
        """Give the tokens of an attempt back: whoever made it is who they said they are.

        Without an answer of Redis they are not given back there: the limit is no wider for it.

        Args:
            account: As for :meth:`attempt`.
            address: As for :meth:`attempt`.
        """
        for key, policy in _buckets_of_attempt(account, address):
            await self._give_back(key, policy, 1.0)

    @property
    def degraded(self) -> bool:
        """Whether this process grants by itself, because Redis did not answer."""
        return self._breaker.open

    async def _take(self, name: str, policy: BucketPolicy, cost: float, leases: TokenLeases | None = None) -> Taken:
        now = self._monotonic()
        ticket = self._breaker.admit(now)
        if ticket:
            ahead, back = leases.question(name, policy) if leases is not None else (0.0, 0.0)
            answered = asyncio.Event()
            if ahead:
                self._asking[name] = answered
            try:
                async with asyncio.timeout(_REDIS_SECONDS):
                    taken = await self._shared.take(name, policy, cost, ahead, back)
            except (Unavailable, TimeoutError):
                self._breaker.failed(self._monotonic(), ticket)
            else:
                self._breaker.succeeded()
                if leases is not None and taken.granted:
                    leases.answered(name, policy, cost, taken.ahead, taken.left, now)
                # What this process holds is the caller's as well.
                return replace(taken, left=taken.left + taken.ahead)
            finally:
                answered.set()
                if self._asking.get(name) is answered:
                    del self._asking[name]
        return self._take_here(name, policy, cost)

    async def _give_back(self, name: str, policy: BucketPolicy, tokens: float) -> None:
        if not self._breaker.open:
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(_REDIS_SECONDS):
                    await self._shared.give_back(name, policy, tokens)
        own, buckets = self._here(policy)
        buckets.give_back(name, min(tokens, own.burst), self._monotonic())

    def _here(self, policy: BucketPolicy) -> tuple[BucketPolicy, TokenBuckets]:
        own = BucketPolicy(policy.rate_per_second * _LOCAL_SHARE, max(policy.burst * _LOCAL_SHARE, 1.0))
        return own, self._local.setdefault(own, TokenBuckets(own, max_buckets=_KEPT))

    def _take_here(self, name: str, policy: BucketPolicy, cost: float) -> Taken:
        own, buckets = self._here(policy)
        now = self._monotonic()
        wait = buckets.take(name, min(cost, own.burst), now)
        left = own.burst - buckets.wait(name, own.burst, now) * own.rate_per_second
        full = math.ceil((own.burst - left) / own.rate_per_second)
        return Taken(wait == 0.0, left, math.ceil(wait), full)


def _buckets_of_attempt(account: str, address: str) -> tuple[tuple[str, BucketPolicy], ...]:
    return (
        (f"attempt:address:{address}", ATTEMPTS_OF_ADDRESS),
        (f"attempt:{_hidden(account)}", ATTEMPTS_OF_ACCOUNT),
    )


def _hidden(account: str) -> str:
    """Names of accounts are kept by nobody who reads Redis."""
    return blake2b(account.encode(), digest_size=16).hexdigest()


def _refusal(taken: Taken, headers: dict[str, str]) -> Problem:
    return Problem(TOO_MANY_REQUESTS, retry_after_seconds=max(1, taken.retry_seconds), headers=headers)
