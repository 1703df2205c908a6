"""Browser, operating system and kind of device of a visitor, from the user agent."""

from __future__ import annotations

from typing import Final

from marketplace.enrichments.registry import Enrichment, Lookups
from marketplace.enrichments.text import label

DEVICES: Final = ("desktop", "mobile", "tablet", "tv", "bot", "other")
"""Every value that ``device`` can have, apart from empty for a user agent that is missing or unknown."""


def identify(lookups: Lookups, values: tuple[str, ...]) -> tuple[str, ...]:
    """``(user_agent,)`` to browser and operating system, each with its version, and the kind of device."""
    (user_agent,) = values
    agent = lookups.agents.find(user_agent)
    device = agent.device if agent.device in DEVICES else ""
    return (label(agent.browser), label(agent.browser_version), label(agent.os), label(agent.os_version), device)


DEVICE: Final = Enrichment(
    name="device",
    reads=("user_agent",),
    columns=("browser", "browser_version", "os", "os_version", "device"),
    version=lambda lookups: lookups.agents.version(),
    answer=identify,
)
