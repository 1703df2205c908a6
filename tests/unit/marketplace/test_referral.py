from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from marketplace.enrichments import Lookups, Place
from marketplace.enrichments.referral import REFERRAL, REFERRAL_VERSION
from marketplace.enrichments.referral_channels import CHANNELS, Traffic, channel
from marketplace.enrichments.referral_links import REDACTED, host_of, is_internal, parameters
from marketplace.enrichments.referral_sources import CLICK_IDS, SITE_LISTS, category_of, find_site
from marketplace.enrichments.registry import Agent
from marketplace.enrichments.store_rules import read_rules
from marketplace.enrichments.text import MAX_VALUE_CHARS, label

PAGE = "https://shop.example/p"
DOMAINS = "shop.example,shop-example.com"
GOLDEN = Path(__file__).parents[2] / "golden" / "referrals.json"
CASES = json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"]
DOCS = Path(__file__).parents[3] / "docs" / "reference"


class Nothing:
    def version(self) -> str:
        return "nothing"


class NoPlaces(Nothing):
    def find(self, ip: str) -> Place:
        return Place()


class NoAgents(Nothing):
    def find(self, user_agent: str) -> Agent:
        return Agent()


LOOKUPS = Lookups(places=NoPlaces(), agents=NoAgents())


def visit(url: str, referrer: str = "", domains: str = DOMAINS) -> dict[str, str]:
    answer = REFERRAL.enrich(LOOKUPS, (url, referrer, domains))
    return dict(zip(REFERRAL.columns, answer, strict=True))


