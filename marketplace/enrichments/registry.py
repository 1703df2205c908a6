"""The interface of enrichments. A new one is one file beside this and one line in ``ENRICHMENTS``."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Place:
    """The place of an address, from a lookup; empty strings are unknown."""

    country: str = ""
    city: str = ""


@dataclass(frozen=True)
class Agent:
    """The properties of a user agent, from a lookup; empty strings are unknown."""

    browser: str = ""
    browser_version: str = ""
    os: str = ""
    os_version: str = ""
    device: str = ""


class PlaceLookup(Protocol):
    """Finds places of addresses."""

    def version(self) -> str:
        """The data's identity, e.g. ``GeoLite2-City 2019-12-24``; stamped on each event."""

    def find(self, ip: str) -> Place:
        """The place of an address; the empty place for unknown and invalid addresses. Never raises."""


class AgentLookup(Protocol):
    """Parses user agents."""

    def version(self) -> str:
        """The rules' identity; stamped on each event."""

    def find(self, user_agent: str) -> Agent:
        """The properties of a user agent; empty for a meaningless string. Never raises."""


@dataclass(frozen=True)
class Lookups:
    """The lookups that enrichments use, passed in by the flow; ``connectors`` implements them."""

    places: PlaceLookup
    agents: AgentLookup


@dataclass(frozen=True)
class Enrichment:
    """A named, versioned function of a few fields of an event.

    Attributes:
        name: snake_case; the fact table has a column ``<name>_version``.
        reads: All fields of ``CollectedClick`` (strings) that it depends on. ``"store_rules"`` is what the
            store itself says, as one text (``Store.rules_text``).
        columns: The names of its results, in order; each is a string column of the fact table.
        version: Its identity under given lookups, stamped on each event.
        answer: ``answer(lookups, parts)`` with the part of each field of ``reads``, in their order; returns values in
            the order of ``columns``. Total and deterministic: it never raises, and an unknown value is ``""``. The flow
            calls it once per distinct combination of parts.
        parts: For each field, a function from its text to the part that the result depends on, if that is less than the
            text: total, deterministic, to anything hashable, called once per distinct text. Many links, for example,
            have few hosts.
    """

    name: str
    reads: tuple[str, ...]
    columns: tuple[str, ...]
    version: Callable[[Lookups], str]
    answer: Callable[[Lookups, tuple[Any, ...]], tuple[str, ...]]
    parts: tuple[Callable[[str], Hashable], ...] = ()

    def enrich(self, lookups: Lookups, values: tuple[str, ...]) -> tuple[str, ...]:
        """The result for the texts of ``reads``."""
        if not self.parts:
            return self.answer(lookups, values)
        return self.answer(lookups, tuple(part(value) for part, value in zip(self.parts, values, strict=True)))
