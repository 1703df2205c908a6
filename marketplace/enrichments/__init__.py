"""Enrichments of a click. A new one is one file here and one line in the tuple below."""

from typing import Final

from marketplace.enrichments.device import DEVICE
from marketplace.enrichments.geo import GEO
from marketplace.enrichments.referral import REFERRAL
from marketplace.enrichments.registry import Agent, AgentLookup, Enrichment, Lookups, Place, PlaceLookup

ENRICHMENTS: Final[tuple[Enrichment, ...]] = (GEO, DEVICE, REFERRAL)

__all__ = ["ENRICHMENTS", "Agent", "AgentLookup", "Enrichment", "Lookups", "Place", "PlaceLookup"]
