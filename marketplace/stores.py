"""A store's settings for the click path."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from marketplace.enrichments.store_rules import SourceRule, rules_text
from marketplace.goals import FIRST_GOALS, Goal, InvalidGoal, checked_goals
from marketplace.hosts import canonical_host
from marketplace.identity.emails import InvalidEmail, checked_email
from marketplace.store_links import InvalidLinkRule, PageCase, TrailingSlash, check_link_rules, page_by_rules

_IMPORT_PREFIX: Final = "import"
_STOREFRONT_PREFIX: Final = "storefront"
_NO_ZONES: Final = re.compile(r"(?:posix|right)/.*|localtime|posixrules|Factory")
"""What many systems have beside the zones of IANA's database: each machine's own, and clocks with leap seconds."""

MAX_DOMAINS: Final = 50
MAX_NETWORKS: Final = 100

SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class InvalidStore(ValueError):
    """A store's definition is not valid; the message names the field and the rule. Nothing was saved."""


@dataclass(frozen=True)
class Store:
    """A store.

    Attributes:
        slug: Its identifier in every key, row and URL.
        title: Its display name.
        timezone: An IANA zone; days and months of its reports are counted in it.
        domains: Its own hosts; a referrer from one of them (or a subdomain) is internal.
        write_key_hash: SHA-256 hex of the public write key.
        visitor_secret: 64 hex digits; keys the hash of first-party ids, so that stores cannot join visitors.
        blocked_networks: CIDR ranges whose events are blocked (the seller's own office, abusers).
        honour_opt_out: Block events whose client sent DNT or Sec-GPC.
        import_key_hash: SHA-256 hex of the secret key for importing history; None if there is no such key.
        contact: The mail address that buyers write to; empty for none.
        payment_hosts: Where its buyers pay, beside the hosts that all stores know: a return from there is no arrival.
        ignored_referrers: Referrers that count as none; with their subdomains.
        source_rules: Its own names for where visits come from; the first that matches counts.
        trailing_slash: Whether ``/shoes/`` and ``/shoes`` are two pages (``keep``) or one (``strip``).
        page_case: Whether ``/Shoes`` and ``/shoes`` are two pages (``keep``) or one (``lower``).
        goals: What it wants its visitors to do, each by a name of its own.
        deleted: It was deleted: its numbers and its slug are kept, and nothing is taken for it any more.
    """

    slug: str
    title: str
    timezone: str
    domains: tuple[str, ...]
    write_key_hash: str
    visitor_secret: str
    blocked_networks: tuple[str, ...] = ()
    honour_opt_out: bool = True
    import_key_hash: str | None = None
    contact: str = ""
    payment_hosts: tuple[str, ...] = ()
    ignored_referrers: tuple[str, ...] = ()
    source_rules: tuple[SourceRule, ...] = ()
    trailing_slash: TrailingSlash = "keep"
    page_case: PageCase = "keep"
    goals: tuple[Goal, ...] = FIRST_GOALS
    deleted: bool = False

    def __post_init__(self) -> None:
        if not SLUG.fullmatch(self.slug):
            raise InvalidStore(f"slug {self.slug!r}: 1 to 63 of a-z, 0-9 and inner hyphens")
        _check_zone_is_there(self.timezone)
        for network in self.blocked_networks:
            checked_network(network)
        try:
            check_link_rules(self.domains, self.payment_hosts, self.ignored_referrers, self.source_rules)
        except InvalidLinkRule as error:
            raise InvalidStore(str(error)) from error
        try:
            checked_goals(self.goals)
        except InvalidGoal as error:
            raise InvalidStore(str(error)) from error

    @property
    def rules_text(self) -> str:
        """What the store says of where visits come from, as the enrichment of referrals reads it."""
        return rules_text(self.domains, self.payment_hosts, self.ignored_referrers, self.source_rules)

    @property
    def has_page_rules(self) -> bool:
        """Whether pages count under another path than their own."""
        return self.trailing_slash != "keep" or self.page_case != "keep"

    def page(self, path: str) -> str:
        """The path under which a page of the store counts."""
        return page_by_rules(path, self.trailing_slash, self.page_case)

    @property
    def storefront_key(self) -> str:
        """The public key with which this platform's own pages of the store send events.

        Of a write key only the hash is kept, so pages cannot show it. This one is made of what is kept, and so it ends
        with the write key: whoever replaces that replaces both, and a deleted store has none that is worth anything.
        """
        proof = hmac.digest(self.visitor_secret.encode(), f"storefront\0{self.write_key_hash}".encode(), "sha256")
        return f"{_STOREFRONT_PREFIX}.{self.slug}.{proof[:16].hex()}"


