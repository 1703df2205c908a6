"""The dashboard in a real browser: its pages, its filters and its address."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from connectors.insights import Scope
from dashboards.ui import formats as words
from dashboards.ui.table_csv import BOM, CSV_COLUMNS, goals_to_csv, to_csv
from runtime.ports import free_ports
from tests.e2e.conftest import WIDE_PAGES, Shown
from tests.kits.dashboard import PAGES, ROOT, SCRIPTED_PAGE, SHOPS, Tab, fresh, tab
from tests.kits.depth import LONG
from tests.kits.processes import wait_until
from tests.kits.used_pages import used_again

DARK, LIGHT = "rgb(15, 17, 23)", "rgb(255, 255, 255)"
WITHOUT_CLICKS = ("Live", "Goals", "Counting", "Catalog", "Orders", "Stock")
PHONE: ViewportSize = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def one_page(browser: Browser, shown: Shown) -> Iterator[Tab]:
    """The page of all tests, which follow one another."""
    with tab(browser, shown.url) as opened:
        yield opened


@pytest.fixture
def window(one_page: Tab) -> Iterator[Tab]:
    """A page like a new one; at the end nothing may have gone wrong in it."""
    used_again(one_page)
    yield one_page
    one_page.assert_sound()


def scope_of(store: str = "teahouse", **filters: str) -> Scope:
    """What the dashboard asks for without a choice: the last 28 days of the store's calendar."""
    zone = ZoneInfo(SHOPS[store].timezone)
    midnight = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    since, until = midnight - timedelta(days=27), midnight + timedelta(days=1)
    return Scope(store, zone, since, until, filters=tuple(filters.items()))


def query_of(opened: Tab) -> dict[str, str]:
    """The address's parameters."""
    return {name: values[0] for name, values in parse_qs(urlsplit(opened.page.url).query).items()}


def test_the_numbers_on_top_are_those_of_the_query_layer(window: Tab, shown: Shown) -> None:
    window.open()
    totals = shown.insights.totals(scope_of())
    assert totals.views > 100
    for label, text in (
        ("Visitors", words.visitors(totals)),
        ("Visits", words.count(totals.sessions)),
        ("Page views", words.count(totals.views)),
        ("Bounce rate", words.percent(totals.bounce_rate)),
        ("Visit length", words.duration(totals.session_seconds)),
    ):
        expect(window.metric(label)).to_have_text(text)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_by_its_address_without_an_error_light_or_dark_on_desk_or_phone(window: Tab, name: str) -> None:
    window.open(PAGES[name])
    expect(window.page.get_by_role("combobox", name="Store")).to_have_value("Teahouse")
    if name not in WITHOUT_CLICKS:
        expect(window.metric("Visitors")).to_be_visible()
    expect(window.page.get_by_test_id("stApp")).to_have_css("background-color", LIGHT)
    window.assert_sound()
    window.page.emulate_media(color_scheme="dark")
    expect(window.page.get_by_test_id("stApp")).to_have_css("background-color", DARK)
    window.page.set_viewport_size(PHONE)
    expect(window.page.get_by_test_id("stMain")).to_have_css("width", "390px")
    window.wait_fits()


_HOUR, _DAY, _MONTH = r"\d\d:00", r"\d+ [A-Z][a-z]{2}", r"[A-Z][a-z]{2} \d{4}"


@pytest.mark.parametrize(
    ("period", "grain", "label"),
    [
        ("yesterday", "hour", _HOUR),
        ("7d", "hour", f"{_DAY} {_HOUR}"),
        ("7d", "day", _DAY),
        pytest.param("28d", "day", _DAY, marks=LONG),
        ("12mo", "month", _MONTH),
    ],
)
def test_the_line_and_its_axis_of_time_are_painted_for_every_grain(
    window: Tab, period: str, grain: str, label: str
) -> None:
    window.open("", f"store=teahouse&period={period}&grain={grain}")
    chart = window.page.get_by_test_id("stVegaLiteChart").first
    expect(chart.locator("path[stroke='#6366f1'][d*=L]").first).to_be_attached()
    expect(chart.locator(".role-axis-label text").filter(has_text=re.compile(f"^{label}$")).first).to_be_visible()


