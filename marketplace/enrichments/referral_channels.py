"""Channels: the groups that a seller compares, by Google Analytics 4's default channel group and three additions.

docs/reference/channels.md describes the same rules, and the cases in tests/golden/referrals.json test both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from marketplace.enrichments.referral_labels import is_of_mails

CHANNELS_VERSION: Final = "channels-2"
"""Changes with any rule; part of the referral version."""

DIRECT_SOURCE: Final = "(direct)"
INTERNAL_SOURCE: Final = "(internal)"
NO_MEDIUM: Final = "(none)"
NOT_SET: Final = "(not set)"

CHANNELS: Final = (
    "Internal",
    "Direct",
    "Cross-network",
    "Paid Shopping",
    "Paid Search",
    "Paid Social",
    "Paid Video",
    "Display",
    "Paid Other",
    "AI Assistants",
    "Organic Shopping",
    "Organic Social",
    "Organic Video",
    "Organic Search",
    "Email",
    "Affiliates",
    "Referral",
    "Audio",
    "SMS",
    "Mobile Push",
    "Unassigned",
)
"""Every value of ``channel``, in the order in which the rules are tried."""

MEANINGS: Final = {
    "Internal": "the source is (internal)",
    "Direct": "nothing says where from",
    "Cross-network": "the campaign contains cross-network",
    "Paid Shopping": "paid, and a shopping site or a shopping campaign",
    "Paid Search": "paid, and a search engine",
    "Paid Social": "paid, and a social network",
    "Paid Video": "paid, and a video site",
    "Display": "the medium is one of display ads",
    "Paid Other": "paid, from any other source",
    "AI Assistants": "an AI assistant, or a medium of one",
    "Organic Shopping": "a shopping site, or a shopping campaign whose medium leaves it open",
    "Organic Social": "a social network, or a medium of one",
    "Organic Video": "a video site, or a medium that contains video",
    "Organic Search": "a search engine, or the medium organic",
    "Email": "a mail service, or a source or medium of mails",
    "Affiliates": "the medium is one of affiliates",
    "Referral": "the medium is referral, app or link",
    "Audio": "the medium is audio",
    "SMS": "the source or medium is sms",
    "Mobile Push": "the medium is one of push messages, or the source firebase",
    "Unassigned": "no rule of another channel holds",
}
"""When each rule holds, in words; of several that hold, the first in this order counts."""

UNATTRIBUTED: Final = ("Direct", "Internal")
"""Channels of visits that nobody is known to have sent."""

# These expressions are Google's own (support.google.com/analytics/answer/9756891).
_PAID_MEDIUM: Final = re.compile(r".*cp.*|ppc|retargeting|paid.*", re.DOTALL)
_SHOPPING_CAMPAIGN: Final = re.compile(r"(?:.*(?:[^a-df-z]|^)shop|.*shopping).*", re.DOTALL)
_DISPLAY: Final = frozenset({"display", "banner", "expandable", "interstitial", "cpm"})
_SOCIAL: Final = frozenset({"social", "social-network", "social-media", "sm", "social network", "social media"})
_EMAIL: Final = frozenset({"email", "e-mail", "e_mail", "e mail"})
_REFERRAL: Final = frozenset({"referral", "app", "link"})
_AI: Final = frozenset({"ai", "ai-assistant", "ai assistant", "chatbot", "llm"})
_UNDECIDED: Final = frozenset({"", NOT_SET, "organic", "referral", "shopping"})


@dataclass(frozen=True)
class Traffic:
    """The input of the rules for channels; all lower-case.

    Attributes:
        source: Name or host.
        medium: As labelled or derived.
        campaign: As labelled.
        category: The category of the source's site, empty when unknown.
        paid: There is an ad platform's click id, or a label of ads; a paid medium makes a visit paid as well.
    """

    source: str
    medium: str
    campaign: str = ""
    category: str = ""
    paid: bool = False


def channel(visit: Traffic) -> str:
    """The first of ``CHANNELS`` whose rule matches. Total and deterministic."""
    if visit.source == INTERNAL_SOURCE:
        return "Internal"
    if visit.source == DIRECT_SOURCE and visit.medium in (NO_MEDIUM, NOT_SET):
        return "Direct"
    if "cross-network" in visit.campaign:
        return "Cross-network"
    return _paid(visit) or _organic(visit) or _named(visit) or "Unassigned"


def is_paid_medium(medium: str) -> bool:
    """Whether a medium says that somebody paid."""
    return _PAID_MEDIUM.fullmatch(medium) is not None


def _paid(visit: Traffic) -> str:
    paid = visit.paid or is_paid_medium(visit.medium)
    if paid:
        if visit.category == "shopping" or _SHOPPING_CAMPAIGN.fullmatch(visit.campaign):
            return "Paid Shopping"
        by_category = {"search": "Paid Search", "social": "Paid Social", "video": "Paid Video"}
        if visit.category in by_category and not (visit.paid and visit.medium in _DISPLAY):
            return by_category[visit.category]
    if visit.medium in _DISPLAY:
        return "Display"
    return "Paid Other" if paid else ""


def _organic(visit: Traffic) -> str:
    if visit.category == "ai" or visit.medium in _AI:
        return "AI Assistants"
    # Google's campaign rule makes an emailed "shop-the-look" shopping; here a medium that decides goes first.
    shops = visit.medium in _UNDECIDED and _SHOPPING_CAMPAIGN.fullmatch(visit.campaign) is not None
    if visit.category == "shopping" or shops:
        return "Organic Shopping"
    if visit.category == "social" or visit.medium in _SOCIAL:
        return "Organic Social"
    if visit.category == "video" or "video" in visit.medium:
        return "Organic Video"
    if visit.category == "search" or visit.medium == "organic":
        return "Organic Search"
    return ""


def _named(visit: Traffic) -> str:
    rules = (
        ("Email", visit.category == "email" or _is_mail(visit.source) or _is_mail(visit.medium)),
        ("Affiliates", visit.medium in ("affiliate", "affiliates")),
        ("Referral", visit.medium in _REFERRAL),
        ("Audio", visit.medium == "audio"),
        ("SMS", "sms" in (visit.source, visit.medium)),
        ("Mobile Push", _is_push(visit)),
    )
    return next((name for name, holds in rules if holds), "")


def _is_mail(text: str) -> bool:
    # The exact spellings are Google's; a word among others ("newsletter-uk") is an addition.
    return text in _EMAIL or is_of_mails(text)


def _is_push(visit: Traffic) -> bool:
    medium = visit.medium
    return medium.endswith("push") or "mobile" in medium or "notification" in medium or visit.source == "firebase"
