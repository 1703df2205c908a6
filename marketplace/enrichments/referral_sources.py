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
SITE_FILES: Final = (
    "payment_sites.json",
    "own_sites.json",
    "posthog_sites.json",
    "ga4_sites.json",
    "matomo_sites.json",
)
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
# Servers of mail by their first label, with the names that balancers of load give them ("lightmailer-bs.", "mail2.").
_WEBMAIL: Final = re.compile(
    r"^(?:(?:web|light|my|w)?e?-?mail(?:er|box)?\d*(?:-[a-z0-9]{1,3})?|outlook|roundcube|rainloop|squirrelmail|horde|zimbra|"
    r"owa|sogo|poczta|correo|messagerie(?:pro)?\d*)\."
)
# The part of a search engine that somebody comes from: "html.duckduckgo.com", "it.images.search.yahoo.com".
_SEARCH_LABEL: Final = re.compile(
    r"(?:ww+|m|mobile|wap|touch|html|lite|noai|safe|start|r|rd?s|links?|search|images?|img|videos?|web)\d*(?:-[a-z0-9]+)?|"
    r"[a-z]{1,3}\d{1,2}(?:-[a-z]{2}\d?)?"
)
_COUNTRY_LABEL: Final = re.compile(r"[a-z]{2}(?:-[a-z]{2})?")
_SEARCH_HOST: Final = re.compile(r"^(?:search|suche|recherche|buscar?|ricerca|images?)\.")
# What banks call the server on which their customers confirm a payment.
_SECURE: Final = re.compile(
    r"(?:^|[.-])(?:3-?ds?-?secure|secure-?code|verified-?by-?visa|mastercardsecurecode)(?:[.-]|$)"
)
# What a value of utm_source means where the lists have no such name.
_NAME_ENDING: Final = re.compile(r"\.(?:com|org|net)$")

LISTED: Final = "listed host"
BELOW: Final = "below a listed host"
BELOW_SEARCH: Final = "a search engine's own server"
WEBMAIL: Final = "a mail server's name"
SECURE: Final = "a 3-D Secure server's name"


class Found(NamedTuple):
    """How a site was found: the site, the rule, and the host on the list, which is empty where a name decided."""

    site: Site
    rule: str
    entry: str


def find_site(host: str) -> Site | None:
    """The known site of a referrer's host (lower-case) or app id; None for an ordinary site."""
    found = look_up(host)
    return found.site if found is not None else None


@lru_cache(maxsize=16_384)
def look_up(host: str) -> Found | None:
    """The known site of a host, and by which rule.

    An exact host first, then a mail server by its first label (``webmail.``, ``mail.``, ``outlook.``), then the host
    under which it is a subdomain (before its label, where that is a mail service), then a 3-D Secure server's name.
    """
    host = host.removeprefix("www.")
    entry = _listed(host)
    if entry:
        return Found(_HOSTS[entry], LISTED, entry)
    parent, entry = next(((above, entry) for above in _parents(host) if (entry := _listed(above))), ("", ""))
    if _WEBMAIL.match(host) and (not entry or _HOSTS[entry].category != "email"):
        return Found(Site(host, "email"), WEBMAIL, "")
    if entry:
        return _below(host[: -len(parent) - 1], parent, entry)
    return Found(Site(host, "payment"), SECURE, "") if _SECURE.search(host) else None


def _below(labels: str, parent: str, entry: str) -> Found | None:
    site = _HOSTS[entry]
    if site.category in _WITH_SUBDOMAINS:
        return Found(site, BELOW, entry)
    # Countries are not asked below any host: "my.", "tv." and "id." are services too.
    country = bool(_SEARCH_HOST.match(parent)) or any(map(_SEARCH_LABEL.fullmatch, labels.split(".")))
    if all(_SEARCH_LABEL.fullmatch(part) or (country and _COUNTRY_LABEL.fullmatch(part)) for part in labels.split(".")):
        return Found(site, BELOW_SEARCH, entry)
    return None


def site_named(name: str) -> Site | None:
    """The site of a name (``facebook``) as lists have it, or of a name with its ending (``facebook.com``)."""
    category = _NAMES.get(name)
    if category is None:
        return None
    # Two lists can call one site by two names; its host decides which of them it has.
    return _SITE_OF_NAME.get(name) or Site(name, category)


def category_of(source: str) -> str:
    """The category of a source by its name (``facebook``, ``fb``) or host (``facebook.com``); empty when unknown."""
    site = find_site(source) if "." in source else None
    if site is None:
        site = site_named(source) or site_named(_NAME_ENDING.sub("", source))
    return site.category if site else ""


def _listed(host: str) -> str:
    for candidate in (host, _COUNTRY_ENDING.sub(".{}", host), _COUNTRY_START.sub("{}.", host)):
        if candidate in _HOSTS:
            return candidate
    return ""


def _site_of_name(name: str) -> Site | None:
    for listed in SITE_LISTS:
        for sites in listed.sites.values():
            for host in sites.get(name, ()):
                return _HOSTS[host]
    return None


_SITE_OF_NAME: Final = {name: site for name in _NAMES if (site := _site_of_name(name)) is not None}


def _parents(host: str) -> Iterator[str]:
    # No listed host that stands for its subdomains has more than four labels; this bounds a host of a hundred dots.
    parts = host.split(".")
    for start in range(max(1, len(parts) - 4), len(parts) - 1):
        yield ".".join(parts[start:])
