"""Laws of the dashboard's pure parts: a view and its URL, ranges, buckets, and what is taken away as CSV."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from connectors.insights import Breakdown, Numbers, Row
from dashboards.data.periods import CUSTOM, PERIODS, Range, grains, previous
from dashboards.data.series import beside, buckets, points
from dashboards.data.view import ATTRIBUTIONS, BOTS, FILTERS, MAX_VALUE, METRICS, View, from_query, to_query
from dashboards.ui.table_csv import BOM, CSV_COLUMNS, to_csv
from marketplace.rollups import GRAINS, hour_start

STORES = ("alpha", "beta", "gamma")
ZONES = tuple(
    ZoneInfo(name)
    for name in (
        "UTC", "Australia/Lord_Howe", "America/New_York", "Asia/Kathmandu", "Europe/Berlin", "Pacific/Apia",
        "Africa/Cairo", "America/Havana",
    )
)  # fmt: skip
CLOCK_CHANGES = (
    date(2025, 3, 9),
    date(2025, 11, 2),
    date(2025, 4, 6),
    date(2025, 10, 5),
    date(2025, 3, 30),
    date(2025, 4, 25),
    date(2025, 3, 12),
)

zones = st.sampled_from(ZONES)
days = st.dates(date(2001, 1, 1), date(2190, 1, 1)) | st.sampled_from(CLOCK_CHANGES)
ranges = st.builds(lambda first, more: Range(first, first + timedelta(days=more)), days, st.integers(0, 400))
near_changes = st.builds(
    lambda day, before, more: Range(day - timedelta(days=before), day + timedelta(days=more)),
    st.sampled_from(CLOCK_CHANGES), st.integers(0, 3), st.integers(0, 3),
)  # fmt: skip
values = st.text(max_size=20)
filters = st.dictionaries(st.sampled_from(FILTERS), values).map(
    lambda named: tuple((name, named[name]) for name in FILTERS if name in named)
)


@st.composite
def views(draw: st.DrawFn) -> View:
    custom = draw(st.none() | ranges)
    return View(
        store=draw(st.sampled_from(STORES)),
        period=draw(st.sampled_from(sorted(PERIODS))) if custom is None else CUSTOM,
        custom=custom,
        compare=draw(st.booleans()),
        bots=draw(st.sampled_from(sorted(BOTS))),
        attribution=draw(st.sampled_from(sorted(ATTRIBUTIONS))),
        grain=draw(st.sampled_from(["", *GRAINS])),
        metric=draw(st.sampled_from(sorted(METRICS))),
        filters=draw(filters),
    )


@given(views())
def test_a_view_comes_back_from_its_address(view: View) -> None:
    assert from_query(to_query(view), STORES) == (view, [])


CHOICES = ("store", "period", "from", "to", "bots", "attribution", "grain", "metric", "compare")
PARAMETERS = (*CHOICES, "anything", *FILTERS)


@given(st.dictionaries(st.sampled_from(PARAMETERS) | st.text(max_size=5), st.text(max_size=600)))
def test_any_address_gives_a_view_that_can_be_shown_and_is_kept(query: dict[str, str]) -> None:
    view, odd = from_query(query, STORES)
    assert from_query(to_query(view), STORES) == (view, [])
    assert view.store in STORES
    assert all(len(value) <= MAX_VALUE for _, value in view.filters)
    shown = to_query(view)
    # What was given and is neither shown nor the usual choice is named.
    usual = to_query(View(view.store)) | {"period": "28d", "bots": "exclude", "grain": "", "metric": "visitors"}
    for name in set(query) & set(PARAMETERS) - {"anything", "from", "to", "period"}:
        left_out = shown.get(name, usual.get(name)) != query[name] and not (name == "compare" and query[name] == "yes")
        assert left_out == any(text.startswith(f"{name}=") for text in odd), (name, query[name], odd)


@given(views(), st.sampled_from(FILTERS), values)
def test_a_value_picked_twice_is_not_filtered_by(view: View, name: str, value: str) -> None:
    once = view.without(name).toggled(name, value)
    assert once.value_of(name) == value
    assert once.toggled(name, value) == view.without(name)


@given(views(), st.sampled_from(FILTERS), values, st.sampled_from(FILTERS), values)
def test_the_order_in_which_filters_are_set_does_not_matter(
    view: View, one: str, first: str, other: str, second: str
) -> None:
    if one != other:
        assert view.filtered(one, first).filtered(other, second) == view.filtered(other, second).filtered(one, first)
    assert view.filtered(one, first).filtered(one, second).value_of(one) == second


@given(st.sampled_from(sorted(PERIODS)), days, days)
def test_a_preset_ends_today_or_before_and_never_before_it_begins(period: str, today: date, first: date) -> None:
    chosen = View("alpha", period).range(today, first)
    assert chosen.first <= chosen.last <= today
    assert chosen.until - chosen.since == timedelta(days=chosen.days)


@given(ranges)
def test_a_range_that_is_over_is_compared_with_as_many_days_right_before(chosen: Range) -> None:
    begins, ends = previous(chosen, chosen.until + timedelta(hours=1))
    assert ends == chosen.since
    assert ends - begins == chosen.until - chosen.since


@given(ranges, st.floats(0, 1))
def test_a_range_that_is_not_over_is_compared_with_the_same_part_of_the_one_before(chosen: Range, part: float) -> None:
    now = chosen.since + part * (chosen.until - chosen.since)
    begins, ends = previous(chosen, now)
    assert chosen.since - begins == chosen.until - chosen.since
    # Numbers know quarters of an hour, so the part is as long as the quarters that have begun.
    beyond = (ends - begins) - (now - chosen.since)
    assert timedelta(0) <= beyond < timedelta(minutes=15)
    assert (ends - begins) % timedelta(minutes=15) == timedelta(0)


@given(ranges)
def test_every_range_can_be_drawn_with_points_that_fit_a_screen(chosen: Range) -> None:
    offered = grains(chosen)
    assert set(offered) <= set(GRAINS)
    best = buckets(chosen.since, chosen.until, offered[0], ZoneInfo("UTC"))
    assert 1 <= len(best) <= 120


@given(near_changes, zones, st.sampled_from(GRAINS))
def test_every_bucket_stands_once_and_in_order_and_they_meet(chosen: Range, zone: ZoneInfo, grain: str) -> None:
    found = buckets(chosen.since, chosen.until, grain, zone)
    instants = [instant for instant, _ in found]
    assert instants == sorted(set(instants))
    assert all(instant.astimezone(zone).replace(tzinfo=None) == wall for instant, wall in found if grain == "hour")
    if grain == "day":
        assert [wall.date() for _, wall in found] == [chosen.first + timedelta(days=at) for at in range(chosen.days)]


@given(near_changes, zones)
def test_every_quarter_of_a_range_lies_in_an_hour_that_is_drawn(chosen: Range, zone: ZoneInfo) -> None:
    drawn = {instant for instant, _ in buckets(chosen.since, chosen.until, "hour", zone)}
    since, until = (end.replace(tzinfo=zone).astimezone(UTC) for end in (chosen.since, chosen.until))
    quarters = (since + at * timedelta(minutes=15) for at in range((until - since) // timedelta(minutes=15)))
    assert {hour_start(quarter, zone) for quarter in quarters} == drawn


@given(near_changes, zones, st.sampled_from(GRAINS), st.integers(-30, 60), st.data())
def test_a_chart_draws_each_number_once_and_marks_what_may_still_grow(
    chosen: Range, zone: ZoneInfo, grain: str, hours: int, data: st.DataObject
) -> None:
    found = buckets(chosen.since, chosen.until, grain, zone)
    rows = [
        Row(instant if grain == "hour" else wall.date(), "", Numbers(views=at + 1))
        for at, (instant, wall) in enumerate(found)
    ]
    now = found[0][0] + timedelta(hours=hours)
    complete = now - data.draw(st.sampled_from([timedelta(0), timedelta(minutes=7), timedelta(hours=30)]))
    drawn = points(chosen, data.draw(st.permutations(rows)), "views", grain, zone, complete, now)
    begun = sum(instant <= now for instant, _ in found)
    assert [point.now for point in drawn] == [at + 1 for at in range(begun)]
    flags = [point.provisional for point in drawn]
    assert flags == sorted(flags), "complete buckets come first"
    if complete == now and now < found[-1][0]:
        assert flags.count(True) == (1 if begun else 0), "without a delay only the present bucket grows"


@given(near_changes, zones, st.sampled_from(GRAINS))
def test_each_point_has_at_most_one_bucket_of_the_time_before_and_none_twice(
    chosen: Range, zone: ZoneInfo, grain: str
) -> None:
    now = chosen.until.replace(tzinfo=zone).astimezone(UTC)
    drawn = points(chosen, [], "views", grain, zone, now, now)
    before = previous(chosen, chosen.until)[0]
    rows = [
        Row(instant if grain == "hour" else wall.date(), "", Numbers(views=1))
        for instant, wall in buckets(before, chosen.since, grain, zone)
    ]
    paired = beside(drawn, before, rows, "views", grain, zone)
    assert [(point.wall, point.now) for point in paired] == [(point.wall, point.now) for point in drawn]
    assert sum(point.before or 0 for point in paired) <= len(rows)


numbers = st.builds(Numbers, *(st.integers(0, 10**9) for _ in range(6)))


@given(st.lists(st.tuples(st.text(max_size=30), numbers), unique_by=lambda row: row[0]))
def test_a_csv_holds_every_row_with_exact_numbers(rows: list[tuple[str, Numbers]]) -> None:
    text = to_csv(Breakdown("page", tuple(Row(None, value, found) for value, found in rows), more=False))
    head, *lines = csv.reader(io.StringIO(text.removeprefix(BOM), newline=""))
    assert head == ["page", *CSV_COLUMNS]
    counts = [name for name in CSV_COLUMNS if name != "bounce_rate"]
    for line, (_, found) in zip(lines, rows, strict=True):
        cells = dict(zip(head, line, strict=True))
        assert [cells[name] for name in counts] == [str(getattr(found, name)) for name in counts]
        rate = cells["bounce_rate"]
        assert rate == "" if found.bounce_rate is None else abs(float(rate) - found.bounce_rate) < 1e-6
    for (value, _), line in zip(rows, lines, strict=True):
        assert line[0].removeprefix("'") == value.removeprefix("'") or line[0] == f"'{value}"


@given(st.sampled_from("=+-@\t\r\n"), st.text(max_size=10))
def test_no_cell_of_a_csv_begins_like_a_formula(first: str, rest: str) -> None:
    text = to_csv(Breakdown("page", (Row(None, first + rest, Numbers()),), more=False))
    _, line = csv.reader(io.StringIO(text.removeprefix(BOM), newline=""))
    assert line[0][:1] not in ("=", "+", "-", "@", "\t", "\r", "\n")
