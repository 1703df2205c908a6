"""Referrer spam: sites that send made-up visits, so that their address stands in other people's reports."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import Final

import msgspec

SPAM_FILE: Final = "referrer_spam.json"
_MAX_LABELS: Final = 8
"""No listed host has more; this bounds a host of a hundred dots."""


class SpamList(msgspec.Struct, frozen=True):
    """The list of spammers' hosts, and where it is from."""

    list: str
    origin: str
    revision: str
    date: str
    licence: str
    note: str
    hosts: tuple[str, ...]


_BYTES: Final = files("marketplace.enrichments.data").joinpath(SPAM_FILE).read_bytes()
SPAM_LIST: Final = msgspec.json.decode(_BYTES, type=SpamList)
_HOSTS: Final = frozenset(SPAM_LIST.hosts)

SPAM_VERSION: Final = f"spam-{hashlib.sha256(_BYTES).hexdigest()[:8]}"
"""Changes with any byte of the list; part of the version of the rules for bots."""


@lru_cache(maxsize=16_384)
def spammer_of(host: str) -> str:
    """The listed host that a referrer's host (lower-case) is or lies below; empty for an honest site."""
    labels = host.split(".")[-_MAX_LABELS:]
    candidates = (".".join(labels[start:]) for start in range(len(labels) - 1))
    return next((candidate for candidate in candidates if candidate in _HOSTS), "")
