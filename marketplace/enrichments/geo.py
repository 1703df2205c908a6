"""Country and city of the visitor's network."""

from __future__ import annotations

import re
from typing import Final

from marketplace.enrichments.registry import Enrichment, Lookups
from marketplace.enrichments.text import MAX_VALUE_CHARS, label

_ISO_3166: Final = re.compile(r"[A-Z]{2}")


def locate(lookups: Lookups, values: tuple[str, ...]) -> tuple[str, ...]:
    """``(ip,)`` to ``(country, city)``: ``GB`` and ``Cambridge, GB``, so that Cambridge, US is another city.

    The address is a network's base address (IPv4 /24, IPv6 /48), which is as exact as a city needs.
    """
    (ip,) = values
    place = lookups.places.find(ip)
    country = place.country if _ISO_3166.fullmatch(place.country) else ""
    city = label(place.city)
    if not city:
        return country, ""
    suffix = f", {country}" if country else ""
    return country, city[: MAX_VALUE_CHARS - len(suffix)].rstrip() + suffix


GEO: Final = Enrichment(
    name="geo",
    reads=("ip",),
    columns=("country", "city"),
    version=lambda lookups: lookups.places.version(),
    answer=locate,
)
