"""The maintained list of crawlers' user agents: ``crawler-user-agents`` (MIT) on PyPI."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.metadata import version
from typing import Final, TypeAlias

from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from connectors.lookups.crawler_corrections import CORRECTIONS, CORRECTIONS_VERSION
from marketplace.clicks.bot_kinds import (
    ADS,
    AI,
    ARCHIVE,
    AUTOMATION,
    FEED,
    MONITOR,
    PREVIEW,
    RESEARCH,
    SCANNER,
    SEARCH,
    SEO,
    TOOL,
)
from marketplace.clicks.events import MAX_USER_AGENT_CHARS

CACHE_ENTRIES: Final = 16_384
PACKAGE: Final = "crawler-user-agents"
_KINDS: Final = {
    "ai-crawler": AI,
    "search-engine": SEARCH,
    "social-preview": PREVIEW,
    "monitoring": MONITOR,
    "feed-reader": FEED,
    "advertising": ADS,
    "seo": SEO,
    "scanner": SCANNER,
    "archiver": ARCHIVE,
    "academic": RESEARCH,
    "browser-automation": AUTOMATION,
    "http-library": TOOL,
}
"""The list's tags as kinds; of several, the first in this order counts."""

_ESCAPED: Final = re.compile(r"\\([^0-9A-Za-z])")
_OPERATOR: Final = re.compile(r"[\\^$|()\[\]*+?{}.]")


_Node: TypeAlias = "dict[str, _Node]"
"""Each letter leads to what can follow it."""


class CrawlerList:
    """Matches user agents against the list, each distinct one once. Safe to share between threads.

    One expression of 1,500 alternatives costs 370 us a string, because each is tried at each position. Nearly all are
    plain words, which share their first letters: as a trie they cost 12 us.
    """

    def __init__(self, patterns: Iterable[str] | None = None, cache_entries: int = CACHE_ENTRIES) -> None:
        """Compile the list; ``patterns`` replaces the package's own regular expressions."""
        entries = CRAWLER_USER_AGENTS_DATA if patterns is None else [{"pattern": pattern} for pattern in patterns]
        corrected = [(_corrected(entry["pattern"]), _kind(entry.get("tags", ()))) for entry in entries]
        listed = [(pattern, kind) for pattern, kind in corrected if pattern]
        self._kind_of_word = {word: kind for pattern, kind in listed if (word := _plain(pattern))}
        expressions = [(pattern, kind) for pattern, kind in listed if not _plain(pattern)]
        self._kinds = [(re.compile(pattern), kind) for pattern, kind in expressions]
        alternatives = [trie_expression(sorted(self._kind_of_word))] * bool(self._kind_of_word)
        alternatives += [pattern for pattern, _ in expressions]
        self._expression = re.compile("|".join(alternatives)) if alternatives else None
        self._version = f"{PACKAGE} {version(PACKAGE)} corrected-{CORRECTIONS_VERSION}"
        self._cached: Callable[[str], str] = lru_cache(maxsize=cache_entries)(self._match)

    def version(self) -> str:
        """The list's identity, e.g. ``crawler-user-agents 1.67.0 corrected-2``."""
        return self._version

    def match(self, user_agent: str) -> str:
        """The part of a user agent that is on the list, e.g. ``Googlebot/``; empty when none is. Never raises."""
        return self._cached(user_agent[:MAX_USER_AGENT_CHARS])

    def kind(self, user_agent: str) -> str:
        """What the list says that a user agent is, one of ``KINDS``; empty when it is not on the list. Never raises."""
        found = self.match(user_agent)
        if not found:
            return ""
        kinds = [self._kind_of_word.get(found, "")]
        kinds += [kind for expression, kind in self._kinds if expression.search(user_agent[:MAX_USER_AGENT_CHARS])]
        return next((kind for kind in _KINDS.values() if kind in kinds), "")

    def _match(self, user_agent: str) -> str:
        found = self._expression.search(user_agent) if self._expression else None
        return found.group() if found else ""


def _corrected(pattern: str) -> str:
    correction = CORRECTIONS.get(pattern)
    return pattern if correction is None else correction.pattern


def _kind(tags: Iterable[str]) -> str:
    return next((kind for tag, kind in _KINDS.items() if tag in tags), "")


def _plain(pattern: str) -> str:
    """The word that a regular expression stands for, or nothing when it is more than a word."""
    if _OPERATOR.search(_ESCAPED.sub("", pattern)):
        return ""
    return _ESCAPED.sub(r"\1", pattern)


def trie_expression(words: Iterable[str]) -> str:
    """A regular expression that finds any of the words, in time that hardly depends on their number.

    A word that begins with another of them is found as the shorter one.
    """
    root: _Node = {}
    for word in words:
        node = root
        for letter in word:
            node = node.setdefault(letter, {})
        node[""] = {}
    return _branches(root)


def _branches(node: _Node) -> str:
    if "" in node:
        return ""
    parts = [re.escape(letter) + _branches(below) for letter, below in sorted(node.items())]
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"
