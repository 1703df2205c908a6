"""The laws that every enrichment keeps, for whichever are registered."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.lookups.geoip import GeoIP
from connectors.lookups.user_agents import UserAgents
from marketplace.clicks.events import CollectedClick
from marketplace.enrichments import ENRICHMENTS, Enrichment, Lookups, Place
from marketplace.enrichments.registry import Agent
from marketplace.enrichments.text import MAX_VALUE_CHARS

LOOKUPS = Lookups(places=GeoIP().snapshot(), agents=UserAgents())

# Everything a string can hold: NUL, controls, lone surrogates, right-to-left overrides.
anything = st.text(alphabet=st.characters(exclude_categories=()), max_size=300)
long = st.builds(lambda part, times: part * times, anything.filter(bool), st.integers(30, 200)).map(
    lambda s: s[:10_000]
)
addresses = st.one_of(
    st.ip_addresses().map(str), st.sampled_from(["10.0.0.0", "::", "81.2.69.0", "256.1.1.1", "fe80::1%eth0"])
)
agents = st.builds(
    lambda browser, rest: f"Mozilla/5.0 ({rest}) {browser}",
    st.sampled_from(["Chrome/120.0.0.0 Safari/537.36", "Version/17.0 Mobile/15E148 Safari/604.1", "Firefox/125.0"]),
    anything,
)
names = st.sampled_from(
    ["utm_source", "utm_medium", "utm_campaign", "utm_term", "gclid", "fbclid", "amp;utm_source", "q"]
)
hosts = st.sampled_from(
    ["shop.example", "www.google.co.uk", "t.co", "mail.example.org", "[::1]", "chatgpt.com", "a" * 300]
)
links = st.builds(
    lambda scheme, host, path, pairs, fragment: (
        f"{scheme}{host}/{path}?{'&'.join(f'{name}={value}' for name, value in pairs)}#{fragment}"
    ),
    st.sampled_from(["https://", "http://user:secret@", "android-app://", "ios-app://", "//", "", "javascript:"]),
    hosts,
    anything,
    st.lists(st.tuples(names, anything), max_size=6),
    anything,
)
values = st.one_of(anything, long, addresses, agents, links, hosts)

each_enrichment = pytest.mark.parametrize("enrichment", ENRICHMENTS, ids=lambda enrichment: enrichment.name)
# One example of 10 kB goes through every expression of the device rules, which takes longer than the default deadline.
patient = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@each_enrichment
@patient
@given(data=st.data())
def test_it_answers_one_string_a_column_for_any_text(enrichment: Enrichment, data: st.DataObject) -> None:
    answer = enrichment.enrich(LOOKUPS, data.draw(st.tuples(*(values for _ in enrichment.reads))))
    assert [type(value) for value in answer] == [str] * len(enrichment.columns)


@each_enrichment
@patient
@given(data=st.data())
def test_its_answers_are_labels_short_printable_and_writable_as_utf8(
    enrichment: Enrichment, data: st.DataObject
) -> None:
    for value in enrichment.enrich(LOOKUPS, data.draw(st.tuples(*(values for _ in enrichment.reads)))):
        assert len(value) <= MAX_VALUE_CHARS
        assert value == value.strip()
        assert not {unicodedata.category(letter) for letter in value} & {"Cc", "Cs", "Zl", "Zp"}
        assert value.encode("utf-8").decode("utf-8") == value


@each_enrichment
@patient
@given(data=st.data())
def test_it_answers_the_same_again_whatever_was_asked_between(enrichment: Enrichment, data: st.DataObject) -> None:
    asked = data.draw(st.tuples(*(values for _ in enrichment.reads)))
    first = enrichment.enrich(LOOKUPS, asked)
    enrichment.enrich(LOOKUPS, data.draw(st.tuples(*(values for _ in enrichment.reads))))
    assert enrichment.enrich(LOOKUPS, asked) == first


@each_enrichment
@patient
@given(data=st.data())
def test_what_counts_of_a_text_can_be_distinguished(enrichment: Enrichment, data: st.DataObject) -> None:
    for part in enrichment.parts:
        text = data.draw(values)
        assert hash(part(text)) == hash(part(str(text)))
        assert part(text) == part(str(text))


@each_enrichment
def test_its_parts_are_one_for_each_field(enrichment: Enrichment) -> None:
    assert len(enrichment.parts) in (0, len(enrichment.reads))


@each_enrichment
def test_its_version_is_a_label_and_does_not_change(enrichment: Enrichment) -> None:
    version = enrichment.version(LOOKUPS)
    assert version.strip()
    assert len(version) <= MAX_VALUE_CHARS
    assert enrichment.version(LOOKUPS) == version


@each_enrichment
def test_it_reads_fields_of_the_event_only(enrichment: Enrichment) -> None:
    assert set(enrichment.reads) <= set(CollectedClick.__struct_fields__) | {"store_rules"}


def test_no_two_enrichments_share_a_name_or_a_column() -> None:
    assert len({enrichment.name for enrichment in ENRICHMENTS}) == len(ENRICHMENTS)
    columns = [column for enrichment in ENRICHMENTS for column in enrichment.columns]
    assert len(set(columns)) == len(columns)


class Hostile:
    """A lookup that answers whatever its data holds: the enrichment still answers labels."""

    def __init__(self, text: str) -> None:
        self._text = text

    def version(self) -> str:
        return "hostile"


class HostilePlaces(Hostile):
    def find(self, ip: str) -> Place:
        return Place(country=self._text, city=self._text)


class HostileAgents(Hostile):
    def find(self, user_agent: str) -> Agent:
        return Agent(self._text, self._text, self._text, self._text, self._text)


@each_enrichment
@patient
@given(text=st.one_of(anything, long))
def test_its_answers_are_labels_even_when_the_lookups_data_is_not(enrichment: Enrichment, text: str) -> None:
    lookups = Lookups(places=HostilePlaces(text), agents=HostileAgents(text))
    for value in enrichment.enrich(lookups, ("",) * len(enrichment.reads)):
        assert len(value) <= MAX_VALUE_CHARS
        assert not {unicodedata.category(letter) for letter in value} & {"Cc", "Cs"}
