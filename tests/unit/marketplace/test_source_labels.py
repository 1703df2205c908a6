from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.enrichments.referral_labels import LABELS, read_label, words_of
from marketplace.enrichments.referral_sources import SITE_LISTS, find_site, look_up, site_named

texts = st.text(max_size=150)
OWN = [listed for listed in SITE_LISTS if listed.licence == "Apache-2.0"]
# Names that two lists give one host; the first list counts, and the label of the second means the same site.
ENTRIES = [
    (listed.list, category, name, host)
    for listed in SITE_LISTS
    for category, sites in listed.sites.items()
    for name, hosts in sites.items()
    for host in hosts
]


def here(host: str) -> str:
    """A host that an entry stands for."""
    return host.replace(".{}", ".de").replace("{}.", "de.")


@given(label=texts)
def test_a_source_stands_for_itself(label: str) -> None:
    once = read_label(label.casefold())
    again = read_label(once.name)
    assert again.name == once.name
    assert again.category == once.category or once.category == ""


def test_every_name_of_the_lists_stands_for_itself_or_for_one_that_does() -> None:
    names = {read_label(name).name for _, _, name, _ in ENTRIES}
    assert [name for name in sorted(names) if read_label(name).name != name] == []


@given(host=texts)
def test_a_host_of_any_text_has_an_answer_or_none(host: str) -> None:
    found = look_up(host)
    assert found is None or found.site.name


def test_a_source_has_one_name_whether_it_comes_by_its_host_as_a_label_or_as_a_referrer() -> None:
    differing = []
    for _, _, _, host in ENTRIES:
        site = find_site(here(host))
        if site is not None and read_label(here(host)).name != read_label(site.name).name:
            differing.append((host, site.name, read_label(here(host)).name))
    assert differing == []


def test_every_entry_of_the_projects_own_lists_can_match_and_means_what_it_says() -> None:
    wrong = []
    for listed in OWN:
        for category, sites in listed.sites.items():
            for name, hosts in sites.items():
                wrong += [host for host in hosts if find_site(here(host)) != (name, category)]
    assert wrong == []


def test_no_host_is_twice_in_the_projects_own_lists() -> None:
    hosts = [h for listed in OWN for sites in listed.sites.values() for names in sites.values() for h in names]
    assert sorted(hosts) == sorted(set(hosts))


def test_every_spelling_means_a_known_name_and_only_one() -> None:
    spellings = [spelling for names in LABELS.spellings.values() for spelling in names]
    assert sorted(spellings) == sorted(set(spellings))
    assert [name for name in LABELS.spellings if site_named(name) is None] == []
    assert [spelling for spelling in spellings if read_label(spelling).name not in LABELS.spellings] == []


def test_words_of_ads_and_mails_are_words() -> None:
    assert [word for word in (*LABELS.ads, *LABELS.mails) if words_of(word) != (word,)] == []
    assert set(LABELS.ads) & set(LABELS.mails) == set()


@pytest.mark.parametrize("label", ["fb-ads", "ads_facebook", "Facebook Ads DE", "fbads", "paid.facebook"])
def test_a_label_of_ads_names_whose_they_are(label: str) -> None:
    found = read_label(label.casefold())
    assert (found.name, found.category, found.ads) == ("facebook", "social", True)


@pytest.mark.parametrize("label", ["facebook", "adidas", "badges", "roads-magazine", "header", "upload"])
def test_a_word_of_ads_inside_another_word_is_none(label: str) -> None:
    assert not read_label(label).ads
