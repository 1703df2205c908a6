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

from connectors.lookups.user_agent_rules import (
    RULES_VERSION,
    android_device,
    browser_name,
    device_rule,
    in_app_browser,
    is_television,
    system_name,
    version_of,
)
from marketplace.clicks.events import MAX_USER_AGENT_CHARS
from marketplace.enrichments.registry import Agent

CACHE_ENTRIES: Final = 16_384
"""Distinct user agents kept in memory: a flood of random ones costs time, not memory (at most about 70 MB of text)."""

PACKAGES: Final = ("ua-parser", "ua-parser-builtins", "user-agents")

_NOTHING: Final = Agent()
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")

_CONSOLE: Final = re.compile(r"playstation|nintendo|xbox")


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
        # The library makes numbers of the parts, and so 22.4 of 22.04.
        self.browser_version = version_of(agent.major, agent.minor, agent.patch)
        self.system_version = version_of(system.major, system.minor, system.patch)


class UserAgents:
    """Parses each distinct user agent once, in bounded memory. Safe to share between threads."""

    def __init__(self, cache_entries: int = CACHE_ENTRIES) -> None:
        self._parse = ua_parser.BestAvailableResolver(load_lazy_builtins())
        self._version = " ".join(
            [*(f"{name} {version(name)}" for name in PACKAGES), _engine(self._parse), f"rules-{RULES_VERSION}"]
        )
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
        lower = text.lower()
        app, system = in_app_browser(text), system_name(agent.os.family, lower)
        return Agent(
            browser=app.name if app else browser_name(agent.browser.family),
            browser_version=app.version if app else agent.browser_version,
            os=system,
            os_version=agent.system_version if system else "",
            device=_device(agent, lower),
        )

    def rule(self, user_agent: str) -> str:
        """What decided browser and kind of device, in words, for an explanation. Never raises."""
        text = _UNPRINTABLE.sub(" ", user_agent[:MAX_USER_AGENT_CHARS]).strip()
        app = in_app_browser(text)
        browser = f"the browser inside the app {app.name}" if app else "ua-parser's expressions"
        return f"{browser}; the device by {device_rule(text.lower()) or 'the rules of user-agents'}"


def _device(agent: UserAgent, text: str) -> str:
    if agent.is_bot:
        return "bot"
    if is_television(text):
        return "tv"
    if _CONSOLE.search(text):
        return "other"
    if agent.os.family == "Android":
        return android_device(text, said_to_be_a_tablet=agent.is_tablet and not agent.is_mobile)
    # A tablet first: Chrome on an iPad is also in the library's list of mobile browsers.
    for kind, holds in (("tablet", agent.is_tablet), ("mobile", agent.is_mobile), ("desktop", agent.is_pc)):
        if holds:
            return kind
    return "other"


def _engine(resolver: object) -> str:
    # ua-parser takes the fastest engine installed; two engines differed in one of 2,500 user agents tried.
    package = {"ua_parser.regex": "ua-parser-rs", "ua_parser.re2": "google-re2"}.get(type(resolver).__module__)
    return f"{package} {version(package)}" if package else "re"
