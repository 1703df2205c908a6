"""How the visitor came: source, medium, campaign and channel of an event.

Pure, from the page's URL and the referrer alone. What wins: utm parameters, then an ad's click id, then another
platform's link id, then the referrer, then a hint in the URL, then "direct". An ad's click id decides that a visit was
paid whatever else is there. Nothing of a query is kept but campaign labels, and those without addresses.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from marketplace.enrichments.referral_channels import (
    CHANNELS_VERSION,
    DIRECT_SOURCE,
    INTERNAL_SOURCE,
    NO_MEDIUM,
    NOT_SET,
    Traffic,
    channel,
)
from marketplace.enrichments.referral_links import campaign, host_of, is_internal, parameters
from marketplace.enrichments.referral_sources import CLICK_IDS, LISTS_CHECKSUM, category_of, find_site
from marketplace.enrichments.registry import Enrichment, Lookups
from marketplace.enrichments.text import label

RULES_VERSION: Final = "referral-1"
REFERRAL_VERSION: Final = f"{RULES_VERSION} {CHANNELS_VERSION} lists-{LISTS_CHECKSUM}"
"""Stamped on each event: rules, channel rules, and the checksum of the lists."""

MEDIUM_OF: Final = {
    "search": "organic",
    "social": "social",
    "video": "video",
    "shopping": "shopping",
    "ai": "ai-assistant",
    "email": "email",
}
"""The medium of an unlabelled visit, by the category of the site that referred it."""

INTERNAL_MEDIUM: Final = "internal"

_PLATFORM_IDS: Final = {**CLICK_IDS.affiliate, **CLICK_IDS.email}


class _Origin(NamedTuple):
    """Where a visit came from as one of the clues tells it."""

    source: str
    medium: str
    category: str


def attribute(_lookups: Lookups, values: tuple[str, ...]) -> tuple[str, ...]:
    """``(url, referrer, store_domains)`` to source, medium, campaign, channel, referrer host, term and content."""
    url, referrer, store_domains = values
    found = parameters(url)
    labels = campaign(found)
    host = host_of(referrer)
    ad = _click_id(found, CLICK_IDS.paid)
    clue = (
        ad
        or _click_id(found, _PLATFORM_IDS)
        or _referred(host, host_of(url), store_domains)
        or _click_id(found, CLICK_IDS.hint)
    )
    origin = _labelled(labels.source, labels.medium, clue, paid=ad is not None)
    visit = Traffic(origin.source, origin.medium, labels.campaign, origin.category, paid=ad is not None)
    return (
        origin.source,
        origin.medium,
        labels.campaign,
        channel(visit),
        label(host),
        labels.term,
        labels.content,
    )


def _labelled(source: str, medium: str, clue: _Origin | None, *, paid: bool) -> _Origin:
    if not source and not medium:
        return clue or _Origin(DIRECT_SOURCE, NO_MEDIUM, "")
    if not source:
        # A medium without a source still tells how; who is what the other clues say.
        known = clue if clue and clue.source != INTERNAL_SOURCE else _Origin(NOT_SET, "", "")
        return _Origin(known.source, medium, known.category)
    category = category_of(source)
    if paid and clue and not category:
        category = clue.category
    if not medium:
        medium = clue.medium if paid and clue else MEDIUM_OF.get(category, NOT_SET)
    return _Origin(source, medium, category)


def _click_id(found: dict[str, str], known: dict[str, tuple[str, str, str]]) -> _Origin | None:
    if known.keys().isdisjoint(found):
        return None
    for parameter, (source, medium, _) in known.items():
        if found.get(parameter):
            return _Origin(source, medium, category_of(source))
    return None


def _referred(host: str, page_host: str, store_domains: str) -> _Origin | None:
    if not host:
        return None
    site = find_site(host)
    # Coming back from paying is no arrival, and must not take the sale from who sent the buyer.
    if is_internal(host, page_host, store_domains) or (site and site.category == "payment"):
        return _Origin(INTERNAL_SOURCE, INTERNAL_MEDIUM, "")
    if site is None:
        return _Origin(label(host.removeprefix("www.")), "referral", "")
    return _Origin(label(site.name), MEDIUM_OF[site.category], site.category)


REFERRAL: Final = Enrichment(
    name="referral",
    reads=("url", "referrer", "store_domains"),
    columns=("source", "medium", "campaign", "channel", "referrer_host", "term", "content"),
    version=lambda _lookups: REFERRAL_VERSION,
    enrich=attribute,
)