@pytest.mark.parametrize(
    ("query", "referrer", "source", "medium", "campaign", "channel_name"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_a_visit_is_attributed_as_the_golden_table_says(
    query: str, referrer: str, source: str, medium: str, campaign: str, channel_name: str
) -> None:
    found = visit(PAGE + query, referrer)
    assert (found["source"], found["medium"], found["campaign"]) == (source, medium, campaign)
    assert found["channel"] == channel_name


def test_the_golden_table_reaches_every_channel() -> None:
    assert {case[-1] for case in CASES} == set(CHANNELS)


def test_the_reference_page_describes_every_channel() -> None:
    page = (DOCS / "channels.md").read_text(encoding="utf-8")
    assert [name for name in CHANNELS if f"| {name} |" not in page] == []


def test_the_reference_page_names_every_click_id() -> None:
    page = (DOCS / "channels.md").read_text(encoding="utf-8")
    known = {**CLICK_IDS.paid, **CLICK_IDS.affiliate, **CLICK_IDS.email, **CLICK_IDS.hint}
    assert [parameter for parameter in known if f"`{parameter}`" not in page] == []


def test_the_source_lists_page_names_each_lists_origin_licence_and_date() -> None:
    page = (DOCS / "source-lists.md").read_text(encoding="utf-8")
    facts = [(listed.revision, listed.date, listed.licence) for listed in SITE_LISTS]
    facts.append((CLICK_IDS.revision, CLICK_IDS.date, CLICK_IDS.licence))
    rows = [row for row in page.splitlines() if row.startswith("|")]
    assert [fact for fact in facts if not any(f"| {' | '.join(fact)} |" in row for row in rows)] == []


def test_the_lists_hold_hundreds_of_hosts_for_the_kinds_that_matter() -> None:
    hosts: dict[str, int] = {}
    for listed in SITE_LISTS:
        for category, sites in listed.sites.items():
            hosts[category] = hosts.get(category, 0) + sum(len(names) for names in sites.values())
    assert hosts["search"] > 500
    assert hosts["social"] > 500
    assert min(hosts.values()) > 10


def test_every_listed_host_is_found_as_some_lists_category() -> None:
    known = {category for listed in SITE_LISTS for category in listed.sites}
    for listed in SITE_LISTS:
        for sites in listed.sites.values():
            for host in (host for hosts in sites.values() for host in hosts):
                site = find_site(host.replace(".{}", ".de").replace("{}.", "de."))
                assert site is not None, host
                assert site.category in known


@pytest.mark.parametrize("parameter", sorted({**CLICK_IDS.paid}))
def test_each_ads_click_id_makes_a_visit_paid(parameter: str) -> None:
    found = visit(f"{PAGE}?{parameter}=abc")
    assert found["channel"].startswith("Paid") or found["channel"] == "Display"


@pytest.mark.parametrize("parameter", sorted(CLICK_IDS.hint))
def test_a_hint_never_makes_a_visit_paid(parameter: str) -> None:
    assert visit(f"{PAGE}?{parameter}=abc")["channel"].startswith("Organic")


def test_the_version_names_the_rules_the_channels_and_the_lists() -> None:
    rules, channels, lists, labels = REFERRAL_VERSION.split()
    assert (rules, channels) == ("referral-2", "channels-2")
    assert lists.startswith("lists-")
    assert labels.startswith("labels-")
    assert REFERRAL.version(LOOKUPS) == REFERRAL_VERSION


def test_term_and_content_are_kept_folded() -> None:
    found = visit(f"{PAGE}?utm_source=a&utm_medium=b&utm_term=Red+Shoes&utm_content=Top%20Banner")
    assert (found["term"], found["content"]) == ("red shoes", "top banner")


def test_a_label_is_cut_at_the_cap() -> None:
    assert visit(f"{PAGE}?utm_source={'a' * 500}&utm_medium=x")["source"] == "a" * MAX_VALUE_CHARS


@pytest.mark.parametrize(("chars", "known"), [(253, True), (254, False)])
def test_a_host_is_no_longer_than_dns_lets_it_be(chars: int, known: bool) -> None:
    # RFC 1035, section 3.1: 255 octets with the lengths of the labels, which are 253 as text.
    host = ".".join(["a" * 62] * 4)[: chars - 5] + ".test"
    assert len(host) == chars
    assert visit(PAGE, f"https://{host}/")["referrer_host"] == (host[:MAX_VALUE_CHARS] if known else "")


def test_an_address_that_the_cap_would_cut_is_redacted_all_the_same() -> None:
    found = visit(f"{PAGE}?utm_source=m&utm_medium=email&utm_content={'a' * 118}@example.com")
    assert found["content"] == REDACTED


def test_nothing_of_the_referrers_path_query_or_user_is_kept() -> None:
    found = visit(PAGE, "https://jo:secret@www.a-blog.test:8443/private/jo?email=jo@example.com#token")
    assert found["referrer_host"] == "www.a-blog.test"
    assert "jo" not in " ".join(found.values())
    assert "secret" not in " ".join(found.values())


@pytest.mark.parametrize(
    ("link", "host"),
    [
        pytest.param("https://A.Example./x", "a.example", id="case and final dot"),
        pytest.param("//a.example/x", "a.example", id="no scheme"),
        pytest.param("a.example/x", "a.example", id="bare host with path"),
        pytest.param("a.example", "a.example", id="bare host"),
        pytest.param("http://[2001:db8::1]:80/", "[2001:db8::1]", id="IPv6"),
        pytest.param("https://a.example:443", "a.example", id="port"),
        pytest.param("https://a.example ", "a.example", id="blank behind it"),
        pytest.param("https://u@v@a.example/", "a.example", id="two at signs"),
        pytest.param("https://a.example\\@b.example/", "a.example", id="backslash ends the host as in browsers"),
        pytest.param("https://a.example?x", "a.example", id="query without path"),
        pytest.param("ios-app://544007664/youtube/x", "544007664", id="iOS app"),
        pytest.param("android-app://com.example.app", "com.example.app", id="Android app"),
        pytest.param("/relative/path", "", id="relative path"),
        pytest.param("just words", "", id="words"),
        pytest.param("https://", "", id="no host"),
        pytest.param("https://a b.example/", "", id="space in host"),
        pytest.param("https://<script>/", "", id="markup"),
        pytest.param("https://" + "a" * 300 + ".example/", "", id="longer than a host can be"),
        pytest.param("data:text/html,x", "", id="data"),
        pytest.param("mailto:jo@example.com", "", id="mailto"),
        pytest.param("\x00https://a.example", "", id="NUL in front"),
    ],
)
def test_the_host_of_a_link(link: str, host: str) -> None:
    assert host_of(link) == host


@pytest.mark.parametrize(
    ("host", "page", "domains", "internal"),
    [
        pytest.param("shop.example", "shop.example", "", True, id="page's own host without any domain listed"),
        pytest.param("m.shop.example", "www.shop.example", "", True, id="sibling of www"),
        pytest.param("example", "shop.example", "", False, id="parent domain belongs to others"),
        pytest.param("b.market.example", "a.market.example", "a.market.example", False, id="neighbour on one platform"),
        pytest.param("x.test", "shop.example", " X.test. ", True, id="listed with spaces, case and dot"),
        pytest.param("x.test", "shop.example", "www.x.test", True, id="listed with www"),
        pytest.param("x.test", "shop.example", ",,", False, id="empty domains match nothing"),
        pytest.param("x.test", "", "", False, id="no page host matches nothing"),
    ],
)
def test_what_is_internal(host: str, page: str, domains: str, internal: bool) -> None:
    assert is_internal(host, page, read_rules(domains).domains) is internal


@pytest.mark.parametrize(
    ("source", "category"),
    [
        ("fb", "social"),
        ("facebook.com", "social"),
        ("www.facebook.com", "social"),
        ("google", "search"),
        ("google.de", "search"),
        ("youtube", "video"),
        ("ebay", "shopping"),
        ("chatgpt.com", "ai"),
        ("perplexity", "ai"),
        ("gmail", "email"),
        ("fastmail", "email"),
        ("fastmail.com", "email"),
        ("flyer", ""),
        ("", ""),
        (".", ""),
    ],
)
def test_the_category_of_a_named_source(source: str, category: str) -> None:
    assert category_of(source) == category


def test_a_paid_click_of_a_shop_campaign_is_paid_shopping_before_it_is_search() -> None:
    assert channel(Traffic("google", "cpc", "e-shop", "search", paid=True)) == "Paid Shopping"


def test_parameters_beyond_the_limit_are_not_read() -> None:
    url = PAGE + "?" + "&".join(f"a{index}=1" for index in range(150)) + "&utm_source=late"
    assert len(parameters(url)) == 100


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("?a=b?c=d", {"a": "b?c=d"}),
        ("#p?a=b?c=d", {"a": "b?c=d"}),
        ("?a=b=c", {"a": "b=c"}),
        ("?a=1#b", {"a": "1"}),
        ("?a=1&a=2&b=", {"a": "1"}),
        ("?" + "n" * 70 + "=1", {"n" * 64: "1"}),
        ("?a=" + "v" * 2_000, {"a": "v" * 12 * MAX_VALUE_CHARS}),
        ("?" + "&".join(f"a{at}=1" for at in range(150)), {f"a{at}": "1" for at in range(100)}),
    ],
    ids=lambda value: str(value)[:20],
)
def test_the_parameters_of_a_url(url: str, found: dict[str, str]) -> None:
    assert parameters(PAGE + url) == found


