"""How the visitor came: source, medium, campaign and channel of an event.

Pure, from the page's URL, the referrer and the store's own rules alone. The order of precedence: utm parameters, an
ad's click id, another platform's link id, the referrer, a hint in the URL, "direct". With an ad's click id, or a label
of ads, a visit is paid, whatever else is there. Of a query string only campaign labels are kept, and those without
email addresses.
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
from marketplace.enrichments.referral_labels import LABELS_CHECKSUM, read_label
from marketplace.enrichments.referral_links import Campaign, campaign, host_of, is_internal, parameters
from marketplace.enrichments.referral_sources import CLICK_IDS, LISTS_CHECKSUM, category_of, look_up
from marketplace.enrichments.registry import Enrichment, Lookups
from marketplace.enrichments.store_rules import StoreRules, is_below, read_rules
from marketplace.enrichments.text import label

RULES_VERSION: Final = "referral-2"
REFERRAL_VERSION: Final = f"{RULES_VERSION} {CHANNELS_VERSION} lists-{LISTS_CHECKSUM} labels-{LABELS_CHECKSUM}"
"""Stamped on each event: rules, channel rules, and the checksums of the lists."""

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
AD_MEDIUM: Final = "cpc"
"""The medium of a label of ads that says none."""

_PLATFORM_IDS: Final = {**CLICK_IDS.affiliate, **CLICK_IDS.email}


class Origin(NamedTuple):
    """The origin of a visit by one of the clues.

    Attributes:
        source, medium, category: What it is.
        rule: The rule that found it, in words.
        entry: The entry of a list or the store's rule behind it; empty where there is none.
    """

    source: str
    medium: str
    category: str
    rule: str
    entry: str = ""


class Arrival(NamedTuple):
    """The clues in a page's URL about how its visitor came.

    Attributes:
        host: The page's own host.
        labels: The campaign's parameters.
        ad, platform, hint: The origin by the click id of an ad, by another platform's id, or by a hint.
    """

    host: str
    labels: Campaign
    ad: Origin | None
    platform: Origin | None
    hint: Origin | None


class Decision(NamedTuple):
    """How a visit came, and why it is taken for that.

    Attributes:
        answer: Source, medium, campaign, channel, referrer host, term and content.
        origin: Source and medium with the rule behind them.
        visit: What the channel is decided by.
    """

    answer: tuple[str, ...]
    origin: Origin
    visit: Traffic


def arrival(url: str) -> Arrival:
    """The clues in a page's URL; thousands of URLs of a shop have the same."""
    found = parameters(url)
    return Arrival(
        host_of(url),
        campaign(found),
        _click_id(found, CLICK_IDS.paid, "the click id of an ad"),
        _click_id(found, _PLATFORM_IDS, "the link id of a platform"),
        _click_id(found, CLICK_IDS.hint, "a hint that a platform adds to links"),
    )


def attribute(_lookups: Lookups, parts: tuple[Arrival, str, StoreRules]) -> tuple[str, ...]:
    """The referral of an event, from the clues in the page's URL, the referrer's host and the store's rules.

    Returns:
        Source, medium, campaign, channel, referrer host, term and content.
    """
    return decide(*parts).answer


def decide(link: Arrival, host: str, store: StoreRules) -> Decision:
    """The referral of an event with what led to it."""
    if any(is_below(host, ignored) for ignored in store.ignored):
        host = ""
    clue = link.ad or link.platform or _referred(host, link.host, store) or link.hint
    labels = link.labels
    origin, ads = _labelled(labels, clue, store, paid=link.ad is not None)
    visit = Traffic(origin.source, origin.medium, labels.campaign, origin.category, paid=ads)
    answer = (
        origin.source,
        origin.medium,
        labels.campaign,
        channel(visit),
        label(host),
        labels.term,
        labels.content,
    )
    return Decision(answer, origin, visit)


def _labelled(labels: Campaign, clue: Origin | None, store: StoreRules, *, paid: bool) -> tuple[Origin, bool]:
    """The origin by the labels, or else by the other clues; and whether it is an ad's."""
    source, medium = labels.source, labels.medium
    if not source and not medium:
        return clue or Origin(DIRECT_SOURCE, NO_MEDIUM, "", "nothing says where from"), paid
    if not source:
        # A medium without a source is kept; the source comes from the other clues.
        if clue and clue.source != INTERNAL_SOURCE:
            return clue._replace(medium=medium, rule=f"utm_medium, and {clue.rule}"), paid
        return Origin(NOT_SET, medium, "", "utm_medium without a source"), paid
    own = store.rule_for_label(source)
    if own is not None:
        named = read_label(own.source)
        medium = medium or own.medium or MEDIUM_OF.get(named.category, NOT_SET)
        return Origin(own.source, medium, named.category, "the store's own rule", f"utm_source={own.value}"), paid
    found = read_label(source)
    category, ads = found.category, paid or found.ads
    if paid and clue and not category:
        category = clue.category
    if not medium and paid and clue:
        medium = clue.medium
    elif not medium:
        medium = AD_MEDIUM if found.ads else MEDIUM_OF.get(category, NOT_SET)
    return Origin(label(found.name), medium, category, f"utm_source, {found.rule}", f"utm_source={source}"), ads


def _click_id(found: dict[str, str], known: dict[str, tuple[str, str, str]], rule: str) -> Origin | None:
    if known.keys().isdisjoint(found):
        return None
    for parameter, (source, medium, _) in known.items():
        if found.get(parameter):
            return Origin(source, medium, category_of(source), rule, parameter)
    return None


def _referred(host: str, page_host: str, store: StoreRules) -> Origin | None:
    if not host:
        return None
    own = store.rule_for_referrer(host) if host != page_host else None
    if own is not None:
        named = read_label(own.source)
        medium = own.medium or MEDIUM_OF.get(named.category, "referral")
        return Origin(own.source, medium, named.category, "the store's own rule", f"referrer={own.value}")
    if is_internal(host, page_host, store.domains):
        return Origin(INTERNAL_SOURCE, INTERNAL_MEDIUM, "", "the store's own pages refer", host)
    # The return from a payment page is not a new visit, and must not take the sale from the site that sent the buyer.
    for payment in store.payment:
        if is_below(host, payment):
            return Origin(INTERNAL_SOURCE, INTERNAL_MEDIUM, "", "a payment page of the store's own list", payment)
    found = look_up(host)
    if found is None:
        return Origin(label(host.removeprefix("www.")), "referral", "", "the referrer, a site that is on no list")
    site = found.site
    if site.category == "payment":
        return Origin(INTERNAL_SOURCE, INTERNAL_MEDIUM, "", f"a payment page, {found.rule}", found.entry)
    return Origin(label(site.name), MEDIUM_OF[site.category], site.category, f"the referrer, {found.rule}", found.entry)


REFERRAL: Final = Enrichment(
    name="referral",
    reads=("url", "referrer", "store_rules"),
    columns=("source", "medium", "campaign", "channel", "referrer_host", "term", "content"),
    version=lambda _lookups: REFERRAL_VERSION,
    answer=attribute,
    parts=(arrival, host_of, read_rules),
)
