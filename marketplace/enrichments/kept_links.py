"""What is recorded of links: no query but a campaign's labels, and nothing that is one person's.

Links have reset tokens, mail addresses, search texts and session ids in them. Of a page's address its path is counted,
and of the query the labels that say how a visit came, so nothing else reaches the log of events.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_plus

from marketplace.enrichments.referral_links import CAMPAIGN_FIELDS, CAMPAIGN_PREFIXES, MAX_PARAMETERS
from marketplace.enrichments.referral_sources import CLICK_IDS

_LABELS: Final = frozenset(prefix + field for prefix in CAMPAIGN_PREFIXES for field in CAMPAIGN_FIELDS)
_IDS: Final = frozenset({*CLICK_IDS.paid, *CLICK_IDS.affiliate, *CLICK_IDS.email, *CLICK_IDS.hint})
_LONGEST_NAME: Final = 64
_QUERY: Final = re.compile(r"[?#]")
_USER: Final = re.compile(r"^((?:[a-z][a-z0-9+.-]*:)?//)[^/?#\\]*@", re.IGNORECASE)
_LINK: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*:/)?/", re.IGNORECASE)
# An address of a person or of a machine, or a text that is one; other words before a colon are labels of buttons.
_PERSONAL: Final = re.compile(
    r"(?:mailto|tel|sms|mms|callto|skype|whatsapp|facetime|facetime-audio|sips?|xmpp|geo|data|blob|javascript|about):",
    re.IGNORECASE,
)


def kept_url(url: str) -> str:
    """A page's address with the labels of its query and its fragment that say how somebody came, and no others.

    The id of an ad's click is one person's: that it was there is kept as ``1``.
    """
    end = _QUERY.search(url)
    if end is None:
        return _without_user(url)
    bare, rest = _without_user(url[: end.start()]), url[end.start() :]
    return bare + _kept_labels(rest) if "=" in rest else bare


def kept_referrer(referrer: str) -> str:
    """The address of the page before, without query and fragment."""
    return _bare(referrer)


def kept_target(target: str) -> str:
    """What was clicked: of a link its address without query and fragment, of a mail address or a number its kind."""
    if _LINK.match(target):
        return _bare(target)
    kind = _PERSONAL.match(target)
    return kind[0].lower() if kind else target


@lru_cache(maxsize=4_096)
def _kept_labels(rest: str) -> str:
    head, _, fragment = rest.partition("#")
    texts = (head[1:], fragment.partition("?")[2] or fragment)
    parts = "&".join(texts).split("&", MAX_PARAMETERS)[:MAX_PARAMETERS]
    kept = "&".join(label for label in map(_label, parts) if label)
    return f"?{kept}" if kept else ""


def _label(part: str) -> str:
    name, _, value = part.partition("=")
    known = unquote_plus(name[:_LONGEST_NAME]).casefold().removeprefix("amp;")
    if not value:
        return ""
    return f"{known}={value}" if known in _LABELS else f"{known}=1" if known in _IDS else ""


def _bare(link: str) -> str:
    end = _QUERY.search(link)
    return _without_user(link if end is None else link[: end.start()])


def _without_user(link: str) -> str:
    return _USER.sub(r"\1", link) if "@" in link else link
