from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.lookups.bot_list import CrawlerList
from marketplace.clicks import bots
from marketplace.clicks.bot_kinds import KINDS
from marketplace.enrichments.referrer_spam import SPAM_LIST, spammer_of

LIST = CrawlerList()
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36"
)
texts = st.text(alphabet=st.characters(exclude_categories=()), max_size=200)


def kind(user_agent: str, *of_event: str) -> str:
    verdict = bots.judge_agent(user_agent, LIST)
    return bots.bot_kind((*verdict.reasons, *of_event), verdict)


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "search"),
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
            "ai",
        ),
        ("claude-web/1.0", "ai"),
        ("facebookexternalhit/1.1", "preview"),
        ("ELB-HealthChecker/2.0", "monitor"),
        ("kube-probe/1.29", "monitor"),
        ("Prometheus/2.45.0", "monitor"),
        ("curl/8.7.1", "tool"),
        ("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", "seo"),
        (CHROME.replace("Chrome/", "HeadlessChrome/"), "automation"),
        ("LumiBot 2.0", "other"),
        ("Mozilla/5.0", "unnamed"),
        ("", "unnamed"),
    ],
)
def test_a_bot_is_of_the_kind_that_its_user_agent_names(user_agent: str, expected: str) -> None:
    assert kind(user_agent) == expected


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (bots.DECLARED, "declared"),
        (bots.PROBE, "scanner"),
        (bots.REFERRER_SPAM, "spam"),
        (bots.RATE, "rate"),
    ],
)
def test_a_bot_with_a_browsers_agent_is_of_the_kind_of_its_reason(reason: str, expected: str) -> None:
    assert kind(CHROME, reason) == expected


def test_a_person_is_of_no_kind() -> None:
    assert kind(CHROME) == ""


def test_a_crawler_that_is_too_fast_stays_a_crawler() -> None:
    assert kind("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", bots.RATE) == "search"


@given(user_agent=texts, automated=st.booleans(), referrer=texts)
def test_an_event_has_a_kind_if_and_only_if_it_has_a_reason(user_agent: str, automated: bool, referrer: str) -> None:
    verdict = bots.judge_agent(user_agent, LIST)
    reasons = (*verdict.reasons, *bots.event_reasons("/", automated), *bots.referrer_reasons(referrer))
    found = bots.bot_kind(reasons, verdict)
    assert bool(found) == bool(reasons)
    assert found == "" or found in KINDS


@pytest.mark.parametrize("referrer", ["https://semalt.com/", "http://www.semalt.com/x?y", "https://a.b.semalt.com"])
def test_a_visit_from_a_spammers_site_is_kept_apart(referrer: str) -> None:
    assert bots.referrer_reasons(referrer) == (bots.REFERRER_SPAM,)


@pytest.mark.parametrize("referrer", ["", "https://notsemalt.com/", "https://semalt.com.shop.example/", "semalt"])
def test_an_honest_sites_visit_is_not(referrer: str) -> None:
    assert bots.referrer_reasons(referrer) == ()


def test_every_spammer_on_the_list_can_be_found_and_none_stands_below_another() -> None:
    missed = [host for host in SPAM_LIST.hosts if not spammer_of(host)]
    assert missed == []
    assert len(SPAM_LIST.hosts) == len(set(SPAM_LIST.hosts)) > 2_000
