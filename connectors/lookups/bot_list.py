"""The maintained list of crawlers' user agents: ``crawler-user-agents`` (MIT) on PyPI."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.metadata import version
from typing import Final, TypeAlias

from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from marketplace.clicks.events import MAX_USER_AGENT_CHARS

CACHE_ENTRIES: Final = 16_384
PACKAGE: Final = "crawler-user-agents"
CORRECTIONS_VERSION: Final = 1

# Entries that also match people's browsers, found by running the list over the user agents of ua-parser's own tests,
# and what each means by its examples. An empty correction drops the entry.
CORRECTIONS: Final[dict[str, str]] = {
    r"008\/": r"(?<![\w.])008/",  # Opera Mini's version numbers end so
    r"AP3A\.240617\.008": "",  # a build of Android 15 that millions of phones have
    "Butterfly": "Butterfly/",  # HTC Butterfly
    r"RED\/": r"(?<![A-Za-z])RED/",  # Wired's app
    "Sonic": r"RankSonic|(?<![A-Za-z])Sonic/",  # phones: ViewSonic, Lucky Ultra Sonic
    "speedy": "speedy_?spider",  # a code name of HTC's
}

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
        listed = [entry["pattern"] for entry in CRAWLER_USER_AGENTS_DATA] if patterns is None else list(patterns)
        listed = [corrected for pattern in listed if (corrected := CORRECTIONS.get(pattern, pattern))]
        words = sorted(word for word in map(_plain, listed) if word)
        expressions = [pattern for pattern in listed if not _plain(pattern)]
        alternatives = [trie_expression(words)] * bool(words) + expressions
        self._expression = re.compile("|".join(alternatives)) if alternatives else None
        self._version = f"{PACKAGE} {version(PACKAGE)} corrected-{CORRECTIONS_VERSION}"
        self._cached: Callable[[str], str] = lru_cache(maxsize=cache_entries)(self._match)

    def version(self) -> str:
        """The list's identity, e.g. ``crawler-user-agents 1.67.0 corrected-1``."""
        return self._version

    def match(self, user_agent: str) -> str:
        """The part of a user agent that is on the list, e.g. ``Googlebot/``; empty when none is. Never raises."""
        return self._cached(user_agent[:MAX_USER_AGENT_CHARS])

    def _match(self, user_agent: str) -> str:
        found = self._expression.search(user_agent) if self._expression else None
        return found.group() if found else ""


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
