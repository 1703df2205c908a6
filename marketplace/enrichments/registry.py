"""What an enrichment is. A new one is one file beside this and one line in ``ENRICHMENTS``."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Place:
    """Where an address is, as a lookup answered; empty strings are unknown."""

    country: str = ""
    city: str = ""


@dataclass(frozen=True)
class Agent:
    """What a user agent is, as a lookup answered; empty strings are unknown."""

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
        """The place of an address; unknown and broken addresses answer the empty place, never an exception."""


class AgentLookup(Protocol):
    """Parses user agents."""

    def version(self) -> str:
        """The rules' identity; stamped on each event."""

    def find(self, user_agent: str) -> Agent:
        """What the user agent is; nonsense answers the empty agent, never an exception."""


@dataclass(frozen=True)
class Lookups:
    """The outside knowledge that enrichments read, passed in by the flow; ``connectors`` has the real ones."""

    places: PlaceLookup
    agents: AgentLookup


@dataclass(frozen=True)
class Enrichment:
    """A named, versioned function of a few fields of an event.

    Attributes:
        name: snake_case; the fact table has a column ``<name>_version``.
        reads: Fields of ``CollectedClick`` (strings) that it depends on, and nothing else. ``"store_domains"`` stands
            for the store's own hosts, comma-joined.
        columns: What it answers, in order; each is a string column of the fact table.
        version: Its identity under given lookups, stamped on each event.
        answer: ``answer(lookups, parts)`` with the part of each field of ``reads``, in their order; answers in the
            order of ``columns``. Total and deterministic: it never raises, an unknown is ``""``. The flow calls it once
            per distinct combination of parts.
        parts: What of each field the answer depends on, where that is less than its text: total and deterministic
            functions to anything hashable, called once per distinct text. A link, say, has many texts and few hosts.
    """

    name: str
    reads: tuple[str, ...]
    columns: tuple[str, ...]
    version: Callable[[Lookups], str]
    answer: Callable[[Lookups, tuple[Any, ...]], tuple[str, ...]]
    parts: tuple[Callable[[str], Hashable], ...] = ()

    def enrich(self, lookups: Lookups, values: tuple[str, ...]) -> tuple[str, ...]:
        """The answer for the texts of ``reads``."""
        if not self.parts:
            return self.answer(lookups, values)
        return self.answer(lookups, tuple(part(value) for part, value in zip(self.parts, values, strict=True)))