def test_a_source_that_is_known_stands_beside_the_medium_of_an_ad() -> None:
    found = visit(f"{PAGE}?gclid=x&utm_source=facebook")
    assert (found["source"], found["medium"], found["channel"]) == ("facebook", "cpc", "Paid Social")
    unknown = visit(f"{PAGE}?gclid=x&utm_source=flyer")
    assert (unknown["source"], unknown["medium"], unknown["channel"]) == ("flyer", "cpc", "Paid Search")


def test_what_stands_behind_many_blanks_is_no_label() -> None:
    assert label("\n" * 2 * MAX_VALUE_CHARS + "x") == ""
    assert label("\n" * (2 * MAX_VALUE_CHARS - 1) + "x") == "x"


def test_a_hostile_url_costs_less_than_fifty_milliseconds() -> None:
    hostile = [
        PAGE + "?" + "&" * 2_000,
        PAGE + "?" + "utm_source=" + "%40" * 600,
        PAGE + "?utm_source=" + "a@" * 900,
        PAGE + "#" + "=?" * 1_000,
        "https://" + "a." * 1_000,
        "x" * 1_000_000,
    ]
    for text in hostile:
        started = time.perf_counter()
        for _ in range(10):
            visit(text, text)
        assert (time.perf_counter() - started) / 10 < 0.050, text[:40]


