"""Which sites send visitors, and what kind each is: search, social, video, shopping, AI assistant, email, payment.

The hosts are facts from public lists (``data/*_sites.json``, each naming its origin, licence and date); how a host is
looked up in them is this module's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

import msgspec

# First wins where two lists disagree: the more specific and more recently kept before the older and wider.
SITE_FILES: Final = ("own_sites.json", "posthog_sites.json", "ga4_sites.json", "matomo_sites.json")
CLICK_ID_FILE: Final = "click_ids.json"


class SiteList(msgspec.Struct, frozen=True):
    """One list of sites: where it is from, and ``sites[category][name]`` its hosts.

    A host's ``{}`` stands for a country: ``google.{}`` is ``google.co.uk``, ``{}.bing.com`` is ``de.bing.com``. A name
    without hosts is only a value of ``utm_source``.
    """

    list: str
    origin: str
    revision: str
    date: str
    licence: str
    note: str
    sites: dict[str, dict[str, tuple[str, ...]]]


class ClickIdList(msgspec.Struct, frozen=True):
    """URL parameters that platforms add to links: ``[source, medium, meaning]`` by parameter."""

    list: str
    origin: str
    revision: str
    date: str
    licence: str
    note: str
    paid: dict[str, tuple[str, str, str]]
    affiliate: dict[str, tuple[str, str, str]]
    email: dict[str, tuple[str, str, str]]
    hint: dict[str, tuple[str, str, str]]


class Site(NamedTuple):
    """A known site: its one name, lower-case, and its category."""

    name: str
    category: str


def _packaged(name: str) -> bytes:
    return files("marketplace.enrichments.data").joinpath(name).read_bytes()


_FILES: Final = {name: _packaged(name) for name in (*SITE_FILES, CLICK_ID_FILE)}

SITE_LISTS: Final = tuple(msgspec.json.decode(_FILES[name], type=SiteList) for name in SITE_FILES)
CLICK_IDS: Final = msgspec.json.decode(_FILES[CLICK_ID_FILE], type=ClickIdList)
LISTS_CHECKSUM: Final = hashlib.sha256(b"".join(_FILES[name] for name in sorted(_FILES))).hexdigest()[:8]
"""Changes with any byte of any list; part of the referral version."""


def _index() -> tuple[dict[str, Site], dict[str, str]]:
    hosts: dict[str, Site] = {}
    names: dict[str, str] = {}
    for listed in SITE_LISTS:
        for category, sites in listed.sites.items():
            for name, its_hosts in sites.items():
                names.setdefault(name, category)
                for host in its_hosts:
                    hosts.setdefault(host, Site(name, category))
    return hosts, names


_HOSTS, _NAMES = _index()

# A search engine's other subdomains are other services (docs., accounts.): only the listed ones are search.
_WITH_SUBDOMAINS: Final = frozenset({"social", "video", "shopping", "ai", "email", "payment"})
_COUNTRY_ENDING: Final = re.compile(r"\.(?:(?:com?|net|org|ne|gob)\.)?[a-z]{2}$")
_COUNTRY_START: Final = re.compile(r"^[a-z]{2}(?:-[a-z]{2})?\.")
_WEBMAIL: Final = re.compile(r"^(?:web)?e?-?mail\d?\.|^outlook\.|^roundcube\.|^zimbra\.|^owa\.")
# What a value of utm_source means where the lists have no such name.
_NAME_ENDING: Final = re.compile(r"\.(?:com|org|net)$")


@lru_cache(maxsize=16_384)
def find_site(host: str) -> Site | None:
    """The known site of a referrer's host (lower-case) or app id; None for an ordinary site.

    An exact host first, then a mail server by its first label (``webmail.``, ``mail.``, ``outlook.``), then the host
    under which it is a subdomain.
    """
    host = host.removeprefix("www.")
    exact = _listed(host)
    if exact:
        return exact
    if _WEBMAIL.match(host):
        return Site(host, "email")
    for parent in _parents(host):
        site = _listed(parent)
        if site:
            return site if site.category in _WITH_SUBDOMAINS else None
    return None


def category_of(source: str) -> str:
    """The category of a source by its name (``facebook``, ``fb``) or host (``facebook.com``); empty when unknown."""
    category = _NAMES.get(source) or _NAMES.get(_NAME_ENDING.sub("", source))
    if category:
        return category
    site = find_site(source) if "." in source else None
    return site.category if site else ""


def _listed(host: str) -> Site | None:
    return (
        _HOSTS.get(host) or _HOSTS.get(_COUNTRY_ENDING.sub(".{}", host)) or _HOSTS.get(_COUNTRY_START.sub("{}.", host))
    )


def _parents(host: str) -> Iterator[str]:
    # No listed host that stands for its subdomains has more than four labels; this bounds a host of a hundred dots.
    parts = host.split(".")
    for start in range(max(1, len(parts) - 4), len(parts) - 1):
        yield ".".join(parts[start:])
