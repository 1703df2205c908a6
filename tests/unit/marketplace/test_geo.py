from __future__ import annotations

import pytest

from marketplace.enrichments import Lookups, Place
from marketplace.enrichments.geo import GEO
from marketplace.enrichments.registry import Agent
from marketplace.enrichments.text import MAX_VALUE_CHARS


class OnePlace:
    def __init__(self, place: Place) -> None:
        self._place = place

    def version(self) -> str:
        return "City 2020-01-01"

    def find(self, ip: str) -> Place:
        return self._place


class NoAgents:
    def version(self) -> str:
        return "none"

    def find(self, user_agent: str) -> Agent:
        return Agent()


def located(place: Place) -> tuple[str, ...]:
    return GEO.enrich(Lookups(places=OnePlace(place), agents=NoAgents()), ("192.0.2.0",))


@pytest.mark.parametrize(
    ("place", "answer"),
    [
        pytest.param(Place("GB", "Cambridge"), ("GB", "Cambridge, GB"), id="a city carries its country"),
        pytest.param(Place("US", "Cambridge"), ("US", "Cambridge, US"), id="its homonym is another city"),
        pytest.param(Place("GB", ""), ("GB", ""), id="a country without city"),
        pytest.param(Place("", ""), ("", ""), id="unknown"),
        pytest.param(Place("", "Atlantis"), ("", "Atlantis"), id="a city of no country"),
        pytest.param(Place("Germany", "Köln"), ("", "Köln"), id="a country that is no ISO code is unknown"),
        pytest.param(Place("JP", "Ōsaka\x00\n"), ("JP", "Ōsaka, JP"), id="control characters go"),
    ],
)
def test_a_place_becomes_country_and_city(place: Place, answer: tuple[str, ...]) -> None:
    assert located(place) == answer


def test_a_long_city_is_cut_but_keeps_its_country() -> None:
    _, city = located(Place("GB", "L" * 300))
    assert len(city) == MAX_VALUE_CHARS
    assert city.endswith("L, GB")


def test_a_city_that_is_cut_behind_a_word_has_no_blank_before_its_country() -> None:
    name = "L" * (MAX_VALUE_CHARS - len(", GB") - 1)
    assert located(Place("GB", f"{name} Town")) == ("GB", f"{name}, GB")


def test_the_version_is_the_databases() -> None:
    assert GEO.version(Lookups(places=OnePlace(Place()), agents=NoAgents())) == "City 2020-01-01"