@pytest.mark.parametrize(
    "link", ["https://a.example", "//a.example", "a.example", "HTTPS://u:p@A.example:80", " http://a.example"]
)
@pytest.mark.parametrize(
    "rest", ["/", "/b//c?d=http://e.example/", "?//f.example", "#g", "\\h", "/" + "i" * 5_000, "/j k "]
)
def test_what_stands_behind_the_host_of_a_link_has_no_part_in_it(link: str, rest: str) -> None:
    assert host_of(link + rest) == host_of(link) == "a.example"


@pytest.mark.parametrize(
    "link", ["http://a.example /b", "/b//a.example/c", "b?//a.example/c", "http://", "x//a.example/"]
)
def test_a_host_that_is_not_at_its_place_is_none(link: str) -> None:
    assert host_of(link) == ""


SUBDOMAINS_TOO = ("social", "video", "shopping", "ai", "email", "payment")
HOSTS = [
    (host, category)
    for listed in SITE_LISTS
    for category, sites in listed.sites.items()
    for hosts in sites.values()
    for host in hosts
]


@pytest.mark.parametrize("below", ["x.", "x.y.", "x.y.z.a.b.c."])
def test_what_lies_below_a_site_is_that_site_unless_it_only_searches(below: str) -> None:
    for host, category in HOSTS:
        site = find_site(host)
        if site is None or site.category != category or "{}" in host or host.count(".") not in (1, 2):
            continue
        found = find_site(below + host)
        assert found == site if category in SUBDOMAINS_TOO else found is None or found.category != category, host


def test_a_single_last_label_is_no_site() -> None:
    assert [find_site(f"shop.{label}") for label in ("com", "de", "example")] == [None] * 3


@pytest.mark.parametrize("country", ["de", "co.uk", "com.br"])
def test_a_site_of_many_countries_is_found_in_each(country: str) -> None:
    for host, _ in HOSTS:
        if host.endswith(".{}"):
            assert find_site(host.replace("{}", country)) == find_site(host.replace("{}", "fr")), host


def test_a_site_whose_subdomains_are_countries_is_found_in_each() -> None:
    for host, _ in HOSTS:
        if host.startswith("{}."):
            assert find_site(host.replace("{}", "pt-br")) == find_site(host.replace("{}", "fr")) is not None, host


def test_an_app_with_something_before_its_name_is_another_one() -> None:
    assert find_site("com.google.android.apps.bard") is not None
    assert find_site("x.com.google.android.apps.bard") is None


@pytest.mark.parametrize(
    ("visit", "name"),
    [
        (Traffic("x", "referral", category="ai"), "AI Assistants"),
        (Traffic("x", "chatbot"), "AI Assistants"),
        (Traffic("x", "referral", category="shopping"), "Organic Shopping"),
        (Traffic("x", "referral", "e-shop"), "Organic Shopping"),
        (Traffic("x", "referral", category="social"), "Organic Social"),
        (Traffic("x", "social media"), "Organic Social"),
        (Traffic("x", "referral", category="video"), "Organic Video"),
        (Traffic("x", "my-video-ad"), "Organic Video"),
        (Traffic("x", "referral", category="search"), "Organic Search"),
        (Traffic("x", "organic"), "Organic Search"),
        (Traffic("x", "referral", category="email"), "Email"),
        (Traffic("newsletter", ""), "Email"),
        (Traffic("x", "affiliate"), "Affiliates"),
        (Traffic("x", "affiliates"), "Affiliates"),
        (Traffic("x", "web-push"), "Mobile Push"),
        (Traffic("x", "mobile-app"), "Mobile Push"),
        (Traffic("x", "a notification!"), "Mobile Push"),
        (Traffic("firebase", "x"), "Mobile Push"),
    ],
)
def test_each_sign_of_a_channel_is_enough_by_itself(visit: Traffic, name: str) -> None:
    assert channel(visit) == name