def test_a_click_on_a_bar_filters_everything_and_a_second_one_ends_it(window: Tab, shown: Shown) -> None:
    window.open()
    before = shown.insights.totals(scope_of())
    only = shown.insights.totals(scope_of(channel="Organic Search"))
    assert 0 < only.views < before.views
    window.bar("Organic Search").click()
    expect(window.metric("Page views")).to_have_text(words.count(only.views))
    expect(window.chip("channel")).to_contain_text("Channel: Organic Search")
    assert query_of(window) == {"store": "teahouse", "channel": "Organic Search"}
    expect(window.bar("Organic Search")).to_have_attribute("aria-pressed", "true")
    window.bar("Organic Search").click()
    expect(window.metric("Page views")).to_have_text(words.count(before.views))
    expect(window.chip("channel")).to_have_count(0)
    assert query_of(window) == {"store": "teahouse"}


def test_filters_combine_survive_a_reload_and_can_be_removed(window: Tab, shown: Shown) -> None:
    window.open()
    window.bar("Organic Search").click()
    expect(window.chip("channel")).to_be_visible()
    # A click on a row that is just being drawn anew is lost.
    expect(window.bar("Organic Search")).to_have_attribute("aria-pressed", "true")
    window.bar("green").click()
    expect(window.chip("product")).to_be_visible()
    both = shown.insights.totals(scope_of(channel="Organic Search", product="green"))
    expect(window.metric("Page views")).to_have_text(words.count(both.views))
    window.page.reload()
    window.wait_drawn()
    assert query_of(window) == {"store": "teahouse", "channel": "Organic Search", "product": "green"}
    expect(window.metric("Page views")).to_have_text(words.count(both.views))
    window.chip("channel").click()
    only = shown.insights.totals(scope_of(product="green"))
    expect(window.metric("Page views")).to_have_text(words.count(only.views))
    assert query_of(window) == {"store": "teahouse", "product": "green"}


def test_filters_go_along_to_other_pages(window: Tab, shown: Shown) -> None:
    window.open("", "store=teahouse&product=green")
    window.turn_to("Sources")
    expect(window.page).to_have_url(re.compile(r"/sources\?.*product=green"))
    only = shown.insights.totals(scope_of(product="green"))
    expect(window.metric("Page views")).to_have_text(words.count(only.views))


def test_the_back_button_takes_a_filter_back(window: Tab, shown: Shown) -> None:
    window.open()
    expect(window.metric("Page views")).to_be_visible()
    window.bar("green").click()
    expect(window.chip("product")).to_be_visible()
    window.page.go_back()
    expect(window.chip("product")).to_have_count(0)
    expect(window.metric("Page views")).to_have_text(words.count(shown.insights.totals(scope_of()).views))
    window.page.go_forward()
    expect(window.chip("product")).to_be_visible()


def test_a_shared_address_shows_the_same_to_somebody_else(browser: Browser, shown: Shown, window: Tab) -> None:
    window.open("", "store=teahouse&period=7d&bots=include&metric=views&page=/tea&device=mobile")
    numbers = window.metric("Page views").text_content()
    with tab(browser, shown.url) as other:
        other.page.goto(window.page.url)
        other.wait_drawn()
        expect(other.metric("Page views")).to_have_text(str(numbers))
        expect(other.chip("page")).to_contain_text("Page: /tea")
        expect(other.chip("device")).to_contain_text("Device: Mobile")
        assert query_of(other) == query_of(window)
        other.assert_sound()


def test_an_address_that_makes_no_sense_shows_the_usual_view_and_says_what_was_left_out(window: Tab) -> None:
    window.open("", "store=teahouse&period=eternity&bots=%27&metric=money&from=x")
    told = window.page.get_by_text("Left out of the address")
    expect(told).to_contain_text("period=eternity")
    window.choose("Days", "Last 7 days")
    expect(told).to_have_count(0)


