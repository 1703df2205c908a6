"""What a value of ``utm_source`` names: one site has one name, whether it comes by a label or as a referrer.

The words are facts in ``data/source_labels.json``; how a label is looked up in them is this module's.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

import msgspec

from marketplace.enrichments.referral_sources import Site, find_site, site_named
from marketplace.hosts import canonical_host

LABELS_FILE: Final = "source_labels.json"


class LabelList(msgspec.Struct, frozen=True):
    """The words in labels: spellings by the name that they mean, words of ads, and words of mails."""

    list: str
    origin: str
    revision: str
    date: str
    licence: str
    note: str
    spellings: dict[str, tuple[str, ...]]
    ads: tuple[str, ...]
    mails: tuple[str, ...]


_BYTES: Final = files("marketplace.enrichments.data").joinpath(LABELS_FILE).read_bytes()
LABELS: Final = msgspec.json.decode(_BYTES, type=LabelList)
LABELS_CHECKSUM: Final = hashlib.sha256(_BYTES).hexdigest()[:8]
"""Changes with any byte of the list; part of the referral version."""

_NAME_OF: Final = {spelling: name for name, spellings in LABELS.spellings.items() for spelling in spellings}
_AD_WORDS: Final = frozenset(LABELS.ads)
_MAIL_WORDS: Final = frozenset(LABELS.mails)
_BETWEEN_WORDS: Final = re.compile(r"[\s_|+/.:-]+")
_MAX_NAME_WORDS: Final = 3
_HOST: Final = re.compile(r"[^\s/@]+\.[^\s/@.]{2,24}")

AS_WRITTEN: Final = "as written"
BY_NAME: Final = "a known name"
BY_HOST: Final = "a known site's host"
BY_ADS: Final = "a name with a word of ads"
HOST_AS_WRITTEN: Final = "a host"


class SourceLabel(NamedTuple):
    """What a label means.

    Attributes:
        name: The site's one name, or the label as it is written.
        category: Of the site; empty when unknown.
        ads: It says that it is of ads.
        rule: Which rule found the name; for the explanation.
    """

    name: str
    category: str
    ads: bool
    rule: str


@lru_cache(maxsize=16_384)
def read_label(label: str) -> SourceLabel:
    """The source that a label (case-folded) names. Total, deterministic; its names stand for themselves."""
    ads = not _AD_WORDS.isdisjoint(words_of(label))
    site = _named(label)
    if site is not None:
        return SourceLabel(site.name, site.category, ads, BY_NAME)
    # An application's id is no host, but has the same form.
    host = canonical_host(label).removeprefix("www.") if _HOST.fullmatch(label) else ""
    site = find_site(host) if host else None
    if site is not None:
        return SourceLabel(site.name, site.category, ads, BY_HOST)
    site = _advertised(label) if ads else None
    if site is not None:
        return SourceLabel(site.name, site.category, ads, BY_ADS)
    if host:
        return SourceLabel(host, "", ads, HOST_AS_WRITTEN)
    # "ads" alone says that somebody paid, and not whom.
    return SourceLabel(label, "", False, AS_WRITTEN)


def is_of_mails(label: str) -> bool:
    """Whether a label has a word of mails in it: ``newsletter-uk``, ``Spring Mailing``."""
    return not _MAIL_WORDS.isdisjoint(words_of(label))


def words_of(label: str) -> tuple[str, ...]:
    """The words of a label."""
    return tuple(word for word in _BETWEEN_WORDS.split(label) if word)


def _named(name: str) -> Site | None:
    return site_named(_NAME_OF.get(name, name))


def _advertised(label: str) -> Site | None:
    # Words behind the name say which ads: "fb-ads-uk", "google_ads_brand".
    words = [word for word in words_of(label) if word not in _AD_WORDS][:_MAX_NAME_WORDS]
    for count in range(len(words), 0, -1):
        for glue in (" ", "", "-"):
            site = _named(glue.join(words[:count]))
            if site is not None:
                return site
    glued = next((word for word in words_of(label) if word in _NAME_OF), "")
    return _named(glued) if glued else None
