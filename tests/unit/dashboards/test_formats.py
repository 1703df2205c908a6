"""Numbers and values as people read them."""

from __future__ import annotations

import pytest

from connectors.insights import Numbers
from connectors.insights.insights import SESSION_SECONDS_BOUNDS, SESSION_VIEWS_BOUNDS
from dashboards.data.view import FILTERS
from dashboards.screens import overview, visits
from dashboards.screens.flow import TITLES, TURNED_AWAY, turned_away_text
from dashboards.ui import formats as words
from marketplace.clicks.cost import REASONS
from marketplace.clicks.outcomes import OUTCOMES
from marketplace.tables import VISITORS_EXACT_UP_TO


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (9_999, "9,999"),
        (10_000, "10.0k"),
        (12_345, "12.3k"),
        (99_949, "99.9k"),
        (99_950, "100k"),
        (999_499, "999k"),
        (999_500, "1.0M"),
        (1_234_567, "1.2M"),
        (999_500_000, "1.0B"),
        (12_345_678_901, "12.3B"),
        (-12_345, "-12.3k"),
    ],
)
def test_a_count_has_as_many_digits_as_tell_something(number: int, text: str) -> None:
    assert words.count(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, words.NOTHING),
        (0, "0s"),
        (59.4, "59s"),
        (59.6, "1m 00s"),
        (185, "3m 05s"),
        (3_599.6, "1h 00m"),
        (4_320, "1h 12m"),
        (90_000, "25h 00m"),
    ],
)
def test_a_duration_is_shown_in_the_two_largest_units(seconds: float | None, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, words.NOTHING),
        (0.0, "0%"),
        (0.0421, "4.2%"),
        (0.0994, "9.9%"),
        (0.0995, "10%"),
        (0.425, "42%"),
        (1.0, "100%"),
    ],
)
def test_a_small_share_keeps_a_digit_behind_the_point(share: float | None, text: str) -> None:
    assert words.percent(share) == text


def test_growth_from_nothing_has_no_percentage() -> None:
    assert words.change(3, 0) is None
    assert words.change(None, 2) is None
    assert words.change(3, None) is None
    assert words.change(3, 2) == pytest.approx(0.5)
    assert words.change(0, 2) == -1


def test_an_estimate_of_visitors_is_distinguished_from_an_exact_number() -> None:
    exact, estimate = Numbers(visitors=VISITORS_EXACT_UP_TO), Numbers(visitors=VISITORS_EXACT_UP_TO + 1)
    assert words.visitors(exact) == "4,000"
    assert words.visitors(estimate) == "~4,001"
    assert "exact" in words.exactness(exact)
    assert "off by less than 12" in words.exactness(estimate)


@pytest.mark.parametrize(
    ("grown", "text", "spoken"),
    [
        (0.125, "\N{BLACK UP-POINTING TRIANGLE} +12%", "up 12% on the period before"),
        (-1.0, "\N{BLACK DOWN-POINTING TRIANGLE} -100%", "down 100% on the period before"),
        (-0.004, "0%", "unchanged"),
        (500.0, "\N{BLACK UP-POINTING TRIANGLE} +999%+", "up 999%+ on the period before"),
        (words.change(7, 0), "n/a", "not comparable, the period before had none"),
    ],
)
def test_a_change_is_said_with_sign_and_arrow_and_in_words(grown: float | None, text: str, spoken: str) -> None:
    assert words.change_words(grown)[:2] == (text, spoken)


def test_every_dimension_has_a_name_for_one_and_for_many() -> None:
    assert set(words.LABELS) == set(words.PLURALS) == set(FILTERS)


def test_a_value_is_shown_in_words() -> None:
    assert words.value_label("country", "NP") == "Nepal"
    assert words.value_label("country", "ZZ") == "ZZ"
    assert words.value_label("device", "tv") == "TV"
    assert words.value_label("device", "desktop") == "Desktop"
    assert words.value_label("page", "") == words.UNKNOWN
    assert words.value_label("page", "/a") == "/a"


def test_every_outcome_of_an_event_is_explained() -> None:
    assert set(TITLES) == {outcome.name for outcome in OUTCOMES}


def test_every_class_of_visits_has_a_label_of_its_own() -> None:
    lengths, counts = visits._lengths(SESSION_SECONDS_BOUNDS), visits._counts(SESSION_VIEWS_BOUNDS)
    assert len(set(lengths)) == len(SESSION_SECONDS_BOUNDS) + 1
    assert counts == ["1", "2", "3", "4 to 5", "6 to 10", "11 to 20", "more"]
    assert lengths == ["0s", "to 10s", "to 30s", "to 1m", "to 3m", "to 10m", "to 30m", "longer"]


def test_the_overview_lists_each_dimension_once() -> None:
    listed = [name for _, names, _ in overview.GROUPS for name in names]
    assert len(set(listed)) == len(listed)
    assert set(listed) <= set(FILTERS)


def test_every_reason_to_turn_events_away_is_said_with_its_numbers() -> None:
    assert set(TURNED_AWAY) == set(REASONS)
    assert len({turned_away_text(reason, 1_200, 34_000) for reason in REASONS}) == len(REASONS)
    assert all("34,000 events" in turned_away_text(reason, 1_200, 34_000) for reason in REASONS)