def test_a_store_that_is_not_there_is_said_to_be_missing_and_no_other_is_shown_in_its_place(window: Tab) -> None:
    window.open("sources", "store=nobody&channel=Direct")
    expect(window.page.get_by_role("heading", name="There is no such store")).to_be_visible()
    expect(window.page.get_by_test_id("stMetric").or_(window.page.get_by_test_id("stDataFrame"))).to_have_count(0)
    assert query_of(window)["store"] == "nobody"
    window.page.get_by_role("button", name="Teahouse").click()
    expect(window.metric("Page views")).to_be_visible()
    assert query_of(window) == {"store": "teahouse"}


HOSTILE = (
    pytest.param("https://evil.example/x", marks=LONG),
    pytest.param("\n\n![a](https://evil.example/a.png)", marks=LONG),
    "`\n\n# Big\n\n<img src=https://evil.example/b.png> [c](https://evil.example)",
    "x\u2028\u2028![d](https://evil.example/d.png)\r\n- one\r\n- two",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_of_an_address_becomes_a_link_a_picture_or_a_heading(window: Tab, text: str) -> None:
    asked: list[str] = []
    window.page.on("request", lambda request: asked.append(urlsplit(request.url).hostname or ""))
    names = ("period", "bots", "grain", "metric", "table", "from", "page", "source")
    window.open("", urlencode({"store": "teahouse", **dict.fromkeys(names, text)}))
    for name in names:
        left_out = window.page.get_by_text("Left out of the address").filter(has_text=name)
        expect(left_out.or_(window.chip(name)).first).to_be_visible()
    main = window.page.get_by_test_id("stMainBlockContainer")
    expect(main.get_by_role("heading")).to_have_text(["Overview"])
    expect(main.locator("a[href*=evil], img, li")).to_have_count(0)
    window.open("", urlencode({"store": text}))
    expect(main.get_by_role("heading")).to_have_text(["There is no such store"])
    expect(main.locator("a[href*=evil], img, li")).to_have_count(0)
    assert "evil.example" not in asked


def test_the_dashboard_is_not_shown_in_a_frame_of_another_page(browser: Browser, shown: Shown) -> None:
    with fresh(browser) as context:
        page = context.new_page()
        refused: list[str] = []
        page.on("console", lambda message: refused.append(message.text))
        page.set_content(f'<iframe src="{shown.url}/" width="800" height="600"></iframe>')
        page.wait_for_function("document.querySelector('iframe').contentWindow.length === 0")
        expect(page.frame_locator("iframe").get_by_test_id("stApp")).to_have_count(0)
        wait_until(lambda: any("frame" in text.lower() for text in refused), 20, "the browser's refusal")


def test_the_open_table_is_part_of_the_address(window: Tab) -> None:
    window.open("devices", "store=teahouse")
    window.page.get_by_role("tab", name="Systems").click()
    window.page.wait_for_url("**table=os*")
    window.page.reload()
    window.wait_drawn()
    expect(window.page.get_by_role("tab", name="Systems")).to_have_attribute("aria-selected", "true")


def test_a_table_gives_its_texts_away_only_where_a_spreadsheet_does_not_run_them(window: Tab) -> None:
    window.open("products")
    window.page.get_by_test_id("stDataFrame").hover()
    toolbar = window.page.get_by_test_id("stElementToolbar").last
    expect(toolbar.get_by_role("button", name="Search")).to_be_visible()
    expect(toolbar.get_by_role("button", name="Download as CSV")).to_be_hidden()
    # A chart would open as a table, too, and its toolbar lay over the choice of hours and days.
    window.page.get_by_test_id("stVegaLiteChart").first.hover()
    for button in window.page.get_by_role("button", name="Show data").all():
        expect(button).to_be_hidden()


def test_no_views_per_session_where_events_and_sessions_are_filtered_by_different_things(
    window: Tab,
) -> None:
    window.open("", "store=teahouse&product=green")
    expect(window.metric("Views a visit")).to_have_text("\N{EN DASH}")
    window.open("", "store=teahouse&device=mobile")
    expect(window.metric("Views a visit")).not_to_have_text("\N{EN DASH}")


def test_a_row_of_a_list_says_how_it_stands_against_the_period_before(window: Tab, shown: Shown) -> None:
    window.page.set_viewport_size({"width": 360, "height": 780})
    window.open("", "store=teahouse&period=yesterday")
    scope = scope_of()
    assert scope.until is not None
    midnight = scope.until - timedelta(days=1)
    days = [
        replace(scope, since=midnight - timedelta(days=ago), until=midnight - timedelta(days=ago - 1)) for ago in (1, 2)
    ]
    now, then = (
        {row.value: row.numbers for row in shown.insights.breakdowns(day, ["channel"], 10, "sessions")["channel"].rows}
        for day in days
    )
    assert now
    for value, numbers in now.items():
        before = then[value].sessions if value in then else 0
        change = words.change_words(words.change(numbers.sessions, before))
        expect(window.bar(value).locator(".change")).to_have_text(f"{change.text}{change.spoken}")
        name = re.compile(f"^{re.escape(value)} .*{re.escape(change.spoken)}$")
        expect(window.page.get_by_role("button", name=name)).to_be_visible()
    window.wait_fits()
    window.open("", "store=teahouse&period=yesterday&compare=no")
    expect(window.bar(next(iter(now)))).to_be_visible()
    expect(window.page.locator(".bars .change")).to_have_count(0)


def test_a_page_that_was_made_up_to_run_a_script_is_text(window: Tab) -> None:
    window.open("", f"store=teahouse&bots=include&page={SCRIPTED_PAGE}")
    expect(window.chip("page")).to_contain_text(SCRIPTED_PAGE)
    window.page.get_by_role("tab", name="Pages").click()
    expect(window.bar(SCRIPTED_PAGE)).to_be_visible()


def test_the_csv_is_the_table(window: Tab, shown: Shown, tmp_path: Path) -> None:
    window.open("products")
    with window.page.expect_download() as found:
        window.page.locator(".st-key-csv-product button").click()
    found.value.save_as(tmp_path / "products.csv")
    expected = shown.insights.breakdowns(scope_of(), ["product"], 10_000, "visitors")["product"]
    text = (tmp_path / "products.csv").read_text()
    assert text == to_csv(expected, {}).replace("\r\n", "\n")
    head, *lines = csv.reader(io.StringIO(text.removeprefix(BOM)))
    assert head == ["product", "title", *CSV_COLUMNS]
    assert {line[0] for line in lines} == {"green", "black", "'=2+3"}
    assert [int(line[2]) for line in lines] == [row.numbers.visitors for row in expected.rows]
    assert re.fullmatch(r"teahouse-product-\d{4}-\d\d-\d\d-\d{4}-\d\d-\d\d\.csv", found.value.suggested_filename)
    table = window.page.get_by_test_id("stDataFrame").first
    for row in expected.rows:
        expect(table).to_contain_text(f"{row.value}")


def test_a_row_of_a_table_filters_when_it_is_ticked(window: Tab, shown: Shown) -> None:
    window.open("sources")
    table = window.page.get_by_test_id("stDataFrame").first
    expect(table).to_be_visible()
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box is not None
    first = shown.insights.breakdowns(scope_of(), ["channel"], 10, "sessions")["channel"].rows[0].value
    window.page.mouse.click(box["x"] + 16, box["y"] + 52)
    expect(window.chip("channel")).to_contain_text(f"Channel: {first}")


def test_a_bar_is_reached_and_pressed_by_keyboard(window: Tab) -> None:
    window.open()
    window.bar("green").focus()
    expect(window.bar("green")).to_be_focused()
    window.page.keyboard.press("Tab")
    expect(window.bar("black")).to_be_focused()
    window.page.keyboard.press("Enter")
    expect(window.chip("product")).to_contain_text("Product: black")


def test_a_shop_of_which_no_event_came_says_how_to_send_one_on_every_page_of_numbers(window: Tab) -> None:
    said = {
        "Catalog": "No products yet",
        "Orders": "No orders in these days",
        "Stock": "No products yet",
    }
    window.open("", "store=quiet")
    for name in PAGES:
        window.turn_to(name)
        main = window.page.get_by_test_id("stMainBlockContainer")
        expect(main).to_contain_text(said.get(name, "We have not seen an event of Quiet yet"))
        if name not in said:
            expect(main).to_contain_text(f'm.js" data-key="{SHOPS["quiet"].storefront_key}"')
            expect(window.page.get_by_test_id("stMetric")).to_have_count(0)
            assert "still to be counted" not in main.inner_text()


def test_a_page_that_is_not_there_is_said_to_be_missing(one_page: Tab) -> None:
    # The browser notes an error: the answer's status is 404.
    one_page.page.goto(f"{one_page.url}/nopage?store=teahouse")
    expect(one_page.page.get_by_role("heading", name="There is no such page")).to_be_visible()
    one_page.page.get_by_role("link", name="Open the dashboard").click()
    one_page.wait_drawn()
    expect(one_page.page.get_by_role("link", name="Overview")).to_have_attribute("aria-current", "page")


def test_the_menu_has_the_choice_of_light_and_dark_and_nothing_of_streamlit(window: Tab) -> None:
    window.open()
    window.page.get_by_test_id("stMainMenu").get_by_role("button").click()
    expect(window.page.get_by_role("menuitemradio", name="Dark")).to_be_visible()
    for text in ("Print", "Record screen", "Made with Streamlit"):
        expect(window.page.get_by_text(text)).to_be_hidden()


def test_the_tag_of_a_store_is_on_the_page_counting_whatever_days_are_chosen(window: Tab) -> None:
    window.open("counting", "store=teahouse&from=2020-01-01&to=2020-01-07")
    card = window.page.locator(".st-key-tag")
    expect(card).to_contain_text(f'm.js" data-key="{SHOPS["teahouse"].storefront_key}"')
    expect(card).to_contain_text("Both end within seconds when the write key is replaced")


def test_days_without_events_say_so_and_show_zeros(window: Tab) -> None:
    said = {"Visits": "No visits", "Counting": "Nothing was received"}
    for name in ("Overview", "Visits", "Counting"):
        window.open(PAGES[name], "store=teahouse&from=2020-01-01&to=2020-01-07")
        expected = said.get(name, "Nothing happened in these days")
        expect(window.page.get_by_test_id("stMainBlockContainer")).to_contain_text(expected)
        if name != "Counting":
            expect(window.metric("Page views")).to_have_text("0")
            expect(window.page.get_by_text("Dotted lines")).to_have_count(0)


def test_why_nothing_is_compared_is_said_where_other_days_than_the_usual_are_chosen(window: Tab) -> None:
    said = window.page.get_by_text("There are no numbers of the whole period before")
    window.open("", "store=teahouse&period=90d")
    expect(said).to_be_visible()
    window.open()
    expect(window.page.get_by_text("Dotted lines are still growing")).to_be_visible()
    expect(said).to_have_count(0)


def test_what_is_below_stays_where_it_is_when_a_filter_is_set(window: Tab) -> None:
    window.open()

    def place() -> float:
        """How far below the top of the page the list is, wherever the page is scrolled to."""
        parts = (window.page.locator(".st-key-bars-product"), window.page.get_by_test_id("stMainBlockContainer"))
        bars, page = (part.bounding_box() for part in parts)
        assert bars is not None
        assert page is not None
        return bars["y"] - page["y"]

    expect(window.bar("green")).to_be_visible()
    before = place()
    window.bar("green").click()
    expect(window.chip("product")).to_be_visible()
    expect(window.bar("green")).to_have_attribute("aria-pressed", "true")
    assert abs(place() - before) < 4


def test_goals_are_shown_on_the_overview_and_by_the_values_of_a_dimension(window: Tab, shown: Shown) -> None:
    window.open()
    expect(window.page.locator(".st-key-goals")).to_contain_text("Goals")
    window.page.get_by_role("button", name="By channel, page and more").click()
    expect(window.page.get_by_role("heading", name="Goals")).to_be_visible()
    window.choose("By", "Country")
    window.page.wait_for_url("**table=country*")
    found = shown.insights.conversions(scope_of(), SHOPS["teahouse"].goals, "country")
    assert len(found["Paid"]) > 1
    table = window.page.get_by_test_id("stDataFrame").last
    for row in found["Paid"]:
        expect(table).to_contain_text(words.value_label("country", row.value))
    expect(window.page.get_by_role("link", name="Goals")).to_have_attribute("aria-current", "page")


def test_goals_are_had_as_csv_and_the_page_says_how_they_are_changed(window: Tab, shown: Shown, tmp_path: Path) -> None:
    window.open("goals", "store=teahouse&goal=Paid&table=country")
    with window.page.expect_download() as found:
        window.page.locator(".st-key-csv-goal-by-country button").click()
    found.value.save_as(tmp_path / "paid.csv")
    rows = shown.insights.conversions(scope_of(), SHOPS["teahouse"].goals, "country")["Paid"]
    assert (tmp_path / "paid.csv").read_text() == goals_to_csv(rows, "country").replace("\r\n", "\n")
    expect(window.page.locator(".st-key-csv-goals button")).to_be_visible()
    main = window.page.get_by_test_id("stMainBlockContainer")
    expect(main).to_contain_text('marketplace stores goals add teahouse "Signed up" --page /welcome')


def test_visits_are_credited_to_the_last_who_sent_the_visitor_where_that_is_chosen(window: Tab, shown: Shown) -> None:
    own, last = (
        shown.insights.totals(scope).sessions
        for scope in (scope_of(channel="Email"), replace(scope_of(channel="Email"), attribution="last_non_direct"))
    )
    assert own < last
    window.open("sources", "store=teahouse&channel=Email")
    expect(window.metric("Visits")).to_have_text(words.count(own))
    window.page.get_by_role("combobox", name="Visits count as brought by").click()
    window.page.get_by_role("option", name="The last that somebody sent (30 days)").click()
    expect(window.metric("Visits")).to_have_text(words.count(last))
    window.turn_to("Goals")
    window.page.get_by_role("combobox", name="Days").click()
    window.page.get_by_role("option", name="Last 7 days").click()
    window.page.wait_for_url("**period=7d*")
    expected = {"store": "teahouse", "period": "7d", "attribution": "last_non_direct", "channel": "Email"}
    assert query_of(window) == expected
    window.turn_to("Live")
    expect(window.page.get_by_role("combobox", name="Visits count as brought by")).to_have_count(0)
    assert query_of(window) == expected


def test_ten_thousand_rows_are_shown_and_taken_unavailable(window: Tab, shown: Shown, tmp_path: Path) -> None:
    window.open("products", "store=wide")
    window.page.get_by_role("tab", name="Pages", exact=True).click()
    expect(window.page.get_by_text("the 10,000 largest of more pages")).to_be_visible()
    assert WIDE_PAGES > 10_000
    with window.page.expect_download() as found:
        window.page.locator(".st-key-csv-page button").click()
    found.value.save_as(tmp_path / "pages.csv")
    assert len((tmp_path / "pages.csv").read_text().splitlines()) == 10_001


def test_another_store_is_chosen_without_the_filters_of_this_one(window: Tab) -> None:
    window.open("", "store=teahouse&product=green")
    window.choose("Store", "Wide")
    expect(window.metric("Page views")).to_have_text(words.count(WIDE_PAGES))
    assert query_of(window) == {"store": "wide"}


def test_bots_are_left_out_until_they_are_asked_for(window: Tab, shown: Shown) -> None:
    window.open()
    window.choose("Who", "Bots only")
    bots: Any = shown.insights.totals(replace(scope_of(), bots="only"))
    assert bots.views > 0
    expect(window.metric("Page views")).to_have_text(words.count(bots.views))
    assert query_of(window) == {"store": "teahouse", "bots": "only"}


def test_days_are_chosen_from_a_calendar_first_and_last_one(window: Tab, shown: Shown) -> None:
    today = datetime.now(ZoneInfo(SHOPS["teahouse"].timezone)).date()
    # Days of one month, which the calendar shows together, and of the nine in which something happened.
    last = today - timedelta(days=1) if today.day > 3 else today.replace(day=1) - timedelta(days=1)
    first = last - timedelta(days=2)
    window.open("", f"store=teahouse&from={last.replace(day=1)}&to={last}")
    window.page.get_by_role("group", name="From and to start date").get_by_role("spinbutton").first.click()
    window.page.keyboard.press("Alt+ArrowDown")
    for day in (first, last):
        window.page.get_by_role("gridcell").get_by_role("button", name=f"{day:%B} {day.day}, {day.year}").click()
        window.wait_drawn()
    window.page.wait_for_url(f"**from={first}&to={last}*")
    window.page.reload()
    window.wait_drawn()
    assert query_of(window) == {"store": "teahouse", "from": str(first), "to": str(last)}
    since, until = (datetime.combine(day, time()) for day in (first, last + timedelta(days=1)))
    chosen = replace(scope_of(), since=since, until=until)
    assert 0 < shown.insights.totals(chosen).views < shown.insights.totals(scope_of()).views
    expect(window.metric("Page views")).to_have_text(words.count(shown.insights.totals(chosen).views))


def test_choices_are_offered_where_they_change_something_and_kept_elsewhere(window: Tab) -> None:
    window.open("", "store=teahouse&period=7d&bots=include&product=green")
    window.turn_to("Live")
    expect(window.page.get_by_role("combobox", name="Who")).to_be_visible()
    expect(window.page.get_by_role("combobox", name="Days")).to_have_count(0)
    expect(window.page.get_by_role("switch", name="Compare")).to_have_count(0)
    window.turn_to("Counting")
    expect(window.page.get_by_role("combobox", name="Days")).to_have_value("Last 7 days")
    expect(window.page.get_by_role("combobox", name="Who")).to_have_count(0)
    expect(window.chip("product")).to_have_count(0)
    window.turn_to("Overview")
    expect(window.page.get_by_role("combobox", name="Who")).to_have_value("People and bots")
    expect(window.chip("product")).to_be_visible()
    assert query_of(window) == {"store": "teahouse", "period": "7d", "bots": "include", "product": "green"}


def test_only_the_table_of_the_chosen_tab_is_asked_for(window: Tab, shown: Shown) -> None:
    found = shown.insights.breakdowns(scope_of(), ["device", "os"], 10)
    devices = window.page.get_by_text(f"{len(found['device'].rows)} devices. Tick a row")
    systems = window.page.get_by_text(f"{len(found['os'].rows)} systems. Tick a row")
    window.open("devices")
    expect(devices).to_be_visible()
    expect(systems).to_have_count(0)
    window.page.get_by_role("tab", name="Systems").click()
    expect(systems).to_be_visible()
    expect(devices).to_have_count(0)


def test_a_picture_is_taken_of_a_page_and_of_the_sign_in_on_a_phone(shown: Shown, tmp_path: Path) -> None:
    which = ("--only", "counting", "--only", "sign-in", "--kind", "phone", "--query", "store=teahouse")
    done = take_pictures("--url", shown.url, *which, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    sizes = {picture.name: picture.stat().st_size for picture in tmp_path.iterdir()}
    assert sorted(sizes) == ["counting-phone.png", "sign-in-phone.png"]
    assert all(5_000 < size < 200_000 for size in sizes.values()), sizes


def test_where_no_account_exists_the_dashboard_is_open_on_this_machine_and_says_so(window: Tab) -> None:
    window.open()
    expect(window.metric("Page views")).to_be_visible()
    expect(window.page.get_by_text("No account exists yet")).to_be_visible()
    window.page.get_by_role("link", name="How to change that").click()
    expect(window.page.get_by_role("heading", name="No account exists yet")).to_be_visible()


def test_without_a_dashboard_there_are_no_pictures_and_one_line_says_why(browser: Browser, tmp_path: Path) -> None:
    url, shop = (f"http://127.0.0.1:{port}" for port in free_ports(2))
    done = take_pictures("--url", url, "--shop", shop, folder=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"screenshots: no picture of {url}: ")
    assert len(done.stderr.splitlines()) == 1


def take_pictures(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command as it is called."""
    return subprocess.run(
        [sys.executable, "-m", "ops.screenshots", *arguments, "--target", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
