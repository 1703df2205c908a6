"""The user agent lookup and the crawlers' list on the real packages."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from connectors.lookups.bot_list import CrawlerList
from connectors.lookups.crawler_corrections import CORRECTIONS
from connectors.lookups.user_agents import UserAgents
from marketplace.enrichments.device import DEVICES
from marketplace.enrichments.registry import Agent

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"

REAL: dict[str, tuple[str, Agent]] = {
    "Chrome on Windows": (
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/124.0.0.0 Safari/537.36",
        Agent("Chrome", "124.0.0", "Windows", "10", "desktop"),
    ),
    "Edge": (
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/124.0.0.0 Safari/537.36 Edg/124.0.2478.51",
        Agent("Edge", "124.0.2478", "Windows", "10", "desktop"),
    ),
    "Firefox on Linux": (
        "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0",
        Agent("Firefox", "125.0", "Linux", "", "desktop"),
    ),
    "Safari on a Mac": (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 "
        "Safari/605.1.15",
        Agent("Safari", "17.4", "Mac OS X", "10.15.7", "desktop"),
    ),
    "a Chromebook": (
        f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/124.0.0.0 Safari/537.36",
        Agent("Chrome", "124.0.0", "Chrome OS", "14541.0.0", "desktop"),
    ),
    "Internet Explorer 11": (
        "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko",
        Agent("IE", "11.0", "Windows", "7", "desktop"),
    ),
    "Chrome on a phone": (
        f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/124.0.0.0 Mobile Safari/537.36",
        Agent("Chrome Mobile", "124.0.0", "Android", "10", "mobile"),
    ),
    "Samsung Internet": (
        f"Mozilla/5.0 (Linux; Android 14; SM-S918B) {WEBKIT} SamsungBrowser/24.0 Chrome/117.0.0.0 Mobile Safari/537.36",
        Agent("Samsung Internet", "24.0", "Android", "14", "mobile"),
    ),
    "Safari on an iPhone": (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/17.4.1 Mobile/15E148 Safari/604.1",
        Agent("Mobile Safari", "17.4.1", "iOS", "17.4.1", "mobile"),
    ),
    "an Android app's own requests": (
        "Dalvik/2.1.0 (Linux; U; Android 9; SM-G960F Build/PPR1.180610.011)",
        Agent("Android", "9", "Android", "9", "mobile"),
    ),
    "an iPad": (
        "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 "
        "Mobile/15E148 Safari/604.1",
        Agent("Mobile Safari", "16.6", "iOS", "16.6", "tablet"),
    ),
    "Chrome on an iPad": (
        "Mozilla/5.0 (iPad; CPU OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/124.0.6367.88 "
        "Mobile/15E148 Safari/604.1",
        Agent("Chrome Mobile iOS", "124.0.6367", "iOS", "17.4", "tablet"),
    ),
    "an Android tablet": (
        f"Mozilla/5.0 (Linux; Android 13; SM-X906C) {WEBKIT} Chrome/124.0.0.0 Safari/537.36",
        Agent("Chrome", "124.0.0", "Android", "13", "tablet"),
    ),
    "Firefox on an Android tablet": (
        "Mozilla/5.0 (Android 13; Tablet; rv:125.0) Gecko/125.0 Firefox/125.0",
        Agent("Firefox Mobile", "125.0", "Android", "13", "tablet"),
    ),
    "a Samsung television": (
        "Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV "
        "Safari/537.36",
        Agent("Safari", "", "Tizen", "6.0", "tv"),
    ),
    "an LG television": (
        f"Mozilla/5.0 (Web0S; Linux/SmartTV) {WEBKIT} Chrome/79.0.3945.79 Safari/537.36 WebAppManager",
        Agent("Chrome", "79.0.3945", "webOS", "", "tv"),
    ),
    "a Fire TV stick": (
        f"Mozilla/5.0 (Linux; Android 9; AFTMM Build/PS7633; wv) {WEBKIT} Version/4.0 Chrome/110.0.5481.154 "
        "Mobile Safari/537.36",
        Agent("Chrome Mobile WebView", "110.0.5481", "Android", "9", "tv"),
    ),
    "a Fire TV by its longer name": (
        f"Mozilla/5.0 (Linux; Android 9; AFTTIFF43) {WEBKIT} Silk/130.1.1 like Chrome/130.0.0.0 Safari/537.36",
        Agent("Amazon Silk", "130.1.1", "Android", "9", "tv"),
    ),
    "a box on Android by its model": (
        f"Mozilla/5.0 (Linux; Android 10; TVBOX) {WEBKIT} Chrome/96.0.4664.104 Safari/537.36",
        Agent("Chrome", "96.0.4664", "Android", "10", "tv"),
    ),
    "a phone that receives television": (
        f"Mozilla/5.0 (Linux; Android 8.1.0; KEMPLER_TV) {WEBKIT} Chrome/70.0.3538.110 Mobile Safari/537.36",
        Agent("Chrome Mobile", "70.0.3538", "Android", "8.1.0", "mobile"),
    ),
    "a television with HbbTV": (
        "Mozilla/5.0 (Linux armv7l) HbbTV/1.2.1 (;Panasonic;VIERA 2014;3.062;8101;) Presto/2.12",
        Agent("HbbTV", "1.2.1", "", "", "tv"),
    ),
    "a Fire tablet in a web view": (
        f"Mozilla/5.0 (Linux; Android 11; KFTUWI Build/RS8321; wv) {WEBKIT} Version/4.0 Chrome/130.0.0.0 Safari/537.36",
        Agent("Chrome Mobile WebView", "130.0.0", "Android", "11", "tablet"),
    ),
    "a tablet that takes a SIM card": (
        f"Mozilla/5.0 (Linux; Android 11; SM-T295N) {WEBKIT} Chrome/99.0.4844.73 Mobile Safari/537.36",
        Agent("Chrome Mobile", "99.0.4844", "Android", "11", "tablet"),
    ),
    "Chromium on Ubuntu": (
        f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} Ubuntu/22.04 Chromium/120.0.6099.5 Chrome/120.0.0.0",
        Agent("Chromium", "120.0.6099", "Ubuntu", "22.04", "desktop"),
    ),
    "Facebook's app by its newer name": (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 "
        "Mobile/15E148 Safari/604.1 MetaIAB Facebook",
        Agent("Facebook", "", "iOS", "17.4", "mobile"),
    ),
    "LinkedIn's app": (
        f"Mozilla/5.0 (Linux; Android 14; SM-S918B; wv) {WEBKIT} Chrome/124.0 Mobile Safari/537.36 LinkedInApp",
        Agent("LinkedIn", "", "Android", "14", "mobile"),
    ),
    "a PlayStation": (
        "Mozilla/5.0 (PlayStation; PlayStation 5/2.26) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0 "
        "Safari/605.1.15",
        Agent("Safari", "13.0", "", "", "other"),
    ),
    "an Xbox": (
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) {WEBKIT} Chrome/90.0.4430.85 Safari/537.36 "
        "Edge/44.18363.8131",
        Agent("Edge", "44.18363.8131", "Windows", "10", "other"),
    ),
    "Googlebot": (
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        Agent("Googlebot", "2.1", "", "", "bot"),
    ),
    "Googlebot as a phone": (
        f"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) {WEBKIT} Chrome/124.0.6367.60 Mobile Safari/537.36 "
        "(compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        Agent("Googlebot", "2.1", "Android", "6.0.1", "bot"),
    ),
    "curl": ("curl/8.7.1", Agent("curl", "8.7.1", "", "", "other")),
}

ABSURD = {
    "nothing": "",
    "spaces": "   \t ",
    "controls": "\x00\x01\x1b[31m\r\n",
    "a lone surrogate": "\ud800",
    "a megabyte": "x" * 1_000_000,
    "a megabyte of emoji": "\U0001f600" * 250_000,
    "brackets": "(" * 1_024,
    "semicolons": "; " * 512,
    "a script": "<script>alert(1)</script>",
}


@pytest.fixture(scope="module")
def agents() -> UserAgents:
    return UserAgents()


@pytest.fixture(scope="module")
def crawlers() -> CrawlerList:
    return CrawlerList()


@pytest.mark.parametrize(("user_agent", "expected"), REAL.values(), ids=REAL.keys())
def test_a_real_user_agent_is_understood(agents: UserAgents, user_agent: str, expected: Agent) -> None:
    assert agents.find(user_agent) == expected


@pytest.mark.parametrize("user_agent", ABSURD.values(), ids=ABSURD.keys())
def test_an_absurd_user_agent_answers_without_browser_and_never_raises(agents: UserAgents, user_agent: str) -> None:
    found = agents.find(user_agent)
    assert (found.browser, found.os) == ("", "")
    assert found.device in ("", "other")


def test_a_control_character_inside_does_not_hide_a_browser(agents: UserAgents) -> None:
    dirty = REAL["Chrome on Windows"][0].replace(") Apple", ")\x00Apple")
    assert agents.find(dirty).browser == "Chrome"


def test_only_the_collectors_length_is_read(agents: UserAgents) -> None:
    assert agents.find("x" * 1_024 + REAL["Chrome on Windows"][0]).browser == ""


def test_every_device_is_one_of_the_documented(agents: UserAgents) -> None:
    assert {agents.find(user_agent).device for user_agent, _ in REAL.values()} == set(DEVICES)


def test_the_version_names_the_rules_and_the_engine(agents: UserAgents) -> None:
    for part in ("ua-parser ", "ua-parser-builtins ", "user-agents "):
        assert part in agents.version()
    assert agents.version() == UserAgents().version()


def test_a_flood_of_random_user_agents_does_not_grow_memory() -> None:
    small = UserAgents(cache_entries=64)
    for number in range(200):
        small.find(f"warm {number}")
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(400):
        small.find(f"Mozilla/5.0 (Windows NT 10.0) Chrome/{number}.0 {'x' * 900}{number}")
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 64 * 4_096


LISTED = [(entry["pattern"], example) for entry in CRAWLER_USER_AGENTS_DATA for example in entry.get("instances", [])]


def test_every_example_of_the_list_is_matched_but_those_of_dropped_entries(crawlers: CrawlerList) -> None:
    dropped = {pattern for pattern, correction in CORRECTIONS.items() if not correction.pattern}
    missed = {pattern for pattern, example in LISTED if not crawlers.match(example)}
    assert missed == dropped
    assert len(LISTED) > 2_000


def test_every_correction_is_of_an_entry_that_the_list_still_has() -> None:
    assert set(CORRECTIONS) <= {entry["pattern"] for entry in CRAWLER_USER_AGENTS_DATA}


def test_a_match_says_what_matched(crawlers: CrawlerList) -> None:
    assert crawlers.match("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)") == "Googlebot/"


@pytest.mark.parametrize(
    ("patterns", "matching", "missing"),
    [
        pytest.param(["abc", "abd", "ab"], ["xabz"], ["a b", "ba"], id="a word within a word"),
        pytest.param([r"^curl", r"[wW]get"], ["curl/8", "x Wget"], ["libcurl", "WGET"], id="expressions"),
        pytest.param([r"a\.b\/", r"c\-d"], ["a.b/1", "c-d"], ["axb/", "cd"], id="escaped punctuation"),
        pytest.param([r"a.b"], ["axb"], ["ab"], id="a dot that means any letter"),
        pytest.param([], [], ["anything", ""], id="no patterns at all"),
    ],
)
def test_the_compiled_list_means_what_its_patterns_mean(
    patterns: list[str], matching: list[str], missing: list[str]
) -> None:
    compiled = CrawlerList(patterns)
    assert [text for text in matching if not compiled.match(text)] == []
    assert [text for text in missing if compiled.match(text)] == []


@pytest.mark.parametrize("user_agent", ABSURD.values(), ids=ABSURD.keys())
def test_an_absurd_user_agent_is_on_no_list(crawlers: CrawlerList, user_agent: str) -> None:
    assert crawlers.match(user_agent) == ""
