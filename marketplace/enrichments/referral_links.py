"""Reading the two links of an event: the campaign parameters of the page's URL and the host of the referrer."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote_plus

from marketplace.clicks.events import MAX_URL_CHARS
from marketplace.enrichments.text import MAX_VALUE_CHARS, label
from marketplace.hosts import MAX_HOST_CHARS, canonical_host

MAX_PARAMETERS: Final = 100
"""Parameters read from one URL; further ones are ignored, so that a URL of nothing but ampersands stays cheap."""

REDACTED: Final = "(redacted)"

# Matomo's own names for the same five parameters; utm_ wins where both are there.
CAMPAIGN_PREFIXES: Final = ("utm_", "mtm_", "matomo_")
CAMPAIGN_FIELDS: Final = ("source", "medium", "campaign", "term", "content")

_EMAIL: Final = re.compile(r"[^\s@](?:@|%40)[^\s@]+\.[^\s@]")
_URL: Final = re.compile(r"^(?:(?P<scheme>[a-z][a-z0-9+.-]*):)?//(?P<rest>.*)$", re.IGNORECASE | re.DOTALL)
_AUTHORITY: Final = re.compile(r"[/?#\\]")
_HOST: Final = re.compile(r"^(?:\[[0-9a-f:.]+\]|[^\s\[\]<>\"'`{}|^%,;=()*!$&+~:]+)$")
_BARE_HOST: Final = re.compile(r"^[\w-]+(?:\.[\w-]+)*\.[a-z]{2,24}(?:[/?#:]|$)", re.IGNORECASE)


class Campaign(NamedTuple):
    """The campaign parameters of a URL, case-folded, cleaned and capped; empty where absent."""

    source: str
    medium: str
    campaign: str
    term: str
    content: str


_NO_CAMPAIGN: Final = Campaign("", "", "", "", "")


def parameters(url: str) -> dict[str, str]:
    """Query parameters by lower-case name, decoded; the first non-empty value of each.

    A fragment with parameters (``#/page?utm_source=x``, ``#utm_source=x``) is read too, after the query. ``amp;`` at
    the start of a name is what HTML-escaped links in emails leave behind.
    """
    if "=" not in url:
        return {}
    head, _, fragment = url[:MAX_URL_CHARS].partition("#")
    _, _, query = head.partition("?")
    found: dict[str, str] = {}
    texts = [query, fragment.partition("?")[2] or fragment] if "=" in fragment else [query]
    for part in "&".join(texts).split("&", MAX_PARAMETERS)[:MAX_PARAMETERS]:
        name, _, value = part.partition("=")
        name = unquote_plus(name[:64]).casefold().removeprefix("amp;")
        if name and value and not found.get(name):
            # Six characters of %XX at most for one of the label's, and the label drops what is too long.
            found[name] = unquote_plus(value[: 12 * MAX_VALUE_CHARS])
    return found


def campaign(found: dict[str, str]) -> Campaign:
    """The campaign parameters among a URL's parameters."""
    if not any(name.startswith(CAMPAIGN_PREFIXES) for name in found):
        return _NO_CAMPAIGN
    return Campaign(*(_field(found, field) for field in CAMPAIGN_FIELDS))


def _field(found: dict[str, str], field: str) -> str:
    for prefix in CAMPAIGN_PREFIXES:
        raw = found.get(prefix + field, "").casefold()
        value = label(raw)
        if value:
            # Mail tools put the recipient's address into links; a label is seen by everyone who sees the report. The
            # whole value is searched: an address cut by the cap would still name a person.
            return REDACTED if _EMAIL.search(raw) else value
    return ""


def host_of(url: str) -> str:
    """The host of a link in lower case, without user, password and port; an app's id for app links; "" for none.

    ``android-app://com.example/...`` gives ``com.example``. Only pages and apps refer: ``about:blank``, ``data:``,
    ``file:`` and extensions give "". A bare ``example.com/page``, as some logs have it, counts as ``http``.
    """
    # Cached by the part up to the host: there are many URLs, but few such beginnings.
    end = _AUTHORITY.search(url, url.find("//") + 2, MAX_URL_CHARS)
    text = url[: end.start()] if end is not None else url[:MAX_URL_CHARS]
    return _host_of(text.strip() if end is None else text.lstrip())


@lru_cache(maxsize=16_384)
def _host_of(text: str) -> str:
    match = _URL.match(text)
    if match is None:
        rest = text if _BARE_HOST.match(text) else ""
    elif (match["scheme"] or "http").lower() in ("http", "https", "android-app", "ios-app"):
        rest = match["rest"]
    else:
        rest = ""
    authority = _AUTHORITY.split(rest, maxsplit=1)[0].rpartition("@")[2]
    host = re.sub(r":\d*$", "", authority).rstrip(".").lower()
    if not host.isascii():
        # Some servers write the letters where a browser sends what is on the wire: one host has one form.
        host = canonical_host(host)
    return host if _HOST.match(host) and len(host) <= MAX_HOST_CHARS and label(host) else ""


def is_internal(host: str, page_host: str, own: tuple[str, ...]) -> bool:
    """Whether a referrer's host is the store's own: the page's host, one of the store's hosts, or a subdomain of one.

    A parent of the page's host is not: stores can be neighbours under one domain.
    """
    roots = (page_host.removeprefix("www."), *own)
    return any(root and (host == root or host.endswith("." + root)) for root in roots)
