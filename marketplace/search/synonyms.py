"""Words of one meaning, in English and German: a buyer who types one of them finds the others after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from marketplace.search.stems import stem
from marketplace.search.words import folded

SYNONYMS: Final[tuple[tuple[str, ...], ...]] = (
    ("Kaffee", "coffee", "Café"),
    ("Tee", "tea"),
    ("Tasse", "Becher", "cup", "mug"),
    ("Teller", "plate"),
    ("Schüssel", "bowl"),
    ("Kanne", "pot", "jug"),
    ("Löffel", "spoon"),
    ("Messer", "knife", "knives"),
    ("Schokolade", "chocolate"),
    ("Honig", "honey"),
    ("Wein", "wine"),
    ("Gewürz", "spice"),
    ("Buch", "book"),
    ("Heft", "Notizbuch", "notebook"),
    ("Stift", "pen"),
    ("Karte", "card"),
    ("Tasche", "bag"),
    ("Rucksack", "backpack"),
    ("Hemd", "shirt"),
    ("Hose", "trousers", "pants"),
    ("Kleid", "dress"),
    ("Jacke", "jacket"),
    ("Schuh", "shoe"),
    ("Socke", "sock"),
    ("Mütze", "beanie"),
    ("Hut", "hat"),
    ("Handschuh", "glove"),
    ("Schal", "scarf"),
    ("Kerze", "candle"),
    ("Seife", "soap"),
    ("Lampe", "Leuchte", "lamp", "light"),
    ("Kissen", "pillow", "cushion"),
    ("Decke", "blanket"),
    ("Teppich", "rug", "carpet"),
    ("Tisch", "table", "desk"),
    ("Stuhl", "chair"),
    ("Uhr", "watch", "clock"),
    ("Spielzeug", "toy"),
    ("Kinder", "kids", "children"),
    ("Geschenk", "gift", "present"),
    ("Fahrrad", "bicycle", "bike"),
    ("Pflanze", "plant"),
    ("Blume", "flower"),
    ("Holz", "wood", "wooden"),
    ("Wolle", "wool", "woollen"),
    ("Leder", "leather"),
    ("blau", "blue"),
    ("rot", "red"),
    ("grün", "green"),
    ("schwarz", "black"),
    ("weiß", "white"),
)
"""Of each line every word stands for all others. A word stands in one line."""


def _stems() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for group in SYNONYMS:
        stems = tuple(dict.fromkeys(stem(folded(word)) for word in group))
        for own in stems:
            found[own] = tuple(other for other in stems if other != own)
    return found


_OTHERS: Final[Mapping[str, tuple[str, ...]]] = _stems()


def synonyms_of(word: str) -> tuple[str, ...]:
    """The stems of the other words of a folded word's line; it may stand there in another number."""
    return _OTHERS.get(stem(word), ())
