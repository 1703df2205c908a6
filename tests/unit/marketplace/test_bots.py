from __future__ import annotations

import time
from pathlib import Path

import pytest

from connectors.lookups.bot_list import CrawlerList
from marketplace.clicks import bots
from marketplace.clicks.bot_kinds import KINDS
from marketplace.enrichments.referrer_spam import SPAM_VERSION

LIST = CrawlerList()
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36"
)
ANDROID = (
    "Mozilla/5.0 (Linux; Android 14; {}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36"
)
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"

PEOPLE = {
    "Chrome on Windows": CHROME,
    "Edge": CHROME + " Edg/124.0.0.0",
    "Opera": CHROME + " OPR/109.0.0.0",
    "Firefox on Linux": "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0",
    "Safari on a Mac": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.4 Safari/605.1.15",
    "Safari on an iPhone": IPHONE + " Version/17.4 Mobile/15E148 Safari/604.1",
    "Chrome on an iPhone": IPHONE + " CriOS/124.0.6367.88 Mobile/15E148 Safari/604.1",
    "Facebook's app": IPHONE + " Mobile/15E148 [FBAN/FBIOS;FBAV/457.0.0.40.109;FBBV/585538123;FBDV/iPhone14,5]",
    "Instagram's app": IPHONE + " Mobile/21E236 Instagram 329.0.3.29.95 (iPhone14,5; iOS 17_4; en_US)",
    "Chrome on a reduced Android": ANDROID.format("K"),
    "Samsung Internet": ANDROID.format("SAMSUNG SM-S918B") + " SamsungBrowser/24.0",
    "a phone of the brand Cubot": ANDROID.format("CUBOT NOTE 50"),
    "a Cubot in another spelling": ANDROID.format("Cubot_X30"),
    "an HTC Butterfly": ANDROID.format("HTC Butterfly s Build/JDQ39"),
    "a ViewSonic phone": ANDROID.format("ViewSonic-V350"),
    "an Android 15 build that the list blames": ANDROID.format("CPH2617 Build/AP3A.240617.008"),
    "Opera Mini on a feature phone": "Opera/9.80 (MAUI Runtime; Opera Mini/4.4.39008/37.9178; U; en) "
    "Presto/2.12.423 Version/12.16",
    "Wired's app": "Mozilla/5.0 (iPad; U; CPU iPhone OS 7_0 like Mac OS X; de-DE) WIRED/3.2.3.11.87970",
    "a Fire tablet": "Mozilla/5.0 (Linux; Android 11; KFTRWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/118.2.2 like "
    "Chrome/118.0.5993.135 Safari/537.36",
    "Internet Explorer 6": "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)",
    "Facebook's app by its newer name": IPHONE + " Version/17.4 Mobile/15E148 Safari/604.1 MetaIAB Facebook",
    "a tablet that is called bot": "Mozilla/5.0 (Linux; Android 6.0.1; M BOT TAB 101 Build/MOB30R) AppleWebKit/537.36 "
    "(KHTML, like Gecko) Chrome/54.0 Safari/537.36",
    "a phone that is called spider": ANDROID.format("Spider 8"),
    "a phone that is called as a feed reader is": ANDROID.format("Fever_Plus Build/O11019; wv"),
    "a scanning app's own browser": ANDROID.format("SM-S918B; wv") + " CamScanner/6.60",
    "Sogou's browser": ANDROID.format("OPPO R9s") + " SogouMSE,SogouMobileBrowser/5.28.7",
    "an editor's own browser": CHROME.replace("Chrome/", "Code/1.115.0 Chrome/") + " Electron/39.8.5",
    "a phone that says its model alone": "LG-KE520",
    "a phone of seven letters": "iPhone8",
    "an app on a Mac": "NetNewsWire (Macintosh; like Gecko)",
    "an app's request on an iPhone": "Shop/41 CFNetwork/1399 Darwin/22.1.0",
    "an app's request on Android": "Dalvik/2.1.0 (Linux; U; Android 9; SM-G960F Build/PPR1)",
    "a television": "VIZIO V655-J09 ViziOS/1.4.512 WatchFree/24.06 FancyPlayer/1.1.30",
    "a text browser": "Links (2.29; Linux 6.8.0 x86_64; GNU C 13.2; text)",
}

