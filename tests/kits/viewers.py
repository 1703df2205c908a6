"""Who looks at the dashboard, without databases."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

from connectors.errors import Unavailable
from dashboards.data.access import SignedOut, Viewer, everybody, member
from marketplace.entitlements import Tier
from marketplace.identity.accounts import User
from marketplace.identity.roles import StoreRole
from marketplace.identity.tenancy import LinkGone, Membership, Standing
from tests.kits.clicks import make_store

ANN = User("u1", "ann@shop.example", "Ann", "hash", 1)
STORES = {slug: make_store(slug, "UTC") for slug in ("tea", "pots", "wide")}


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Known:
    """What is known, without databases."""

    viewers: dict[str, Viewer] = field(default_factory=dict)
    accounts: bool = True
    unavailable: bool = False
    asked: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    acceptances: dict[tuple[str, str], Membership | Exception] = field(default_factory=dict)

    def _answer(self) -> None:
        if self.unavailable:
            raise Unavailable("Redis does not answer")

    def member(self, token: str) -> Viewer | None:
        self._answer()
        with self.lock:
            self.asked.append(token)
        return self.viewers.get(token)

    def has_accounts(self) -> bool:
        self._answer()
        return self.accounts

    def everybody(self) -> Viewer:
        self._answer()
        return everybody(list(STORES.values()))

    def end(self, token: str) -> None:
        self._answer()
        self.viewers.pop(token, None)

    def accept(self, token: str, secret: str) -> Membership:
        self._answer()
        viewer = self.viewers.get(token)
        if viewer is None:
            raise SignedOut
        found = self.acceptances.pop((token, secret), LinkGone())
        if isinstance(found, Exception):
            raise found
        self.viewers[token] = viewer_of(*viewer.stores, found.store, email=viewer.email)
        return found


def viewer_of(
    *slugs: str,
    email: str = "ann@shop.example",
    tier: Tier = Tier.PREMIUM,
    frozen: bool = False,
    role: StoreRole = StoreRole.ANALYST,
) -> Viewer:
    """Somebody who works in these stores."""
    roles = dict.fromkeys(slugs, role)
    return member(replace(ANN, email=email), roles, STORES, dict.fromkeys(slugs, Standing(tier, frozen)))
