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
from marketplace.enrichments.referral_links import Campaign, campaign, host_of, hosts_of, is_internal, parameters
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


class Arrival(NamedTuple):
    """What the link of a page tells of how its visitor came.

    Attributes:
        host: The page's own host.
        labels: The campaign's parameters.
        ad, platform, hint: Where the click id of an ad, another platform's id, or a hint says that the visit is from.
    """

    host: str
    labels: Campaign
    ad: _Origin | None
    platform: _Origin | None
    hint: _Origin | None


def arrival(url: str) -> Arrival:
    """What counts of a page's link; thousands of links of a shop share it."""
    found = parameters(url)
    return Arrival(
        host_of(url),
        campaign(found),
        _click_id(found, CLICK_IDS.paid),
        _click_id(found, _PLATFORM_IDS),
        _click_id(found, CLICK_IDS.hint),
    )


def attribute(_lookups: Lookups, parts: tuple[Arrival, str, tuple[str, ...]]) -> tuple[str, ...]:
    """From a page's link, the referrer's host and the store's hosts to the answer.

    Returns:
        Source, medium, campaign, channel, referrer host, term and content.
    """
    link, host, own = parts
    clue = link.ad or link.platform or _referred(host, link.host, own) or link.hint
    paid, labels = link.ad is not None, link.labels
    origin = _labelled(labels.source, labels.medium, clue, paid=paid)
    visit = Traffic(origin.source, origin.medium, labels.campaign, origin.category, paid=paid)
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


def _referred(host: str, page_host: str, own: tuple[str, ...]) -> _Origin | None:
    if not host:
        return None
    site = find_site(host)
    # Coming back from paying is no arrival, and must not take the sale from who sent the buyer.
    if is_internal(host, page_host, own) or (site and site.category == "payment"):
        return _Origin(INTERNAL_SOURCE, INTERNAL_MEDIUM, "")
    if site is None:
        return _Origin(label(host.removeprefix("www.")), "referral", "")
    return _Origin(label(site.name), MEDIUM_OF[site.category], site.category)


REFERRAL: Final = Enrichment(
    name="referral",
    reads=("url", "referrer", "store_domains"),
    columns=("source", "medium", "campaign", "channel", "referrer_host", "term", "content"),
    version=lambda _lookups: REFERRAL_VERSION,
    answer=attribute,
    parts=(arrival, host_of, hosts_of),
)