ROBOTS = {
    "Googlebot/2.1 (+http://www.google.com/bot.html)": bots.LISTED,
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)": bots.LISTED,
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; "
    "+https://openai.com/gptbot)": bots.LISTED,
    "Mozilla/5.0 (compatible; ClaudeBot/1.0; +claudebot@anthropic.com)": bots.LISTED,
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)": bots.LISTED,
    "WhatsApp/2.23.20.0": bots.LISTED,
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)": bots.LISTED,
    "Mozilla/5.0 (compatible; Butterfly/1.0; +http://labs.topsy.com/butterfly/) Gecko/2009032608 "
    "Firefox/3.0.8": bots.LISTED,
    "curl/8.7.1": bots.LIBRARY,
    "Wget/1.21.4": bots.LIBRARY,
    "python-requests/2.32.3": bots.LIBRARY,
    "Python/3.12 aiohttp/3.9.5": bots.LIBRARY,
    "Go-http-client/2.0": bots.LIBRARY,
    "Java/17.0.11": bots.LIBRARY,
    "okhttp/4.12.0": bots.LIBRARY,
    "axios/1.7.2": bots.LIBRARY,
    "node-fetch/1.0": bots.LIBRARY,
    "GuzzleHttp/7": bots.LIBRARY,
    "PostmanRuntime/7.39.0": bots.LIBRARY,
    "sqlmap/1.8#stable (https://sqlmap.org)": bots.LIBRARY,
    "k6/0.51.0 (https://k6.io/)": bots.LIBRARY,
    CHROME.replace("Chrome/", "HeadlessChrome/"): bots.HEADLESS,
    "Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/538.1 (KHTML, like Gecko) PhantomJS/2.1.1 "
    "Safari/538.1": bots.HEADLESS,
    "LumiBot 2.0": bots.SELF_NAMED,
    "our-own-crawler (nightly)": bots.SELF_NAMED,
    "PriceSpider": bots.SELF_NAMED,
    "UniversalFeedParser/4.2-pre-314-svn +http://feedparser.org/": bots.SELF_NAMED,
    "ELB-HealthChecker/2.0": bots.SELF_NAMED,
    "kube-probe/1.29": bots.NO_BROWSER,
    "Prometheus/2.45.0": bots.NO_BROWSER,
    "claude-web/1.0": bots.NO_BROWSER,
    "Mozilla/5.0": bots.NO_BROWSER,
    "Mozilla/5.0 (compatible; SomeNewThing/0.1)": bots.NO_BROWSER,
    "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 "
    "Mobile Safari/537.36 (compatible; OurBot/1.0)": bots.SELF_NAMED,
    CHROME + " (research; jo@lab.example)": bots.SELF_NAMED,
    "Sogou web spider/4.0": bots.LISTED,
    "x": bots.SHORT,
    "Mozilla": bots.SHORT,
    "": bots.EMPTY,
    "   ": bots.EMPTY,
    "\t\n": bots.EMPTY,
}


@pytest.mark.parametrize("user_agent", PEOPLE.values(), ids=PEOPLE.keys())
def test_a_persons_browser_is_not_flagged(user_agent: str) -> None:
    assert bots.user_agent_reasons(user_agent, LIST) == ()


@pytest.mark.parametrize(("user_agent", "reason"), ROBOTS.items(), ids=[agent[:40] or "nothing" for agent in ROBOTS])
def test_a_robot_is_flagged_with_its_reason(user_agent: str, reason: str) -> None:
    assert reason in bots.user_agent_reasons(user_agent, LIST)


def test_several_reasons_come_in_the_order_of_the_reference() -> None:
    reasons = bots.user_agent_reasons("curl/8.7.1 (+https://example.test/bot)", LIST)
    assert reasons == (bots.LISTED, bots.LIBRARY, bots.SELF_NAMED)
    assert list(reasons) == [reason for reason in bots.REASONS if reason in reasons]


@pytest.mark.parametrize(
    "path",
    [
        "/wp-login.php",
        "/blog/wp-admin/",
        "/wp-admin/setup-config.php",
        "/xmlrpc.php",
        "/.env",
        "/app/.env.production",
        "/.git/config",
        "/.aws/credentials",
        "/phpmyadmin/index.php",
        "/phpinfo.php",
        "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php",
        "/cgi-bin/luci",
        "/actuator/health",
        "/server-status",
        "/_ignition/execute-solution",
        "/boaform/admin/formLogin",
        "/../../etc/passwd",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/WP-LOGIN.PHP",
        "/backup.sql",
    ],
)
def test_a_scanners_path_is_flagged(path: str) -> None:
    assert bots.event_reasons(path, automated=False) == (bots.PROBE,)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/product/42",
        "/environment-friendly-shoes",
        "/p/.environment",
        "/blog/how-to-secure-wp-login",
        "/gitar/strings",
        "/admin/orders",
        "/login",
        "/config",
        "/cart/backup",
        "/.well-known/security.txt",
        "/collections/solr-panels",
        "/pmarca-boots",
        "/.github/funding",
        "",
    ],
)
def test_a_shops_path_is_not_flagged(path: str) -> None:
    assert bots.event_reasons(path, automated=False) == ()


def test_a_client_that_declares_automation_is_flagged() -> None:
    assert bots.event_reasons("/", automated=True) == (bots.DECLARED,)


def test_a_declared_probe_has_both_reasons() -> None:
    assert bots.event_reasons("/.env", automated=True) == (bots.DECLARED, bots.PROBE)


def test_the_version_names_the_rules_and_the_list() -> None:
    assert bots.version(LIST) == f"{bots.RULES_VERSION} {LIST.version()} {SPAM_VERSION}"


def test_the_reference_page_explains_every_reason() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "bots.md").read_text(encoding="utf-8")
    assert [reason for reason, meaning in bots.REASONS.items() if f"| `{reason}` | {meaning}" not in page] == []
    assert [kind for kind, meaning in KINDS.items() if f"| `{kind}` | {meaning}" not in page] == []
    assert f"`{bots.RULES_VERSION}`" in page
    assert f"{bots.RATE_LIMIT_PER_MINUTE} events" in page


@pytest.mark.parametrize(
    "text",
    [
        "x" * 1_000_000,
        "Mozilla/" * 200,
        "+http" * 200,
        "@." * 500,
        "/." * 1_000,
        "%2e" * 700,
        "/.well-known/" * 150,
        "\ud800" * 1_024,
    ],
    ids=["a megabyte", "browsers", "links", "addresses", "dots", "encoded dots", "well-known", "surrogates"],
)
def test_a_hostile_text_costs_less_than_fifty_milliseconds(text: str) -> None:
    uncached = CrawlerList(cache_entries=0)
    started = time.perf_counter()
    for _ in range(5):
        bots.user_agent_reasons(text, uncached)
        bots.event_reasons(text, automated=False)
    assert (time.perf_counter() - started) / 5 < 0.050