def checked_zone(name: str) -> str:
    """Check a zone that is given to a store: every part and every machine has to know it, and mean the same by it.

    Raises:
        InvalidStore: It is none of IANA's.
    """
    if _NO_ZONES.fullmatch(name):
        raise InvalidStore(f"timezone {name!r}: not an IANA zone")
    _check_zone_is_there(name)
    return name


def _check_zone_is_there(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        # The file system raises OSError for a folder of zones (America) and for a name that is too long for a file.
        raise InvalidStore(f"timezone {name!r}: not an IANA zone") from error


def checked_domain(domain: str) -> str:
    """A host of a store in its one form: lower case, and ``xn--`` for letters beyond ASCII.

    Raises:
        InvalidStore: It is a URL, has a port, or is not a host.
    """
    host = "" if ":" in domain else canonical_host(domain)
    if not host:
        raise InvalidStore(f"domain {domain!r}: give a host alone, such as shop.example")
    return host


def checked_domains(domains: Iterable[str]) -> tuple[str, ...]:
    """The own hosts of a store, each once and in its one form.

    Raises:
        InvalidStore: One of them is no host alone, or there are too many.
    """
    hosts = tuple(dict.fromkeys(map(checked_domain, domains)))
    if len(hosts) > MAX_DOMAINS:
        raise InvalidStore(f"domains: {MAX_DOMAINS} at most, not {len(hosts)}")
    return hosts


def checked_network(network: str) -> str:
    """A network in its one form.

    Raises:
        InvalidStore: It is none.
    """
    try:
        return str(ipaddress.ip_network(network))
    except ValueError as error:
        raise InvalidStore(f"blocked network {network!r}: {error}") from error


def checked_networks(networks: Iterable[str]) -> tuple[str, ...]:
    """The networks that a store does not count, each once and in its one form.

    Raises:
        InvalidStore: One of them is none, or there are too many.
    """
    blocked = tuple(dict.fromkeys(map(checked_network, networks)))
    if len(blocked) > MAX_NETWORKS:
        raise InvalidStore(f"blocked networks: {MAX_NETWORKS} at most, not {len(blocked)}")
    return blocked


def checked_contact(address: str) -> str:
    """Check an address that buyers are to write to; an empty one means that there is none.

    Raises:
        InvalidStore: It is no mail address.
    """
    try:
        return checked_email(address) if address.strip() else ""
    except InvalidEmail as error:
        raise InvalidStore(f"contact: {error}") from error


def hash_write_key(write_key: str) -> str:
    """SHA-256 hex of a write key or an import key; each has 128 random bits, so a plain hash is enough."""
    return hashlib.sha256(write_key.encode()).hexdigest()


def write_key_matches(write_key: str, expected_hash: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(hash_write_key(write_key), expected_hash)


def import_key(slug: str, secret: str) -> str:
    """A store's import key; it names the store, so that finding it needs no index of secrets.

    Args:
        slug: The store's.
        secret: At least 128 random bits as text without dots.
    """
    return f"{_IMPORT_PREFIX}.{slug}.{secret}"


def store_of_import_key(key: str) -> str | None:
    """The slug in an import key; None for text that is not an import key. The caller must then compare the hash."""
    return _store_in(key, _IMPORT_PREFIX)


def store_of_storefront_key(key: str) -> str | None:
    """The slug in a storefront's key; None for other text. The caller must then compare it with the store's."""
    return _store_in(key, _STOREFRONT_PREFIX)


def _store_in(key: str, kind: str) -> str | None:
    prefix, _, rest = key.partition(".")
    slug, dot, secret = rest.partition(".")
    return slug if prefix == kind and dot and secret and SLUG.fullmatch(slug) else None
