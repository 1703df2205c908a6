"""Browser, operating system and kind of device of a user agent, by ``ua-parser`` and ``user-agents``."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from typing import Final

import ua_parser
from ua_parser.loaders import load_lazy_builtins
from user_agents.parsers import UserAgent, parse_browser, parse_device, parse_operating_system

from marketplace.clicks.events import MAX_USER_AGENT_CHARS
from marketplace.enrichments.registry import Agent

CACHE_ENTRIES: Final = 16_384
"""Distinct user agents kept in memory: a flood of random ones costs time, not memory (at most about 70 MB of text)."""

PACKAGES: Final = ("ua-parser", "ua-parser-builtins", "user-agents")

_NOTHING: Final = Agent()
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")

# Televisions and set-top boxes, by the tokens that their makers' documentation names.
_TV: Final = re.compile(
    r"Smart-?TV|SMART-TV|HbbTV|AppleTV|Apple TV|tvOS|Google ?TV|Android TV|BRAVIA|NetCast|Web0S|webOS\.TV|Roku|CrKey|"
    r"\bAFT[A-Z0-9]{1,4}\b|Viera|InettvBrowser|Opera TV|TV Safari|\bDTV\b|MiTV|MIBOX|Chromecast",
    re.IGNORECASE,
)
_CONSOLE: Final = re.compile(r"PlayStation|Nintendo|Xbox", re.IGNORECASE)
# Android without "Mobile" is a tablet by Google's own rule, except where no browser wrote the string.
_HANDHELD_APP: Final = re.compile(r"Dalvik|okhttp|Opera Mini|\bMini\b")


class _ParsedAgent(UserAgent):  # type: ignore[misc]  # the library ships no types
    """The library's rules for kinds of devices, fed by ua-parser's current engine instead of its old one.

    The old entry point that the library calls cannot use ua-parser's native engine.
    """

    def __init__(self, text: str, parse: Callable[[str], ua_parser.Result]) -> None:
        found = parse(text).with_defaults()
        agent, system, device = found.user_agent, found.os, found.device
        self.ua_string = text
        self.browser = parse_browser(agent.family, agent.major, agent.minor, agent.patch)
        self.os = parse_operating_system(system.family, system.major, system.minor, system.patch, system.patch_minor)
        self.device = parse_device(device.family, device.brand, device.model)


class UserAgents:
    """Parses each distinct user agent once, in bounded memory. Safe to share between threads."""

    def __init__(self, cache_entries: int = CACHE_ENTRIES) -> None:
        self._parse = ua_parser.BestAvailableResolver(load_lazy_builtins())
        self._version = " ".join([*(f"{name} {version(name)}" for name in PACKAGES), _engine(self._parse)])
        self._cached: Callable[[str], Agent] = lru_cache(maxsize=cache_entries)(self._find)

    def version(self) -> str:
        """Versions of the rules and of the engine that applies them, as the packages name them."""
        return self._version

    def find(self, user_agent: str) -> Agent:
        """The properties by the first ``MAX_USER_AGENT_CHARS``; empty for a meaningless string. Never raises."""
        return self._cached(user_agent[:MAX_USER_AGENT_CHARS])

    def _find(self, user_agent: str) -> Agent:
        text = _UNPRINTABLE.sub(" ", user_agent).strip()
        if not text:
            return _NOTHING
        agent = _ParsedAgent(text, lambda line: self._parse(line, ua_parser.Domain.ALL).complete())
        return Agent(
            browser=_known(agent.browser.family),
            browser_version=agent.browser.version_string,
            os=_known(agent.os.family),
            os_version=agent.os.version_string,
            device=_device(agent),
        )


def _known(family: str) -> str:
    return "" if family == "Other" else family


def _device(agent: UserAgent) -> str:
    if agent.is_bot:
        return "bot"
    if _TV.search(agent.ua_string):
        return "tv"
    if _CONSOLE.search(agent.ua_string):
        return "other"
    if agent.os.family == "Android":
        if "Tablet" in agent.ua_string:
            return "tablet"
        handheld = agent.is_mobile or _HANDHELD_APP.search(agent.ua_string)
        return "tablet" if agent.is_tablet and not handheld else "mobile"
    # A tablet first: Chrome on an iPad is also in the library's list of mobile browsers.
    for kind, holds in (("tablet", agent.is_tablet), ("mobile", agent.is_mobile), ("desktop", agent.is_pc)):
        if holds:
            return kind
    return "other"


def _engine(resolver: object) -> str:
    # ua-parser takes the fastest engine installed; two engines differed in one of 2,500 user agents tried.
    package = {"ua_parser.regex": "ua-parser-rs", "ua_parser.re2": "google-re2"}.get(type(resolver).__module__)
    return f"{package} {version(package)}" if package else "re"
