"""What an enrichment is. A new one is one file beside this and one line in ``ENRICHMENTS``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


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
        reads: Fields of ``CollectedClick`` (strings) that it depends on, and nothing else: the flow calls it once
            per distinct combination of them. ``"store_domains"`` stands for the store's own hosts, comma-joined.
        columns: What it answers, in order; each is a string column of the fact table.
        version: Its identity under given lookups, stamped on each event.
        enrich: ``enrich(lookups, values)`` with ``values`` in the order of ``reads``; answers in the order of
            ``columns``. Total and deterministic: it never raises, an unknown is ``""``.
    """

    name: str
    reads: tuple[str, ...]
    columns: tuple[str, ...]
    version: Callable[[Lookups], str]
    enrich: Callable[[Lookups, tuple[str, ...]], tuple[str, ...]]
