"""The demo's shops, in time zones that break naive code."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from marketplace.goals import FIRST_GOALS, Goal
from marketplace.stores import Store, hash_write_key
from ops.demo.catalogs import catalog_of

OFFICE_NETWORK: Final = "203.0.113.0/24"
"""The network that one seller blocks: a range reserved for documentation, without real visitors."""

LOCAL_HOSTS: Final = ("127.0.0.1", "localhost")
"""This machine, where the storefront is."""

LETTER: Final = Goal("Wants the newsletter", "event", "newsletter")
"""A goal of the shops' own, beside those that every store begins with."""


@dataclass(frozen=True)
class Shop:
    """A shop and what it sells.

    Attributes:
        name: The slug of its store, unless an earlier run has taken that.
        share: Its traffic relative to the other shops.
        home: The country of most visitors; see ``places.NETWORKS``.
        hue: The hue of its pictures, in degrees.
        motif: What its pictures show.
        blocks_office: The seller blocks ``OFFICE_NETWORK``.
        honours_opt_out: Events of clients that opted out are blocked.
    """

    name: str
    title: str
    timezone: str
    share: float
    home: str
    hue: int
    motif: str
    blocks_office: bool = False
    honours_opt_out: bool = True

    @property
    def domain(self) -> str:
        """Its host name."""
        return f"www.{self.name}.example"

    def products(self) -> list[tuple[str, str]]:
        """Ids and slugs, the most popular first."""
        return [(product.id, product.slug) for product in catalog_of(self.name).products]


@dataclass(frozen=True)
class DemoStore:
    """A shop with its store and keys."""

    shop: Shop
    store: Store
    write_key: str
    import_key: str


SHOPS: Final[tuple[Shop, ...]] = (
    Shop(
        "brooklyn-coffee",
        "Brooklyn Coffee Roasters",
        "America/New_York",
        1.0,
        "US",
        24,
        "bag",
    ),
    Shop(
        "berlin-bikes",
        "Berliner Fahrradladen",
        "Europe/Berlin",
        0.55,
        "DE",
        212,
        "wheel",
    ),
    Shop(
        "mumbai-spices",
        "Mumbai Spice Bazaar",
        "Asia/Kolkata",
        0.4,
        "IN",
        38,
        "bowl",
        blocks_office=True,
    ),
    Shop(
        "kathmandu-wool",
        "Kathmandu Wool House",
        "Asia/Kathmandu",
        0.28,
        "NP",
        344,
        "yarn",
    ),
    Shop(
        "lord-howe-surf",
        "Lord Howe Island Surf",
        "Australia/Lord_Howe",
        0.2,
        "AU",
        178,
        "board",
        honours_opt_out=False,
    ),
)


def write_key(slug: str, seed: int) -> str:
    """The public write key of a demo store; only the demo uses it, so it may be predictable."""
    return f"demo-{_digest('write', seed, slug, 16)}"


def store_of(shop: Shop, slug: str, seed: int) -> Store:
    """The store of a shop, under a slug that may differ from the shop's own."""
    return Store(
        slug=slug,
        title=shop.title,
        timezone=shop.timezone,
        # The sample pages are on this machine: a click from one to the next is internal, not a referral.
        domains=(f"{shop.name}.example", *LOCAL_HOSTS),
        write_key_hash=hash_write_key(write_key(slug, seed)),
        visitor_secret=_digest("visitors", seed, slug, 32),
        blocked_networks=(OFFICE_NETWORK,) if shop.blocks_office else (),
        honour_opt_out=shop.honours_opt_out,
        contact=f"hello@{shop.name}.example",
        goals=(*FIRST_GOALS, LETTER),
    )


def _digest(purpose: str, seed: int, slug: str, size_bytes: int) -> str:
    return blake2b(f"{purpose} {seed} {slug}".encode(), digest_size=size_bytes).hexdigest()
