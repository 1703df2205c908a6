"""How the visitor came: source, medium, campaign and channel of an event.

Pure, from the page's URL and the referrer alone. The order of precedence: utm parameters, an ad's click id, another
platform's link id, the referrer, a hint in the URL, "direct". With an ad's click id a visit is paid, whatever else is
there. Of a query string only campaign labels are kept, and those without email addresses.
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
    """The origin of a visit by one of the clues."""

    source: str
    medium: str
    category: str


class Arrival(NamedTuple):
    """The clues in a page's URL about how its visitor came.

    Attributes:
        host: The page's own host.
        labels: The campaign's parameters.
        ad, platform, hint: The origin by the click id of an ad, by another platform's id, or by a hint.
    """

    host: str
    labels: Campaign
    ad: _Origin | None
    platform: _Origin | None
    hint: _Origin | None


def arrival(url: str) -> Arrival:
    """The clues in a page's URL; thousands of URLs of a shop have the same."""
    found = parameters(url)
    return Arrival(
        host_of(url),
        campaign(found),
        _click_id(found, CLICK_IDS.paid),
        _click_id(found, _PLATFORM_IDS),
        _click_id(found, CLICK_IDS.hint),
    )


def attribute(_lookups: Lookups, parts: tuple[Arrival, str, tuple[str, ...]]) -> tuple[str, ...]:
    """The referral of an event, from the clues in the page's URL, the referrer's host and the store's hosts.

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
        # A medium without a source is kept; the source comes from the other clues.
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
    # The return from a payment page is not a new visit, and must not take the sale from the site that sent the buyer.
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
